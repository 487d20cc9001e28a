"""The preprocessing of images and spectrograms that published weights expect."""

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jssl.data.augment.base import IMAGENET
from jssl.data.reading.decode import decode, read_bytes

SATELLITE = (0.430, 0.411, 0.296), (0.213, 0.156, 0.143)
STRIP = 16  # times as long as wide: the ends of longer images are cut off
INTERPOLATIONS = {"bicubic": "cubic", "bilinear": "linear", "nearest": "nearest", "lanczos": "lanczos3"}
PILLOW = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
SHORT_SIDE = re.compile("CLIP|Bit|VideoMAE")  # processors of the hub whose size, a number, is a short side's
WAYS = {"center": False, "shortest": False, "squash": True}  # timm's crop_mode, open_clip's resize_mode


@dataclass(frozen=True)
class Preprocess:
    """Resizes, crops and normalises images as the publisher of the weights does.

    Args:
        size: The short side after resizing.
        crop: The side of the central crop.
        interpolation: "bicubic", "bilinear", "lanczos" or "nearest", with antialiasing.
        mean, std: Of each channel, of images in [0, 1].
        squash: Whether both sides get the size, whatever the image's shape.
    """

    size: int = 256
    crop: int = 224
    interpolation: str = "bicubic"
    mean: tuple[float, ...] = IMAGENET.mean
    std: tuple[float, ...] = IMAGENET.std
    squash: bool = False

    @classmethod
    def of(
        cls,
        file: Any,
        constants=IMAGENET,
        share: float = 0.875,
        interpolation: str = "bicubic",
        squash: bool = False,
    ) -> "Preprocess":
        """Reads the preprocessing from a file's config; what it does not say is the family's.

        Args:
            file: A `File`.
            constants: (mean, std) of the family.
            share: What the crop is of the resized short side.
            interpolation, squash: Of the family.
        Raises:
            ValueError: for a way of resizing that is not built.
        """
        stated = {**_table(file.config.get("pretrained_cfg")), **_table(file.config.get("preprocess_cfg"))}
        stated |= _table(file.config.get("preprocessor"))
        squash, cut = _squashes(stated, squash), stated.get("do_center_crop") is not False
        asked = (cut and stated.get("crop_size")) or (stated.get("size") if squash or not cut else None)
        crop = _side(asked or stated.get("input_size") or file.get("image_size", "img_size"), 224)
        share = _number(stated.get("crop_pct"), share)
        size = _side(stated.get("size"), math.floor(crop / share + 1e-6))
        if stated.get("do_normalize") is False:
            stated |= {"image_mean": (0.0,) * 3, "image_std": (1.0,) * 3}
        kind = stated.get("interpolation") or PILLOW.get(stated.get("resample", -1), interpolation)
        mean, std = (
            next((tuple(stated[key]) for key in (f"image_{name}", name) if _is_numbers(stated.get(key))), own)
            for name, own in zip(("mean", "std"), constants, strict=True)
        )
        kind = kind if kind in INTERPOLATIONS else interpolation
        return cls(max(size, crop), crop, kind, mean, std, squash)

    def __call__(self, images: Any) -> jax.Array:
        """Prepares images for the encoder.

        Args:
            images: uint8 [B, H, W, C], one image [H, W, C], films [B, T, H, W, C], or an image file's path.
        Returns:
            Floats [B, crop, crop, C], normalised; films keep their axis T.
        Raises:
            ValueError: where they are no uint8 images, or a file that cannot be read as one.
        """
        path = isinstance(images, str) or hasattr(images, "__fspath__")
        images = decode(read_bytes(os.fspath(images))) if path else np.asarray(images)
        images = images[None] if images.ndim == 3 else images
        if images.dtype != np.uint8 or images.ndim not in (4, 5):
            raise ValueError(f"preprocess takes uint8 images [B, H, W, C], got {images.dtype} {images.shape}")
        before, images = images.shape[:-3], self.seen(images.reshape(-1, *images.shape[-3:]))
        rows, columns = self.resized(*images.shape[1:3])
        method = INTERPOLATIONS[self.interpolation]
        x = jax.image.resize(
            jnp.asarray(images, jnp.float32), (len(images), rows, columns, images.shape[-1]), method
        )
        x = jnp.clip(jnp.round(x), 0, 255) / 255
        top, left = (rows - self.crop) // 2, (columns - self.crop) // 2
        x = x[:, top : top + self.crop, left : left + self.crop]
        x = self.normalised(x)
        return x.reshape(*before, *x.shape[1:])

    def seen(self, images: np.ndarray) -> np.ndarray:
        """Cuts off the ends of very long images, unless they are squashed: the central crop leaves them out,
        and an image of 1 by 3,000 pixels, resized whole, would take two gigabytes.

        Args:
            images: [..., H, W, C].
        Returns:
            [..., H, W, C], at most `STRIP` times as long as wide where they are cropped.
        """
        if self.squash:
            return images
        height, width = images.shape[-3:-1]
        top, left = (max(0, (side - STRIP * min(height, width)) // 2) for side in (height, width))
        return images[..., top : height - top, left : width - left, :]

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """Returns the height and width of an image whose short side, or both sides, are resized to `size`."""
        if self.squash:
            return self.size, self.size
        short = min(height, width)
        return self.size * height // short, self.size * width // short

    def normalised(self, images: jax.Array) -> jax.Array:
        """Normalises images in [0, 1], [..., C], that have been resized."""
        return (images - jnp.asarray(self.mean)) / jnp.asarray(self.std)

    def at(self, side: int) -> "Preprocess":
        """Returns the preprocessing with another side of the crop, which shows the same part of an image."""
        return replace(self, size=round(side * self.size / self.crop), crop=side)

    def stated(self) -> dict[str, Any]:
        """Returns its settings under the names of timm's `pretrained_cfg`, which `of` reads."""
        return {
            "input_size": [3, self.crop, self.crop],
            "crop_pct": self.crop / self.size,
            "crop_mode": "squash" if self.squash else "center",
            "interpolation": self.interpolation,
            "mean": self.mean,
            "std": self.std,
        }


@dataclass(frozen=True)
class Spectrograms:
    """Normalises log-mel spectrograms.

    Args:
        mean, std: Of the data that the publisher trained on; the result has a standard deviation of 0.5.
    """

    mean: float = -4.2677393
    std: float = 4.5689974

    @classmethod
    def of(cls, file: Any) -> "Spectrograms":
        """Reads mean and std from the file's preprocessor_config.json, or takes AudioSet's."""
        stated = _table(file.config.get("preprocessor"))
        if stated.get("do_normalize") is False:
            return cls(0.0, 0.5)
        return cls(stated.get("mean", cls.mean), stated.get("std", cls.std))

    def __call__(self, spectrograms: Any) -> jax.Array:
        """Prepares spectrograms for the encoder.

        Args:
            spectrograms: [B, frames, bins] floats, log-mel energies.
        Returns:
            The same, normalised.
        """
        return (jnp.asarray(spectrograms) - self.mean) / (2 * self.std)


def _squashes(stated: Mapping[str, Any], otherwise: bool) -> bool:
    """Whether both sides are resized to the size, as configs of transformers, timm or open_clip say."""
    size = stated.get("size")
    processor = stated.get("image_processor_type") or stated.get("feature_extractor_type")
    if isinstance(size, Mapping):
        return "height" in size
    if type(size) is int and isinstance(processor, str):
        return SHORT_SIDE.match(processor) is None
    for key in ("crop_mode", "resize_mode"):
        if (way := stated.get(key)) is not None and way not in WAYS:
            raise ValueError(f"{key} is {way!r}, known are {', '.join(WAYS)}")
    way = stated.get("crop_mode") or stated.get("resize_mode")
    return otherwise if way is None else WAYS[way]


def _table(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def _number(value: Any, fallback: float) -> float:
    return float(value) if isinstance(value, int | float) and 0.1 < value <= 1 else fallback


def _side(value: Any, fallback: int) -> int:
    """The side that a config states: a number, a list of sizes, {"height": ...} or {"shortest_edge": ...}."""
    if isinstance(value, Mapping):
        value = value.get("shortest_edge") or value.get("height")
    if isinstance(value, list | tuple) and value:
        value = value[-1]
    return value if type(value) is int and 0 < value < 100_000 else fallback


def _is_numbers(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(x, int | float) for x in value)
