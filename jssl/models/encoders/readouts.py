"""Functions that make features from a Vision Transformer's last tokens: (prefix, patches, norm) ->
`Features`.

`prefix` [B, n, D] holds the class token, if there is one, and the registers; `patches` is [B, N, D]; `norm`
is a factory of norms, called with a name. A `ViT` takes one of these as its `readout`, or any function like
them.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jssl.models.features import Features


def read_class(prefix: jax.Array, patches: jax.Array, norm: Callable) -> Features:
    """Reads the normalised class token and patch tokens."""
    norm = norm(name="norm")
    return Features(norm(prefix[:, 0]), norm(patches))


def read_mean(prefix: jax.Array, patches: jax.Array, norm: Callable) -> Features:
    """Reads the normalised patch tokens and their mean (I-JEPA)."""
    patches = norm(name="norm")(patches)
    return Features(patches.mean(axis=1), patches)


def read_mean_of_all(prefix: jax.Array, patches: jax.Array, norm: Callable) -> Features:
    """Reads the normalised patch tokens, and the mean of them and of the class token (FLIP)."""
    tokens = norm(name="norm")(jnp.concatenate([prefix, patches], axis=1))
    return Features(tokens.mean(axis=1), tokens[:, prefix.shape[1] :])


def read_normed_mean(prefix: jax.Array, patches: jax.Array, norm: Callable) -> Features:
    """Reads the mean of the patch tokens and normalises it; the tokens themselves are not normalised
    (fine-tuned MAE, BEiT).
    """
    return Features(norm(name="norm")(patches.mean(axis=1)), patches)


def read_raw(prefix: jax.Array, patches: jax.Array, norm: Callable) -> Features:
    """Reads class token and patches as they leave the last block; the mean where there is no class token."""
    return Features(prefix[:, 0] if prefix.shape[1] else patches.mean(axis=1), patches)


def read_raw_mean(prefix: jax.Array, patches: jax.Array, norm: Callable) -> Features:
    """Reads the patch tokens as they leave the last block, and their mean (CMAE's teacher)."""
    return Features(patches.mean(axis=1), patches)


def read_normed_class(prefix: jax.Array, patches: jax.Array, norm: Callable) -> Features:
    """Reads the normalised class token; the patch tokens are not normalised (CLIP)."""
    return Features(norm(name="norm")(prefix[:, 0]), patches)


def read_apart(prefix: jax.Array, patches: jax.Array, norm: Callable) -> Features:
    """Reads the class token and the patch tokens, each normalised by a norm of its own (DINOv3's largest)."""
    return Features(norm(name="norm_class")(prefix[:, 0]), norm(name="norm")(patches))


def read_pooled(prefix: jax.Array, patches: jax.Array, norm: Callable, *, pool: Callable) -> Features:
    """Reads the normalised patch tokens and what attention pools from them (SigLIP).

    Args:
        prefix: [B, n, D], not read.
        patches: [B, N, D].
        norm: a factory of norms, called with a name.
        pool: a factory of `AttentionPool`, called with a name.
    Returns:
        Features(cls [B, D], tokens [B, N, D])
    """
    patches = norm(name="norm")(patches)
    return Features(pool(name="pool")(patches), patches)
