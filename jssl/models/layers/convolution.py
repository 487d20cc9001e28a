"""Convolutions whose gradients are as fast inside a loop as outside it, and max-pooling by slices."""

from functools import partial
from itertools import product

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import AxisType

Sizes = tuple[int, ...]  # one number per spatial axis
Padding = tuple[tuple[int, int], ...]  # (before, after) per spatial axis


def convolution(
    x: jax.Array,
    kernel: jax.Array,
    strides: Sizes,
    padding: str | Padding,
    *,
    lhs_dilation: Sizes | None = None,
    rhs_dilation: Sizes | None = None,
    dimension_numbers: lax.ConvDimensionNumbers | None = None,
    feature_group_count: int = 1,
    precision: lax.PrecisionLike = None,
) -> jax.Array:
    """Convolves as `jax.lax.conv_general_dilated` does, with gradients that XLA's CPU backend runs well.

    XLA transposes a convolution with an unusual order of axes into the order of its fast kernel only at the
    top level of a program. Inside a loop (accumulated parts of a batch, several steps in one call) a gradient
    as jax writes it is some sixty times slower. So on a CPU the gradients here are convolutions in the plain
    order of axes; outside of loops they give the same bits at the same speed. Other platforms use jax's own
    gradients. Dilated and grouped convolutions, and those over a mesh with explicit axes, use jax's own
    everywhere.

    Args:
        x: [B, ..., C], one or more spatial axes.
        kernel: [..., C, D], as many spatial axes.
        strides: one per spatial axis.
        padding: "SAME", "VALID" or (before, after) per spatial axis.
        lhs_dilation, rhs_dilation, dimension_numbers, feature_group_count, precision: as
            `conv_general_dilated`.
    Returns:
        [B, ..., D]
    """
    spatial = kernel.ndim - 2
    ones, last = (1,) * spatial, _channels_last(spatial)
    dilated = {lhs_dilation or ones, rhs_dilation or ones} != {ones}
    explicit = AxisType.Explicit in jax.typeof(x).sharding.mesh.axis_types
    if dilated or explicit or feature_group_count != 1 or dimension_numbers not in (None, last):
        return lax.conv_general_dilated(
            x,
            kernel,
            strides,
            padding,
            lhs_dilation,
            rhs_dilation,
            dimension_numbers or last,
            feature_group_count,
            precision=precision,
        )
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(x.shape[1:-1], kernel.shape[:-2], strides, padding)
    return _convolve(x, kernel, tuple(strides), tuple(map(tuple, padding)), precision)


Conv = partial(nn.Conv, conv_general_dilated=convolution)


def _channels_last(spatial: int) -> lax.ConvDimensionNumbers:
    data = (0, spatial + 1, *range(1, spatial + 1))
    return lax.ConvDimensionNumbers(data, (spatial + 1, spatial, *range(spatial)), data)


def _plain(x, kernel, strides, padding, precision, **dilation):
    numbers = _channels_last(kernel.ndim - 2)
    return lax.conv_general_dilated(
        x, kernel, strides, padding, dimension_numbers=numbers, precision=precision, **dilation
    )


_convolve = jax.custom_vjp(_plain, nondiff_argnums=(2, 3, 4))


def _forward(x, kernel, strides, padding, precision):
    return _plain(x, kernel, strides, padding, precision), (x, kernel)


def _backward(strides, padding, precision, saved, gradient):
    def of_jax(x, kernel, gradient):
        return jax.vjp(lambda x, kernel: _plain(x, kernel, strides, padding, precision), x, kernel)[1](
            gradient
        )

    def in_plain_order(x, kernel, gradient):
        return (
            _input_gradient(x.shape[1:-1], kernel, gradient, strides, padding, precision),
            _kernel_gradient(x, kernel.shape[:-2], gradient, strides, padding, precision),
        )

    return lax.platform_dependent(*saved, gradient, cpu=in_plain_order, default=of_jax)


_convolve.defvjp(_forward, _backward)


def _input_gradient(shape, kernel, gradient, strides, padding, precision):
    """Convolves the output's gradient, with zeros inserted for the strides, with the flipped kernel."""
    pads = []
    for size, taps, out, stride, (before, _) in zip(
        shape, kernel.shape, gradient.shape[1:], strides, padding, strict=False
    ):
        first = taps - 1 - before
        pads.append((first, size + taps - 1 - ((out - 1) * stride + 1) - first))
    turned = jnp.flip(kernel, range(kernel.ndim - 2)).swapaxes(-1, -2)
    return _plain(gradient, turned, (1,) * len(pads), tuple(pads), precision, lhs_dilation=strides)


def _kernel_gradient(x, taps, gradient, strides, padding, precision):
    """Convolves the inputs with the output's gradient, with the batch and the channels exchanged."""
    pads = []
    for size, n, out, stride, (before, _) in zip(
        x.shape[1:], taps, gradient.shape[1:], strides, padding, strict=False
    ):
        pads.append((before, (out - 1) * stride + n - size - before))
    x, gradient = jnp.swapaxes(x, 0, -1), jnp.moveaxis(gradient, 0, -2)
    result = _plain(x, gradient, (1,) * len(pads), tuple(pads), precision, rhs_dilation=strides)
    return jnp.moveaxis(result, 0, -2)


def max_pool(x: jax.Array, window: Sizes, strides: Sizes, padding: str | Padding = "VALID") -> jax.Array:
    """Takes the largest value of each window, as `flax.linen.max_pool` does, with a gradient computed from
    slices.

    XLA's own gradient scatters window by window, which moves several times as many bytes. With both, the
    first of equal values gets the gradient of a window.

    Args:
        x: [B, ..., C] floats, one or more spatial axes.
        window: size per spatial axis.
        strides: one per spatial axis.
        padding: "SAME", "VALID" or (before, after) per spatial axis.
    Returns:
        [B, ..., C]
    """
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(x.shape[1:-1], window, strides, padding)
    return _max_pool(x, tuple(window), tuple(strides), tuple(map(tuple, padding)))


@partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def _max_pool(x, window, strides, padding):
    pads = ((0, 0), *padding, (0, 0))
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, *window, 1), (1, *strides, 1), pads)


def _max_pool_forward(x, window, strides, padding):
    y = _max_pool(x, window, strides, padding)
    return y, (x, y)


def _max_pool_backward(window, strides, padding, saved, gradient):
    x, y = saved
    lowest, zero = jnp.array(-jnp.inf, x.dtype), jnp.zeros((), gradient.dtype)
    free, total = jnp.ones(y.shape, bool), jnp.zeros(x.shape, gradient.dtype)
    for place in product(*map(range, window)):
        # the values at this place of all windows: from `first` on, one every stride
        cut, back = [(0, 0, 0)], [(0, 0, 0)]
        for size, out, first, stride, (before, _) in zip(
            x.shape[1:-1], y.shape[1:-1], place, strides, padding, strict=True
        ):
            first, span = first - before, (out - 1) * stride + 1
            cut.append((-first, first + span - size, 0))
            back.append((first, size - first - span, stride - 1))
        values = lax.pad(x, lowest, [*cut, (0, 0, 0)])
        values = lax.slice(values, (0,) * x.ndim, values.shape, (1, *strides, 1))
        taken = free & (values == y)
        free = free & ~taken
        total = total + lax.pad(jnp.where(taken, gradient, zero), zero, [*back, (0, 0, 0)])
    return (total,)


_max_pool.defvjp(_max_pool_forward, _max_pool_backward)
