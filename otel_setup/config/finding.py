"""One option's value: found in the environment, and checked."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from otel_setup.config.options import Option

ENVIRONMENT = "environment"
_SHOWN = 80
_PASSWORD = re.compile(r"//[^/@\s]*@")


def from_environment(
    option: Option,
    variables: tuple[tuple[str, Callable[[str], Any]], ...],
    environ: Mapping[str, str],
    problems: list[str],
) -> list[tuple[Any, str]]:
    """The value that the first of the variables which is set gives, with its source; an empty list where none is."""
    for name, parse in variables:
        text = environ.get(name, "")
        if text.strip():
            source = f"{ENVIRONMENT} {name}"
            try:
                return [(parse(text), source)]
            except ValueError as expected:
                problems.append(_problem(option, source, text, expected))
                return [(None, source)]
    return []


def checked(option: Option, source: str, value: Any, problems: list[str]) -> Any:
    """The value as it is used; a problem more where it is none."""
    if value is None:
        return None
    try:
        return option.check(value)
    except (ValueError, TypeError) as expected:
        problems.append(_problem(option, source, value, expected))
        return None


def _problem(option: Option, source: str, value: Any, expected: Exception) -> str:
    if isinstance(value, tuple) and all(isinstance(word, str) for word in value):
        value = ", ".join(value)
    shown = "(a secret)" if option.secret else _PASSWORD.sub("//***@", repr(value))[:_SHOWN]
    where = source if source.startswith(ENVIRONMENT) else f"{source} {option.name}"
    return f"{where} is {shown}; expected {expected} ({option.help})"
