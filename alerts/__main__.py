"""Command line: ``python -m alerts build|check``."""

from __future__ import annotations

import argparse
import sys

from alerts.build import generated
from alerts.check import check
from alerts.query import QueryError
from deploy.generating import add_inputs, add_outputs, write_or_compare
from otel_setup.catalogue import Catalogue
from otel_setup.cli.options import OptionError, catalogue_of
from settings import Settings, SettingsError, load


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code (0 done, 1 differs or faulty, 2 something must be put right first)."""
    parser = argparse.ArgumentParser(prog="python -m alerts", description="Generate rules and alerts for Prometheus.")
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="write the rules that this project generates")
    add_inputs(build)
    add_outputs(build)
    add_inputs(commands.add_parser("check", help="look for faults in the rules, and exit 1 where there are any"))
    options = parser.parse_args(arguments)
    try:
        catalogue = catalogue_of(options.model, options.prefix)
    except OptionError as problem:
        parser.error(str(problem))
    try:
        settings = load(*options.settings)
        if options.command == "check":
            return _check(settings, catalogue)
        files = generated(settings, catalogue)
    except (SettingsError, QueryError) as problem:
        print(problem, file=sys.stderr)
        return 2
    return write_or_compare(files, options.out, compare=options.check)


def _check(settings: Settings, catalogue: Catalogue) -> int:
    found = check(settings, catalogue)
    for finding in found:
        print(finding)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
