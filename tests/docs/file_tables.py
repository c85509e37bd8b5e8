"""The section "Files" of docs/architecture.md: what each module says of itself in the first sentence of its docstring.

``python -m tests.docs.file_tables`` writes it again; a test holds it against the modules.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.docs.markdown import ROOT

PAGE = ROOT / "docs" / "architecture.md"
BEGIN = "<!-- files: written by `python -m tests.docs.file_tables` from the modules' docstrings -->"
END = "<!-- end of files -->"
PACKAGES = ("otel_setup", "settings", "deploy", "alerts")
"""Packages whose every module is listed."""
_SENTENCE = re.compile(r"(.*?[.!?])(?:\s|$)", re.DOTALL)


def summary(module: Path) -> str:
    """The first sentence of a module's docstring, as Markdown; empty without one."""
    docstring = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
    sentence = _SENTENCE.match(docstring)
    words = " ".join((sentence[1] if sentence else docstring).split())
    words = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", words).replace("``", "`")
    return words.replace("|", "\\|")


def section() -> str:
    """The whole section, without its heading."""
    return "\n\n".join([BEGIN, *(part for package in PACKAGES for part in _parts(ROOT / package)), END])


def _parts(folder: Path) -> Iterator[str]:
    modules = [module for module in sorted(folder.glob("*.py")) if module.name != "__init__.py"]
    subpackages = [sub for sub in sorted(folder.iterdir()) if (sub / "__init__.py").exists()]
    yield f"### `{_name(folder)}/`"
    if about := summary(folder / "__init__.py"):
        yield about
    rows = [f"| [{module.name}](../{_name(module)}) | {summary(module)} |" for module in modules]
    if rows:
        yield "\n".join(["| file | what it is for |", "|---|---|", *rows])
    for sub in subpackages:
        yield from _parts(sub)


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def written(page: str) -> str:
    """The page with its section made anew.

    Raises:
        ValueError: the page has not exactly one such section.
    """
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise ValueError(f"expected one section between {BEGIN!r} and {END!r}")
    before, rest = page.split(BEGIN)
    return before + section() + rest.split(END)[1]


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"wrote the files of {', '.join(PACKAGES)} to {_name(PAGE)}\n")
