"""``python -m otel_setup check``: tells why nothing arrives at the Collector, by really sending something."""

from __future__ import annotations

import argparse
import json
import os
import sys
import textwrap
from collections.abc import Sequence
from typing import Any, cast

from otel_setup.cli.table import table, terminal_width
from otel_setup.config import ConfigError, Options, resolve
from otel_setup.diagnosis.check import Findings, Result, Step, run_check
from otel_setup.diagnosis.problems import REMEDIES, Problem, shown_problem

DEFAULT_TIMEOUT = 10.0
"""Seconds a check may take in all."""

_MARKS = {Result.OK: "ok", Result.FAILED: "FAILED", Result.WARNING: "warning", Result.NOT_TRIED: "-"}
_ACCEPTED, _NOT_ACCEPTED, _NO_SENSE, _INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns 0 where every signal was accepted, 1 where one was not, 2 for a wrong configuration."""
    # gRPC would print errors of its own beside ours. It reads this when it is imported.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    options = _parser().parse_args(arguments)
    try:
        settings = resolve(_given(options)).settings
    except ConfigError as wrong:
        findings = Findings([_wrong(problem) for problem in wrong.problems])
        _show(findings, options.format)
        return _NO_SENSE
    try:
        findings = run_check(settings, options.timeout)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return _INTERRUPTED
    _show(findings, options.format)
    return _ACCEPTED if findings.all_accepted else _NOT_ACCEPTED


def _given(options: argparse.Namespace) -> Options:
    """The options of ``configure()`` among the arguments."""
    values: dict[str, Any] = {name: getattr(options, name) for name in _ARGUMENTS}
    if options.header:
        values["headers"] = dict(options.header)
    return cast(Options, {name: value for name, value in values.items() if value is not None})


def _wrong(problem: str) -> Step:
    return Step("what is configured", "configuration", Result.FAILED, shown_problem(problem), Problem.CONFIGURATION)


# --- output ----------------------------------------------------------------------------------------------------------


def _show(findings: Findings, form: str) -> None:
    print(_as_json(findings) if form == "json" else _as_table(findings), end="")


def _as_json(findings: Findings) -> str:
    steps = [
        {
            "destination": step.destination,
            "step": step.name,
            "result": step.result,
            "seen": step.seen,
            "problem": step.problem,
            "remedy": step.remedy,
        }
        for step in findings.steps
    ]
    document = {"accepted": sorted(findings.accepted), "all_accepted": findings.all_accepted, "steps": steps}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _as_table(findings: Findings) -> str:
    sections: dict[str, list[tuple[str, str, str]]] = {}
    for step in findings.steps:
        row = (step.name, _MARKS[step.result], step.seen)
        sections.setdefault(step.destination, []).append(row)
    shown = table(("step", "result", "what was seen"), sections, terminal_width())
    return f"{shown}\n{_verdict(findings)}\n"


def _verdict(findings: Findings) -> str:
    width = terminal_width() or sys.maxsize
    problems = dict.fromkeys(step.problem for step in findings.steps if step.problem)
    remedies = "".join(
        "\n" + textwrap.fill(REMEDIES[problem], width, initial_indent="  - ", subsequent_indent="    ")
        for problem in problems
    )
    if findings.all_accepted:
        return f"All three signals were accepted.{remedies}"
    missing = "Nothing was accepted." if not findings.accepted else f"Accepted: {', '.join(sorted(findings.accepted))}."
    return f"{missing} What to do:{remedies}"


# --- arguments -------------------------------------------------------------------------------------------------------

_ARGUMENTS = {
    "collector": "URL",
    "protocol": "P",
    "compression": "C",
    "certificate_file": "F",
    "client_certificate_file": "F",
    "client_key_file": "F",
    "service": "NAME",
}
"""Options of ``configure()`` that can be given, with what stands for their value in the help."""


def _parser() -> argparse.ArgumentParser:
    from otel_setup.config import OPTIONS

    parser = argparse.ArgumentParser(
        prog="python -m otel_setup check",
        description="Sends one of each signal, and tells why it does not arrive.",
        epilog=(
            "What is not given is taken from the environment, as configure() takes it.\n"
            "Options that a game gives to configure() in its code are not known here: give\n"
            "them again. What is sent is called otel_setup.check, and is marked by a\n"
            "resource attribute of that name.\n"
            "Exit codes: 0 all three accepted, 1 not all, 2 the configuration is wrong.\n\n"
            "examples:\n"
            "  python -m otel_setup check\n"
            "  python -m otel_setup check --collector http://localhost:4317 --protocol grpc\n"
            "  OTEL_EXPORTER_OTLP_HEADERS=authorization=X python -m otel_setup check"
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    help_of = {option.name: option.help for option in OPTIONS}
    for name, value in _ARGUMENTS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", metavar=value, help=help_of[name])
    parser.add_argument(
        "--header",
        metavar="NAME=VALUE",
        type=_pair,
        action="append",
        help="sent along, once for each; other users see arguments, so put a secret into OTEL_EXPORTER_OTLP_HEADERS",
    )
    parser.add_argument(
        "--timeout", metavar="S", type=_seconds, default=DEFAULT_TIMEOUT, help="seconds in all (default: %(default)g)"
    )
    parser.add_argument("--format", choices=("table", "json"), default="table", help="for people, or for programs")
    return parser


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError("expected NAME=VALUE")
    return name, value


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return seconds
