"""Resizes stored positions to another resolution."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import jax

from jssl.models.layers.positions import LearnedPositions, bicubic
from jssl.models.layers.relative import RelativePositionBias, bilinear
from jssl.weights.loaded import Loaded
from jssl.weights.preprocessing import Preprocess, Spectrograms

SIZES = ("image_size", "img_size")  # what configs call the images' size


def resize(variables: Any, *, size: int | tuple[int, int], encoder: Any = None) -> Any:
    """Fits stored positions, absolute and relative, to images of another size, in the family's own way.

    The networks do the same by themselves in each call on images of another size; this does it once.

    Args:
        variables: A `Loaded`, or an encoder's variables.
        size: The images' side, or (height, width), in pixels.
        encoder: The module of plain variables.
    Returns:
        The same with other tables; a `Loaded` also prepares images of that size, if they are squares, and
        says the size in its config.
    Raises:
        ValueError: where plain variables come without their encoder, or the network refuses that size.
    """
    if isinstance(variables, Loaded):
        return _loaded(variables, size)
    if encoder is None:
        raise ValueError(
            "resize of plain variables needs encoder=..., which knows how its positions are interpolated"
        )
    height, width = (size, size) if isinstance(size, int) else size
    patch = getattr(encoder, "patch", None)
    if patch is None:
        return variables  # no positions are stored
    cut = getattr(getattr(encoder, "stem", None), "keywords", {}).get("cut")
    if min(height, width) < patch or (height % patch or width % patch) and not cut:
        raise ValueError(f"a size of {height} x {width} is no multiple of the patch, {patch}")
    grid, params = (height // patch, width // patch), dict(variables["params"])
    for name, wanted, kind in (
        ("positions", grid, LearnedPositions),
        ("attention_bias", tuple(2 * side - 1 for side in grid), RelativePositionBias),
    ):
        for stored in {"table", "tables"} & set(params.get(name, ())):
            part = getattr(encoder, name)
            fallback = bicubic if kind is LearnedPositions else bilinear
            interpolate = part.interpolate if isinstance(part, kind) else fallback
            table = jax.numpy.asarray(params[name][stored])
            resized = table if table.shape[:2] == wanted else interpolate(table, wanted)
            params[name] = {**params[name], stored: resized}
    return {**variables, "params": params}


def _loaded(loaded: Loaded, size: int | tuple[int, int]) -> Loaded:
    pixels, config = loaded.preprocess, _resized(loaded.config, size)
    if isinstance(pixels, Spectrograms):
        raise ValueError("resize is of images; positions of spectrograms are fixed to their length")
    if isinstance(pixels, Preprocess) and isinstance(size, int):
        pixels = pixels.at(size)
        config = {key: value for key, value in config.items() if key != "preprocessor"}
        config |= {"pretrained_cfg": pixels.stated()}
    variables = resize(loaded.variables, size=size, encoder=loaded.encoder)
    return replace(loaded, variables=variables, preprocess=pixels, config=config)


def _resized(config: Mapping[str, Any], size: int | tuple[int, int]) -> dict[str, Any]:
    """The same config, and those in it, with another size wherever they have one."""
    return {
        key: size if key in SIZES else _resized(value, size) if isinstance(value, Mapping) else value
        for key, value in config.items()
    }
