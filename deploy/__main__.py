"""Command line: ``python -m deploy tools|build``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from deploy import build, tools
from deploy.collector.check import ConfigurationError
from deploy.tools.recipes import RECIPES
from otel_setup.catalogue import Catalogue
from otel_setup.cli.options import OptionError, add_game_options, catalogue_of
from settings import SettingsError, load


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code (0 done, 1 failed or differs, 2 something must be put right first)."""
    parser = argparse.ArgumentParser(prog="python -m deploy", description="Build and run what stands behind the game.")
    commands = parser.add_subparsers(dest="command", required=True)

    build_command = commands.add_parser("build", help="write the configuration files that this project generates")
    build_command.add_argument(
        "--settings",
        type=Path,
        metavar="FILE",
        action="append",
        default=[],
        help="a settings file, over the defaults; given again, a file over those before it",
    )
    add_game_options(build_command)
    build_command.add_argument("--out", type=Path, metavar="DIR", default=build.ROOT, help="instead of this checkout")
    build_command.add_argument("--check", action="store_true", help="write nothing; exit 1 and show what would change")

    tools_command = commands.add_parser("tools", help="build or fetch the real programs into a per-user cache")
    tools_command.add_argument("names", nargs="*", metavar="TOOL", help=f"of {', '.join(RECIPES)} (default: all)")
    tools_command.add_argument("--list", action="store_true", help="say what is built and where, and build nothing")
    tools_command.add_argument("--cache", type=Path, metavar="DIR", help="not $OTEL_SETUP_CACHE or ~/.cache/otel-setup")

    options = parser.parse_args(arguments)
    if options.command == "build":
        try:
            catalogue = catalogue_of(options.model, options.prefix)
        except OptionError as problem:
            build_command.error(str(problem))
        return run_build(options.settings, catalogue, options.out, options.check)
    if unknown := [name for name in options.names if name not in RECIPES]:
        tools_command.error(f"unknown tool {', '.join(unknown)}; there are {', '.join(RECIPES)}")
    return run_tools(options.names or list(RECIPES), options.list, options.cache)


def run_build(settings_files: list[Path], catalogue: Catalogue, out: Path, check: bool) -> int:
    """Write the generated files, or with ``check`` print how the present ones differ."""
    try:
        files = build.generated(load(*settings_files), catalogue)
    except (SettingsError, ConfigurationError) as problem:
        print(problem, file=sys.stderr)
        return 2
    if check:
        diff = build.drift(files, out)
        print(diff, end="")
        return 1 if diff else 0
    changed = build.write(files, out)
    for name in files:
        print(f"{'wrote' if name in changed else 'unchanged'} {name}")
    return 0


def run_tools(names: list[str], list_only: bool, cache: Path | None) -> int:
    """Build, or list, the named tools; prints one ``program path`` line each on standard output."""
    try:
        for name in names:
            if not list_only:
                tools.build(RECIPES[name], cache)
            for program in RECIPES[name].binaries:
                print(program, tools.find(program, cache) or "not built", flush=True)
    except tools.ToolError as problem:
        print(problem, file=sys.stderr)
        return 2 if isinstance(problem, tools.ToolchainMissingError) else 1
    except KeyboardInterrupt:
        print("\ninterrupted; run it again and it goes on where it was", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
