"""Command line: ``python -m deploy tools|build|up|status|down``."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from deploy import build, stack, tools
from deploy.collector.check import ConfigurationError
from deploy.generating import add_inputs, add_outputs, write_or_compare
from deploy.tools.linked import linked_modules
from deploy.tools.recipes import RECIPES
from otel_setup.catalogue import Catalogue
from otel_setup.cli.options import OptionError, catalogue_of
from settings import SettingsError, load


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code (0 done, 1 failed or differs, 2 something must be put right first)."""
    parser = argparse.ArgumentParser(prog="python -m deploy", description="Build and run what stands behind the game.")
    commands = parser.add_subparsers(dest="command", required=True)

    build_command = commands.add_parser("build", help="write the configuration files that this project generates")
    add_inputs(build_command)
    add_outputs(build_command)

    tools_command = commands.add_parser("tools", help="build or fetch the real programs into a per-user cache")
    tools_command.add_argument("names", nargs="*", metavar="TOOL", help=f"of {', '.join(RECIPES)} (default: all)")
    tools_command.add_argument("--list", action="store_true", help="say what is built and where, and build nothing")
    tools_command.add_argument(
        "--modules", action="store_true", help="print what each program is linked from, with checksums"
    )
    tools_command.add_argument("--cache", type=Path, metavar="DIR", help="not $OTEL_SETUP_CACHE or ~/.cache/otel-setup")

    up_command = commands.add_parser("up", help="start a Collector and its stores on this machine, in the background")
    keep_command = commands.add_parser("keep", help="what `up` runs in the background: the same, in this process")
    for command in (up_command, keep_command):
        command.add_argument(
            "role", nargs="?", default="standalone", help="what the Collector is for (default: %(default)s)"
        )
        add_inputs(command)
    status_command = commands.add_parser("status", help="what of it runs; exit 1 where something does not")
    down_command = commands.add_parser("down", help="stop it, the Collector first")
    for command in (up_command, keep_command, status_command, down_command):
        command.add_argument("--data", type=Path, metavar="DIR", help="where it keeps everything (default: the cache)")

    options = parser.parse_args(arguments)
    if options.command == "status":
        return run_status(stack.data_dir(options.data))
    if options.command == "down":
        return run_down(stack.data_dir(options.data))
    if options.command in ("build", "up", "keep"):
        try:
            catalogue = catalogue_of(options.model, options.prefix)
        except OptionError as problem:
            parser.error(str(problem))
        if options.command == "build":
            return run_build(options.settings, catalogue, options.out, options.check)
        return run_stack(options, catalogue)
    if unknown := [name for name in options.names if name not in RECIPES]:
        tools_command.error(f"unknown tool {', '.join(unknown)}; there are {', '.join(RECIPES)}")
    return run_tools(options.names or list(RECIPES), options.list, options.cache, options.modules)


def run_stack(options: argparse.Namespace, catalogue: Catalogue) -> int:
    """Start the stack of a role: in the background, or with ``keep`` in this process."""
    folder = stack.data_dir(options.data)
    inputs = [f"--settings={file.resolve()}" for file in options.settings]
    inputs += [f"--{name}={value}" for name in ("model", "prefix") if (value := getattr(options, name))]
    try:
        settings = load(*options.settings)
        if options.command == "keep":
            stack.keep(options.role, settings, catalogue, folder)
            return 0
        state = stack.up(options.role, settings, catalogue, folder, inputs)
    except (SettingsError, ConfigurationError, stack.StackError) as problem:
        print(problem, file=sys.stderr)
        return 2
    except (stack.ProcessError, tools.ToolError, TimeoutError) as problem:
        print(problem, file=sys.stderr)
        return 1
    run_status(folder)
    print("\nA game server on this machine reports to it with")
    for name, value in state["environment"].items():
        print(f"  export {name}={shlex.quote(value)}")
    return 0


def run_status(folder: Path) -> int:
    """Print what runs; 1 where something does not."""
    found = stack.status(folder)
    if found is None:
        print(f"nothing runs in {folder}: python -m deploy up")
        return 1
    widths = [max(len(row[column]) for row in found) for column in range(len(found[0]))]
    for row in found:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0 if all(state in ("ok", "runs") for _, state, _, _ in found) else 1


def run_down(folder: Path) -> int:
    """Stop what runs."""
    try:
        ended = stack.down(folder)
    except TimeoutError as problem:
        print(problem, file=sys.stderr)
        return 1
    print("stopped" if ended else f"nothing runs in {folder}")
    return 0


def run_build(settings_files: list[Path], catalogue: Catalogue, out: Path, check: bool) -> int:
    """Write the generated files, or with ``check`` print how the present ones differ."""
    try:
        files = build.generated(load(*settings_files), catalogue)
    except (SettingsError, ConfigurationError) as problem:
        print(problem, file=sys.stderr)
        return 2
    return write_or_compare(files, out, compare=check)


def run_tools(names: list[str], list_only: bool, cache: Path | None, modules: bool) -> int:
    """Build, or list, the named tools; prints one ``program path`` line each on standard output, or its modules."""
    try:
        for name in names:
            if not list_only:
                tools.build(RECIPES[name], cache)
            for program in RECIPES[name].binaries:
                path = tools.find(program, cache)
                if modules and path:
                    print(*linked_modules(path), sep="\n", flush=True)
                else:
                    print(program, path or "not built", flush=True)
    except tools.ToolError as problem:
        print(problem, file=sys.stderr)
        return 2 if isinstance(problem, tools.ToolchainMissingError) else 1
    except KeyboardInterrupt:
        print("\ninterrupted; run it again and it goes on where it was", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
