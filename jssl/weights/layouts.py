"""Layouts of published tensors: each converts them to our leaves and back, without loss.

A layout is a function of our leaves below a path (their shapes by name), the published name or names, and the
module that owns them; it yields `Entry`s.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

Leaves = Mapping[str, Any]  # by name below the row's path; each has a shape
Arrays = tuple[np.ndarray, ...]


class Entry(NamedTuple):
    """Some of our leaves and the published tensors that hold them.

    Args:
        leaves: Names of ours.
        names: Published names.
        read: Published arrays -> ours.
        write: Ours -> published arrays; it makes views, so that finding their shapes costs nothing.
    """

    leaves: tuple[str, ...]
    names: tuple[str, ...]
    read: Callable[[Arrays], Arrays]
    write: Callable[[Arrays], Arrays]


Layout = Callable[..., Iterable[Entry]]

TORCH = {
    "kernel": "weight",
    "scale": "weight",
    "embedding": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}


def _one(read: Callable, write: Callable) -> tuple[Callable, Callable]:
    return lambda arrays: (read(arrays[0]),), lambda arrays: (write(arrays[0]),)


def _kernel(rank: int) -> tuple[Callable, Callable]:
    """Linear [out, in] <-> [in, out]; convolutions [out, in, *window] <-> [*window, in, out]."""
    inward = (*range(2, rank), 1, 0)
    outward = (rank - 1, rank - 2, *range(rank - 2))
    return _one(lambda x: x.transpose(inward), lambda x: x.transpose(outward))


SAME = _one(lambda x: x, lambda x: x)


def layer(leaves: Leaves, name: str, module: Any) -> Iterable[Entry]:
    """A linear layer, convolution, norm or batch norm."""
    for leaf, spec in leaves.items():
        kind = _kernel(len(spec.shape)) if leaf == "kernel" else SAME
        yield Entry((leaf,), (f"{name}.{TORCH[leaf]}",), *kind)


def unbiased(leaves: Leaves, names: Any, module: Any) -> Iterable[Entry]:
    """One layer, or several as one, whose bias the family does not have: zeros, which are not written."""
    for leaf, spec in leaves.items():
        if leaf == "bias":
            yield absent(leaf, spec)
        else:
            yield from (fused if isinstance(names, tuple) else layer)({leaf: spec}, names, module)


def absent(leaf: str, spec: Any) -> Entry:
    """Zeros that the file does not hold; other values cannot be written."""
    return Entry((leaf,), (), lambda _: (np.zeros(spec.shape, np.float32),), partial(_only_zeros, leaf))


def _only_zeros(leaf: str, arrays: Arrays) -> Arrays:
    if any(np.any(array) for array in arrays):
        raise ValueError(f"{leaf} is not zero, and this family's files have no place for it")
    return ()


def plain(leaves: Leaves, name: str, module: Any) -> Iterable[Entry]:
    """A parameter by itself, as it is."""
    yield Entry(("",), (name,), *SAME)


def transposed(leaves: Leaves, name: str, module: Any) -> Iterable[Entry]:
    """A matrix by itself, its axes in the other order."""
    for leaf in leaves:
        yield Entry((leaf,), (name,), *_kernel(2))


def lead(axes: int) -> Layout:
    """A parameter by itself with axes of length 1 before it."""

    def layout(leaves: Leaves, name: str, module: Any) -> Iterable[Entry]:
        rank = len(leaves[""].shape)
        before = (1,) * axes
        read, write = (lambda x: _drop(x, axes, rank)), (lambda x: x.reshape(before + x.shape))
        yield Entry(("",), (name,), *_one(read, write))

    return layout


def _drop(x: np.ndarray, axes: int, rank: int) -> np.ndarray:
    return x.reshape(x.shape[axes:]) if x.ndim == axes + rank else x


def patches(leaves: Leaves, name: str, module: Any) -> Iterable[Entry]:
    """A convolution whose stride is its window, as a matrix over (row, column, channel)."""
    yield from _patches(leaves, name, (module.patch, module.patch))


def _patches(leaves: Leaves, name: str, window: tuple[int, ...]) -> Iterable[Entry]:
    rank = len(window)

    def read(x):
        return x.transpose(*range(2, 2 + rank), 1, 0).reshape(-1, x.shape[0])

    def write(x):
        x = x.reshape(*window, -1, x.shape[-1])
        return x.transpose(rank + 1, rank, *range(rank))

    yield Entry(("kernel",), (f"{name}.weight",), *_one(read, write))
    yield from layer({leaf: spec for leaf, spec in leaves.items() if leaf != "kernel"}, name, None)


def fused(leaves: Leaves, names: tuple[str, ...], module: Any) -> Iterable[Entry]:
    """Several published linear layers as one of ours: queries, keys and values, or gate and value."""
    yield from _fused(leaves, names, module)


def _fused(leaves, names, module, order: Callable | None = None) -> Iterable[Entry]:
    count = len(names)
    for leaf in leaves:
        kept = _biased(module, count) if leaf == "bias" else (True,) * count
        published = tuple(f"{name}.{TORCH[leaf]}" for name, has in zip(names, kept, strict=True) if has)
        yield Entry((leaf,), published, partial(_join, kept, order), partial(_split, kept, order))


def _biased(module: Any, count: int) -> tuple[bool, ...]:
    has = getattr(module, "qkv_bias", True) if count == 3 else True
    return has if isinstance(has, tuple) else (has,) * count


def _join(kept: tuple[bool, ...], order: Callable | None, arrays: Arrays) -> Arrays:
    """[out, in] each -> [in, sum of out]; a missing bias is zeros."""
    given = iter(arrays)
    parts = [next(given) if has else np.zeros_like(arrays[0]) for has in kept]
    if order is not None:
        parts = [order(part, False) if i < 2 else part for i, part in enumerate(parts)]
    return (np.concatenate(parts).T,)


def _split(kept: tuple[bool, ...], order: Callable | None, arrays: Arrays) -> Arrays:
    whole = arrays[0].T
    size = len(whole) // len(kept)
    parts = [whole[i * size : (i + 1) * size] for i in range(len(kept))]
    if order is not None:
        parts = [order(part, True) if i < 2 else part for i, part in enumerate(parts)]
    return tuple(part for part, has in zip(parts, kept, strict=True) if has)


def fused_neighbours(leaves: Leaves, names: tuple[str, ...], module: Any) -> Iterable[Entry]:
    """As `fused`, for a rotary embedding of neighbours (x0, x1): ours rotates halves, so features move."""
    yield from _fused(leaves, names, module, partial(_halves, module.heads))


def neighbours(leaves: Leaves, name: str, module: Any) -> Iterable[Entry]:
    """As `separate_biases`, for a rotary embedding of neighbouring features."""
    order = partial(_halves, module.heads)
    join, split = partial(_join, (True,) * 3, order), partial(_split, (True,) * 3, order)
    size = leaves["kernel"].shape[1] // 3

    def read(arrays):
        return join(tuple(arrays[0][i * size : (i + 1) * size] for i in range(3)))

    yield Entry(("kernel",), (f"{name}.qkv.weight",), read, lambda arrays: (np.concatenate(split(arrays)),))
    yield from _two_biases(leaves, name, order)


def _halves(heads: int, x: np.ndarray, back: bool) -> np.ndarray:
    """Features of each head from (x0, y0, x1, y1 ...) to (x0, x1 ..., y0, y1 ...), or back."""
    pairs = (2, -1) if back else (-1, 2)
    return x.reshape(heads, *pairs, *x.shape[1:]).swapaxes(1, 2).reshape(x.shape)


def separate_biases(leaves: Leaves, name: str, module: Any) -> Iterable[Entry]:
    """One matrix `qkv.weight`, and beside it `q_bias` and `v_bias` (BEiT)."""
    yield Entry(("kernel",), (f"{name}.qkv.weight",), *_kernel(2))
    yield from _two_biases(leaves, name)


def _two_biases(leaves: Leaves, name: str, order: Callable | None = None) -> Iterable[Entry]:
    """`q_bias` and `v_bias` as one bias of ours, which is zero for the keys."""
    if "bias" in leaves:
        kept, names = (True, False, True), (f"{name}.q_bias", f"{name}.v_bias")
        yield Entry(("bias",), names, partial(_join, kept, order), partial(_split, kept, order))


def attention_in(leaves: Leaves, name: str, module: Any) -> Iterable[Entry]:
    """`in_proj_weight` and `in_proj_bias` of torch's MultiheadAttention."""
    yield Entry(("kernel",), (f"{name}.in_proj_weight",), *_kernel(2))
    if "bias" in leaves:
        yield Entry(("bias",), (f"{name}.in_proj_bias",), *SAME)


