"""An experiment that takes seconds, for the tests of what surrounds training; `python -m tests.run.tiny` runs
it.
"""

from dataclasses import dataclass
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from jssl.data import Source, evaluation_view, from_arrays, multi_crop, normalize, random_resized_crop
from jssl.data.augment.base import chain
from jssl.methods import dino, mae
from jssl.methods.frames.self_distillation import self_distillation
from jssl.models import ViT, dino_head, mae_decoder
from jssl.models import encoder as encoder_named
from jssl.models.headed import with_heads
from jssl.objectives import queue_contrast
from jssl.optim import warmup_cosine
from jssl.run import Count, Data, DataInfo, Experiment, Settings, main
from jssl.weights import Loaded
from tests.undrawn import draw_nothing


def colored(*, count: int = 48, seed: int = 0) -> Source:
    """Noise whose brightness is its class, of three."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    images = rng.uniform(0, 60, (count, 8, 8, 3)) + 90 * labels[:, None, None, None]
    return from_arrays(images.astype(np.uint8), labels, name="colored")


def tower(**sizes) -> Loaded:
    """A network whose features are predicted, as weights hold one."""
    vit = ViT(**sizes)
    return Loaded(vit, jax.jit(vit.init)(jax.random.key(0), np.zeros((1, 16, 16, 3), np.float32)))


class Linear(nn.Module):
    """The smallest encoder. No bias: batch norm takes its gradient away, and Adam would make steps of what
    rounding leaves.
    """

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


@dataclass(frozen=True)
class Tiny(Settings):
    """A tiny experiment. By default a momentum encoder and a queue, so that everything a state can hold is
    there.
    """

    data: Data = "colored"
    """colored, the same without labels as bare, or a name that jssl knows."""
    method: str = "queue"
    """queue, center or pixels."""
    encoder: str = "linear"
    """linear, or a name that jssl knows."""
    size: Count = 8
    batch: Count = 8
    steps: Count = 12
    learning_rate: float = 0.01
    """Of Adam."""
    temperature: float = 0.2
    """Of the loss."""
    infinite: bool = False
    """Make all views so."""
    broken: int | None = None
    """Number of the image whose views are not finite."""

    def __post_init__(self):
        known = {
            "colored": (colored(), colored(count=24, seed=1)),
            "bare": from_arrays(colored().images, name="bare"),
        }
        if isinstance(self.data, str) and self.data in known:
            object.__setattr__(self, "data", known[self.data])

    def build(self, data: DataInfo) -> Experiment:
        network = Linear() if self.encoder == "linear" else encoder_named(self.encoder)
        rate = warmup_cosine(self.learning_rate, steps=max(self.steps, 3), warmup=2)
        crop = chain(
            random_resized_crop(size=self.size),
            normalize(),
            lambda keys, images: images * jnp.inf if self.infinite else images,
        )
        two = multi_crop(crop, crop)

        def views(key, batch):
            seen = two(key, batch)
            unlucky = batch["index"] == (-1 if self.broken is None else self.broken)
            return seen | {"global": jnp.where(unlucky[:, None, None, None], jnp.nan, seen["global"])}

        return Experiment(
            method=METHODS[self.method](network, self.temperature),
            optimizer=optax.adam(rate),
            views=views,
            batch=self.batch,
            steps=self.steps,
            learning_rate=rate,
            evaluation_view=evaluation_view(self.size),
            encoder=network,
        )


demo = Tiny(steps=6)

if __name__ == "__main__":
    draw_nothing()
    main(demo)
