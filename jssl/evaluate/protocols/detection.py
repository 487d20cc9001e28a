"""Detection by the centers of boxes: a proxy for detectors, one linear map of frozen patch tokens."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jssl.evaluate.measures.boxes import boxes_of, detection_precision
from jssl.evaluate.protocols.base import Protocol, settings_of
from jssl.evaluate.protocols.patches import PatchProbe, check_dense, fit_patches, patch_grid, patch_outputs

NAME = "detection"
OUTPUTS = 5  # whether a center lies in the patch; its place in it, and the logarithm of height and width


def detection_protocol(*, overlap: float = 0.5, **settings) -> Protocol:
    """Makes the proxy of detection: average precision of boxes that one linear map of patch tokens finds.

    It stands in for the fine-tuned detectors of the papers. Its numbers cannot be compared with theirs: the
    network is frozen, classes are not distinguished, and a patch holds one center at most.

    Args:
        overlap: The least intersection over union with a true box.
        **settings: Keyword arguments of `fit_patches`, such as steps.
    Returns:
        The `Protocol` "detection" with the metric "ap50_proxy" (for another overlap, its percentage in place
        of 50). Objects are masks [M, H, W], 0 for none, else the object's number from 1.
    References:
        Centers as boxes: arXiv:1904.07850
    """

    metric = f"ap{round(100 * overlap)}_proxy"

    def run(train_tokens, train_objects, test_tokens, test_objects):
        train, test = np.asarray(train_objects), np.asarray(test_objects)
        check_dense(NAME, train_objects=(train, train_tokens), test_objects=(test, test_tokens))
        grid = patch_grid(train_tokens.shape[1], train.shape[1:])
        if train.max() < 1:
            raise ValueError(f"{NAME}: no training mask has an object: expected numbers from 1, 0 for none")
        targets = center_targets(*boxes_of(jnp.asarray(train), count=int(train.max())), grid=grid)
        probe = fit_patches(train_tokens, targets, center_loss, OUTPUTS, **settings)
        scores, boxes = _detected(probe, jnp.asarray(test_tokens), grid)
        truth = boxes_of(jnp.asarray(test), count=max(1, int(test.max())))
        return {metric: detection_precision(scores, boxes, *truth, overlap=overlap)}

    needs = "train_tokens", "train_objects", "test_tokens", "test_objects"
    chosen = {"overlap": overlap} | settings_of(fit_patches, settings, of=NAME)
    return Protocol(NAME, needs, run, main=metric, settings=chosen)


@functools.partial(jax.jit, static_argnames=("grid",))
def center_targets(
    boxes: jax.Array, there: jax.Array, *, grid: tuple[int, int]
) -> tuple[jax.Array, jax.Array]:
    """Finds for each patch whether a box has its center there, and which box.

    Args:
        boxes: [M, K, 4] top, left, bottom, right in shares of the image.
        there: [M, K] bool, which of them are real.
        grid: (rows, columns) of patches.
    Returns:
        (centers [M, N] bool; boxes [M, N, 4]: the center's row and column in the patch from 0 to 1, and the
        logarithm of height and width in patches). Of several centers in a patch, the last counts.
    Examples:
        >>> centers, boxes = center_targets(jnp.array([[[0, 0, 0.5, 0.5]]]), jnp.array([[True]]), grid=(2, 2))
        >>> centers[0].tolist(), boxes[0, 0].tolist()
        ([True, False, False, False], [0.5, 0.5, 0.0, 0.0])
    """
    sides = jnp.array(grid, jnp.float32)
    middle, size = (boxes[..., :2] + boxes[..., 2:]) / 2 * sides, (boxes[..., 2:] - boxes[..., :2]) * sides
    cell = jnp.minimum(jnp.floor(middle), sides - 1)
    place = jnp.where(there, cell[..., 0] * grid[1] + cell[..., 1], grid[0] * grid[1]).astype(int)
    values = jnp.concatenate([middle - cell, jnp.log(jnp.maximum(size, 1e-6))], -1)
    centers = jnp.zeros((len(boxes), grid[0] * grid[1] + 1), bool)
    targets = jnp.zeros((*centers.shape, 4), jnp.float32)
    for i in range(boxes.shape[1]):  # one after the other, so that the last wins on every device
        rows = jnp.arange(len(boxes)), place[:, i]
        centers, targets = centers.at[rows].set(True), targets.at[rows].set(values[:, i])
    return centers[:, :-1], targets[:, :-1]


def center_loss(outputs: jax.Array, targets: tuple[jax.Array, jax.Array]) -> jax.Array:
    """Computes the cross-entropy of centers, and the absolute error of their boxes, per object.

    Args:
        outputs: [b, N, 5].
        targets: As `center_targets` gives them.
    Returns:
        A scalar.
    """
    centers, boxes = targets
    count = jnp.maximum(jnp.sum(centers), 1)
    right_sign = jnp.where(centers, outputs[..., 0], -outputs[..., 0])
    missed = -jnp.sum(jax.nn.log_sigmoid(right_sign))
    away = jnp.sum(jnp.abs(outputs[..., 1:] - boxes) * centers[..., None])
    return (missed + away) / count


@functools.partial(jax.jit, static_argnames=("grid",))
def _detected(probe: PatchProbe, tokens, grid):
    """(scores [M, N], -inf where a neighbour's is higher; boxes [M, N, 4])."""
    outputs = patch_outputs(probe, tokens)
    scores = outputs[..., 0].reshape(-1, *grid)
    highest = jax.lax.reduce_window(scores, -jnp.inf, jax.lax.max, (1, 3, 3), (1, 1, 1), "SAME")
    scores = jnp.where(scores >= highest, scores, -jnp.inf).reshape(len(tokens), -1)
    cell = np.indices(grid).reshape(2, -1).T
    middle, half = cell + outputs[..., 1:3], jnp.exp(outputs[..., 3:]) / 2
    sides = jnp.array(grid, jnp.float32)
    return scores, jnp.concatenate([(middle - half) / sides, (middle + half) / sides], -1)
