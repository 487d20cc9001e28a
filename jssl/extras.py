"""Optional packages: errors that say how to install a missing one."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec


@contextmanager
def extra(name: str = "experiments") -> Iterator[None]:
    """Says how to install a package that is missing when it is imported inside the context.

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
    """Checks that packages that are needed later are installed. Imports none of them.

    Args:
        packages: Their names.
        name: Of the extra that brings them.
        how: The command that installs a package that no extra brings.
    Raises:
        ImportError: naming the first that is missing, and the extra.
    """
    for package in packages:
        if find_spec(package) is None:
            raise _missing(package, name, how)


def _missing(package: str | None, name: str, how: str | None = None) -> ImportError:
    command = how or f'pip install "jssl[{name}]"'
    return ImportError(f"{package} is not installed; `{command}` brings it")
