"""Pre-norm transformer blocks, and the stack of blocks that all transformers of the library use."""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jssl.arrays.stacks import STACKED, stack_blocks
from jssl.models.layers.attention import attend
from jssl.models.layers.dense import Dense, product_of_rows
from jssl.models.layers.initializers import kernel_init
from jssl.models.layers.norms import layer_norm

gelu = partial(jax.nn.gelu, approximate=False)  # the exact form of the published models


class Attention(nn.Module):
    """Computes multi-head self-attention: softmax(q k^T / sqrt(d) + bias) v, with q, k and v from one linear
    layer.

    Args:
        heads: the number of heads, which divides the width D.
        qkv_bias: whether that layer has a bias: one bool, or one each for queries, keys and values; BEiT and
            DINOv3 have none for keys.
        attend: (q, k, v, bias=) of [B, N, heads, d] -> [B, N, heads, d], such as `partial(attend,
            by="xla")`.
        kernel_init: initial kernels of both linear layers.
        sown: the name under which the first token's row of the softmax is sown, [B, heads, N]; None: it is
            not sown.
    """

    heads: int
    qkv_bias: bool | tuple[bool, bool, bool] = True
    attend: Callable = attend
    kernel_init: Callable = kernel_init
    sown: str | None = "attention"

    @nn.compact
    def __call__(
        self, x: jax.Array, *, bias: jax.Array | None = None, angles: jax.Array | None = None
    ) -> jax.Array:
        """Computes the attention.

        Args:
            x: [B, N, D].
            bias: [1 or B, heads, N, N], added to the logits.
            angles: [(B,) N, d], of rotary positions.
        Returns:
            [B, N, D]
        """
        batch, length, dim = x.shape
        if dim % self.heads:
            raise ValueError(f"heads={self.heads} must divide the width {dim}")
        if isinstance(self.qkv_bias, tuple):
            qkv = PartlyBiased(3 * dim, self.qkv_bias, self.kernel_init, name="qkv")(x)
        else:
            qkv = Dense(3 * dim, use_bias=self.qkv_bias, kernel_init=self.kernel_init, name="qkv")(x)
        query, key, value = (
            part.reshape(batch, length, self.heads, -1) for part in jnp.split(qkv, 3, axis=-1)
        )
        if angles is not None:
            query, key = rotate(query, angles), rotate(key, angles)
        if bias is not None:
            bias = jnp.broadcast_to(bias, (*bias.shape[:2], length, length))
        if self.sown and self.is_mutable_collection("intermediates"):
            row = None if bias is None else bias[:, :, :1]
            self.sow("intermediates", self.sown, attention_weights(query[:, :1], key, row)[:, :, 0])
        x = self.attend(query, key, value, bias=bias).reshape(batch, length, dim)
        return Dense(dim, kernel_init=self.kernel_init, name="proj")(x)


