"""Papers to cite, as BibTeX: those that the docstrings of functions, methods and modules name."""

import functools
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

_ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})")
_PAPERS = {  # arXiv id: (first author, title)
    "1301.3781": ("Mikolov, Tomas", "Efficient Estimation of Word Representations in Vector Space"),
    "1409.4842": ("Szegedy, Christian", "Going Deeper with Convolutions"),
    "1503.02531": ("Hinton, Geoffrey", "Distilling the Knowledge in a Neural Network"),
    "1505.05192": ("Doersch, Carl", "Unsupervised Visual Representation Learning by Context Prediction"),
    "1512.03385": ("He, Kaiming", "Deep Residual Learning for Image Recognition"),
    "1602.07868": (
        "Salimans, Tim",
        "Weight Normalization: A Simple Reparameterization to Accelerate Training of Deep Neural Networks",
    ),
    "1603.08511": ("Zhang, Richard", "Colorful Image Colorization"),
    "1603.09246": (
        "Noroozi, Mehdi",
        "Unsupervised Learning of Visual Representations by Solving Jigsaw Puzzles",
    ),
    "1603.09382": ("Huang, Gao", "Deep Networks with Stochastic Depth"),
    "1604.07379": ("Pathak, Deepak", "Context Encoders: Feature Learning by Inpainting"),
    "1608.03983": ("Loshchilov, Ilya", "SGDR: Stochastic Gradient Descent with Warm Restarts"),
    "1611.01144": ("Jang, Eric", "Categorical Reparameterization with Gumbel-Softmax"),
    "1706.02677": ("Goyal, Priya", "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour"),
    "1708.03888": ("You, Yang", "Large Batch Training of Convolutional Networks"),
    "1708.06734": ("Noroozi, Mehdi", "Representation Learning by Learning to Count"),
    "1711.05101": ("Loshchilov, Ilya", "Decoupled Weight Decay Regularization"),
    "1803.07728": ("Gidaris, Spyros", "Unsupervised Representation Learning by Predicting Image Rotations"),
    "1805.00385": ("Noroozi, Mehdi", "Boosting Self-Supervised Learning via Knowledge Transfer"),
    "1805.01978": (
        "Wu, Zhirong",
        "Unsupervised Feature Learning via Non-Parametric Instance-level Discrimination",
    ),
    "1806.03198": ("Sablayrolles, Alexandre", "Spreading vectors for similarity search"),
    "1806.05024": ("Jenni, Simon", "Self-Supervised Feature Learning by Learning to Spot Artifacts"),
    "1807.03748": ("van den Oord, Aaron", "Representation Learning with Contrastive Predictive Coding"),
    "1810.04805": (
        "Devlin, Jacob",
        "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding",
    ),
    "1901.09005": (
        "Kolesnikov, Alexander",
        "Revisiting Self-Supervised Visual Representation Learning",
    ),
    "1904.03436": (
        "Ye, Mang",
        "Unsupervised Embedding Learning via Invariant and Spreading Instance Feature",
    ),
    "1905.09272": (
        "Henaff, Olivier J.",
        "Data-Efficient Image Recognition with Contrastive Predictive Coding",
    ),
    "1911.05722": ("He, Kaiming", "Momentum Contrast for Unsupervised Visual Representation Learning"),
    "2002.05202": ("Shazeer, Noam", "GLU Variants Improve Transformer"),
    "2002.05709": ("Chen, Ting", "A Simple Framework for Contrastive Learning of Visual Representations"),
    "2003.04297": ("Chen, Xinlei", "Improved Baselines with Momentum Contrastive Learning"),
    "2004.11362": ("Khosla, Prannay", "Supervised Contrastive Learning"),
    "2005.04966": ("Li, Junnan", "Prototypical Contrastive Learning of Unsupervised Representations"),
    "2005.10242": (
        "Wang, Tongzhou",
        "Understanding Contrastive Representation Learning through Alignment and "
        "Uniformity on the Hypersphere",
    ),
    "2005.10243": ("Tian, Yonglong", "What Makes for Good Views for Contrastive Learning?"),
    "2006.07733": (
        "Grill, Jean-Bastien",
        "Bootstrap Your Own Latent: A New Approach to Self-Supervised Learning",
    ),
    "2006.09882": (
        "Caron, Mathilde",
        "Unsupervised Learning of Visual Features by Contrasting Cluster Assignments",
    ),
    "2006.10029": ("Chen, Ting", "Big Self-Supervised Models are Strong Semi-Supervised Learners"),
    "2006.16228": ("Alayrac, Jean-Baptiste", "Self-Supervised MultiModal Versatile Networks"),
    "2009.07724": (
        "Reed, Colorado J",
        "SelfAugment: Automatic Augmentation Policies for Self-Supervised Learning",
    ),
    "2010.11929": (
        "Dosovitskiy, Alexey",
        "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale",
    ),
    "2011.10566": ("Chen, Xinlei", "Exploring Simple Siamese Representation Learning"),
    "2011.13377": ("Ericsson, Linus", "How Well Do Self-Supervised Models Transfer?"),
    "2012.11552": (
        "Gidaris, Spyros",
        "OBoW: Online Bag-of-Visual-Words Generation for Self-Supervised Learning",
    ),
    "2101.06983": ("Gao, Luyu", "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup"),
    "2102.12092": ("Ramesh, Aditya", "Zero-Shot Text-to-Image Generation"),
    "2103.00020": ("Radford, Alec", "Learning Transferable Visual Models From Natural Language Supervision"),
    "2103.03230": ("Zbontar, Jure", "Barlow Twins: Self-Supervised Learning via Redundancy Reduction"),
    "2103.14030": ("Liu, Ze", "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows"),
    "2104.02057": ("Chen, Xinlei", "An Empirical Study of Training Self-Supervised Vision Transformers"),
    "2104.03602": ("Atito, Sara", "SiT: Self-supervised vIsion Transformer"),
    "2104.09864": ("Su, Jianlin", "RoFormer: Enhanced Transformer with Rotary Position Embedding"),
    "2104.12671": (
        "Chen, Brian",
        "Multimodal Clustering Networks for Self-supervised Learning from Unlabeled Videos",
    ),
    "2104.14294": ("Caron, Mathilde", "Emerging Properties in Self-Supervised Vision Transformers"),
    "2104.14548": (
        "Dwibedi, Debidatta",
        "With a Little Help from My Friends: Nearest-Neighbor Contrastive Learning of Visual Representations",
    ),
    "2105.04906": (
        "Bardes, Adrien",
        "VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised Learning",
    ),
    "2106.08254": ("Bao, Hangbo", "BEiT: BERT Pre-Training of Image Transformers"),
    "2106.09785": (
        "Li, Chunyuan",
        "Efficient Self-supervised Vision Transformers for Representation Learning",
    ),
    "2106.14881": ("Xiao, Tete", "Early Convolutions Help Transformers See Better"),
    "2107.09282": ("Zheng, Mingkai", "ReSSL: Relational Self-Supervised Learning with Weak Augmentation"),
    "2110.06848": ("Yeh, Chun-Hsiao", "Decoupled Contrastive Learning"),
    "2111.06377": ("He, Kaiming", "Masked Autoencoders Are Scalable Vision Learners"),
    "2111.07832": ("Zhou, Jinghao", "iBOT: Image BERT Pre-Training with Online Tokenizer"),
    "2111.09886": ("Xie, Zhenda", "SimMIM: A Simple Framework for Masked Image Modeling"),
    "2112.04446": (
        "Shvetsova, Nina",
        "Everything at Once -- Multi-modal Fusion Transformer for Video Retrieval",
    ),
    "2112.09133": ("Wei, Chen", "Masked Feature Prediction for Self-Supervised Visual Pre-Training"),
    "2112.10740": (
        "El-Nouby, Alaaeldin",
        "Are Large-scale Datasets Necessary for Self-Supervised Pre-training?",
    ),
    "2112.12750": ("Mu, Norman", "SLIP: Self-supervision meets Language-Image Pre-training"),
    "2202.03026": ("Chen, Xiaokang", "Context Autoencoder for Self-Supervised Representation Learning"),
    "2202.03555": (
        "Baevski, Alexei",
        "data2vec: A General Framework for Self-supervised Learning in Speech, Vision and Language",
    ),
    "2203.12719": (
        "Kakogeorgiou, Ioannis",
        "What to Hide from Your Students: Attention-Guided Masked Image Modeling",
    ),
    "2204.01678": ("Bachmann, Roman", "MultiMAE: Multi-modal Multi-task Masked Autoencoders"),
    "2204.07141": ("Assran, Mahmoud", "Masked Siamese Networks for Label-Efficient Learning"),
    "2205.09113": ("Feichtenhofer, Christoph", "Masked Autoencoders As Spatiotemporal Learners"),
    "2205.14204": ("Geng, Xinyang", "Multimodal Masked Autoencoders Learn Transferable Representations"),
    "2207.06167": (
        "Pang, Bo",
        "Unsupervised Visual Representation Learning by Synchronous Momentum Grouping",
    ),
    "2207.06405": ("Huang, Po-Yao", "Masked Autoencoders that Listen"),
    "2207.13532": ("Huang, Zhicheng", "Contrastive Masked Autoencoders are Stronger Vision Learners"),
    "2208.00449": ("Chen, Yabo", "SdAE: Self-distillated Masked Autoencoder"),
    "2208.02131": (
        "Kwon, Gukyeong",
        "Masked Vision and Language Modeling for Multi-modal Representation Learning",
    ),
    "2210.02885": (
        "Garrido, Quentin",
        "RankMe: Assessing the downstream performance of pretrained self-supervised "
        "representations by their rank",
    ),
    "2210.04135": (
        "Pramanick, Shraman",
        "VoLTA: Vision-Language Transformer with Weakly-Supervised Local-Feature Alignment",
    ),
    "2210.07839": ("Gong, Yuan", "Contrastive Audio-Visual Masked Autoencoder"),
    "2211.07636": (
        "Fang, Yuxin",
        "EVA: Exploring the Limits of Masked Visual Representation Learning at Scale",
    ),
    "2211.13929": (
        "Sarkar, Pritam",
        "XKD: Cross-modal Knowledge Distillation with Domain Alignment for Video Representation Learning",
    ),
    "2212.00794": ("Li, Yanghao", "Scaling Language-Image Pre-training via Masking"),
    "2212.05922": ("Georgescu, Mariana-Iuliana", "Audiovisual Masked Autoencoders"),
    "2212.08071": ("Huang, Po-Yao", "MAViL: Masked Audio-Video Learners"),
    "2301.08243": (
        "Assran, Mahmoud",
        "Self-Supervised Learning from Images with a Joint-Embedding Predictive Architecture",
    ),
    "2303.11331": ("Fang, Yuxin", "EVA-02: A Visual Representation for Neon Genesis"),
    "2303.12208": ("Kim, Sungwoong", "MAGVLT: Masked Generative Vision-and-Language Transformer"),
    "2303.15343": ("Zhai, Xiaohua", "Sigmoid Loss for Language Image Pre-Training"),
    "2304.07193": ("Oquab, Maxime", "DINOv2: Learning Robust Visual Features without Supervision"),
    "2305.00729": ("Park, Namuk", "What Do Self-Supervised Vision Transformers Learn?"),
    "2508.10104": ("Siméoni, Oriane", "DINOv3"),
}


