"""Ranges of the numbers that a setting may have: part of its type, and checked before anything is built."""

import math
from collections.abc import Iterator
from dataclasses import fields
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

LARGEST = 2**31 - 1  # of a step, an index or a size on a device


class Range(NamedTuple):
    """The least and the largest value that a number may have."""

    low: float
    high: float = LARGEST

    def __str__(self) -> str:
        return f"at least {self.low}" if self.high == LARGEST else f"from {self.low} to {self.high}"


Count = Annotated[int, Range(1)]  # of things of which there must be at least one
Share = Annotated[float, Range(0, 1)]
PLAIN = Range(0)  # of every other number


def check_numbers(settings: Any) -> None:
    """Refuses numbers that are not finite or outside of the range of their field's type, and unknown words.

    Args:
        settings: A dataclass; a field `Count`, `Share` or `Annotated[..., Range(low, high)]` has its own
            range, every other number is finite, not negative and at most 2**31 - 1. A `Literal` has one of
            its words.
    Raises:
        ValueError: naming the flag, what was given and what is allowed.
    """
    hints = get_type_hints(type(settings), include_extras=True)
    for field in fields(settings):
        flag, value = f"--{field.name.replace('_', '-')}", getattr(settings, field.name)
        words = get_args(hints[field.name]) if get_origin(hints[field.name]) is Literal else (value,)
        if value not in words:
            raise ValueError(f"{flag} must be one of {', '.join(map(str, words))}, got {value!r}")
        allowed = next(_ranges(hints[field.name]), PLAIN)
        several = isinstance(value, tuple | list)
        for number in _numbers(value) if not several or _of_numbers(hints[field.name]) else ():
            if not math.isfinite(number):
                raise ValueError(f"{flag} must be a finite number, got {number}")
            if not allowed.low <= number <= allowed.high:
                bound = allowed if number < allowed.low or allowed.high != LARGEST else f"at most {LARGEST:,}"
                raise ValueError(f"{flag} must be {bound}, got {number}")


def _ranges(hint: Any) -> Iterator[Range]:
    """The ranges that a type names, also inside of `Count | None` or tuple[Count, ...]."""
    yield from (part for part in getattr(hint, "__metadata__", ()) if isinstance(part, Range))
    for part in getattr(hint, "__args__", ()):
        yield from _ranges(part)


def _of_numbers(hint: Any) -> bool:
    """Whether a type is of numbers; data, which may be a list of samples, is not: a label may be -1."""
    return hint in (int, float) or any(map(_of_numbers, get_args(hint)))


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, tuple | list):
        for item in value:
            yield from _numbers(item)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value
