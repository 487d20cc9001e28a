"""Masked image modelling with targets other than pixels: histograms, words, a frozen network's features."""

from functools import partial

import jax
import jax.numpy as jnp

from jssl import objectives
from jssl.masks import Masking, block_mask, exact_block_mask
from jssl.methods.base import Method, check_hides
from jssl.methods.frames.masked_prediction import masked_prediction
from jssl.methods.pairs import of_the_mean, over_hidden
from jssl.models.headed import with_heads
from jssl.models.masked.decoders import patch_head
from jssl.models.masked.latents import LatentDecoder, context_autoencoder
from jssl.models.masked.regressors import LatentRegressor


def hidden_blocks(encoder, *, count, min_block, draw=block_mask) -> Masking:
    """Makes BEiT's masking: rectangles, together nearly `count` patches.

    Args:
        encoder: with a method grid(image shape), such as `ViT`.
        count: the most patches hidden, a number or a function N -> number.
        min_block: the least area of a rectangle, a number or a function N -> number.
        draw: `block_mask`, or `exact_block_mask` to hide exactly `count` patches.
    Returns:
        A `Masking` (keys [B], images [B, H, W, C]) -> mask [B, N] bool.
    Raises:
        ValueError: when called, for a count that is not between 1 and N, or a least rectangle that is not
            smaller than the grid.
    References:
        BEiT, arXiv:2106.08254
    """

    def of(value, patches):
        chosen = value(patches) if callable(value) else value
        if not 1 <= chosen <= patches:
            raise ValueError(
                f"count and min_block must lie between 1 and the {patches} patches, got {chosen}"
            )
        return chosen

    def masking(keys, images):
        rows, columns = encoder.grid(images.shape)
        patches = rows * columns
        sizes = dict(count=of(count, patches), min_block=of(min_block, patches))
        if sizes["min_block"] > (rows - 0.5) * (columns - 0.5):  # rounded, none is smaller than the grid
            raise ValueError(
                f"min_block is {sizes['min_block']}, and a block in {rows} x {columns} patches has at most "
                f"{(rows - 1) * (columns - 1)}; choose a smaller one"
            )
        return draw(keys, (rows, columns), **sizes)

    return Masking(masking, lambda patches: of(count, patches))


def maskfeat(encoder, *, bins: int = 9, cell: int = 8, ratio: float = 0.4, channels: int = 3) -> Method:
    """Predicts the histograms of oriented gradients of hidden patches from mask tokens, by one linear layer.

    Args:
        encoder: a `ViT`.
        bins: the number of orientations.
        cell: side in pixels of the square of one histogram; it divides the patch.
        ratio: share of the patches hidden, in blocks of at least a fifth of them.
        channels: the number of channels of the images.
    Returns:
        A `Method`; views: one global one. The loss is the mean square error over all hidden patches of the
        batch.
    References:
        MaskFeat, arXiv:2112.09133
    """
    check_hides(encoder, "maskfeat")
    count = lambda patches: round(patches * ratio)  # noqa: E731
    least = lambda patches: max(1, count(patches) // 5)  # noqa: E731
    head = patch_head(channels * bins * (encoder.patch // cell) ** 2)
    return masked_prediction(
        with_heads(encoder, patch=head),
        over_hidden(objectives.masked_reconstruction, figures=of_the_mean(objectives.masked_reconstruction)),
        masking=hidden_blocks(encoder, count=count, min_block=least),
        target=partial(objectives.hog_of_patches, patch=encoder.patch, bins=bins, cell=cell),
    )


def eva(encoder, target, *, dim: int = 768, head=patch_head, count: int = 105, min_block: int = 16) -> Method:
    """Predicts a frozen network's features of hidden patches from mask tokens, by one linear layer.

    Args:
        encoder: a `ViT`.
        target: a `frozen` network with as many tokens as the encoder. The targets are its output `patch`
            [B, N, dim], such as CLIP's projection of tokens, or otherwise its tokens.
        dim: width of the target's features.
        head: dim -> module.
        count: patches hidden at most, in blocks.
        min_block: the least area of a block.
    Returns:
        A `Method`; views: one global one, which the target network is given whole. The loss is 1 minus the
        cosine, averaged over all hidden patches of the batch; the authors omit the 1.
    References:
        EVA, arXiv:2211.07636
    """
    check_hides(encoder, "eva")
    loss = partial(objectives.masked_reconstruction, distance="cosine")
    return masked_prediction(
        with_heads(encoder, patch=head(dim)),
        over_hidden(loss, figures=of_the_mean(loss)),
        masking=hidden_blocks(encoder, count=count, min_block=min_block),
        target=target,
    )


def beit(
    encoder, target, *, words: int = 8192, head=patch_head, count: int = 75, min_block: int = 16
) -> Method:
    """Predicts the words (discrete tokens) of hidden patches from mask tokens, by one linear layer.

    Args:
        encoder: a `ViT`; the paper's has only relative positions.
        target: a tokenizer with as many tokens as the encoder, images -> [B, N] int, such as `patch_words`,
            or `likeliest` of a `frozen` network.
        words: how many the tokenizer knows.
        head: words -> module.
        count: patches hidden at most, in blocks.
        min_block: the least area of a block.
    Returns:
        A `Method`; views: one global one, which the tokenizer is given whole. The loss is the cross entropy,
        averaged over all hidden patches of the batch.
    References:
        BEiT, arXiv:2106.08254
    """
    check_hides(encoder, "beit")
    return masked_prediction(
        with_heads(encoder, patch=head(words)),
        over_hidden(objectives.masked_token_cross_entropy, figures=objectives.word_figures),
        masking=hidden_blocks(encoder, count=count, min_block=min_block),
        target=target,
    )


def cae(
    encoder,
    target,
    *,
    words: int = 8192,
    regressor=None,
    decoder=None,
    alignment: float = 2.0,
    count: int = 98,
    min_block: int = 16,
) -> Method:
    """Predicts the latents of hidden patches from an encoder that sees the visible ones, and their words from
    these.

    Args:
        encoder: a `ViT` with positions.
        target: a tokenizer, as for `beit`.
        words: how many the tokenizer knows.
        regressor: `LatentRegressor()` by default.
        decoder: `LatentDecoder(words)` by default.
        alignment: weight of the mean square distance between the latents and the same encoder's output,
            without gradient, for the hidden patches alone.
        count: patches hidden, in blocks.
        min_block: the least area of a block.
    Returns:
        A `Method`; views: one global one, which the tokenizer sees whole.
    References:
        CAE, arXiv:2202.03026
    """
    check_hides(encoder, "cae")
    parts = regressor or LatentRegressor(), decoder or LatentDecoder(words)
    model = context_autoencoder(encoder, *parts, count=lambda patches: count)
    predicted = over_hidden(objectives.masked_token_cross_entropy, figures=objectives.word_figures)
    aligned = objectives.stateless(latent_distance)
    return masked_prediction(
        model,
        objectives.weighted_sum(words=(1.0, predicted), alignment=(alignment, aligned)),
        masking=hidden_blocks(encoder, count=count, min_block=min_block, draw=exact_block_mask),
        target=target,
    )


def latent_distance(outputs) -> jax.Array:
    """Computes the mean square distance between CAE's predicted latents and their targets.

    Args:
        outputs: with student "latent" and "aligned" [V, B, m, D], the latter without gradient.
    Returns:
        [V, B].
    References:
        CAE, arXiv:2202.03026
    """
    latents = outputs.student["latent"]
    everywhere = jnp.ones(latents.shape[:3], bool)
    return jax.vmap(objectives.masked_reconstruction)(latents, outputs.student["aligned"], everywhere)