def _apart(size: int, arrays: Arrays) -> Arrays:
    return arrays[0].T[:size], arrays[0].T[size:]


def query_apart(leaves: Leaves, names: tuple[str, str], module: Any) -> Iterable[Entry]:
    """One matrix of queries, and one of keys and values (timm's attention pooling)."""
    for leaf, spec in leaves.items():
        size = spec.shape[-1] // 3
        yield Entry(
            (leaf,),
            tuple(f"{name}.{TORCH[leaf]}" for name in names),
            lambda arrays: (np.concatenate(arrays).T,),
            partial(_apart, size),
        )


def table(axes: int) -> Layout:
    """Absolute positions [prefix + N, D] after axes of length 1, as our grid and positions of the prefix."""

    def layout(leaves: Leaves, name: str, module: Any) -> Iterable[Entry]:
        before, grid = (1,) * axes, leaves["table"].shape
        first = leaves["prefix"].shape[0] if "prefix" in leaves else 0

        def read(arrays):
            flat = arrays[0].reshape(-1, arrays[0].shape[-1])
            return (flat[first:].reshape(grid), flat[:first])[: len(leaves)]

        def write(arrays):
            flat = arrays[0].reshape(-1, grid[-1])
            flat = np.concatenate([arrays[1], flat]) if first else flat
            return (flat.reshape(before + flat.shape),)

        yield Entry(("table", "prefix")[: len(leaves)], (name,), read, write)

    return layout


