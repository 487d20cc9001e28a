"""Positions for another resolution."""

from dataclasses import replace
from typing import Any

import jax

from jssl.models.layers.positions import LearnedPositions, bicubic
from jssl.models.layers.relative import RelativePositionBias, bilinear
from jssl.weights.loaded import Loaded


def resize(variables: Any, *, size: int | tuple[int, int], encoder: Any = None) -> Any:
    """Fits stored positions, absolute and relative, to images of another size, in the family's own way.

    The networks do the same by themselves for each size that they meet; this does it once.

    Args:
        variables: A `Loaded`, or an encoder's variables.
        size: The images' side, or (height, width), in pixels.
        encoder: The module of plain variables.
    Returns:
        The same with other tables.
    Raises:
        ValueError: where plain variables come without their encoder, or the size is no multiple of the patch.
    """
    if isinstance(variables, Loaded):
        return replace(variables, variables=resize(variables.variables, size=size, encoder=variables.encoder))
    if encoder is None:
        raise ValueError(
            "resize of plain variables needs encoder=..., which knows how its positions are interpolated"
        )
    height, width = (size, size) if isinstance(size, int) else size
    patch = getattr(encoder, "patch", None)
    if patch is None:
        return variables  # no positions are stored
    if height % patch or width % patch or min(height, width) < patch:
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
