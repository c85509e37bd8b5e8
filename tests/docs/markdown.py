"""The project's Markdown pages, taken apart far enough to be tested."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The checkout."""

_FENCE = re.compile(r"^(`{3,})(.*)$")
_CODE = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)")
_LINK = re.compile(r"\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^(#{1,6}) (.*)$")
_CELLS = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Parameters:
        info: what stands after the opening fence; its first word is the language.
        text: the lines between the fences.
        line: of the opening fence, from 1.
        section: the heading it stands under.
    """

    info: str
    text: str
    line: int
    section: str

    @property
    def language(self) -> str:
        """The first word of the info string."""
        return self.info.partition(" ")[0]


@dataclass(frozen=True)
class Table:
    """A table: its header, and its rows with the line each stands in."""

    section: str
    header: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]


class Page:
    """One Markdown file.

    Parameters:
        path: the file.
        text: what it holds; read from the file where not given.
    """

    def __init__(self, path: Path, text: str | None = None) -> None:
        self.path = path
        self.text = path.read_text(encoding="utf-8") if text is None else text
        self.blocks: list[Block] = []
        self.prose: list[tuple[int, str]] = []
        """Lines outside of fenced blocks, with their numbers."""
        self._read()

    @property
    def name(self) -> str:
        """The path below the checkout."""
        return self.path.relative_to(ROOT).as_posix()

    def _read(self) -> None:
        fence, info, opened, inside, section = "", "", 0, list[str](), ""
        for number, line in enumerate(self.text.splitlines(), start=1):
            found = _FENCE.match(line)
            if fence:
                if line.rstrip() == fence:
                    self.blocks.append(Block(info, "\n".join(inside) + "\n", opened, section))
                    fence = ""
                else:
                    inside.append(line)
            elif found:
                (fence, info), opened, inside = (found[1], found[2].strip()), number, []
            else:
                if heading := _HEADING.match(line):
                    section = heading[2]
                self.prose.append((number, line))
        assert not fence, f"{self.path}: the block opened in line {opened} is not closed"

    @cached_property
    def anchors(self) -> set[str]:
        """What links into this page may name: GitHub's anchors of its headings."""
        anchors: set[str] = set()
        for _, line in self.prose:
            if heading := _HEADING.match(line):
                anchor = _anchor(heading[2])
                repeated = sum(known == anchor or known.startswith(f"{anchor}-") for known in anchors)
                anchors.add(f"{anchor}-{repeated}" if anchor in anchors else anchor)
        return anchors

    @cached_property
    def links(self) -> list[tuple[int, str]]:
        """Targets of links, with their line."""
        return [(number, target) for number, line in self.prose for target in _LINK.findall(_CODE.sub("", line))]

    @cached_property
    def code_spans(self) -> list[tuple[int, str]]:
        """Text between backticks within lines, with its line."""
        return [(number, found[1].strip()) for number, line in self.prose for found in _CODE.findall(line)]

    @cached_property
    def tables(self) -> list[Table]:
        """The tables, in order."""
        tables: list[Table] = []
        section, lines = "", list[tuple[int, tuple[str, ...]]]()
        for number, line in [*self.prose, (0, "")]:
            if line.startswith("|"):
                lines.append((number, tuple(cell.strip() for cell in _CELLS.split(line.strip())[1:-1])))
                continue
            if len(lines) > 1:
                tables.append(Table(section, lines[0][1], tuple(lines[2:])))
            lines = []
            if heading := _HEADING.match(line):
                section = heading[2]
        return tables


def code_in(cell: str) -> list[str]:
    """What stands between backticks in a piece of a line."""
    return [found[1] for found in _CODE.findall(cell)]


def pages() -> list[Page]:
    """Every page that people read: those at the top, and those in docs/."""
    return [Page(path) for path in [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]]


def _anchor(heading: str) -> str:
    words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
    return re.sub(r"[^\w\- ]", "", words.strip().lower()).replace(" ", "-")