def relative(leaves: Leaves, name: str, module: Any) -> Iterable[Entry]:
    """BEiT's tables [(2h - 1) (2w - 1) + 3, heads], one for all blocks or one each, side by side in ours."""
    names = tuple(name.format(i=i) for i in range(module.depth)) if "{i}" in name else (name,)
    order = tuple(name for name in ("table", "tables", "class", "classes") if name in leaves)
    grid = leaves[order[0]].shape
    count = grid[0] * grid[1]

    def read(arrays):
        whole = np.concatenate(arrays, axis=1)
        return (whole[:count].reshape(grid), whole[count:])[: len(order)]

    def write(arrays):
        whole = np.concatenate([array.reshape(-1, grid[-1]) for array in arrays])
        return tuple(np.split(whole, len(names), axis=1))

    yield Entry(order, names, read, write)


def shuffled(leaves: Leaves, name: str, module: Any) -> Iterable[Entry]:
    """A 1x1 convolution before PixelShuffle: its outputs (channel, row, column) as (row, column, channel)."""
    count = leaves["bias"].shape[0]
    side = round((count / 3) ** 0.5)
    order = np.arange(count).reshape(-1, side, side).transpose(1, 2, 0).reshape(-1)
    back = np.argsort(order)
    kernel = _one(lambda x: x[order, :, 0, 0].T, lambda x: x.T[back][:, :, None, None])
    yield Entry(("kernel",), (f"{name}.weight",), *kernel)
    yield Entry(("bias",), (f"{name}.bias",), *_one(lambda x: x[order], lambda x: x[back]))


def weight_norm(leaves: Leaves, name: str, module: Any) -> Iterable[Entry]:
    """A weight-normed linear layer: `weight_v` [out, in], `weight_g` [out, 1]."""
    yield Entry(("kernel",), (f"{name}.weight_v",), *_kernel(2))
    if "scale" in leaves:
        yield Entry(("scale",), (f"{name}.weight_g",), *_one(lambda x: x.reshape(-1), lambda x: x[:, None]))


def first_axis(leaves: Leaves, name: str, module: Any) -> Iterable[Entry]:
    """A published vector [D] that is [1, D] in our network."""
    yield Entry(("",), (name,), *_one(lambda x: x[None], lambda x: x[0]))


def token_pair(leaves: Leaves, names: tuple[str, ...], module: Any) -> Iterable[Entry]:
    """A class token [1, 1, D] and other tokens [1, n, D] as one array of ours."""

    def read(arrays):
        return (np.concatenate(arrays, axis=1)[0],)

    def write(arrays):
        return arrays[0][None, :1], arrays[0][None, 1:]

    yield Entry(("",), names, read, write)


def tubelets(leaves: Leaves, name: str, module: Any) -> Iterable[Entry]:
    """As `patches`, for three-dimensional convolutions over frames, rows and columns."""
    yield from _patches(leaves, name, (module.stem.keywords["tubelet"], module.patch, module.patch))


def separate_qkv(leaves: Leaves, name: str, module: Any) -> Iterable[Entry]:
    """`query`, `key` and `value` without bias, and beside them `q_bias` and `v_bias` (VideoMAE)."""
    names = tuple(f"{name}.{part}" for part in ("query", "key", "value"))
    yield from _fused({leaf: spec for leaf, spec in leaves.items() if leaf == "kernel"}, names, module)
    yield from _two_biases(leaves, name)
