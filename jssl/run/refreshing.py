"""Recomputes what a method remembers of all images, such as clusters, between two epochs."""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from jssl.data.reading.memory import decode_all
from jssl.data.reading.records import Some
from jssl.data.reading.resident import steps_per_epoch, take
from jssl.data.source import IMAGE_SIZE
from jssl.data.views.compose import images_of
from jssl.run.data.gather import Gathered
from jssl.run.plan import Plan
from jssl.sharding import over_batch
from jssl.train import Event, TrainState

AT_ONCE = 1024  # images of a batch, on all devices together


def refreshes(plan: Plan) -> list[Event]:
    """Makes the event that recomputes memory for a method that asks for it, after an epoch or some steps.

    Args:
        plan: Of the run.
    Returns:
        One event, or none where the method asks for nothing.
    """
    wanted, view = plan.experiment.method.refresh, plan.experiment.evaluation_view
    if wanted is None:
        return []
    every = wanted.every or steps_per_epoch(len(plan.data), plan.experiment.batch)
    kept = dict(donate_argnums=0, out_shardings=plan.places.memory)
    compiled = jax.jit(lambda memory, key: wanted.call(key, memory), **kept)

    def seen(memory, params, teacher, batch):
        return wanted.observe(params, teacher, memory, view(images_of(batch)), batch["index"])

    observe = jax.jit(seen, **kept)

    def refresh(step, state, metrics):
        if step % every or step < wanted.start or step >= plan.experiment.steps:
            return None
        memory = state.memory
        if wanted.observe is not None:
            for batch in all_images(plan.data, plan.mesh):
                memory = observe(memory, state.params, state.teacher, batch)
        key = jax.random.fold_in(jax.random.fold_in(state.key, step), 1)
        return state.replace(memory=compiled(memory, key))

    return [Event(every, refresh)]


def caught_up(plan: Plan, state: TrainState) -> TrainState:
    """Recomputes what a shorter run left out after its last step, where it is extended.

    Args:
        plan: Of the longer run.
        state: That it is resumed with.
    Returns:
        The state that a run of this length would have had here.
    """
    step = int(state.step)
    if plan.extends is not None and step == plan.extends.steps:
        for event in refreshes(plan):
            state = event.call(step, state, {}) or state
    return state


def all_images(data: Gathered, mesh, *, at_once: int = AT_ONCE) -> Iterator[dict[str, jax.Array]]:
    """Reads all training images in order, in batches of one size; the last one repeats its last image.

    Args:
        data: Of the run.
        mesh: The devices, over which each batch is spread; every process reads its own part.
        at_once: Images of a batch.
    Yields:
        {"image": [B, H, W, C], "index": [B]}, and "image_size" [B, 2] where images have sizes of their own.
    """
    devices, processes = mesh.size, jax.process_count()
    size = -(-min(at_once, len(data)) // devices) * devices
    own = slice(size // processes * jax.process_index(), size // processes * (jax.process_index() + 1))
    for start in range(0, len(data), size):
        rows = np.minimum(np.arange(start, start + size), len(data) - 1)[own]
        if data.records is None:
            batch = take(data.train.arrays, rows)
        else:
            read = decode_all(ByNumber(data.records, rows), canvas=data.canvas, name=data.source.name)
            whole = np.minimum(np.arange(len(rows)), len(read) - 1)  # damaged images are left out
            batch = take(read.arrays, whole) | {"index": read.labels[whole]}
        seen = {name: np.asarray(batch[name]) for name in ("image", IMAGE_SIZE, "index") if name in batch}
        put = jax.make_array_from_process_local_data
        yield {name: put(over_batch(mesh), values) for name, values in seen.items()}


class ByNumber(Some):
    """Some of the records, labelled by their numbers."""

    @property
    def class_names(self) -> tuple[str, ...]:
        return ()

    def __getitem__(self, index: int) -> dict[str, Any]:
        return super().__getitem__(index) | {"label": int(self.rows[index])}
