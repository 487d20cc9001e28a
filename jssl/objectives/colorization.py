"""Colorization: a distribution over quantised colors for each pixel.  arXiv:1603.08511"""

import jax
import jax.numpy as jnp
import numpy as np

from jssl.arrays.checks import check
from jssl.objectives.base import Objective, named

STEP = 10  # between bins, in a and in b
B_RANGES = (  # first and last bin in gamut at a = -90, -80 ... 100: the authors' 313 bins
    *((50, 90), (20, 90), (0, 90), (-20, 90), (-30, 100), (-40, 100), (-50, 100), (-50, 100), (-60, 100)),
    *((-70, 100), (-80, 90), (-80, 90), (-90, 90), (-100, 90), (-100, 80), (-110, 80), (-110, 80)),
    *((-110, 70), (-110, 70), (-90, 0)),
)
AB_BINS = np.array(
    [
        (a, b)
        for a, (low, high) in zip(range(-90, 101, STEP), B_RANGES, strict=True)
        for b in range(low, high + 1, STEP)
    ],
    np.float32,
)
MEMORY = 1000  # steps over which the frequencies of colors are averaged


def soft_encode(ab, bins=AB_BINS, *, neighbours: int = 10, sigma: float = 5.0) -> jax.Array:
    """Spreads each color over the bins nearest to it, by a Gaussian of their distances.

    Args:
        ab: [..., 2], numbers of any type; computed in float32 at least.
        bins: [Q, 2].
        neighbours: the number of bins that get a share.
        sigma: the width of the Gaussian.
    Returns:
        [..., Q], rows that sum to 1.
    References:
        arXiv:1603.08511
    Examples:
        >>> soft_encode(jnp.array([0.0, 0.0]), neighbours=1).max()
        Array(1., dtype=float32)
    """
    ab = ab.astype(jnp.promote_types(ab.dtype, jnp.float32))
    bins = jnp.asarray(bins, ab.dtype)
    squares = jnp.sum((ab[..., None, :] - bins) ** 2, axis=-1)
    nearest, places = jax.lax.top_k(-squares, neighbours)
    shares = jax.nn.softmax(nearest / (2 * sigma**2), axis=-1)
    return jnp.put_along_axis(jnp.zeros_like(squares), places, shares, axis=-1, inplace=False)


def rarity(prior, *, mix: float = 0.5, power: float = 1.0) -> jax.Array:
    """Computes the weight of each bin's pixels, which is larger for rare colors.

        w = ((1 - mix) prior + mix / Q)^-power, times what makes their mean under the prior 1

    Args:
        prior: [Q], how frequent the bins are; it sums to 1.
        mix: share of the uniform distribution; at 1 all weights are 1.
        power: the exponent; at 0 all weights are 1.
    Returns:
        [Q].
    References:
        arXiv:1603.08511
    Examples:
        >>> rarity(jnp.array([0.5, 0.5])).tolist()
        [1.0, 1.0]
    """
    weights = ((1 - mix) * prior + mix / prior.shape[-1]) ** -power
    return weights / jnp.sum(prior * weights)


def annealed_mean(logits, bins=AB_BINS, *, temperature: float = 0.38) -> jax.Array:
    """Computes a color between a distribution's mean (at temperature 1) and its mode (near temperature 0).

    Args:
        logits: [..., Q].
        bins: [Q, 2].
        temperature: T of softmax(logits / T).
    Returns:
        [..., 2].
    References:
        arXiv:1603.08511
    Examples:
        >>> logits, bins = jnp.array([9.0, 0.0]), jnp.array([[10.0, 0.0], [0.0, 10.0]])
        >>> annealed_mean(logits, bins, temperature=0.1).tolist()
        [10.0, 0.0]
    """
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    return jax.nn.softmax(logits / temperature, axis=-1) @ jnp.asarray(bins, logits.dtype)