def citation(thing: Any) -> str:
    """Gives the papers behind a function, an objective, a method or a module as BibTeX.

    Papers are found in docstrings, as "arXiv:...". For an objective or a method, the docstrings are those of
    the function that made it and of the arguments it was given, such as objectives and an encoder.

    Args:
        thing: a function, class or module, something that one of them made, or an arXiv id as a string.
    Returns:
        One entry per paper in the order of their mention, with the first author "and others".
    Raises:
        ValueError: where no docstring names a paper.
    Examples:
        >>> from jssl.objectives import nt_xent
        >>> print(citation(nt_xent))
        @misc{chen2020simple,
          title = {{A Simple Framework for Contrastive Learning of Visual Representations}},
          author = {Chen, Ting and others},
          year = {2020},
          eprint = {2002.05709},
          archivePrefix = {arXiv},
        }
    """
    ids = list(dict.fromkeys(_ids(thing, set())))
    if not ids:
        raise ValueError(f"no docstring of {thing!r} names a paper as arXiv:NNNN.NNNNN")
    return "\n".join(_entry(arxiv) for arxiv in ids)


def _ids(thing: Any, seen: set[int]) -> Iterator[str]:
    """Yields the ids in a thing's docstring, then those of its parts."""
    if isinstance(thing, str):
        yield from re.findall(r"^(?:arXiv:)?(\d{4}\.\d{4,5})$", thing)
    if id(thing) in seen or isinstance(thing, (str, int, float, type(None))):
        return
    seen.add(id(thing))
    yield from _ARXIV.findall(_documentation(thing))
    for part in _parts(thing):
        yield from (() if isinstance(part, str) else _ids(part, seen))