class PartlyBiased(nn.Module):
    """A linear layer whose outputs are divided into equal parts, some with a bias; `bias` has no effect on
    the other parts.
    """

    features: int
    biased: tuple[bool, ...]
    kernel_init: Callable = kernel_init

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = self.param("kernel", self.kernel_init, (x.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        bias = jnp.where(jnp.repeat(jnp.array(self.biased), self.features // len(self.biased)), bias, 0)
        return product_of_rows(x, kernel.astype(x.dtype)) + bias.astype(x.dtype)


def attention_weights(query: jax.Array, key: jax.Array, bias: jax.Array | None = None) -> jax.Array:
    """Computes softmax(q k^T / sqrt(d) + bias) in float32.

    Args:
        query: [B, M, heads, d].
        key: [B, N, heads, d].
        bias: [1 or B, 1 or heads, M, N].
    Returns:
        [B, heads, M, N]
    """
    logits = (
        jnp.einsum("bmhd,bnhd->bhmn", query, key, preferred_element_type=jnp.float32) / query.shape[-1] ** 0.5
    )
    return jax.nn.softmax(logits if bias is None else logits + bias)


def absent_bias(present: jax.Array) -> jax.Array:
    """Makes the bias by which no token attends to padding: [B, N] bool -> [B, 1, 1, N], 0 where present, -inf
    where not.
    """
    return jnp.where(present, 0.0, -jnp.inf).astype(jnp.float32)[:, None, None, :]


def quick_gelu(x: jax.Array) -> jax.Array:
    """Computes x * sigmoid(1.702 x), the activation of OpenAI's CLIP."""
    return x * jax.nn.sigmoid(1.702 * x)


def rotate(x: jax.Array, angles: jax.Array) -> jax.Array:
    """Rotates every pair (x_k, x_{k + d/2}) by its angle (rotary positions).

    Args:
        x: [B, N, heads, d].
        angles: [(B,) N, d], both halves equal; zero leaves a token as it is.
    Returns:
        [B, N, heads, d]
    References:
        arXiv:2104.09864
    """
    angles = angles.astype(jnp.float32)[..., None, :]
    first, second = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    turned = x * jnp.cos(angles) + jnp.concatenate([-second, first], axis=-1) * jnp.sin(angles)
    return turned.astype(x.dtype)


class Mlp(nn.Module):
    """Two linear layers with an activation between.

    Args:
        hidden: width between them.
        activation: such as `gelu`, or CLIP's `quick_gelu`.
        kernel_init: of both kernels.
    """

    hidden: int
    activation: Callable = gelu
    kernel_init: Callable = kernel_init

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        dim = x.shape[-1]
        x = self.activation(Dense(self.hidden, kernel_init=self.kernel_init, name="fc1")(x))
        return Dense(dim, kernel_init=self.kernel_init, name="fc2")(x)


class SwiGlu(nn.Module):
    """A gated MLP: w3(silu(gate) * value), with gate and value from one matrix.  arXiv:2002.05202

    Args:
        hidden: width of gate and value.
        activation: of the gate.
        norm: a factory of a norm between product and w3 (EVA-02), such as `layer_norm`.
        kernel_init: of both kernels.
    """

    hidden: int
    activation: Callable = jax.nn.silu
    norm: Callable | None = None
    kernel_init: Callable = kernel_init

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        dim = x.shape[-1]
        gate, value = jnp.split(
            Dense(2 * self.hidden, kernel_init=self.kernel_init, name="w12")(x), 2, axis=-1
        )
        x = self.activation(gate) * value
        x = x if self.norm is None else self.norm(name="norm")(x)
        return Dense(dim, kernel_init=self.kernel_init, name="w3")(x)


class Block(nn.Module):
    """Computes x + scale * attention(norm(x)), then x + scale * mlp(norm(x)).

    The output, [B, N, D], is sown as "blocks".

    Args:
        heads: of the attention.
        mlp_ratio: the mlp's hidden width, as a multiple of D.
        mlp: a factory, `mlp(hidden=..., kernel_init=..., name=...)`, such as `Mlp`.
        norm: a factory, `norm(name=...)`, such as `layer_norm`; another epsilon is
            `partial(layer_norm, epsilon=1e-5)`.
        layer_scale: the initial value of a learned factor on each branch; None: no factor.
        qkv_bias, attend: as `Attention`.
        kernel_init: of all kernels.
    """

    heads: int
    mlp_ratio: float = 4.0
    mlp: Callable = Mlp
    norm: Callable = layer_norm
    layer_scale: float | None = None
    qkv_bias: bool | tuple[bool, bool, bool] = True
    attend: Callable = attend
    kernel_init: Callable = kernel_init

    @nn.compact
    def __call__(self, x, *, bias=None, angles=None, keep=None) -> jax.Array:
        """Applies the block.

        Args:
            x: [B, N, D].
            bias, angles: as `Attention`.
            keep: [2, B], the factor of each branch for each sample (stochastic depth).
        Returns:
            [B, N, D]
        """
        dim = x.shape[-1]

        def branch(index, y):
            if self.layer_scale is not None:
                y = y * self.param(f"scale{index}", nn.initializers.constant(self.layer_scale), (dim,))
            return y if keep is None else y * keep[index - 1, :, None, None].astype(y.dtype)

        attention = Attention(self.heads, self.qkv_bias, self.attend, self.kernel_init, name="attn")
        x = x + branch(1, attention(self.norm(name="norm1")(x), bias=bias, angles=angles))
        hidden = round(dim * self.mlp_ratio)
        x = x + branch(
            2, self.mlp(hidden=hidden, kernel_init=self.kernel_init, name="mlp")(self.norm(name="norm2")(x))
        )
        self.sow("intermediates", "blocks", x)
        return x


class Transformer(nn.Module):
    """A sequence of blocks, unrolled or scanned: both have the same initial values and results.

    Every block sows "blocks" and, in its attention, "attention". In both forms these values are found under
    block_0, block_1, ...

    Args:
        depth: how many blocks.
        block: a factory, `block(name=...)`.
        drop_path: the last block's rate of stochastic depth, rising from 0 in the first block, or the rates
            of the first and of the last block. It acts when an rng "dropout" is given.
        scan: compile one block instead of all; the parameters are kept stacked, as `jssl.arrays.stacks` says.
        remat: a policy of `jax.checkpoint_policies`; the backward pass recomputes what the policy does not
            save. None saves everything.
        start: a function of the initial parameters, {"block_0": ..., "block_1": ...}, that returns changed
            ones, such as `depth_scaled`; None: no change.
    """

    depth: int
    block: Callable[..., nn.Module]
    drop_path: float | tuple[float, float] = 0.0
    scan: bool = False
    remat: Callable | None = None
    start: Callable[[dict[str, Any]], dict[str, Any]] | None = None

    @nn.compact
    def __call__(
        self, x: jax.Array, *, bias: jax.Array | None = None, angles: jax.Array | None = None
    ) -> jax.Array:
        """Applies the blocks in turn.

        Args:
            x: [B, N, D].
            bias: [1 or B, heads, N, N] for all blocks, or [depth, 1 or B, heads, N, N].
            angles: [(B,) N, d], of rotary positions.
        Returns:
            [B, N, D]
        """
        per_block, shared = {}, {"angles": angles}
        (per_block if bias is not None and bias.ndim == 5 else shared)["bias"] = bias
        if self.drop_path and self.has_rng("dropout"):
            per_block["keep"] = path_factors(self.make_rng("dropout"), self.drop_path, self.depth, x.shape[0])
        if self.is_initializing() and (self.scan or self.start):
            initialised = nn.map_variables(
                Transformer._unrolled, "params", trans_out_fn=self._started, mutable=True
            )
            return initialised(self, x, per_block, shared)
        return (self._scanned if self.scan else self._unrolled)(x, per_block, shared)

    def _started(self, params: dict[str, Any]) -> dict[str, Any]:
        """The initial parameters in the form in which they are kept. Flax passes them in a collection."""
        if self.start is not None:
            params = {name: self.start(blocks) for name, blocks in params.items()}
        return stack_blocks(params) if self.scan else params

    def _unrolled(self, x: jax.Array, per_block: dict[str, jax.Array], shared: dict[str, Any]) -> jax.Array:
        call = _call if self.remat is None else nn.remat(_call, policy=self.remat)
        for i in range(self.depth):
            own = {name: value[i] for name, value in per_block.items()}
            x = call(self.block(name=f"block_{i}"), x, own | shared)
        return x

    def _scanned(self, x: jax.Array, per_block: dict[str, jax.Array], shared: dict[str, Any]) -> jax.Array:
        block = self.block(parent=None)
        mutable = [name for name in ("intermediates",) if self.is_mutable_collection(name)]

        def body(x, layer):
            params, own = layer
            return block.apply({"params": params}, x, **own, **shared, mutable=mutable)

        if self.remat is not None:
            body = jax.checkpoint(body, policy=self.remat, prevent_cse=False)
        x, sown = jax.lax.scan(body, x, (self.variables["params"][STACKED], per_block))
        for name in mutable:
            for i in range(self.depth):
                self.put_variable(name, f"block_{i}", jax.tree.map(lambda leaf, i=i: leaf[i], sown[name]))
        return x


def _call(block: nn.Module, x: jax.Array, arguments: dict[str, Any]) -> jax.Array:
    return block(x, **arguments)


def path_factors(key: jax.Array, rate: float | tuple[float, float], depth: int, batch: int) -> jax.Array:
    """Draws the factors of stochastic depth: 0 for a dropped branch, 1 / (1 - rate) for a kept one.

    Args:
        key: of the draw.
        rate: the rate of dropping in the last block, rising linearly from 0 in the first; or the rates of the
            first and of the last block. DINOv2 has the same rate in all.
        depth: blocks.
        batch: samples.
    Returns:
        [depth, 2, batch], one factor for each of a block's two branches and each sample.
    Raises:
        ValueError: for a rate that is not in [0, 1).
    References:
        arXiv:1603.09382
    """
    first, last = rate if isinstance(rate, tuple) else (0.0, rate)
    if not (0 <= first < 1 and 0 <= last < 1):
        raise ValueError(f"drop_path must lie in [0, 1), got {rate}")
    keep = 1.0 - jnp.linspace(first, last, depth)[:, None, None]
    return jax.random.bernoulli(key, keep, (depth, 2, batch)) / keep
