"""The authors' own numbers: values, gradients and states that their public code gave on the arrays in
golden/.

in_*: inputs; hp_*: hyper-parameters; out_*: results; grad_*: gradients of the result; a leading axis of steps
where the code carries a state. Everything in double precision.
"""

from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np

HERE = Path(__file__).parent / "golden"


def load(name):
    with np.load(HERE / f"{name}.npz") as arrays:
        return SimpleNamespace(
            **{key: arrays[key].item() if arrays[key].ndim == 0 else arrays[key] for key in arrays}
        )


def near(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9)


def agree(loss, arrays, value, gradients):
    ours, slopes = jax.jit(jax.value_and_grad(loss, tuple(range(len(gradients)))))(*arrays)
    near(ours, value)
    for slope, expected in zip(slopes, gradients, strict=True):
        near(slope, expected)


def tangent(gradient, x):
    """The gradient by unit vectors where the loss normalises them itself."""
    return gradient - np.sum(gradient * x, -1, keepdims=True) * x


def nhwc(images):
    return images.transpose(0, 2, 3, 1)


def crops(rows, batch):
    return rows.reshape(-1, batch, *rows.shape[1:])