def _documentation(thing):
    if inspect.isfunction(thing) and "<locals>" in thing.__qualname__:  # its maker has the docstring
        maker = functools.reduce(
            lambda owner, name: getattr(owner, name, None),
            thing.__qualname__.split(".<locals>")[0].split("."),
            sys.modules.get(thing.__module__),
        )
        return (thing.__doc__ or "") + (getattr(maker, "__doc__", None) or "")
    described = inspect.isroutine(thing) or inspect.isclass(thing) or inspect.ismodule(thing)
    return (thing if described else type(thing)).__doc__ or ""


def _parts(thing):
    if isinstance(thing, Mapping):
        return list(thing.values())
    if isinstance(thing, (tuple, list)):
        return list(thing)
    if isinstance(thing, functools.partial):
        return [thing.func, *thing.args, *thing.keywords.values()]
    if inspect.isfunction(thing):
        cells = [cell.cell_contents for cell in thing.__closure__ or () if not _is_empty(cell)]
        return cells + ([thing.__wrapped__] if hasattr(thing, "__wrapped__") else [])
    if hasattr(type(thing), "__dataclass_fields__"):  # a Flax module and the modules it is made of
        return [
            value
            for value in (vars(thing).get(name) for name in type(thing).__dataclass_fields__)
            if hasattr(type(value), "__dataclass_fields__") or isinstance(value, Mapping)
        ]
    return []


def _is_empty(cell):
    try:
        return cell.cell_contents is None
    except ValueError:
        return True


def _entry(arxiv):
    author, title = _PAPERS.get(arxiv, (None, None))
    year = f"20{arxiv[:2]}"
    fields = {"eprint": arxiv, "archivePrefix": "arXiv"}
    name = f"arxiv{arxiv}"
    if title is not None:
        words = [word for word in re.findall(r"\w+", title.lower()) if word not in ("a", "an", "the", "on")]
        name = f"{author.split(',')[0].split()[-1].lower()}{year}{words[0]}"
        fields = {"title": f"{{{title}}}", "author": f"{author} and others", "year": year} | fields
    return "\n".join([f"@misc{{{name},", *(f"  {key} = {{{value}}}," for key, value in fields.items()), "}"])
