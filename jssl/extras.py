"""Packages that not everybody needs."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec


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
        raise _missing(missing.name, name) from None


def require(*packages: str, name: str = "experiments", how: str | None = None) -> None:
    """Refuses to go on without packages that are needed later. Imports none of them.

    Args:
        packages: Their names.
        name: Of the extra that brings them.
        how: The command that brings what no extra does.
    Raises:
        ImportError: naming the first that is missing, and the extra.
    """
    for package in packages:
        if find_spec(package) is None:
            raise _missing(package, name, how)


def _missing(package: str | None, name: str, how: str | None = None) -> ImportError:
    command = how or f'pip install "jssl[{name}]"'
    return ImportError(f"{package} is not installed; `{command}` brings it")
