"""An earlier teacher, kept beside the current one, with whose patch features the student's are compared."""

from collections.abc import Callable

import jax

from jssl.methods.base import Teacher
from jssl.methods.frames.at_places import Lesson, from_itself
from jssl.models.layers.positions import bicubic
from jssl.models.network import Network

MEAN, ANCHOR = "mean", "anchor"  # parts of the teacher: the current teacher, and the earlier one


def anchored(teacher: Teacher, *, when: Callable) -> Teacher:
    """Keeps an encoder of an earlier teacher, at first the first one, and takes the present one's now and
    then.

    Args:
        teacher: the current teacher, which moves at every step; it has a part "encoder".
        when: (step) -> whether the anchor is replaced by the current teacher after this step.
    Returns:
        A `Teacher` of {"mean": the teacher, "anchor": {"encoder": ...}}.
    References:
        DINOv3, arXiv:2508.10104
    """

    def encoder_of(taught):
        return {"encoder": taught["encoder"]}

    def init(params):
        first = teacher.init(params)
        return {MEAN: first, ANCHOR: encoder_of(first)}

    def move(teachers, params, step):
        mean = teacher.move(teachers[MEAN], params, step)
        anchor = jax.lax.cond(when(step), lambda: encoder_of(mean), lambda: teachers[ANCHOR])
        return {MEAN: mean, ANCHOR: anchor}

    return Teacher(init, move)


def mean_of(teachers):
    """Selects the present teacher, which is evaluated."""
    return teachers[MEAN]


def from_itself_and_anchor(net: Network, *, grid: Callable) -> Lesson:
    """Takes the targets from the student's own teacher, and features of patches from an earlier one.

    The anchor encodes `views["anchor"]` [G, B, H, W, C], crops of any size of the same areas as the global
    views, or without them the global views. Its features are resized to the student's grid.

    Args:
        net: the student's network.
        grid: (shape of images) -> (rows, columns) of patches.
    Returns:
        A `Lesson`, whose targets also have "anchor" [G, B, N, D].
    References:
        DINOv3, arXiv:2508.10104
    """
    itself = from_itself(net)

    def give(teachers, statistics, views, places):
        targets, after = itself.give(teachers[MEAN], statistics, views, places)
        crops, wanted = views.get("anchor", views["global"]), grid(views["global"].shape)
        flat = crops.swapaxes(0, 1).reshape(-1, *crops.shape[2:])  # an image's views side by side
        tokens = net.features(teachers[ANCHOR], statistics, flat).tokens
        table = tokens.reshape(len(flat), *grid(crops.shape), tokens.shape[-1])
        if table.shape[1:3] != tuple(wanted):
            table = jax.vmap(lambda one: bicubic(one, wanted))(table)
        anchor = table.reshape(-1, len(crops), wanted[0] * wanted[1], tokens.shape[-1]).swapaxes(0, 1)
        return targets | {ANCHOR: anchor}, after

    return itself._replace(give=give)
