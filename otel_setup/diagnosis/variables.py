"""Environment variables that are set and change nothing: overruled, of no effect here, or misspelt."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping

from opentelemetry import environment_variables as of_the_api
from opentelemetry.sdk import environment_variables as of_the_sdk

from otel_setup.config import OPTIONS, Resolved
from otel_setup.config.finding import ENVIRONMENT

_ALIKE = 0.85
"""How alike two names are (0 to 1) of which one may be meant for the other."""


def unused_variables(resolved: Resolved, environ: Mapping[str, str]) -> dict[str, str]:
    """Each variable with the reason, by name.

    Parameters:
        resolved: what was made of the environment.
        environ: the environment.
    """
    found = {**resolved.unused, **dict(_overruled(resolved, environ)), **dict(_misspelt(environ))}
    return dict(sorted(found.items()))


def _overruled(resolved: Resolved, environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    used = {word for source in resolved.sources.values() for word in source.split()}
    for option in OPTIONS:
        for name, _ in option.environment:
            if environ.get(name, "").strip() and name not in used:
                winner = resolved.sources[option.name].removeprefix(f"{ENVIRONMENT} ")
                yield name, f"{winner} says what {option.name} is, and wins over it"


def _misspelt(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    own = {name for option in OPTIONS for name, _ in option.environment}
    known = own | {name for module in (of_the_api, of_the_sdk) for name in vars(module) if name.isupper()}
    for name, value in environ.items():
        if value.strip() and name not in known:
            meant = difflib.get_close_matches(name, known, n=1, cutoff=_ALIKE)
            if meant:
                yield name, f"there is no such variable; is {meant[0]} meant?"