def color_cross_entropy(logits, code, weights) -> jax.Array:
    """Computes the cross-entropy of each pixel's colors, weighted by how rare its color is.

    Args:
        logits: [B, N, Q].
        code: [B, N, Q] distributions, no gradient.
        weights: [B, N], no gradient.
    Returns:
        [B], the mean over an image's pixels.
    Raises:
        ValueError: for other shapes.
    References:
        arXiv:1603.08511
    Examples:
        >>> logits, targets, weights = jnp.zeros((1, 2, 4)), jnp.eye(4)[None, :2], jnp.ones((1, 2))
        >>> color_cross_entropy(logits, targets, weights).round(3).tolist()
        [1.3860000371932983]
    """
    logits, code, weights = check(logits=(logits, "B N Q"), code=(code, "B N Q"), weights=(weights, "B N"))
    code, weights = jax.lax.stop_gradient((code, weights))
    return -jnp.mean(weights * jnp.sum(code * jax.nn.log_softmax(logits), axis=-1), axis=-1)


def rare_colors(
    *, bins=AB_BINS, mix: float = 0.5, neighbours: int = 10, sigma: float = 5.0, grey: float = 5.0
) -> Objective:
    """Makes the objective of colorization: compares predicted colors with those of an image, with larger
    weights for rare colors.

    The frequencies of colors are measured during training; the authors counted them in ImageNet beforehand.

    Args:
        bins: [Q, 2], colors a, b.
        mix: as for `rarity`.
        neighbours, sigma: as for `soft_encode`.
        grey: images whose a and b never exceed this in size have no loss.
    Returns:
        An `Objective` of `outputs.student["color"]` [B, h, w, Q] and `outputs.target["color"]` [B, H, W, 2],
        of which it sees every (H / h)th pixel. Its memory is {"prior" [Q], "seen"}. Metrics: `cross_entropy`,
        unweighted, and `trivial`, that of always predicting the frequencies of colors.
    References:
        arXiv:1603.08511; richzhang/colorization, resources/caffe_traininglayers.py
    Examples:
        >>> from jssl.objectives import Outputs
        >>> red = {"color": jnp.full((1, 4, 4, 2), 60.0)}
        >>> outputs, objective = Outputs({"color": jnp.zeros((1, 2, 2, 313))}, red), rare_colors()
        >>> loss, _, metrics = objective.apply(objective.init(outputs), outputs, 0)
        >>> round(float(loss), 3), round(float(metrics["trivial"]), 3)  # log 313
        (5.746, 5.746)
    """

    def init(outputs):
        prior = jnp.full(len(bins), 1 / len(bins), jnp.float32)
        return {"prior": prior, "seen": jnp.zeros((), jnp.int32)}

    def apply(memory, outputs, step):
        logits, ab = named(outputs.student, "color", "student"), named(outputs.target, "color", "target")
        rows = logits.shape[1]
        if ab.shape[1] % rows or ab.shape[1] < rows:
            raise ValueError(
                f"the predicted map must divide the image, got {rows} x {logits.shape[2]} for "
                f"{ab.shape[1]} x {ab.shape[2]}; choose another --size"
            )
        every = ab.shape[1] // rows
        ab = ab[:, ::every, ::every]
        code = soft_encode(ab, bins, neighbours=neighbours, sigma=sigma).reshape(len(ab), -1, len(bins))
        colored = jnp.any(jnp.abs(ab) > grey, axis=(1, 2, 3))[:, None].astype(code.dtype)
        weights = rarity(memory["prior"], mix=mix)[jnp.argmax(code, axis=-1)] * colored
        logits = logits.reshape(code.shape)
        loss = jnp.mean(color_cross_entropy(logits, code, weights))
        plain = jnp.mean(color_cross_entropy(logits, code, jnp.ones(code.shape[:2], code.dtype)))
        seen = memory["seen"] + 1
        now = jnp.mean(code, axis=(0, 1))
        trivial = -jnp.sum(now * jnp.log(jnp.maximum(memory["prior"], 1e-8)))
        prior = memory["prior"] + (now - memory["prior"]) / jnp.minimum(seen, MEMORY)
        metrics = {"cross_entropy": plain, "trivial": trivial}
        return loss, jax.lax.stop_gradient({"prior": prior, "seen": seen}), metrics

    return Objective(init, apply)
