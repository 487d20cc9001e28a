"""Attention: softmax(q k^T / sqrt(d) + bias) v, by the fastest implementation on the platform."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType

FUSED = (jnp.bfloat16, jnp.float16)  # dtypes that cuDNN's kernel takes
WIDEST = 128  # the most features of a head, which must be a multiple of 8
OLDEST = 8.0  # the least compute capability: Ampere


def attend(
    query: jax.Array, key: jax.Array, value: jax.Array, *, bias: jax.Array | None = None, by: str = "auto"
) -> jax.Array:
    """Computes attention by cuDNN's fused kernel or by XLA; the results are equal within rounding.

    The fused kernel keeps no logits in memory. It takes bfloat16 and float16 without a bias, heads of up to
    128 features, a multiple of 8, and any number of tokens; everything else is computed by XLA. The fused
    kernel's gradients are not reproducible to the last bit.

    Args:
        query: [B, M, heads, d].
        key, value: [B, N, heads, d].
        bias: [1 or B, 1 or heads, M, N], added to the logits.
        by: "auto" uses the fused kernel on NVIDIA GPUs that have it, which is decided while tracing; "xla"
            never uses it; "cudnn" uses it for any platform, such as for a program that is compiled on a
            machine without a GPU.
    Returns:
        [B, M, heads, d]
    Raises:
        ValueError: for another `by`.
        RuntimeError: with "cudnn", where JAX finds no cuDNN.
    """
    if by not in ("auto", "xla", "cudnn"):
        raise ValueError(f"by must be auto, xla or cudnn, got {by!r}")
    wanted = by == "cudnn" or (by == "auto" and has_fused_attention())
    if wanted and bias is None and _fits(query):
        return _fused(query, key, value)
    return jax.nn.dot_product_attention(query, key, value, bias=bias, implementation="xla")


def has_fused_attention() -> bool:
    """Tells whether the default device is an NVIDIA GPU on which cuDNN's attention runs."""
    if jax.default_backend() != "gpu":
        return False
    device = jax.local_devices()[0]
    if "cuda" not in device.client.platform_version or float(device.compute_capability) < OLDEST:
        return False
    try:
        jax.eval_shape(
            lambda x: jax.nn.dot_product_attention(x, x, x, implementation="cudnn"),
            jax.ShapeDtypeStruct((1, 8, 1, 8), jnp.bfloat16),
        )
    except RuntimeError:  # JAX finds no cuDNN
        return False
    return True


def _fused(query: jax.Array, key: jax.Array, value: jax.Array) -> jax.Array:
    """Computes attention by cuDNN's kernel. JAX has its gradient only for even numbers of tokens, so an odd
    number gets one token of padding, which the sequence lengths exclude.
    """
    left_out: dict[str, Any] = {}
    if query.shape[1] % 2 or key.shape[1] % 2:
        lengths = (jnp.full(len(x), x.shape[1], jnp.int32) for x in (query, key))
        left_out = dict(zip(("query_seq_lengths", "key_value_seq_lengths"), lengths, strict=True))
    even = (jnp.pad(x, ((0, 0), (0, x.shape[1] % 2), (0, 0), (0, 0))) for x in (query, key, value))
    x = jax.nn.dot_product_attention(*even, **left_out, implementation="cudnn")
    return x[:, : query.shape[1]]


def _fits(query: jax.Array) -> bool:
    width = query.shape[-1]
    explicit = AxisType.Explicit in jax.typeof(query).sharding.mesh.axis_types  # without rules in the kernel
    return query.dtype in FUSED and width <= WIDEST and width % 8 == 0 and not explicit
