"""What every generator's command line shares: its inputs, and files that are written or held against what is there."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Mapping
from pathlib import Path

from otel_setup.cli.options import add_game_options

ROOT = Path(__file__).resolve().parent.parent


def add_inputs(command: argparse.ArgumentParser) -> None:
    """What everything is generated from: settings files and the game."""
    command.add_argument(
        "--settings",
        type=Path,
        metavar="FILE",
        action="append",
        default=[],
        help="a settings file, over the defaults; given again, a file over those before it",
    )
    add_game_options(command)


def add_outputs(command: argparse.ArgumentParser) -> None:
    """Where files are written, and whether they are."""
    command.add_argument("--out", type=Path, metavar="DIR", default=ROOT, help="instead of this checkout")
    command.add_argument("--check", action="store_true", help="write nothing; exit 1 and show what would change")


def write_or_compare(files: Mapping[str, str], out: Path, *, compare: bool) -> int:
    """Write generated files, or print how the present ones differ; the exit code is 1 where they do."""
    if compare:
        diff = drift(files, out)
        print(diff, end="")
        return 1 if diff else 0
    changed = write(files, out)
    for name in files:
        print(f"{'wrote' if name in changed else 'unchanged'} {name}")
    return 0


def write(files: Mapping[str, str], out: Path) -> list[str]:
    """Write the files below ``out``; returns the paths of those that changed."""
    changed = []
    for name, text in files.items():
        path = out / name
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        changed.append(name)
    return changed


def drift(files: Mapping[str, str], out: Path) -> str:
    """A unified diff from the files below ``out`` to what would be written; empty where there is none."""
    diff = ""
    for name, text in files.items():
        path = out / name
        present = path.read_text(encoding="utf-8") if path.exists() else ""
        lines = difflib.unified_diff(
            present.splitlines(keepends=True), text.splitlines(keepends=True), f"{name} (there)", f"{name} (generated)"
        )
        diff += "".join(lines)
    return diff
