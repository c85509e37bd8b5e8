"""The reference of ``configure()``: every option, as a Markdown page for people."""

from __future__ import annotations

from collections.abc import Iterable

from otel_setup.catalogue.attributes import SIGNALS
from otel_setup.config import OPTIONS, Option
from otel_setup.config.destinations import FIELDS, own_variable
from otel_setup.config.report import shown
from otel_setup.game_model import GameModel

_INTRODUCTION = """\
A value is taken from the first of these that gives one: a keyword of `configure()`, the mapping passed to it, the
environment (OpenTelemetry's variables before the product's own), the default. `None` means *not given*, `False` means
*off*. Everything that is wrong is said at once, in one `ConfigError`. `python -m otel_setup report` prints what holds
here, and where each value came from.
"""
_SIGNALS = """\
Each of these has a variable for one signal alone, which wins over the general one and gives way to a keyword:
"""


def body() -> Iterable[str]:
    """The page's paragraphs and tables."""
    yield _INTRODUCTION.strip()
    yield _table(("Option", "Default", "Environment", "What it is"), [_row(option) for option in OPTIONS])
    yield "## Of one signal alone"
    yield _SIGNALS.strip()
    rows = [
        (f"`{option.name}`", "<br>".join(f"`{own_variable(option, signal)}`" for signal in SIGNALS))
        for option in OPTIONS
        if option.name in FIELDS
    ]
    yield _table(("Option", "Variables"), rows)


def _row(option: Option) -> tuple[str, ...]:
    # A page of another game does not name the default one.
    default = "-" if isinstance(option.default, GameModel) else shown(option.default, secret=False)
    variables = "<br>".join(f"`{name}`" for name, _ in option.environment)
    return f"`{option.name}`", "" if default == "-" else f"`{default}`", variables, option.help


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [tuple(header), *map(tuple, rows)]
    lines.insert(1, ("---",) * len(lines[0]))
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
