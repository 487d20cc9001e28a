"""How a loss of two arrays becomes an objective over views."""

from itertools import permutations

import jax.numpy as jnp

from jssl.objectives import Objective, named, stateless


def between_views(loss, *, student: str = "cls", teacher: str = "cls") -> Objective:
    """Sums loss(student[v], teacher[w]) over the ordered pairs of different views v, w.

    Args:
        loss: ([B, D], [B, D]) -> [B].
        student, teacher: names of the outputs compared; without a teacher, the student's own.
    Returns:
        An `Objective` that remembers nothing; its loss is the mean over the batch.
    """

    def losses(outputs):
        ours, theirs = outputs.student[student], (outputs.target or outputs.student)[teacher]
        _check_two(ours)
        return sum(loss(ours[v], theirs[w]) for v, w in permutations(range(len(theirs)), 2))

    return stateless(losses)


def over_views(loss, *, name: str = "cls") -> Objective:
    """Compares the first two views: loss(view a, view b), such as a statistic of the batch.

    Args:
        loss: ([B, D], [B, D]) -> losses.
        name: of the student's output.
    Returns:
        An `Objective` that remembers nothing.
    """

    def losses(outputs):
        _check_two(outputs.student[name])
        return loss(*outputs.student[name][:2])

    return stateless(losses)


def labelled(loss, *, name: str = "cls") -> Objective:
    """Compares the first two views, given the images' labels: loss(view a, view b, labels).

    Args:
        loss: ([B, D], [B, D], [B]) -> losses. An image without a label, -1, has one of its own.
        name: of the student's output.
    Returns:
        An `Objective` that remembers nothing; it reads views["label"] [B].
    """

    def losses(outputs):
        labels = named(outputs.views, "label", "views")
        _check_two(outputs.student[name])
        return loss(*outputs.student[name][:2], jnp.where(labels < 0, -1 - jnp.arange(len(labels)), labels))

    return stateless(losses)


def with_the_teacher(loss, name: str = "cls") -> Objective:
    """Compares each view's output with its target of the same name: loss(student, target).

    Args:
        loss: ([B, D], [B, D]) -> [B].
        name: of the outputs.
    Returns:
        An `Objective` that remembers nothing.
    """

    def losses(outputs):
        pairs = zip(outputs.student[name], outputs.target[name], strict=True)
        return jnp.stack([loss(*pair) for pair in pairs])

    return stateless(losses)


def over_patches(loss, *, name: str = "patch") -> Objective:
    """Averages loss(prediction, target, mask) on patches over the views.

    Args:
        loss: ([B, N, D], [B, N, ...], [B, N]) -> [B].
        name: of the outputs.
    Returns:
        An `Objective` that remembers nothing.
    """

    def losses(outputs):
        views = zip(outputs.student[name], outputs.target[name], outputs.mask, strict=True)
        return jnp.stack([loss(*view) for view in views])

    return stateless(losses)


def _check_two(views):
    if len(views) < 2:
        raise ValueError(
            f"the objective compares two views of an image, got {len(views)}; make two global views"
        )
