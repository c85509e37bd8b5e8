"""``python -m otel_setup report``: every option with its value, where it comes from and what it means."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence

from otel_setup.cli.table import table, terminal_width
from otel_setup.config import ConfigError, Resolved, resolve
from otel_setup.config.finding import ENVIRONMENT
from otel_setup.config.report import lines
from otel_setup.diagnosis.problems import shown_problem
from otel_setup.diagnosis.variables import unused_variables
from otel_setup.text import clean_text

_NO_SENSE = 2
_SET, _BY_DEFAULT, _UNUSED = "set", "by default", "set in the environment, and of no effect"


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns 0, or 2 where the configuration is wrong."""
    options = _parser().parse_args(arguments)
    try:
        resolved = resolve({})
    except ConfigError as wrong:
        problems = [shown_problem(problem) for problem in wrong.problems]
        _show(options.format, {"problems": problems}, "\n".join(problems) + "\n")
        return _NO_SENSE
    _show(options.format, _document(resolved), _as_table(resolved))
    return 0


def _show(form: str, document: dict[str, object], text: str) -> None:
    print(json.dumps(document, indent=2, ensure_ascii=False) + "\n" if form == "json" else text, end="")


def _document(resolved: Resolved) -> dict[str, object]:
    return {
        "options": [
            {"option": line.option, "value": clean_text(line.value), "source": line.source, "meaning": line.help}
            for line in lines(resolved)
        ],
        "unused": [{"variable": name, "why": why} for name, why in unused_variables(resolved, os.environ).items()],
    }


def _as_table(resolved: Resolved) -> str:
    sections: dict[str, list[tuple[str, str, str, str]]] = {}
    for line in lines(resolved):
        kind = _BY_DEFAULT if line.source == "default" else _SET
        value = " ".join(clean_text(line.value).split())
        sections.setdefault(kind, []).append((line.option, value, _short_source(line.source), line.help))
    ordered = {kind: sections[kind] for kind in (_SET, _BY_DEFAULT) if kind in sections}
    shown = table(("option", "value", "source", "meaning"), ordered, terminal_width())
    unused = unused_variables(resolved, os.environ)
    if unused:
        rows = [(name, why) for name, why in unused.items()]
        shown += "\n" + table(("variable", "why it changes nothing"), {_UNUSED: rows}, terminal_width())
    return shown


def _short_source(source: str) -> str:
    """The name of a variable says by itself that it is one."""
    return source.replace(f"{ENVIRONMENT} ", "")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m otel_setup report",
        description="What configure() takes from this environment, and what is set without effect.",
        epilog=(
            "Options that a game gives to configure() in its code are not known here: there,\n"
            "print(configure(...).report()). Secrets are masked.\n"
            "Exit code 2: the configuration is wrong."
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--format", choices=("table", "json"), default="table", help="for people, or for programs")
    return parser
