"""Residual networks with torch's padding, so that published weights fit.  arXiv:1512.03385"""

from collections.abc import Callable, Sequence
from functools import partial

import flax.linen as nn
import jax

from jssl.models.features import Features
from jssl.models.layers.convolution import Conv, max_pool
from jssl.models.layers.initializers import fan_out
from jssl.models.layers.norms import batch_norm


def torch_padding(kernel: int) -> list[tuple[int, int]]:
    """Computes torch's padding: the same on both sides, for any stride. "SAME" may pad a strided convolution
    on one side only.

    Args:
        kernel: the kernel's side.
    Returns:
        (before, after) per axis.
    """
    return [(kernel // 2, kernel // 2)] * 2


def same_padding(kernel: int) -> str:
    """Selects TensorFlow's padding, for any side of the kernel."""
    return "SAME"


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut; the first one strides."""

    width: int
    stride: int
    norm: Callable = batch_norm
    padding: Callable = torch_padding
    last_scale: Callable = nn.initializers.ones

    expansion = 1

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        conv, norm = _layers(self, train)
        y = nn.relu(norm(name="bn1")(conv(self.width, 3, self.stride, name="conv1")(x)))
        y = norm(scale_init=self.last_scale, name="bn2")(conv(self.width, 3, name="conv2")(y))
        return nn.relu(y + _shortcut(x, y.shape[-1], self.stride, conv, norm))


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions around a shortcut; the 3x3 one strides (v1.5).

    Args:
        width: channels inside.
        stride, norm, padding, last_scale: as `ResNet` sets them.
        expansion: the number of output channels, as a multiple of the channels inside.
        groups: of the 3x3 convolution (ResNeXt, arXiv:1611.05431).
    """

    width: int
    stride: int
    norm: Callable = batch_norm
    padding: Callable = torch_padding
    last_scale: Callable = nn.initializers.ones
    expansion: int = 4
    groups: int = 1

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        conv, norm = _layers(self, train)
        y = nn.relu(norm(name="bn1")(conv(self.width, 1, name="conv1")(x)))
        y = nn.relu(norm(name="bn2")(conv(self.width, 3, self.stride, self.groups, name="conv2")(y)))
        y = norm(scale_init=self.last_scale, name="bn3")(
            conv(self.width * self.expansion, 1, name="conv3")(y)
        )
        return nn.relu(y + _shortcut(x, y.shape[-1], self.stride, conv, norm))


def _layers(module: nn.Module, train: bool) -> tuple[Callable, Callable]:
    """The factories of a block: conv(width, kernel, stride=1, groups=1, name=...) and norm(name=...)."""

    def conv(width, kernel, stride=1, groups=1, *, name):
        how = dict(feature_group_count=groups, use_bias=False, kernel_init=fan_out)
        return Conv(width, (kernel, kernel), stride, module.padding(kernel), name=name, **how)

    return conv, partial(module.norm, use_running_average=not train)


def _shortcut(x: jax.Array, width: int, stride: int, conv: Callable, norm: Callable) -> jax.Array:
    if stride == 1 and x.shape[-1] == width:
        return x
    return norm(name="downsample_bn")(conv(width, 1, stride, name="downsample_conv")(x))


def imagenet_stem(x: jax.Array, width: int, conv: Callable, norm: Callable, padding: Callable) -> jax.Array:
    """Applies a 7x7 convolution of stride 2, then max-pooling of stride 2, which leaves a quarter of the
    resolution.
    """
    x = nn.relu(norm(name="bn1")(conv(width, 7, 2, name="conv1")(x)))
    return max_pool(x, (3, 3), (2, 2), padding(3))


def cifar_stem(x: jax.Array, width: int, conv: Callable, norm: Callable, padding: Callable) -> jax.Array:
    """Applies a 3x3 convolution of stride 1, which keeps the resolution, for images of 32 pixels."""
    return nn.relu(norm(name="bn1")(conv(width, 3, name="conv1")(x)))


class ResNet(nn.Module):
    """Encodes images by four stages of residual blocks: `tokens` are the last map's positions, `cls` their
    mean.

    The maps after the stem and after each stage, [B, H, W, C], are sown as "stem", "layer1" ... "layer4".

    Args:
        depths: blocks of each stage.
        block: `BasicBlock` or `Bottleneck`.
        widths: inner channels of each stage.
        stem_width: channels after the stem.
        stem: `imagenet_stem` or `cifar_stem`.
        norm: a factory of norms, such as `batch_norm`.
        padding: `torch_padding` or `same_padding`, a function of the kernel's size.
        last_scale: initial scale of each block's last norm; with `nn.initializers.zeros` blocks start as the
            identity.
    """

    depths: Sequence[int]
    block: Callable[..., nn.Module]
    widths: Sequence[int] = (64, 128, 256, 512)
    stem_width: int = 64
    stem: Callable = imagenet_stem
    norm: Callable = batch_norm
    padding: Callable = torch_padding
    last_scale: Callable = nn.initializers.ones

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool = False) -> Features:
        """Encodes images.

        Args:
            images: [B, H, W, C] floats.
            train: whether norms use the batch's statistics and update the running ones.
        Returns:
            Features(cls [B, D], tokens [B, N, D])
        Raises:
            ValueError: for images without a batch axis.
        """
        if images.ndim != 4:
            raise ValueError(
                f"images must be [B, H, W, C], got shape {images.shape}; add a batch axis to one image"
            )
        conv, norm = _layers(self, train)
        x = self.stem(images, self.stem_width, conv, norm, self.padding)
        self.sow("intermediates", "stem", x)
        for stage, (depth, width) in enumerate(zip(self.depths, self.widths, strict=True), start=1):
            for i in range(depth):
                stride = 2 if stage > 1 and i == 0 else 1
                block = self.block(
                    width, stride, self.norm, self.padding, self.last_scale, name=f"layer{stage}_{i}"
                )
                x = block(x, train=train)
            self.sow("intermediates", f"layer{stage}", x)
        tokens = x.reshape(x.shape[0], -1, x.shape[-1])
        return Features(tokens.mean(axis=1), tokens)
