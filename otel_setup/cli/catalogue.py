"""``python -m otel_setup catalogue``: what a game exports, for people and for programs."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from otel_setup.catalogue import Catalogue, weaver
from otel_setup.catalogue.build import values_of
from otel_setup.catalogue.render import KINDS, document, grouped, prometheus_type, prose
from otel_setup.cli import files, reference
from otel_setup.cli.options import OptionError, add_game_options, catalogue_of
from otel_setup.cli.table import Row, table, terminal_width

FOLDERS = ("weaver", "markdown")
"""Formats of several files; they need a folder."""


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns 0, 1 where ``--check`` found a difference, or 2 where the arguments make no sense."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.format in FOLDERS and options.out is None:
        parser.error(f"--format {options.format} makes several files: say where, with --out DIR")
    if options.format in FOLDERS and options.kind:
        parser.error(f"--kind goes with table and json; --format {options.format} is always whole")
    if options.format == "table" and options.out is not None:
        parser.error("--out goes with json, weaver and markdown; a table is printed")
    if options.check and options.out is None:
        parser.error("--check compares the files in a folder: say which, with --out DIR")
    try:
        catalogue = catalogue_of(options.model, options.prefix)
        kinds = (options.kind,) if options.kind else KINDS
        if options.format == "table":
            print(tables(catalogue, kinds, terminal_width()), end="")
            return 0
        made = _files(catalogue, options.format, kinds)
        if options.out is None:
            print("".join(made.values()), end="")
            return 0
        return _deliver(made, options.out, check=options.check)
    except OptionError as problem:
        parser.error(str(problem))
    except (ImportError, OSError) as problem:
        if isinstance(problem, BrokenPipeError):
            raise
        print(f"{parser.prog}: {problem}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m otel_setup catalogue",
        description="Every metric, span, event and attribute of a game.",
        epilog=(
            "examples:\n"
            "  python -m otel_setup catalogue --kind events\n"
            "  python -m otel_setup catalogue --model examples.arena.model:CATALOGUE | grep -w histogram\n"
            "  python -m otel_setup catalogue --format json | jq -r '.metrics[].prometheus'\n"
            "  python -m otel_setup catalogue --format weaver --out registry\n"
            "  python -m otel_setup catalogue --format markdown --out docs/reference --check"
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_game_options(parser)
    parser.add_argument("--kind", choices=KINDS, help="only these, as a table or JSON (default: all)")
    parser.add_argument(
        "--format",
        choices=("table", "json", *FOLDERS),
        default="table",
        help="a table; JSON; an OpenTelemetry Weaver registry; the Markdown reference (default: table)",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="write files here instead of printing")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 with a diff where the files in DIR differ"
    )
    return parser


def _files(catalogue: Catalogue, form: str, kinds: Sequence[str]) -> dict[str, str]:
    if form == "weaver":
        return weaver.files(catalogue)
    if form == "markdown":
        return reference.files(catalogue)
    return {"catalogue.json": json.dumps(document(catalogue, kinds), indent=2, ensure_ascii=False) + "\n"}


def _deliver(made: dict[str, str], folder: Path, *, check: bool) -> int:
    if not check:
        files.write(made, folder)
        print("\n".join(str(folder / name) for name in made))
        return 0
    if difference := files.drift(made, folder):
        print(difference, end="")
        print(f"{folder} is out of date: run the same command without --check", file=sys.stderr)
        return 1
    return 0


def tables(catalogue: Catalogue, kinds: Sequence[str], width: int | None) -> str:
    """The catalogue as tables for a terminal of a width, one a kind; None as the width: each row on one line."""
    makers = {"metrics": _metrics, "spans": _spans, "events": _events, "attributes": _attributes}
    parts = []
    for kind in kinds:
        header, sections = makers[kind](catalogue)
        parts.append(table(header, sections, width))
    return "\n".join(parts)


def _metrics(catalogue: Catalogue) -> tuple[Row, dict[str, list[Row]]]:
    return ("METRIC", "TYPE", "LABELS", "WHAT IT SAYS"), {
        group.title: [
            (m.prometheus, prometheus_type(m.declared.kind), ", ".join(m.labels), prose(m.declared.description))
            for m in members
        ]
        for group, members in grouped(catalogue.metrics)
    }


def _spans(catalogue: Catalogue) -> tuple[Row, dict[str, list[Row]]]:
    rows: list[Row] = [
        (span.name, ", ".join(attribute.name for attribute in span.attributes), prose(span.description))
        for span in catalogue.spans
    ]
    return ("SPAN", "ATTRIBUTES", "WHAT IT COVERS"), {"Spans": rows}


def _events(catalogue: Catalogue) -> tuple[Row, dict[str, list[Row]]]:
    return ("EVENT", "SEVERITY", "DATA", "WHAT HAPPENED"), {
        group.title: [
            (event.name, event.severity.name, ", ".join(a.data_key for a in event.attributes), prose(event.description))
            for event in members
        ]
        for group, members in grouped(catalogue.events)
    }


def _attributes(catalogue: Catalogue) -> tuple[Row, dict[str, list[Row]]]:
    on_metrics = {label for metric in catalogue.metrics for label in metric.declared.attributes}
    sections: dict[str, list[Row]] = {"Labels of metrics": [], "On spans and events": []}
    for attribute in catalogue.attributes():
        values = values_of(attribute, catalogue.model)
        row = (attribute.name, attribute.type.value, ", ".join(values or ()) or "-", prose(attribute.description))
        sections["Labels of metrics" if attribute in on_metrics else "On spans and events"].append(row)
    return ("ATTRIBUTE", "TYPE", "VALUES", "WHAT IT IS"), sections
