"""What a run has come to, as tests compare it."""

import json

import jax
import numpy as np


def raw(state):
    """A state's arrays as bytes, keys included."""
    typed = [jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key) for x in jax.tree.leaves(state)]
    leaves = [
        jax.random.key_data(x) if key else x for x, key in zip(jax.tree.leaves(state), typed, strict=True)
    ]
    return [np.asarray(leaf).tobytes() for leaf in leaves]


def rows(directory, *, without=("images_per_second", "data_wait")):
    lines = (directory / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in without} for line in lines]
