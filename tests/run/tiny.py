"""An experiment that takes seconds, for the tests of what surrounds training; `python -m tests.run.tiny` runs it."""

from functools import partial

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import optax

from jssl.data import Source, evaluation_view, from_arrays, multi_crop, normalize, random_resized_crop
from jssl.data.augment.base import chain
from jssl.methods import dino, mae
from jssl.methods.frames.self_distillation import self_distillation
from jssl.models import ViT, dino_head, mae_decoder
from jssl.models import encoder as encoder_named
from jssl.models.network import with_heads
from jssl.objectives import queue_contrast
from jssl.optim import warmup_cosine
from jssl.run import Experiment, main


def colored(*, count: int = 48, seed: int = 0) -> Source:
    """Noise whose brightness is its class, of three."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    images = rng.uniform(0, 60, (count, 8, 8, 3)) + 90 * labels[:, None, None, None]
    return from_arrays(images.astype(np.uint8), labels, name="colored")


class Linear(nn.Module):
    """The smallest encoder. No bias: batch norm takes its gradient away, and Adam would make steps of what rounding leaves."""

    @nn.compact
    def __call__(self, images, *, train: bool = False):
        x = nn.Dense(8, use_bias=False)(images.reshape(len(images), -1))
        return nn.BatchNorm(use_running_average=not train, momentum=0.5)(x)


def rising(step):
    """A teacher's momentum."""
    return jnp.minimum(0.9 + 0.01 * step, 1.0)


def queue(network, temperature):
    """A momentum encoder and a queue, as MoCo's."""
    objective = queue_contrast("cls", size=16, temperature=temperature)
    return self_distillation(with_heads(network, cls=nn.Dense(4)), objective, momentum=rising)


def center(network, temperature):
    """DINO."""
    head = partial(dino_head, hidden=8, bottleneck=4)
    return dino(network, prototypes=8, head=head, student_temperature=temperature, momentum=rising)


def pixels(network, temperature):
    """MAE, which takes a transformer."""
    return mae(ViT(patch=4, dim=8, depth=1, heads=2), decoder=mae_decoder(4, dim=8, depth=1, heads=2))


METHODS = {"queue": queue, "center": center, "pixels": pixels}


def experiment(
    *,
    method: str = "queue",
    encoder: str = "linear",
    data: str = "colored",
    data_dir: str | None = None,
    size: int = 8,
    batch: int = 8,
    steps: int = 12,
    learning_rate: float = 0.01,
    temperature: float = 0.2,
    scale: float = 1.0,
    broken: int = -1,
) -> Experiment:
    """By default a momentum encoder and a queue, so that everything a state can hold is there.

    method: queue, center or pixels.
    encoder: linear, or a name that jssl knows.
    data: colored, the same without labels as bare, or a name that jssl knows.
    learning_rate: of Adam.
    temperature, scale: of the loss, and what the views are multiplied by.
    broken: number of the image whose views are not finite.
    """
    known = {
        "colored": (colored(), colored(count=24, seed=1)),
        "bare": (from_arrays(colored().images, name="bare"), None),
    }
    train, test = known[data] if isinstance(data, str) and data in known else (data, None)
    network = Linear() if encoder == "linear" else encoder_named(encoder)
    rate = warmup_cosine(learning_rate, steps=max(steps, 3), warmup=2)
    crop = chain(random_resized_crop(size=size), normalize(), lambda keys, images: images * scale)
    two = multi_crop(crop, crop)

    def views(key, batch):
        seen = two(key, batch)
        unlucky = batch["index"] == broken
        return seen | {"global": jnp.where(unlucky[:, None, None, None], jnp.nan, seen["global"])}

    return Experiment(
        method=METHODS[method](network, temperature),
        optimizer=optax.adam(rate),
        views=views,
        batch=batch,
        steps=steps,
        learning_rate=rate,
        data=train,
        data_dir=data_dir,
        test=test,
        evaluation_view=evaluation_view(size),
    )


demo = dict(steps=6, log_every=2)

if __name__ == "__main__":
    main(experiment, demo)
