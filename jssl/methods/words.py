"""Bags of visual words, over a dictionary that the teacher's features update online."""

import jax

from jssl.methods.base import Method
from jssl.methods.frames.self_distillation import self_distillation
from jssl.models.headed import with_heads
from jssl.models.heads import obow_generator
from jssl.models.network import Network, as_outputs, collecting, network
from jssl.objectives import bag_prediction


def obow(
    encoder,
    *,
    levels: tuple[str, ...] = ("layer3", "layer4"),
    generator=obow_generator,
    words: int = 8192,
    inverse_delta: float = 15.0,
    kappa: float = 8.0,
    momentum=0.99,
) -> Method:
    """Predicts, from crops, which words of an online dictionary the teacher sees in the whole image.

    Args:
        encoder: a network that sows maps, such as `ResNet`.
        levels: names of the maps from which words are taken, each of at least 5 x 5 places.
        generator: width D -> a module, words [W, C] -> the weights [W, D] by which a crop's features are
            multiplied.
        words: the number of words in each dictionary.
        inverse_delta: the sharpness of the bags.
        kappa: scale of the logits.
        momentum: of the teacher, a number or a schedule; 0.99 rising to 1 in the paper.
    Returns:
        A `Method`; views: "whole" [1, B, ...] for the teacher, global crops and, with patches, local ones for
        the student, and "index" [B].
    References:
        OBoW, arXiv:2012.11552
    """

    def weigh(parameters, rows, dim):
        return network(generator(dim)).apply(parameters, {}, rows)[0]

    objective = bag_prediction(weigh, levels=levels, words=words, inverse_delta=inverse_delta, kappa=kappa)
    return self_distillation(
        with_generators(encoder, levels, generator),
        objective,
        momentum=momentum,
        student_only=("generators",),
        teacher_sees=whole_image,
        exposes=lambda params: {"generators": params.get("generators", {})},
        evaluated="student",
    )


def whole_image(views):
    """Selects the whole image, which crops are taken from."""
    if "whole" not in views:
        raise ValueError(
            f"the method needs views['whole'] [1, B, H, W, C], the views have {sorted(views)}; choose obow"
        )
    return {"global": views["whole"]}


def with_generators(encoder, levels: tuple[str, ...], generator) -> Network:
    """Puts the parameters of generators beside an encoder's, one for each level of its maps.

    Args:
        encoder: anything `collecting` takes.
        levels: names of maps that it sows.
        generator: width of the features -> module, rows [W, C] of a level -> [W, width].
    Returns:
        A `Network` with params {"encoder": ..., "generators": by level}, whose outputs have the maps.
    """
    net = with_heads(collecting(encoder, *levels))

    def init(key, images):
        params, statistics = net.init(key, images)
        encoded = as_outputs(net.apply(params, statistics, images)[0])
        module, generators = network(generator(encoded["cls"].shape[-1])), {}
        for number, level in enumerate(levels, start=1):
            rows = encoded[level][0].reshape(-1, encoded[level][0].shape[-1])
            generators[level] = module.init(jax.random.fold_in(key, number), rows)[0]
        return params | {"generators": generators}, statistics

    return net._replace(init=init)
