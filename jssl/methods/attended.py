"""Self-distillation in which the teacher's attention decides which patches are hidden from the student."""

from typing import Literal

from jssl.arrays.keys import batch_key, fold_keys, uniform
from jssl.masks import Masking, attention_mask, hint_attention_mask, low_attention_mask
from jssl.methods.base import Method
from jssl.methods.distillation import ibot
from jssl.models.encoders.vit import attended_patches

Hides = Literal["high", "hint", "low"]


def attmask(
    encoder, *, hides: Hides = "high", ratio=(0.1, 0.5), probability: float = 0.5, **settings
) -> Method:
    """Distils as iBOT does, and hides the patches that the teacher attends to most.

    Args:
        encoder: a `ViT` with a class token.
        hides, ratio, probability: as for `sometimes_attended`.
        settings: further ones of `ibot`.
    Returns:
        A `Method`; views: two global ones and, with multi-crop, local ones.
    References:
        AttMask, arXiv:2203.12719
    """
    masking = sometimes_attended(encoder, hides=hides, ratio=ratio, probability=probability)
    return ibot(encoder, masking=masking, collects=("attention",), **settings)


def sometimes_attended(
    encoder, *, hides: Hides = "high", ratio=(0.1, 0.5), probability: float = 0.5, show: float = 0.1
) -> Masking:
    """Makes AttMask's masking: a part of the views hides patches by the teacher's attention.

    All masked views of a batch hide the same share of patches, which is drawn anew for each batch.

    Args:
        encoder: a `ViT` with a class token.
        hides: "high", the patches most attended to; "hint", the same except for a few of the very top; "low",
            the patches least attended to.
        ratio: the smallest and the largest share of the patches that a view hides.
        probability: share of the views that hide patches.
        show: as for `hint_attention_mask`.
    Returns:
        A `Masking` (keys [B], images [B, H, W, C], the teacher's outputs with "attention") -> mask [B, N]
        bool.
    Raises:
        ValueError: for an encoder without a class token, or an unknown `hides`.
    References:
        AttMask, arXiv:2203.12719
    """
    if not getattr(encoder, "class_token", False):
        raise ValueError("attmask reads what the class token attends to; give a ViT with class_token=True")
    if hides not in ("high", "hint", "low"):
        raise ValueError(f"hides must be 'high', 'hint' or 'low', got {hides!r}")

    def masking(keys, images, taught):
        attention = attended_patches(encoder, taught["attention"]).mean(1)
        share = uniform(batch_key(keys)[None], *ratio)[0]
        if hides == "hint":
            hidden = hint_attention_mask(fold_keys(keys, 0), attention, ratio=share, show=show)
        else:
            hidden = {"high": attention_mask, "low": low_attention_mask}[hides](attention, ratio=share)
        return hidden & (uniform(fold_keys(keys, 1)) < probability)[:, None]

    return Masking(masking, lambda patches: max(1, int(ratio[1] * patches)))
