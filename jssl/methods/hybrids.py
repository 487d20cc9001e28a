"""Hybrids: several objectives over one forward pass, or several methods over one encoder."""

from functools import partial

from jssl import objectives
from jssl.masks import random_mask, unit_mask
from jssl.methods.base import Method, check_hides, shown
from jssl.methods.contrastive import simclr
from jssl.methods.frames.masked_contrast import masked_contrast
from jssl.methods.frames.masked_prediction import masked_prediction
from jssl.methods.frames.self_distillation import self_distillation
from jssl.methods.multimodal import clip
from jssl.methods.pairs import between_views, over_views, reconstructed, with_the_teacher
from jssl.methods.weighted import weighted_methods
from jssl.models.encoders.readouts import read_raw_mean
from jssl.models.headed import with_heads
from jssl.models.heads import byol_head, simclr_head, sit_head, slip_head
from jssl.models.masked.autoencoder import encode_decode
from jssl.models.masked.decoders import MaskedDecoder, WordDecoder, deep_pixel_head, mae_decoder, pixel_head
from jssl.models.masked.halves import halves
from jssl.models.masked.words import random_words


def slip(
    encoder, text, *, dim: int = 512, head=None, temperature: float = 0.1, weight: float = 1.0
) -> Method:
    """Trains CLIP and SimCLR on one image encoder.

    Args:
        encoder: the image encoder, anything `network` takes.
        text: the text encoder, tokens [B, L] -> `Features`.
        dim: width of the joint space.
        head: SimCLR's projection.
        temperature: SimCLR's temperature.
        weight: weight of SimCLR's term, the mean of both directions.
    Returns:
        A `Method`; views: three global ones, of which CLIP compares the first with the caption and SimCLR
        compares the other two, and "caption" [B, L], its tokens.
    References:
        SLIP, arXiv:2112.12750
    """
    contrast = simclr(encoder, head=head or slip_head(), temperature=temperature)
    return weighted_methods(
        shared=("encoder",),
        clip=(1.0, shown(clip(encoder, text, dim=dim), plain_view)),
        simclr=(weight / 2, shown(contrast, augmented_views)),
    )


def plain_view(views):
    """Selects the first of SLIP's three images, which is compared with the caption."""
    return views | {"global": views["global"][:1]}


def augmented_views(views):
    """Selects the last two of SLIP's three images, which SimCLR compares."""
    return views | {"global": views["global"][1:]}


def mim_contrast(
    encoder, *, mix: float = 0.2, ratio: float = 0.6, head=None, temperature: float = 0.2
) -> Method:
    """Predicts hidden patches and contrasts images in one forward pass: (1 - mix) L_MIM + mix L_CL.

    Args:
        encoder: a `ViT`.
        mix: the share of the contrastive loss.
        ratio: share of the patches hidden from both views.
        head: the projection for the contrast.
        temperature: of the contrast.
    Returns:
        A `Method`; views: two global ones.
    References:
        arXiv:2305.00729
    """
    check_hides(encoder, "mim_contrast")
    network = with_heads(encoder, cls=head or simclr_head(), patch=pixel_head(encoder.patch))
    objective = objectives.weighted_sum(
        mim=(1 - mix, reconstructed(distance="l1")),
        contrast=(mix, over_views(partial(objectives.nt_xent, temperature=temperature))),
    )
    return masked_prediction(
        network,
        objective,
        masking=lambda keys, images: random_mask(keys, encoder.grid(images.shape), ratio=ratio),
        target=lambda images: objectives.patchify(images, encoder.patch),
    )


