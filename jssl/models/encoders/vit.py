"""The Vision Transformer, as DINO, MAE, iBOT, DINOv2, I-JEPA and related systems use it.  arXiv:2010.11929"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jssl.arrays.patches import check_images
from jssl.models.encoders.readouts import read_class, read_mean
from jssl.models.features import Features
from jssl.models.layers.attention import attend
from jssl.models.layers.convolution import Conv
from jssl.models.layers.dense import Dense
from jssl.models.layers.initializers import kernel_init, truncated_normal
from jssl.models.layers.norms import batch_norm, layer_norm
from jssl.models.layers.positions import Grid, LearnedPositions
from jssl.models.layers.transformer import Block, Mlp, Transformer, absent_bias
from jssl.models.network import network, of_variables


class PatchEmbed(nn.Module):
    """Cuts an image into patches and projects each: [B, H, W, C] -> [B, H/P, W/P, D].

    It is one matrix product over pixels in (row, column, channel) order, equal to a convolution of stride P.

    Args:
        patch: side of a patch in pixels.
        dim: width of a token.
        kernel_init: of the projection.
        use_bias: whether the projection has a bias; CLIP's has none.
        cut: whether pixels on the right and at the bottom that do not fill a patch are left out, as by a
            convolution; otherwise such images raise a ValueError.
    """

    patch: int
    dim: int
    kernel_init: Callable = kernel_init
    use_bias: bool = True
    cut: bool = False

    def grid(self, image_shape: tuple[int, ...]) -> Grid:
        """(rows, columns) of patches in images of shape (..., H, W, C)."""
        return image_shape[-3] // self.patch, image_shape[-2] // self.patch

    def check(self, images: jax.Array) -> None:
        """Raises a ValueError for images that cannot be cut into patches."""
        check_images(self._seen(images), self.patch, "patch", floats=True)

    def _seen(self, images: jax.Array) -> jax.Array:
        if not self.cut or images.ndim != 4:
            return images
        rows, columns = self.grid(images.shape)
        return images[:, : rows * self.patch, : columns * self.patch]

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool = False) -> jax.Array:
        (rows, columns), p = self.grid(images.shape), self.patch
        x = self._seen(images).reshape(-1, rows, p, columns, p, images.shape[-1]).swapaxes(2, 3)
        x = x.reshape(-1, rows, columns, p * p * images.shape[-1])
        return Dense(self.dim, use_bias=self.use_bias, kernel_init=self.kernel_init, name="proj")(x)


class ConvStem(nn.Module):
    """MoCo v3's alternative to patches of 16: four 3x3 convolutions of stride 2, then 1x1.
    arXiv:2106.14881
    """

    patch: int
    dim: int
    kernel_init: Callable = kernel_init

    def grid(self, image_shape: tuple[int, ...]) -> Grid:
        """(rows, columns) of patches in images of shape (..., H, W, C)."""
        return image_shape[-3] // self.patch, image_shape[-2] // self.patch

    def check(self, images: jax.Array) -> None:
        """Raises a ValueError for images that cannot be cut into patches."""
        check_images(images, self.patch, "patch", floats=True)

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool = False) -> jax.Array:
        x, halvings = images, self.patch.bit_length() - 1
        for i in range(halvings):
            width = self.dim // 2 ** (halvings - 1 - i)
            x = Conv(width, (3, 3), 2, padding=1, use_bias=False, name=f"conv{i}")(x)
            x = nn.relu(batch_norm(use_running_average=not train, name=f"bn{i}")(x))
        return Conv(self.dim, (1, 1), name="proj")(x)


class ViT(nn.Module):
    """Encodes images by a vision transformer: patch tokens, with positions added, pass through pre-norm
    blocks.

    Args:
        patch: side of a patch in pixels.
        dim: width of a token.
        depth: number of blocks.
        heads: of the attention.
        mlp_ratio: hidden width of the MLPs, as a multiple of `dim`.
        class_token: whether to put a learned token before the patches; 2 adds a distillation token after it.
        registers: number of further learned tokens, between the class token and the patches.
        positions: (grid, dim, prefix=) -> [prefix + N, dim], such as those in `jssl.models.layers.positions`;
            None adds none.
        rotary: (grid, dim / heads) -> angles [N, dim / heads] by which queries and keys of patch tokens are
            rotated.
        attention_bias: a module, (grid, heads, depth, prefix=) ->
            [(depth,) 1, heads, prefix + N, prefix + N].
        stem: a factory called with (patch, dim, kernel_init), such as `PatchEmbed`; its module has `check`
            for inputs, and `grid`.
        readout: (prefix tokens, patch tokens, norm factory) -> Features; None: the class token, or the mean
            of the patches without one.
        norm_input: whether to normalise the tokens before the first block (CLIP).
        layer_scale, mlp, norm, qkv_bias, attend, kernel_init: as `Block`.
        drop_path, scan, remat, start: as `Transformer`.
        token_init: initial values of class token, registers and mask token.
        mask_init: initial values of the mask token, if they differ from `token_init`.
    References:
        arXiv:2010.11929
    """

    patch: int
    dim: int
    depth: int
    heads: int
    mlp_ratio: float = 4.0
    class_token: bool | int = True
    registers: int = 0
    positions: Callable | None = LearnedPositions()
    rotary: Callable | None = None
    attention_bias: Callable | None = None
    stem: Callable[..., nn.Module] = PatchEmbed
    readout: Callable[..., Features] | None = None
    norm_input: bool = False
    layer_scale: float | None = None
    mlp: Callable[..., nn.Module] = Mlp
    norm: Callable[..., nn.Module] = layer_norm
    qkv_bias: bool | tuple[bool, bool, bool] = True
    attend: Callable = attend
    kernel_init: Callable = kernel_init
    drop_path: float | tuple[float, float] = 0.0
    scan: bool = False
    remat: Callable | None = None
    start: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    token_init: Callable = truncated_normal(0.02)
    mask_init: Callable | None = None

    def grid(self, image_shape: tuple[int, ...]) -> Grid:
        """(rows, columns) of the patch tokens of images of shape (..., H, W, C)."""
        return self._stem.grid(image_shape)

    @property
    def _stem(self) -> nn.Module:
        return self.stem(patch=self.patch, dim=self.dim, parent=None)

    @nn.compact
    def __call__(
        self,
        images: jax.Array,
        *,
        train: bool = False,
        mask: jax.Array | None = None,
        visible: jax.Array | None = None,
        present: jax.Array | None = None,
    ) -> Features:
        """Encodes images.

        Args:
            images: [B, H, W, C] floats, H and W multiples of the patch.
            train: whether the stem's norms use the batch's statistics.
            mask: [B, N] bool; True patches become the learned mask token before positions are added. The
                token becomes a parameter at the first call with a mask, so initialise with a mask if one will
                be used.
            visible: [B, n] int, row-major; only these patches go through the blocks, in this order, at their
                positions.
            present: [B, n] bool for the entries of `visible`; False marks padding, which no token attends to.
                None: all are real.
        Returns:
            Features(cls [B, D], tokens [B, N or n, D])
        Raises:
            ValueError: for a wrong rank, dtype or size.
        """
        self._stem.check(images)
        grid, classes = self.grid(images.shape), int(self.class_token)
        batch, count, prefix = images.shape[0], math.prod(grid), classes + self.registers
        _check_choice("mask", mask, (batch, count), jnp.bool_)
        _check_choice("visible", visible, (batch, None), jnp.integer)
        _check_choice("present", present, (batch, None if visible is None else visible.shape[1]), jnp.bool_)

        stem = self.stem(patch=self.patch, dim=self.dim, kernel_init=self.kernel_init, name="stem")
        x = stem(images, train=train).reshape(batch, count, self.dim)
        token = partial(self.param, init_fn=self.token_init)
        if mask is not None:
            hidden = self.param("mask_token", self.mask_init or self.token_init, (self.dim,))
            x = jnp.where(mask[..., None], hidden.astype(x.dtype), x)
        first = [token("class_token", shape=(classes, self.dim))] if classes else []
        if self.positions is not None:
            table = self.positions(grid, self.dim, prefix=classes).astype(x.dtype)
            first, x = [f + table[:classes] for f in first], x + table[classes:]
        if self.registers:
            first.append(token("registers", shape=(self.registers, self.dim)))
        x = x if visible is None else jnp.take_along_axis(x, visible[..., None], axis=1)
        x = jnp.concatenate(
            [jnp.broadcast_to(f.astype(x.dtype), (batch, *f.shape)) for f in first] + [x], axis=1
        )
        x = self.norm(name="norm_input")(x) if self.norm_input else x

        block = partial(
            Block, self.heads, self.mlp_ratio, self.mlp, self.norm, self.layer_scale, self.qkv_bias
        )
        block = partial(block, attend=self.attend, kernel_init=self.kernel_init)
        how = self.drop_path, self.scan, self.remat, self.start
        blocks = Transformer(self.depth, block, *how, name="blocks")
        bias = self._bias(grid, prefix, visible)
        if present is not None:
            absent = absent_bias(jnp.pad(present, ((0, 0), (prefix, 0)), constant_values=True))
            bias = absent if bias is None else bias + absent
        x = blocks(x, bias=bias, angles=self._angles(grid, prefix, visible))
        readout = self.readout or (read_class if self.class_token else read_mean)
        return readout(x[:, :prefix], x[:, prefix:], self.norm)

    def _angles(self, grid: Grid, prefix: int, visible: jax.Array | None) -> jax.Array | None:
        if self.rotary is None:
            return None
        angles = self.rotary(grid, self.dim // self.heads)
        angles = angles if visible is None else angles[visible]
        return jnp.pad(angles, [(0, 0)] * (angles.ndim - 2) + [(prefix, 0), (0, 0)])

    def _bias(self, grid: Grid, prefix: int, visible: jax.Array | None) -> jax.Array | None:
        if self.attention_bias is None:
            return None
        bias = self.attention_bias(grid, self.heads, self.depth, prefix=prefix)
        if visible is None:
            return bias
        index = jnp.concatenate([jnp.tile(jnp.arange(prefix), (len(visible), 1)), prefix + visible], axis=1)
        rows = jnp.moveaxis(bias[..., 0, :, :, :], -3, 0)  # [heads, (depth,) M, M]
        chosen = jax.vmap(lambda i: rows[..., i, :][..., i])(index)  # [B, heads, (depth,) n, n]
        return jnp.moveaxis(chosen, 2, 0) if bias.ndim == 5 else chosen


def cls_attention(module: nn.Module, variables: Any, images: jax.Array) -> jax.Array:
    """Computes the attention of the class token in the last block, a row of the softmax.

    Args:
        module: a `ViT`.
        variables: {"params": ...}.
        images: [B, H, W, C] floats.
    Returns:
        [B, heads, N], patches only.
    Raises:
        ValueError: for an encoder without a class token.
    """
    if not module.class_token:
        raise ValueError("cls_attention needs an encoder with a class token; this one has class_token=False")
    features, _ = network(module).apply(*of_variables(variables), images, collect=("attention",))
    return attended_patches(module, features.inner["attention"])


def attended_patches(module: Any, attention: Any) -> jax.Array:
    """Selects the attention of the class token to patches in the last block.

    Args:
        module: a `ViT` with a class token.
        attention: the collected rows of the blocks' softmax, each [B, heads, tokens].
    Returns:
        [B, heads, N]
    """
    return attention[-1][..., int(module.class_token) + module.registers :]


def last_class_tokens(module: ViT, variables: Any, images: jax.Array, *, blocks: int = 4) -> jax.Array:
    """Computes the class tokens of the last blocks, each after the final norm, as DINO's and iBOT's linear
    probes use them.

    Args:
        module: a `ViT` with a class token.
        variables: {"params": ...}.
        images: [B, H, W, C] floats.
        blocks: how many of the last blocks, at most all.
    Returns:
        [B, blocks * D], with the last block's token last.
    Raises:
        ValueError: for an encoder without a class token.
    References:
        arXiv:2104.14294; facebookresearch/dino, eval_linear.py, `--n_last_blocks 4`
    """
    if not module.class_token:
        raise ValueError(
            "last_class_tokens needs an encoder with a class token; this one has class_token=False"
        )
    features, _ = network(module).apply(*of_variables(variables), images, collect=("blocks",))
    return normed_class_tokens(module, variables, features, blocks=blocks)


def normed_class_tokens(module: ViT, variables: Any, features: Features, *, blocks: int = 4) -> jax.Array:
    """Selects the class tokens of the last blocks from collected features, each after the final norm.

    Args:
        module, variables, blocks: as in `last_class_tokens`.
        features: of the network's `apply` with `collect=("blocks",)`.
    Returns:
        As `last_class_tokens`.
    """
    assert features.inner is not None  # what was collected
    tokens = [x[:, 0] for x in features.inner["blocks"][-blocks:]]
    params = variables["params"]
    norm = {"params": params.get("norm_class", params["norm"])}  # the class token may have its own
    normed: list[Any] = [module.norm(name=None).apply(norm, x) for x in tokens]
    return jnp.concatenate(normed, axis=-1)


def _check_choice(name: str, value: jax.Array | None, shape: tuple, dtype: Any) -> None:
    if value is None:
        return
    fits = value.ndim == 2 and all(want in (None, got) for want, got in zip(shape, value.shape, strict=True))
    if not fits or not jnp.issubdtype(value.dtype, dtype):
        want = "bool [B, N]" if dtype is jnp.bool_ else "int [B, n]"
        raise ValueError(f"{name} must be {want} with (B, N) = {shape}, got {value.dtype} {value.shape}")
