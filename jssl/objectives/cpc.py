"""CPC: predictions of the places further on in a grid are compared with all places of the batch."""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp

from jssl.arrays.checks import check, check_positive
from jssl.arrays.vectors import entries, similarity
from jssl.objectives.base import Objective, named


def place_contrast(predictions, targets, positive, *, scale=0.1) -> jax.Array:
    """Computes the cross entropy of finding each prediction's target among all targets, by inner products.

    l_b = -scale p_b . t_positive[b] + log sum_q exp(scale p_b . t_q), nothing normalised.

    Args:
        predictions: [B, D].
        targets: [Q, D], with gradient.
        positive: [B] integers below Q.
        scale: of the inner products.
    Returns:
        [B]; nan for an id that is not one of a target.
    Raises:
        ValueError: for other shapes.
        TypeError: for ids in `positive` that are not integers.
    References:
        CPC, arXiv:1807.03748
    Examples:
        >>> loss = place_contrast(jnp.eye(2), jnp.eye(2), jnp.array([0, 1]), scale=1.0)
        >>> print(f"{loss.mean():.3f}")
        0.313
    """
    predictions, targets, positive = check(
        predictions=(predictions, "B D"), targets=(targets, "Q D"), positive=(positive, "B", int)
    )
    check_positive(scale=scale)
    logits = scale * similarity(predictions, targets)
    return jax.nn.logsumexp(logits, axis=1) - entries(logits, positive)


def contrastive_prediction(
    directions: Mapping[str, int], name: str = "target", *, offsets: Sequence[int], scale=0.1
) -> Objective:
    """Makes CPC's objective: each prediction of a place some rows further on finds its target among those of
    the whole batch.

    For each direction it reads `student[direction]` [V, B, O, R, C, D], of which view 0 counts: predictions
    from the grid after the direction's quarter turns. It also reads `student[name]` [V, B, N, D], the targets
    of the grid before it was turned, row by row. The prediction of row r for offset k is compared with the
    targets of row r + k; the loss is the mean over places, then over offsets and directions.

    Args:
        directions: quarter turns by name.
        name: of the targets.
        offsets: how many rows further on each of the O predictions is.
        scale: of the inner products.
    Returns:
        An `Objective` without memory; metric accuracy, how often a prediction's own target is the nearest.
    Raises:
        ValueError: for a missing name, other shapes, or an offset that leaves the grid.
    References:
        CPC, arXiv:1807.03748, and v2, arXiv:1905.09272
    Examples:
        >>> from jssl.objectives.base import Outputs
        >>> objective = contrastive_prediction({"down": 0}, offsets=(1,))
        >>> outputs = Outputs({"down": jnp.zeros((1, 3, 1, 2, 2, 5)), "target": jnp.ones((1, 3, 4, 5))})
        >>> print(f"{objective.apply((), outputs, 0)[0]:.3f}")  # log of 3 x 4 places
        2.485
    """

    def apply(memory, outputs, step):
        losses, hits = [], []
        for direction, turns in directions.items():
            predictions, targets = check(
                predictions=(named(outputs.student, direction, "student")[0], "B O R C D"),
                targets=(named(outputs.student, name, "student")[0], "B N D"),
            )
            rows, columns = predictions.shape[2:4]
            if max(offsets) >= rows or min(offsets) < 1:
                raise ValueError(
                    f"offsets are {tuple(offsets)}, expected 1 to {rows - 1} for a grid of {rows} rows; make "
                    "patches smaller or images larger"
                )
            grid = targets.reshape(len(targets), rows, columns, -1)
            candidates = jnp.rot90(grid, turns, axes=(1, 2)).reshape(-1, targets.shape[-1])
            place = jnp.arange(len(candidates)).reshape(len(targets), rows, columns)
            for i, offset in enumerate(offsets):
                own = place[:, offset:].ravel()
                made = predictions[:, i, :-offset].reshape(-1, predictions.shape[-1])
                losses.append(jnp.mean(place_contrast(made, candidates, own, scale=scale)))
                nearest = jnp.argmax(jax.lax.stop_gradient(similarity(made, candidates)), axis=1)
                hits.append(jnp.mean(nearest == own))
        return jnp.mean(jnp.stack(losses)), memory, {"accuracy": jnp.mean(jnp.stack(hits))}

    return Objective(lambda outputs: (), apply)
