"""Norms with the settings of the published models."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp


class BatchNorm(nn.BatchNorm):
    """Normalises by the batch's statistics as Flax's module does, with a gradient that moves fewer bytes.

    The gradient that jax derives for Flax's module reads the data several times. Here one pass computes the
    sums for statistics, scale and bias, and a second pass the gradient of the inputs. Statistics are float32
    for inputs of any dtype. Calls with a mask, another feature axis, a named device axis or other options use
    Flax's own code. Like any custom gradient, it supports reverse mode only: `jax.jvp` raises an error.
    """

    def __call__(self, x, use_running_average=None, *, mask=None):
        """Normalises over all axes but the last one.

        Args:
            x: [..., C].
            use_running_average: whether to normalise by the running statistics; a setting of the module or
                an argument.
            mask: as for `flax.linen.BatchNorm`.
        Returns:
            [..., C]
        """
        running = nn.merge_param("use_running_average", self.use_running_average, use_running_average)
        ways = self.axis, self.dtype, self.axis_name, self.use_fast_variance, self.force_float32_reductions
        usual = mask is None and ways == (-1, None, None, True, True)
        if running or self.is_initializing() or not usual:
            return super().__call__(x, use_running_average, mask=mask)
        scale, bias = (self.get_variable("params", name) for name in ("scale", "bias"))
        y, *batch = _normalized(x, scale, bias, self.epsilon)
        for name, value in zip(("mean", "var"), batch, strict=True):
            moved = self.momentum * self.get_variable("batch_stats", name) + (1 - self.momentum) * value
            self.put_variable("batch_stats", name, moved)
        return y


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def _normalized(x, scale, bias, epsilon):
    """[..., C] -> the same normalised; mean and variance [C]. Scale and bias [C] may be None."""
    axes, wide = tuple(range(x.ndim - 1)), _wide(x)
    mean, square = wide.mean(axes), jax.lax.square(wide).mean(axes)
    variance = jnp.maximum(0, square - jax.lax.square(mean))
    gain = jax.lax.rsqrt(variance + epsilon) * (1 if scale is None else scale)
    y = (wide - mean) * gain + (0 if bias is None else bias)
    return y.astype(jnp.result_type(*(a for a in (x, scale, bias) if a is not None))), mean, variance


def _normalized_forward(x, scale, bias, epsilon):
    results = _normalized(x, scale, bias, epsilon)
    return results, (x, scale, bias, *results[1:])


def _normalized_backward(epsilon, saved, slopes):
    x, scale, bias, mean, variance = saved
    slope, of_mean, of_variance = slopes
    axes, count = tuple(range(x.ndim - 1)), x.size // x.shape[-1]
    centred, slope = _wide(x) - mean, _wide(slope)
    total, along = slope.sum(axes), (slope * centred).sum(axes)  # one pass for both sums
    deviation = jax.lax.rsqrt(variance + epsilon)
    gain = deviation * (1 if scale is None else scale)
    # the gradient of the inputs is linear in them and in the output's gradient: gain * slope + tilt * centred
    # + shift
    shift = (of_mean - gain * total) / count
    tilt = jnp.where(variance > 0, (2 * of_variance - gain * deviation**2 * along) / count, 0)
    of_x = gain * slope + tilt * centred + shift
    of_scale = None if scale is None else (deviation * along).astype(scale.dtype)
    of_bias = None if bias is None else total.astype(bias.dtype)
    return of_x.astype(x.dtype), of_scale, of_bias


_normalized.defvjp(_normalized_forward, _normalized_backward)


def _wide(x):
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


batch_norm = partial(BatchNorm, momentum=0.9, epsilon=1e-5)
layer_norm = partial(nn.LayerNorm, epsilon=1e-6, use_fast_variance=False)


def sample_norm(*, use_running_average: bool | None = None, **settings) -> nn.GroupNorm:
    """Makes a norm over the whole map of each sample, in place of batch norm.

    Args:
        use_running_average: unused; networks pass it to batch norm.
        settings: of `flax.linen.GroupNorm`, such as scale_init or name.
    Returns:
        A module.
    """
    return nn.GroupNorm(num_groups=1, epsilon=1e-5, **settings)
