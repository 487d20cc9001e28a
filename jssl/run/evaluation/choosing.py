"""Makes protocols by name, with the settings that a command line changes."""

import ast
import inspect
import re
from collections.abc import Sequence
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from jssl.evaluate import PROTOCOLS, Protocol, protocol
from jssl.run.directory.results import in_words


def catalogue() -> str:
    """Lists all protocols: what each needs, and the settings that it has."""
    lines = []
    for name, make in PROTOCOLS.items():
        one = make()
        first = (inspect.getdoc(make) or "").partition("\n")[0]
        settings = ", ".join(f"{key}={in_words(value)}" for key, value in one.settings.items())
        lines += [name, f"  {first}", f"  needs {', '.join(one.needs)}", f"  {settings or 'no settings'}"]
    return "\n".join(lines)


def chosen_protocols(names: Sequence[str], changes: Sequence[str]) -> list[Protocol]:
    """Makes the protocols that a command line names.

    Args:
        names: Of the protocols.
        changes: Such as "knn.k=10,20" or "linear_dino.epochs=10".
    Returns:
        The protocols, in the order of the names.
    Raises:
        ValueError: for unknown names or settings, and a change of a protocol that is not named.
    Examples:
        >>> chosen_protocols(["knn"], ["knn.k=10,20"])[0].settings["k"]
        (10, 20)
    """
    settings: dict[str, dict[str, Any]] = {name: {} for name in names}
    for change in changes:
        path, equals, text = change.partition("=")
        name, dot, setting = path.partition(".")
        if not (equals and dot) or name not in settings:
            raise ValueError(f"--set {change}: expected PROTOCOL.SETTING=VALUE of {', '.join(names)}")
        try:
            settings[name][setting] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            settings[name][setting] = text
        _check_kind(name, setting, settings[name][setting])
    return [protocol(name, **given) for name, given in settings.items()]


def _check_kind(name: str, setting: str, value: Any) -> None:
    """Refuses a value that is not of the type of a protocol's setting; unknown names are refused later."""
    hint = get_type_hints(PROTOCOLS[name]).get(setting) if name in PROTOCOLS else None
    if hint is not None and not _is_of(value, hint):
        kind = getattr(hint, "__name__", None) if isinstance(hint, type) else str(hint)
        kind = re.sub(r"[a-z_.]+\.(?=[A-Z])", "", str(kind))
        raise ValueError(f"--set {name}.{setting}: expected {kind}, got {value!r}")


def _is_of(value: Any, hint: Any) -> bool:
    """Whether a value from a command line has a type; for types that it cannot give, any value has."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(_is_of(value, part) for part in parts)
    if origin is Literal:
        return value in parts
    if origin in (tuple, list, Sequence):
        return isinstance(value, tuple | list) and all(_is_of(one, parts[0]) for one in value)
    if hint in (int, float):
        return isinstance(value, (int, hint)) and not isinstance(value, bool)
    return isinstance(value, hint) if hint in (str, bool, type(None)) else True
