"""What is configured, and where each value came from, as text for people; secrets masked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from otel_setup.catalogue import Metric
from otel_setup.config.destinations import FIELDS
from otel_setup.config.options import OPTIONS
from otel_setup.config.settings import Resolved
from otel_setup.game_model import GameModel
from otel_setup.ledger import Bounds


class Line(NamedTuple):
    """One option: its value as it may be shown, where it came from, what it is."""

    option: str
    value: str
    source: str
    help: str


def lines(resolved: Resolved) -> list[Line]:
    """Every option; after those, what the environment says of one signal alone."""
    general = [
        Line(
            option.name,
            shown(getattr(resolved.settings, option.name), secret=option.secret),
            resolved.sources[option.name],
            option.help,
        )
        for option in OPTIONS
    ]
    options = {option.name for option in OPTIONS}
    return general + [_of_one_signal(name, resolved) for name in resolved.sources if name not in options]


def _of_one_signal(name: str, resolved: Resolved) -> Line:
    signal, _, wanted = name.partition(".")
    option = next(option for option in OPTIONS if option.name == wanted)
    value = getattr(resolved.settings.destinations[signal], FIELDS[wanted])
    return Line(name, shown(value, secret=option.secret), resolved.sources[name], f"for {signal} alone: {option.help}")


def report(resolved: Resolved) -> str:
    """Every option with its value and where it came from, one a line; then what is set and changes nothing."""
    rows: Sequence[Line] = lines(resolved)
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    said = [
        f"{row.option:<{widths[0]}}  {row.value:<{widths[1]}}  {row.source:<{widths[2]}}  {row.help}" for row in rows
    ]
    if resolved.unused:
        said += ["", "set, and of no effect here:", *(f"  {name}: {why}" for name, why in resolved.unused.items())]
    return "\n".join(said)


def shown(value: Any, *, secret: bool) -> str:
    """A value for people to read; ``-`` for none."""
    if secret and value:
        return ", ".join(f"{key}=***" for key in value) if isinstance(value, Mapping) else "***"
    if isinstance(value, GameModel):
        return value.name
    if isinstance(value, Bounds):
        return "default bounds" if value == Bounds() else "own bounds"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={item}" for key, item in value.items()) or "-"
    if isinstance(value, tuple):
        return ", ".join(_item(item) for item in value) or "-"
    return "-" if value in ("", None) else str(value)


def _item(item: Any) -> str:
    if isinstance(item, Metric):
        return item.name
    return item if isinstance(item, str) else repr(item)
