"""Keys of a config as Python writes them, and as a file has them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from birnn import _native
from birnn.errors import ConfigError

#: All keys, as ``train.epochs``.
KEYS: tuple[str, ...] = tuple(_native.config_keys())
_SECTIONS = {key.rsplit(".", 1)[0] for key in KEYS if "." in key}


def _by_name() -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for key in KEYS:
        names.setdefault(key.rsplit(".", 1)[-1], []).append(key)
    return names


#: The keys of each last part: ``epochs`` is ``train.epochs``.
BY_NAME: dict[str, list[str]] = _by_name()


def overrides(keys: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The keys and their values as TOML; ``None`` leaves a key as it is.

    A key is written as ``epochs``, as ``"train.epochs"``, or as ``train={"epochs": 3}``.
    """
    found: list[tuple[str, str]] = []
    for name, value in keys.items():
        if value is not None:
            found.extend(_pairs(name, value))
    return found


def _pairs(name: str, value: Any) -> list[tuple[str, str]]:
    if name in KEYS:
        return [(name, toml(name, value))]
    if name in _SECTIONS and isinstance(value, Mapping):
        pairs = ((f"{name}.{inner}", inner_value) for inner, inner_value in value.items())
        return [pair for key, inner_value in pairs if inner_value is not None for pair in _pairs(key, inner_value)]
    of_name = BY_NAME.get(name, [])
    if len(of_name) > 1:
        choices = " or ".join(_written(key) for key in of_name)
        raise ConfigError(f"configuration, {name}: there are several keys of this name; write {choices}")
    # An unknown key is refused where configs are read, which names the nearest one.
    key = of_name[0] if of_name else name
    return [(key, toml(key, value))]


def _written(key: str) -> str:
    section, name = key.split(".", 1)
    return f"{section}={{{name!r}: ...}}"


def toml(key: str, value: Any) -> str:
    """A value of Python as TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return repr(int(value))
    if isinstance(value, float):
        # Also one of NumPy, which would write its type.
        return repr(float(value))
    if isinstance(value, (str, os.PathLike)):
        return _string(os.fspath(value))
    if hasattr(value, "tolist") and not isinstance(value, (list, tuple)):
        # Numbers and arrays of NumPy.
        return toml(key, value.tolist())
    if isinstance(value, Mapping):
        items = (f"{_string(str(name))} = {toml(key, inner)}" for name, inner in value.items())
        return "{" + ", ".join(items) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml(key, item) for item in value) + "]"
    raise ConfigError(
        f"configuration, {key}: a value of type {type(value).__name__}; give a string, a number, a bool, a path, or a list or dict of these"
    )


def _string(text: Any) -> str:
    """A string in TOML's quotes."""
    escapes = {"\\": "\\\\", '"': '\\"'}
    characters = (
        escapes.get(character, character) if character.isprintable() else f"\\U{ord(character):08x}"
        for character in str(text)
    )
    return '"' + "".join(characters) + '"'
