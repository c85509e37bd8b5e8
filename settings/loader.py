"""Reads a settings file into :class:`settings.schema.Settings`, or says everything that is wrong with it at once."""

from __future__ import annotations

import dataclasses
import math
import re
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from settings.schema import Settings


class SettingsError(ValueError):
    """A settings file cannot be used; ``problems`` names each key, what is wrong and what is allowed."""

    def __init__(self, source: str, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(f"{source}: {problem}" for problem in problems))


def load(*paths: Path) -> Settings:
    """The settings of YAML files, or the defaults without any. Of several, a later one overrides what it names.

    :raises SettingsError: where a file cannot be read, is not YAML, or holds an unknown key or a wrong value
    """
    merged: object = {}
    for path in paths:
        tree = _read(path)
        parse(tree, str(path))  # so that what is wrong is said of the file that it is in
        merged = _overlaid(merged, tree)
    return parse(merged, ", ".join(map(str, paths)))


def _read(path: Path) -> object:
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise SettingsError(str(path), [f"cannot be read: {problem.strerror}"]) from problem
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        raise SettingsError(str(path), [f"is not YAML: {problem}"]) from problem
    return {} if tree is None else tree


def _overlaid(below: object, above: object) -> object:
    """Mappings are merged key by key; anything else, lists as well, is replaced as a whole."""
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    return {**below, **{key: _overlaid(below.get(key), value) for key, value in above.items()}}


def parse(tree: object, source: str = "settings") -> Settings:
    """The settings that a tree of mappings describes; ``source`` is what error messages call it."""
    problems: list[str] = []
    result = _section(Settings, tree, "", problems)
    if problems:
        raise SettingsError(source, problems)
    return typing.cast(Settings, result)


def _section(kind: type[Any], tree: object, path: str, problems: list[str]) -> object:
    """Build one settings dataclass from a mapping; what is wrong goes to ``problems``."""
    if not isinstance(tree, dict):
        problems.append(f"{path or 'the file'}: expected a mapping, got {tree!r}")
        return kind()
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    values: dict[str, object] = {}
    for key, value in tree.items():
        name = f"{path}.{key}" if path else str(key)
        if key not in fields:
            problems.append(f"{name}: unknown key; allowed here: {', '.join(fields)}")
        elif dataclasses.is_dataclass(hints[key]):
            values[key] = _section(typing.cast(type, hints[key]), value, name, problems)
        elif typing.get_origin(hints[key]) is Mapping:
            values[key] = _map(typing.get_args(hints[key])[1], value, name, problems)
        elif problem := _wrong(value, hints[key], fields[key].metadata):
            problems.append(f"{name}: {problem}, got {value!r}")
        else:
            values[key] = tuple(value) if isinstance(value, list) else value
    return kind(**values)


def _map(kind: object, tree: object, path: str, problems: list[str]) -> dict[str, object]:
    """Entries under names of the deployment's own: sections, words, or whatever a component of its own wants."""
    if not isinstance(tree, dict):
        problems.append(f"{path}: expected a mapping, got {tree!r}")
        return {}
    if dataclasses.is_dataclass(kind):
        return {
            str(key): _section(typing.cast(type, kind), value, f"{path}.{key}", problems) for key, value in tree.items()
        }
    if kind is str:
        problems += [
            f"{path}.{key}: expected text, got {value!r}" for key, value in tree.items() if not isinstance(value, str)
        ]
    return {str(key): value for key, value in tree.items()}


def _wrong(value: object, kind: object, bounds: typing.Mapping[str, Any]) -> str | None:
    """What a value should have been, or None where it is right."""
    if kind is bool:
        return None if isinstance(value, bool) else "expected true or false"
    if kind in (int, float):
        return _wrong_number(value, kind is int, bounds["minimum"], bounds["maximum"])
    if kind is str:
        right = isinstance(value, str) and re.fullmatch(bounds["pattern"], value)
        return None if right else f"expected {bounds['expected']}"
    words = bounds.get("words")
    if isinstance(value, list) and all(
        isinstance(item, str) and item and (not words or item in words) for item in value
    ):
        return None
    return f"expected a list of {'words' if not words else ', '.join(words)}"


def _wrong_number(value: object, whole: bool, minimum: float, maximum: float | None) -> str | None:
    expected = f"expected a {'whole ' if whole else ''}number of at least {minimum}"
    if maximum is not None:
        expected += f" and at most {maximum}"
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        return expected
    right = math.isfinite(value) and value >= minimum and (maximum is None or value <= maximum)
    return None if right else expected
