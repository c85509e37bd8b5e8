"""Command line: ``python -m alerts build``."""

from __future__ import annotations

import argparse
import sys

from alerts.build import generated
from alerts.query import QueryError
from deploy.generating import add_inputs, add_outputs, write_or_compare
from otel_setup.cli.options import OptionError, catalogue_of
from settings import SettingsError, load


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code (0 done, 1 differs, 2 something must be put right first)."""
    parser = argparse.ArgumentParser(prog="python -m alerts", description="Generate rules and alerts for Prometheus.")
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="write the rules that this project generates")
    add_inputs(build)
    add_outputs(build)
    options = parser.parse_args(arguments)
    try:
        catalogue = catalogue_of(options.model, options.prefix)
    except OptionError as problem:
        parser.error(str(problem))
    try:
        files = generated(load(*options.settings), catalogue)
    except (SettingsError, QueryError) as problem:
        print(problem, file=sys.stderr)
        return 2
    return write_or_compare(files, options.out, compare=options.check)


if __name__ == "__main__":
    sys.exit(main())
