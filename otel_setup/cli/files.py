"""Generated files: written, or held against what is there."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path


def write(files: Mapping[str, str], folder: Path) -> None:
    """Write each text under its name; folders are made.

    Raises:
        OSError: where the folder or a file cannot be written.
    """
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())


def drift(files: Mapping[str, str], folder: Path) -> str:
    """What the files in a folder lack to be the generated ones, as one unified diff; empty where they are.

    Raises:
        OSError: where a file is there and cannot be read.
    """
    return "".join(_difference(folder / name, text) for name, text in files.items())


def _difference(path: Path, wanted: str) -> str:
    there = path.read_bytes().decode(errors="backslashreplace") if path.exists() else ""
    if there == wanted:
        return ""
    before = str(path) if path.exists() else "(missing)"
    lines = list(difflib.unified_diff(_lines(there), _lines(wanted), before, f"{path} (generated)"))
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _lines(text: str) -> list[str]:
    """Lines with their ends; only a line feed ends one, so that nothing else in a text can hide a difference."""
    return [line + "\n" for line in text.split("\n")[:-1]] + ([rest] if (rest := text.rpartition("\n")[2]) else [])
