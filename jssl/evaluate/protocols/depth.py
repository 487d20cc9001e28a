"""Linear depth of frozen patch tokens: DINOv2's probe, an expectation over bins of depth."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jssl.evaluate.measures.distances import depth_errors, sig_loss
from jssl.evaluate.protocols.base import Protocol, settings_of
from jssl.evaluate.protocols.patches import (
    PatchProbe,
    at_every_pixel,
    check_dense,
    fit_patches,
    in_patches,
    patch_outputs,
    pieces,
)

NAME = "linear_depth"
BINS = 256


def depth_protocol(*, bins: int = BINS, **settings) -> Protocol:
    """Makes the protocol of linear depth: its error, and the share of pixels that are nearly right.

    The whole image's feature is joined to each of its patch tokens. The authors' second loss, on the
    gradients of depth between pixels, is left out: the probe is trained on whole patches.

    Args:
        bins: Number of bins between the smallest and the largest depth of the training images.
        **settings: Keyword arguments of `fit_patches`, such as steps.
    Returns:
        The `Protocol` "linear_depth" with the metrics of `depth_errors`: "rmse", "abs_rel", "delta1" ...,
        computed for each test image that has a depth and then averaged, as by the authors.
    References:
        arXiv:2304.07193, section 7.4; facebookresearch/dinov2, dinov2/eval/depth, on
        zhyever/Monocular-Depth-Estimation-Toolbox, depth/core/evaluation/metrics.py
    """

    def run(train_tokens, train_whole_features, train_depth, test_tokens, test_whole_features, test_depth):
        train, test = (np.asarray(depth, np.float32) for depth in (train_depth, test_depth))
        check_dense(NAME, numbers=False, train_depth=(train, train_tokens), test_depth=(test, test_tokens))
        known = train[train > 0]
        if not len(known) or known.min() == known.max():
            raise ValueError(f"{NAME}: training images have no two depths above 0 to tell apart")
        if not (test > 0).any():
            raise ValueError(f"{NAME}: no pixel of a test image has a depth above 0")
        seen = beside_image(train_tokens, train_whole_features)
        depths = jnp.linspace(known.min(), known.max(), bins)
        targets = patch_depths(train, seen.shape[1]), jnp.broadcast_to(depths, (len(seen), bins))
        probe = fit_patches(seen, targets, _loss, bins, **settings)
        found: dict[str, list[np.ndarray]] = {}
        for some in pieces(len(test), outputs=bins * test[0].size):
            tokens = beside_image(test_tokens[some], test_whole_features[some])
            for name, values in _errors(probe, depths, tokens, jnp.asarray(test[some])).items():
                found.setdefault(name, []).append(np.asarray(values))
        return {name: np.nanmean(np.concatenate(values)) for name, values in found.items()}

    looked_at = ("tokens", "whole_features", "depth")
    needs = tuple(f"{split}_{what}" for split in ("train", "test") for what in looked_at)
    chosen = {"bins": bins} | settings_of(fit_patches, settings, of=NAME)
    return Protocol(NAME, needs, run, main="delta1", settings=chosen)


def beside_image(tokens: jax.Array, features: jax.Array) -> jax.Array:
    """Joins an image's feature [M, E] to each of its patch tokens [M, N, D]: [M, N, D + E]."""
    tokens, features = jnp.asarray(tokens), jnp.asarray(features)
    return jnp.concatenate(
        [tokens, jnp.broadcast_to(features[:, None], (*tokens.shape[:2], features.shape[-1]))], -1
    )


@functools.partial(jax.jit, static_argnames=("count",))
def patch_depths(depth: jax.Array, count: int) -> jax.Array:
    """Averages depth over the pixels of each patch.

    Args:
        depth: [M, H, W]; pixels that are not above 0 have none.
        count: Patches N.
    Returns:
        [M, N]; 0 where no pixel of the patch has a depth.
    """
    cells = in_patches(depth, count)
    known = cells > 0
    return jnp.sum(jnp.where(known, cells, 0), -1) / jnp.maximum(jnp.sum(known, -1), 1)


def expected_depth(outputs: jax.Array, depths: jax.Array) -> jax.Array:
    """Averages bins of depth, weighted by the probe's outputs: relu(output) + 0.1, normalised.

    Args:
        outputs: [..., K].
        depths: [..., K], of the bins.
    Returns:
        [...].
    Examples:
        >>> float(expected_depth(jnp.array([-1.0, 0.9]), jnp.array([0.0, 1.1])))
        1.0
    """
    weights = jax.nn.relu(outputs) + 0.1
    return jnp.sum(weights * depths, axis=-1) / jnp.sum(weights, axis=-1)


def _loss(outputs, targets):
    depth, depths = targets
    return sig_loss(expected_depth(outputs, depths[:, None]), depth)


@jax.jit
def _errors(probe: PatchProbe, depths, tokens, depth):
    """The metrics of each image, nan for one without a depth."""
    outputs = at_every_pixel(patch_outputs(probe, tokens), depth.shape[1:])
    return jax.vmap(depth_errors)(expected_depth(outputs, depths), depth)
