"""Packages that not everybody needs."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def extra(name: str = "experiments") -> Iterator[None]:
    """Says how to install what is imported inside and is missing.

    Args:
        name: Of the extra in pyproject.toml that brings it.
    Raises:
        ImportError: naming the package and the extra.
    Examples:
        >>> with extra():
        ...     import no_such_package
        Traceback (most recent call last):
        ImportError: no_such_package is not installed; `pip install "jssl[experiments]"` brings it
    """
    try:
        yield
    except ModuleNotFoundError as missing:
        raise ImportError(
            f'{missing.name} is not installed; `pip install "jssl[{name}]"` brings it'
        ) from None