def splitmask(
    encoder, *, words: int = 8192, tokenizer=None, decoder=None, match: float = 1.0, temperature: float = 0.2
) -> Method:
    """Predicts the words (discrete tokens) of each half of an image's patches from the other half, and
    matches the two halves.

    Args:
        encoder: a `ViT`.
        words: the size of the vocabulary.
        tokenizer: images -> words [B, N], as the target of `masked_prediction`; `random_words` by default.
        decoder: a decoder with outputs "patch" and "image", a `WordDecoder` of two blocks by default.
        match: weight of the contrastive loss.
        temperature: of the contrast.
    Returns:
        A `Method`; views: one global one.
    References:
        SplitMask, arXiv:2112.10740
    """
    check_hides(encoder, "splitmask")
    decoder = decoder or WordDecoder(words, MaskedDecoder(None, depth=2))
    objective = objectives.weighted_sum(
        words=(1.0, objectives.words_of_halves()),
        match=(match, objectives.match_of_halves(temperature=temperature)),
    )
    return masked_prediction(
        halves(encode_decode(encoder, decoder, visible=lambda patches: patches // 2)),
        objective,
        masking=lambda keys, images: random_mask(keys, encoder.grid(images.shape), ratio=0.5),
        target=tokenizer or random_words(words, encoder.patch),
    )


def cmae(
    encoder,
    *,
    decoder=None,
    describer=None,
    projection=None,
    prediction=None,
    ratio: float = 0.65,
    unit: int = 2,
    momentum=0.996,
    contrast: float = 1.0,
    temperature: float = 0.07,
) -> Method:
    """Reconstructs a masked view as MAE does, and contrasts its features with a teacher's of a nearby view.

    Args:
        encoder: a `ViT`.
        decoder: the decoder of pixels, `mae_decoder(encoder.patch)` by default.
        describer: the decoder of features, with tokens as wide as the encoder's, whose mean is contrasted;
            two blocks by default.
        projection, prediction: the heads of the contrastive loss, `byol_head(hidden=1536)` by default.
        ratio: share of the units hidden.
        unit: side of a unit, in patches.
        momentum: of the teacher, a number or a schedule.
        contrast: weight of the contrastive loss.
        temperature: of the contrast.
    Returns:
        A `Method`; views: two global ones, of which the student reconstructs the first.
    References:
        CMAE, arXiv:2207.13532
    """
    check_hides(encoder, "cmae")
    pixels = reconstructed(normalize_target=True)
    pair = partial(objectives.scaled_info_nce, temperature=temperature)
    return masked_contrast(
        encode_decode(
            encoder,
            decoder or mae_decoder(encoder.patch),
            visible=lambda patches: unit**2 * int(patches // unit**2 * (1 - ratio)),
            describer=describer or MaskedDecoder(encoder.dim, depth=2),
        ),
        objectives.weighted_sum(
            patch=(1.0, pixels), contrast=(contrast, with_the_teacher(pair, "prediction"))
        ),
        teacher=encoder.clone(readout=read_raw_mean),
        projection=projection or byol_head(hidden=1536),
        prediction=prediction or byol_head(hidden=1536),
        momentum=momentum,
        masking=lambda keys, images: unit_mask(keys, encoder.grid(images.shape), ratio=ratio, unit=unit),
        target=lambda images: objectives.patchify(images, encoder.patch),
    )


def sit(
    encoder,
    *,
    head=None,
    momentum=0.996,
    restoration: float = 1.0,
    temperature: float = 0.2,
    channels: int = 3,
) -> Method:
    """Restores corrupted pixels, and contrasts the image with a teacher's output for the other, clean view.

    Args:
        encoder: a `ViT`.
        head: the projection, `sit_head()` by default.
        momentum: of the teacher, a number or a schedule; 0.996 rising to 1 in the paper.
        restoration: weight of the pixel loss; 5 for small data sets in the paper.
        temperature: of the contrast.
        channels: the number of channels of the images.
    Returns:
        A `Method`; views: two global ones as `corrupted` makes them. The student's features are evaluated.
    References:
        SiT, arXiv:2104.03602
    """
    check_hides(encoder, "sit")
    pixels = deep_pixel_head(encoder.patch, encoder.dim, channels=channels)
    pair = partial(objectives.scaled_info_nce, temperature=temperature)
    objective = objectives.weighted_sum(
        contrast=(1.0, between_views(pair, student="projection", teacher="projection")),
        pixels=(restoration, restored(encoder.patch)),
    )
    return self_distillation(
        with_heads(encoder, projection=head or sit_head(), patch=pixels),
        objective,
        momentum=momentum,
        student_only=("patch",),
        teacher_sees=clean_views,
        evaluated="student",
    )


def restored(patch: int) -> objectives.Objective:
    """Makes SiT's objective on pixels: `restored_pixels` over all views."""

    def losses(outputs):
        views = outputs.student["patch"], outputs.views["clean"], outputs.views["corrupted"]
        flat = (x.reshape(-1, *x.shape[2:]) for x in views)
        return objectives.restored_pixels(*flat, patch=patch)

    return objectives.stateless(losses)


def clean_views(views):
    """Selects the views as they were before they were corrupted."""
    if "clean" not in views:
        raise ValueError(
            f"sit needs views['clean'] and views['corrupted'], the views have {sorted(views)}; "
            "jssl.data.corrupted(views) makes them"
        )
    return {"global": views["clean"]}
