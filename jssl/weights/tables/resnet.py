"""Residual networks: torchvision's names, and the heads of MoCo, SwAV, Barlow Twins, VICReg and SimSiam."""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import flax.linen as nn
import jax.numpy as jnp

from jssl.data.augment.base import SWAV
from jssl.models.encoders.resnet import BasicBlock, Bottleneck, ResNet, batch_norm, cifar_stem, imagenet_stem
from jssl.weights.engine import Family, File, Net, Table
from jssl.weights.layouts import layer
from jssl.weights.preprocessing import Preprocess
from jssl.weights.tables.heads import linear, sequence, stack
from jssl.weights.tables.shared import only, only_usual

ROWS: Table = {
    "conv1": ("conv1", layer),
    "bn1": ("bn1", layer),
    "layer{s}_{i}/conv{n}": ("layer{s}.{i}.conv{n}", layer),
    "layer{s}_{i}/bn{n}": ("layer{s}.{i}.bn{n}", layer),
    "layer{s}_{i}/downsample_conv": ("layer{s}.{i}.downsample.0", layer),
    "layer{s}_{i}/downsample_bn": ("layer{s}.{i}.downsample.1", layer),
}


def resnet(file: File) -> Net:
    """A ResNet, all its sizes from the tensors."""
    width, channels, window, _ = file.shape("conv1.weight")
    stages = [s for s in range(1, 9) if f"layer{s}.0.conv1.weight" in file]
    deep = "layer1.0.conv3.weight" in file
    module = ResNet(
        tuple(file.count(f"layer{s}.") for s in stages),
        _bottleneck(file) if deep else BasicBlock,
        tuple(file.shape(f"layer{s}.0.conv1.weight")[0] for s in stages),
        width,
        cifar_stem if window == 3 else imagenet_stem,
        norm=_norm(file),
    )
    init = lambda module, key: module.init(key, jnp.zeros((1, 64, 64, channels)))  # noqa: E731
    return Net(module, ROWS, init, file.at)


def _bottleneck(file: File) -> Callable[..., nn.Module]:
    """The block, of wide and grouped networks too."""
    (inner, inputs, *_), out = (file.shape(f"layer1.0.conv{n}.weight") for n in (2, 3))
    expansion, groups = out[0] // inner, inner // inputs
    if (expansion, groups) == (4, 1):
        return Bottleneck
    return partial(Bottleneck, expansion=expansion, groups=groups)


def _norm(file: File) -> Callable[..., nn.Module]:
    epsilon = file.get("batch_norm_eps", default=1e-5)
    if not isinstance(epsilon, float | int) or not 0 < epsilon < 1:
        raise ValueError(f"batch_norm_eps must lie between 0 and 1, the config says {epsilon!r}")
    return batch_norm if epsilon == 1e-5 else partial(batch_norm, epsilon=float(epsilon))


def _torchvision(file: File) -> dict[str, Net]:
    only_usual(file, aa_layer=None, act_layer="relu", output_stride=32)
    if re.match("resnet(aa|blur)", name := str(file.get("architecture", default=""))):
        raise ValueError(f"{name} blurs where it strides, which is not built")
    if "max" in (pool := str(file.get("global_pool", default="avg"))):
        raise ValueError(f"global_pool is {pool!r}, which is not built")
    if any(file.get("replace_stride_with_dilation", default=())):
        raise ValueError("replace_stride_with_dilation dilates in place of strides, which is not built")
    return only(encoder=resnet(file), logits=linear(file, "fc"))


def _moco(file: File) -> dict[str, Net]:
    head = linear(file, "fc") or sequence(file.below("fc."))
    return only(encoder=resnet(file), projection=head)


def _swav(file: File) -> dict[str, Net]:
    several = [name for k in range(16) if f"{(name := f'prototypes.prototypes{k}')}.weight" in file]
    heads = {f"prototypes{k}": linear(file, name) for k, name in enumerate(several)}
    heads["prototypes"] = linear(file, "prototypes")
    projection = linear(file, "projection_head") or sequence(file.below("projection_head."))
    return only(encoder=resnet(file), projection=projection, **heads)


def _barlow(file: File) -> dict[str, Net]:
    above = file.beside("backbone.", "")
    last = stack(above, "bn") if "bn.running_mean" in above else None
    return only(encoder=resnet(file), projection=sequence(above.below("projector.")), norm=last)


def _simsiam(file: File) -> dict[str, Net]:
    above = file.beside("encoder.", "")
    projection = sequence(file.below("fc."))
    return only(encoder=resnet(file), projection=projection, prediction=sequence(above.below("predictor.")))


def _pixels(file: File) -> Preprocess:
    return Preprocess.of(file, interpolation="bilinear")


def _swav_pixels(file: File) -> Preprocess:
    return Preprocess.of(file, SWAV, interpolation="bilinear")


_RESNET = Family(
    "resnet_torchvision",
    _torchvision,
    r"(?<!\d\.)conv1\.weight",
    kinds=("resnet", "timm"),
    signs=(r"bn1\.running_mean$", r"layer1\.0\.conv1\.weight$", r"layer4\.0\.bn2\.running_mean$"),
    foreign=(r"encoder_[qk]\.", r"fc\.\d", r"projection_head", r"projector", r"predictor"),
    label="resnet",
    preprocess=_pixels,
    publisher="torchvision, and backbones of many",
    architectures="ResNet-18, 34, 50, 101, 152, wider ones, ResNeXt",
    licence="BSD-3-Clause",
    citation="arXiv:1512.03385",
)


def _around(name: str, build, sign: str, **told) -> Family:
    return replace(
        _RESNET, name=name, build=build, kinds=("resnet",), signs=(*_RESNET.signs, sign), foreign=(), **told
    )


FAMILIES = [
    _RESNET,
    _around(
        "moco_resnet",
        _moco,
        r"encoder_q\.",
        parts={"query": r"encoder_q\.", "key": r"encoder_k\."},
        kept=("*queue", "*queue_ptr"),
        label="moco",
        publisher="facebookresearch/moco",
        architectures="ResNet-50",
        licence="CC-BY-NC-4.0",
        citation="arXiv:1911.05722",
    ),
    _around(
        "swav_resnet",
        _swav,
        r"projection_head\.",
        label="swav",
        preprocess=_swav_pixels,
        publisher="facebookresearch/swav",
        architectures="ResNet-50, wider ones",
        licence="CC-BY-NC-4.0",
        citation="arXiv:2006.09882",
    ),
    _around(
        "barlow_twins_resnet",
        _barlow,
        r"projector\.",
        label="barlow|vicreg",
        publisher="facebookresearch/barlowtwins, facebookresearch/vicreg",
        architectures="ResNet-50",
        licence="MIT",
        citation="arXiv:2103.03230",
    ),
    _around(
        "simsiam_resnet",
        _simsiam,
        r"predictor\.0\.weight$",
        label="simsiam",
        publisher="facebookresearch/simsiam",
        architectures="ResNet-50",
        licence="CC-BY-NC-4.0",
        citation="arXiv:2011.10566",
    ),
]
