"""One linear map from patch tokens to dense labels: what segmentation, depth and detection have in common."""

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jssl.arrays.checks import check, check_positive
from jssl.evaluate.protocols.linear import standardising
from jssl.optim.schedules import cosine

PIXELS = 2**25  # outputs of whole pixels held at a time


class PatchProbe(NamedTuple):
    """A trained probe: outputs = tokens @ kernel + bias, standardisation included.

    Attributes:
        kernel: [D, K].
        bias: [K].
    """

    kernel: jax.Array
    bias: jax.Array


def fit_patches(
    tokens: jax.Array,
    targets: Any,
    loss: Callable[[jax.Array, Any], jax.Array],
    outputs: int,
    *,
    steps: int = 1000,
    batch: int = 64,
    learning_rate: float = 1e-2,
    weight_decay: float = 1e-4,
    seed: int = 0,
) -> PatchProbe:
    """Trains a linear map of standardised patch tokens by AdamW with a cosine to 0.

    DINOv2's head is the same: batch normalisation and a 1 x 1 convolution. Its statistics are running ones,
    here they are those of all training patches.

    Args:
        tokens: [M, N, D] frozen patch tokens.
        targets: A pytree of arrays [M, ...].
        loss: (outputs [b, N, K], targets of the same images) -> a scalar. It is compiled once if it is always
            the same object, such as a function of a module.
        outputs: K.
        steps: Of training.
        batch: Images per step.
        learning_rate: At the first step.
        weight_decay: As AdamW has it.
        seed: Of the first weights and of the order.
    Returns:
        A `PatchProbe`.
    Raises:
        ValueError: for wrong shapes, or no steps.
    References:
        arXiv:2304.07193, section 7.4
    """
    (tokens,) = check(tokens=(tokens, "M N D"))
    check_positive(steps=steps, batch=batch, learning_rate=learning_rate)
    settings = dict(outputs=outputs, steps=steps, batch=min(batch, len(tokens)))
    return _fit(tokens, targets, jax.random.key(seed), learning_rate, weight_decay, loss=loss, **settings)


@functools.partial(jax.jit, static_argnames=("loss", "outputs", "steps", "batch"))
def _fit(tokens, targets, key, learning_rate, weight_decay, *, loss, outputs, steps, batch):
    mean, scale = standardising(tokens.mean((0, 1)), tokens.std((0, 1)))
    optimizer = optax.adamw(cosine(learning_rate, 0.0, steps), weight_decay=weight_decay)
    first_key, order_key = jax.random.split(key)
    first = 0.01 * jax.random.normal(first_key, (tokens.shape[-1], outputs), tokens.dtype)
    probe = PatchProbe(first, jnp.zeros(outputs, tokens.dtype))

    def step(i, carry):
        probe, state = carry
        rows = jax.random.randint(jax.random.fold_in(order_key, i), (batch,), 0, len(tokens))
        seen, wanted = (tokens[rows] - mean) * scale, jax.tree.map(lambda x: x[rows], targets)
        gradient = jax.grad(lambda p: loss(seen @ p.kernel + p.bias, wanted))(probe)
        updates, state = optimizer.update(gradient, state, probe)
        return optax.apply_updates(probe, updates), state

    probe, _ = jax.lax.fori_loop(0, steps, step, (probe, optimizer.init(probe)))
    kernel = probe.kernel * scale[:, None]
    return PatchProbe(kernel, probe.bias - mean @ kernel)


def patch_outputs(probe: PatchProbe, tokens: jax.Array) -> jax.Array:
    """Applies a probe to patch tokens [M, N, D]: [M, N, K]."""
    return jnp.matmul(tokens, probe.kernel, precision="highest") + probe.bias


def at_every_pixel(patches: jax.Array, size: tuple[int, int]) -> jax.Array:
    """Interpolates values of patches to pixels, bilinearly between the patches' centres.

    Args:
        patches: [M, N, K], row-major.
        size: (H, W) of the pixels.
    Returns:
        [M, H, W, K].
    """
    maps = patches.reshape(len(patches), *patch_grid(patches.shape[1], size), -1)
    return jax.image.resize(maps, (len(maps), *size, maps.shape[-1]), "bilinear")


def patch_grid(count: int, size: Sequence[int]) -> tuple[int, int]:
    """Finds the grid of patches from their number and the size of the labels.

    Args:
        count: Patches N.
        size: (H, W) of the labels, whose shape is that of the image.
    Returns:
        (rows, columns), each a divisor of its side.
    Raises:
        ValueError: where no such grid has N patches.
    Examples:
        >>> patch_grid(36, (48, 48)), patch_grid(8, (32, 64))
        ((6, 6), (2, 4))
    """
    height, width = size
    rows = round(math.sqrt(count * height / width))
    if rows < 1 or count % rows or height % rows or width % (count // rows):
        raise ValueError(
            f"labels of {height} x {width} pixels do not fit {count} patches: expected a grid of {count} "
            "patches of that shape whose rows and columns divide the labels'; label what the network sees"
        )
    return rows, count // rows


def in_patches(labels: jax.Array, count: int) -> jax.Array:
    """Cuts labels [M, H, W] into the pixels of each of N patches: [M, N, pixels]."""
    rows, columns = patch_grid(count, labels.shape[1:])
    height, width = labels.shape[1] // rows, labels.shape[2] // columns
    cells = labels.reshape(-1, rows, height, columns, width).transpose(0, 1, 3, 2, 4)
    return cells.reshape(len(labels), rows * columns, height * width)


def check_dense(name: str, *, numbers: bool = True, **labels: tuple) -> None:
    """Checks that dense labels belong to tokens.

    Args:
        name: Of the protocol.
        numbers: Whether labels have to be integers.
        **labels: name=(labels [M, H, W], tokens [M, N, D]).
    Raises:
        ValueError: for another number of images, another rank, another shape than the patches have, or
            numbers that are not integers.
    """
    for label, (values, tokens) in labels.items():
        if numbers and np.asarray(values).dtype.kind not in "biu":
            raise ValueError(f"{name}: {label} holds {np.asarray(values).dtype}, expected integers")
        expected = f"expected [{len(tokens)}, H, W], one of each image"
        if np.ndim(values) != 3 or len(values) != len(tokens):
            raise ValueError(f"{name}: {label} has shape {np.shape(values)}, {expected}")
        try:
            patch_grid(tokens.shape[1], np.shape(values)[1:])
        except ValueError as error:
            raise ValueError(f"{name}: {label}: {error}") from None


def pieces(count: int, *, outputs: int) -> Iterator[slice]:
    """Cuts images into runs whose outputs at every pixel fit into memory.

    Args:
        count: Images.
        outputs: Numbers for each image.
    Yields:
        Slices, in order.
    """
    step = max(1, min(count, PIXELS // outputs))
    yield from (slice(start, start + step) for start in range(0, count, step))
