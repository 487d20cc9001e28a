"""Multimodal methods: one tower for each modality, pairs brought together in a joint space."""

from jssl import objectives
from jssl.methods.base import Method
from jssl.methods.frames.towers import towers
from jssl.models.encoders.text import LogitScale
from jssl.models.heads import clip_head
from jssl.models.network import with_heads
from jssl.objectives import stateless


def clip(encoder, text, *, dim: int = 512, block_size: int | None = None) -> Method:
    """Makes every image find its caption in the batch, and every caption its image.

    Args:
        encoder: the image's, anything `network` takes.
        text: the caption's, tokens [B, L] -> `Features`.
        dim: of the joint space.
        block_size: for large batches, as in `symmetric_info_nce`.
    Returns:
        A `Method`; views: one global one, and "caption" [B, L], its tokens.
    References:
        CLIP, arXiv:2103.00020
    """

    def losses(outputs):
        image, caption = outputs.student["image"], outputs.student["caption"]
        scale = outputs.student["logit_scale"]
        losses = objectives.symmetric_info_nce(image, caption, logit_scale=scale, block_size=block_size)
        return losses, {"logit_scale": scale}

    return towers(
        with_heads(encoder, image=clip_head(dim)),
        stateless(losses),
        caption=with_heads(text, caption=clip_head(dim)),
        learned={"logit_scale": LogitScale()},
    )
