"""Describes a Linen module as JSON and restores it, so that a file of weights says which network it holds.

    {"module": "jssl.models.encoders.vit:ViT", "fields": {"patch": 16, "dim": 384, ...}}

Nothing is executed that is not one of the library's own layers. Fields that only affect initial values are
left out.
"""

import dataclasses
import importlib
import sys
from collections.abc import Mapping
from functools import partial
from typing import Any

import flax.linen as nn
import jax

HOMES = ("jax.nn", "flax.linen", "jssl.arrays", "jssl.models")  # modules that a description may refer to
COMPILED = {"scan": False, "remat": None, "drop_path": 0.0}  # these concern training, not the output


def plain(module: nn.Module) -> nn.Module:
    """Removes from a network what only concerns training: scanned blocks, recomputation, stochastic depth.

    Args:
        module: Any Linen module.
    Returns:
        The same module with the fields in `COMPILED` at the values given there.
    """
    at_rest: dict[str, Any] = {name: value for name, value in COMPILED.items() if hasattr(module, name)}
    return module.clone(**at_rest) if at_rest else module


def describe(value: Any) -> Any:
    """Describes a network in JSON types.

    Args:
        value: A Linen module, or a field of one: a function with a name, a partial, a number, a tuple.
    Returns:
        JSON types, which `restored` reads.
    Raises:
        ValueError: for anything that cannot be found by a name, such as a lambda.
    Examples:
        >>> describe(nn.Dense(4, use_bias=False))
        {'module': 'flax.linen:Dense', 'fields': {'features': 4, 'use_bias': False}}
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple | list):
        return [describe(item) for item in value]
    if isinstance(value, nn.Module):
        own = [field for field in dataclasses.fields(value) if field.name not in ("parent", "name")]
        changed = {field.name: getattr(value, field.name) for field in own if not _at_default(value, field)}
        return {"module": _place(type(value)), "fields": _described(changed)}
    if isinstance(value, partial):
        arguments = [describe(argument) for argument in value.args]
        return {"partial": describe(value.func), "args": arguments, "keywords": _described(value.keywords)}
    return {"name": _place(value)}


def restored(text: Any) -> Any:
    """Makes the network from the description that `describe` has written.

    Args:
        text: JSON types.
    Returns:
        A Linen module.
    Raises:
        ValueError: for text that is not a description, or that names something other than a layer.
    Examples:
        >>> restored({"module": "flax.linen:Dense", "fields": {"features": 4}}).features
        4
    """
    try:
        return _restored(text)
    except (AttributeError, ImportError, TypeError, KeyError, RecursionError) as error:
        reason = " ".join(str(error).split())[:160]
        raise ValueError(f"the description of the network cannot be read ({reason})") from None


def _restored(text: Any) -> Any:
    if isinstance(text, list):
        return tuple(_restored(item) for item in text)
    if not isinstance(text, Mapping):
        return text
    if "module" in text:
        kind = _found(text["module"])
        if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
            raise ValueError(f"{text['module']} is no network")
        return kind(**{name: _restored(value) for name, value in text["fields"].items()})
    if "partial" in text:
        keywords = {name: _restored(value) for name, value in text["keywords"].items()}
        return partial(_restored(text["partial"]), *map(_restored, text["args"]), **keywords)
    return _found(text["name"])


def _described(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: describe(value) for name, value in fields.items() if not name.endswith("_init")}


def _at_default(module: nn.Module, field: dataclasses.Field) -> bool:
    value = getattr(module, field.name)
    return type(value) is type(field.default) and bool(value == field.default)


def _place(thing: Any) -> str:
    """module:name of a thing, by the public name of what jax and flax define in private modules."""
    name = getattr(thing, "__qualname__", getattr(thing, "__name__", ""))
    for public in (jax.nn, nn):
        if getattr(public, name, None) is thing:
            return f"{public.__name__}:{name}"
    home = getattr(thing, "__module__", "")
    if getattr(sys.modules.get(home), name, None) is not thing:
        raise ValueError(
            f"{name or type(thing).__name__} has no name in a module by which it could be found again"
        )
    return f"{home}:{name}"


def _found(place: str) -> Any:
    """Finds what a place names: anything in `HOMES`; in other modules, if already imported, only networks."""
    home, _, name = place.partition(":")
    known = any(home == own or home.startswith(f"{own}.") for own in HOMES)
    module = importlib.import_module(home) if known else sys.modules.get(home)
    if module is None:
        raise ValueError(f"{place} is a network that is defined elsewhere; import {home} first")
    thing = getattr(module, name)
    if not known and not (isinstance(thing, type) and issubclass(thing, nn.Module)):
        raise ValueError(f"{place} is no network")
    return thing
