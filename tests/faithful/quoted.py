"""What the tests of published settings ask of an experiment."""

import math
from functools import partial

import jax
import jax.numpy as jnp

from jssl.run import DataInfo

IMAGENET = DataInfo("imagenet", 1_281_167, (224, 224, 3), 224, 1000, {"caption": ((77,), "int32")})


KEY = jax.random.key(0)


def built(settings):
    return settings.build(IMAGENET)


def per_epoch(settings):
    return IMAGENET.examples // settings.batch


def rate(settings, epoch):
    return float(settings.rate(IMAGENET)(round(epoch * per_epoch(settings))))


def moved(optimizer, params, gradients):
    """The update of the first step."""
    updates, _ = optimizer.update(gradients, optimizer.init(params), params)
    return updates


def decayed(settings, params):
    """Which parameters move without a gradient once the rate is up, by path."""
    optimizer = built(settings).optimizer
    state, still = optimizer.init(params), jax.tree.map(jnp.zeros_like, params)
    updates, state = optimizer.update(still, state, params)
    for _ in range(3):
        updates, state = optimizer.update(still, state, params)
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): bool(jnp.any(leaf != 0))
        for path, leaf in jax.tree_util.tree_leaves_with_path(updates)
    }


def tree(**extra):
    ones = partial(jnp.ones, dtype=jnp.float32)
    dense = {"kernel": ones((2, 3)), "bias": ones(3)}
    norm = {"scale": ones(3), "bias": ones(3)}
    return {"encoder": {"dense": dense, "norm": norm} | extra}


def half_cosine(peak, end, share):
    """From peak to end, after this share of the way."""
    return end + (peak - end) * (1 + math.cos(math.pi * share)) / 2


TOKENS = dict(class_token=jnp.ones((1, 3)), mask_token=jnp.ones(3), positions={"table": jnp.ones((2, 2, 3))})


SLOPE = {
    "image": jnp.broadcast_to(jnp.arange(64, dtype=jnp.uint8)[:, None], (16, 64, 64, 3)),
    "index": jnp.arange(16),
}
