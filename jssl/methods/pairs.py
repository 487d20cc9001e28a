"""Makes objectives over views from losses of two arrays."""

from functools import partial
from itertools import permutations

import jax
import jax.numpy as jnp
import optax

from jssl.objectives import Objective, masked_reconstruction, named, stateless
from jssl.objectives.reconstruction import by_tokens, standardized


def between_views(loss, *, student: str = "cls", teacher: str = "cls") -> Objective:
    """Sums loss(student[v], teacher[w]) over the ordered pairs of different views v, w.

    Args:
        loss: ([B, D], [B, D]) -> [B].
        student, teacher: names of the outputs compared; if the method has no teacher, both are the student's.
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
        loss: ([B, D], [B, D], [B]) -> losses. An image without a label (-1) gets a label of its own.
        name: of the student's output.
    Returns:
        An `Objective` that remembers nothing; it reads `views["label"]` [B].
    """

    def losses(outputs):
        labels = named(outputs.views, "label", "views")
        _check_two(outputs.student[name])
        return loss(*outputs.student[name][:2], jnp.where(labels < 0, -1 - jnp.arange(len(labels)), labels))

    return stateless(losses)


def classified(name: str) -> Objective:
    """Computes the cross-entropy of logits with the classes that a transform makes.

    Args:
        name: of the student's output [..., K], and of the target [...] int.
    Returns:
        An `Objective` that remembers nothing, with the metrics `accuracy` and `chance`, the accuracy of
        guessing.
    """

    def losses(outputs):
        logits, labels = outputs.student[name].astype(jnp.float32), outputs.target[name]
        accuracy = jnp.mean(jnp.argmax(logits, -1) == labels)
        told = {"accuracy": accuracy, "chance": jnp.asarray(1 / logits.shape[-1], accuracy.dtype)}
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels), told

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


def over_patches(loss, *, figures=None, name: str = "patch") -> Objective:
    """Averages loss(prediction, target, mask) on patches over the views.

    Args:
        loss: ([B, N, D], [B, N, ...], [B, N]) -> [B].
        figures: of the same arrays, (prediction, target, mask) -> metrics by name; None: none.
        name: of the outputs.
    Returns:
        An `Objective` that remembers nothing.
    """

    def losses(outputs):
        views = outputs.student[name], outputs.target[name], outputs.mask
        each = jnp.stack([loss(*view) for view in zip(*views, strict=True)])
        return each if figures is None else (each, _told(figures, views))

    return stateless(losses)


def reconstructed(*, normalize_target: bool = False, **how) -> Objective:
    """Makes the objective of patches that are reconstructed: `masked_reconstruction`, over the views.

    Args:
        normalize_target, how: as for `masked_reconstruction`.
    Returns:
        An `Objective` that remembers nothing; its metric `trivial` is the loss of the batch's mean target.
    """
    loss, made = partial(masked_reconstruction, **how), standardized if normalize_target else jnp.asarray
    figures = of_the_mean(loss, made=made)
    return over_patches(partial(loss, normalize_target=normalize_target), figures=figures)


def over_hidden(loss, *, figures=None, name: str = "patch") -> Objective:
    """Averages loss(prediction, target, mask) over all hidden patches of the batch, as BEiT and its kin do.

    So images with more hidden patches have more weight; in `over_patches` all images have the same weight.

    Args:
        loss: ([B, N, D], [B, N, ...], [B, N]) -> [B], each the mean over an image's hidden patches. If
            `outputs.places` is given, prediction, target and mask only contain those places.
        figures: of the same arrays, (prediction, target, mask) -> metrics by name; None: none.
        name: of the outputs.
    Returns:
        An `Objective` that remembers nothing.
    """

    def losses(outputs):
        views = outputs.student[name], *_hidden(outputs, name)
        weighted = by_tokens(jnp.stack([loss(*view) for view in zip(*views, strict=True)]), views[2])
        return weighted if figures is None else (weighted, _told(figures, views))

    return stateless(losses)


def of_the_mean(loss, *, made=jnp.asarray):
    """Makes the metric `trivial`, the loss of predicting the batch's mean target, with which a loss can be
    compared.

    Args:
        loss: as for `over_hidden`.
        made: a function of the target before predictions are compared with it, such as `standardized`.
    Returns:
        (prediction, target, mask) -> {"trivial": the loss of that prediction}.
    """

    def figures(prediction, target, mask):
        target = made(target)
        mean = jnp.mean(target, axis=(0, 1), where=mask[..., None])
        losses = loss(jnp.broadcast_to(mean, target.shape), target, mask)
        counts = jnp.sum(mask, axis=-1)
        return {"trivial": jnp.sum(losses * counts) / jnp.maximum(jnp.sum(counts), 1)}

    return figures


def _told(figures, views):
    """The metrics of the views, averaged over the views, without gradient."""
    return jax.tree.map(jnp.mean, jax.vmap(figures)(*jax.lax.stop_gradient(views)))


def _hidden(outputs, name):
    """The targets [V, B, N, ...] and the mask, or only their entries at the places of the prediction."""
    target, mask, places = outputs.target[name], outputs.mask, outputs.places
    if places is None:
        return target, mask
    at = places.reshape(*places.shape, *(1,) * (target.ndim - places.ndim))
    real = jnp.arange(places.shape[-1]) < jnp.sum(mask, axis=-1, keepdims=True)
    return jnp.take_along_axis(target, at, axis=2), real


def _check_two(views):
    if len(views) < 2:
        raise ValueError(
            f"the objective compares two views of an image, got {len(views)}; make two global views"
        )
