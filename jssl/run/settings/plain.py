"""Settings as config.json has them."""

from pathlib import PurePath
from typing import Any

from jssl.data.source import Source
from jssl.weights.loaded import Loaded


def plain(value: Any) -> Any:
    """Converts the value of a setting to what JSON has.

    Args:
        value: Of any type.
    Returns:
        Numbers, words and lists of them as they are; of anything else its name or a description.
    Examples:
        >>> plain((1, 2.0)), plain({3})
        ([1, 2.0], '{3}')
    """
    if isinstance(value, Source):
        return value.name
    if isinstance(value, Loaded):
        return f"weights of {value.family} given as arrays"
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, PurePath):
        return str(value)
    few = isinstance(value, list) and all(isinstance(x, int | float | str) for x in value)
    if isinstance(value, tuple) or few:
        return [plain(item) for item in value]
    if isinstance(value, list):  # samples or batches, of which there may be a million
        return "a list"
    text = repr(value)
    other = " at 0x" in text or len(text) > 200  # an object of some library, which is another one each time
    return f"a {type(value).__name__}" if other else text
