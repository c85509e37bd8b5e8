"""Tables for a terminal: columns that fit its width, with wrapped cells."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence

_INDENT = 2
_GAP = 2
_NARROWEST = 10
_NARROWEST_PROSE = 40

Row = Sequence[str]


def terminal_width() -> int | None:
    """Columns of the terminal (``COLUMNS`` goes first); None where standard output is a file or a pipe."""
    if not sys.stdout.isatty() and not os.environ.get("COLUMNS", "").isdigit():
        return None
    return shutil.get_terminal_size().columns


def table(header: Row, sections: Mapping[str, Sequence[Row]], width: int | None) -> str:
    """Sections of rows under one header, their columns aligned throughout.

    Parameters:
        header: the columns' names; the last column is prose.
        sections: the rows by the title of their section.
        width: in characters. Where the prose finds no room beside the other columns it goes below them. None: as
            wide as it gets, each row on one line, so that other programs can search it.
    """
    rows = [header, *(row for members in sections.values() for row in members)]
    *widths, prose = (max(len(row[column]) for row in rows) for column in range(len(header)))
    room = prose if width is None else width - _INDENT - sum(widths) - _GAP * len(widths)
    if width is None or room >= min(prose, _NARROWEST_PROSE):
        shown = {title: [_cells(row, [*widths, room]) for row in members] for title, members in sections.items()}
        head = _cells(header, [*widths, room])
    else:
        widths = _shrunk(widths, width - _INDENT)
        shown = {title: [_stacked(row, widths, width) for row in members] for title, members in sections.items()}
        head = _stacked(header, widths, width)
    lines = [head, *(line for title, members in shown.items() for line in ("", title, *members))]
    return "\n".join(lines) + "\n"


def _cells(row: Row, widths: Sequence[int]) -> str:
    """One row, each cell wrapped inside its column."""
    wrapped = [textwrap.wrap(cell, width, break_on_hyphens=False) for cell, width in zip(row, widths, strict=True)]
    height = max(1, *map(len, wrapped))
    padded = [[*lines, *[""] * (height - len(lines))] for lines in wrapped]
    gap = " " * _GAP
    lines = (
        gap.join(f"{cell:{width}}" for cell, width in zip(cells, widths, strict=True))
        for cells in zip(*padded, strict=True)
    )
    return "\n".join(" " * _INDENT + line.rstrip() for line in lines)


def _stacked(row: Row, widths: Sequence[int], width: int) -> str:
    """One row with its prose below the other columns."""
    indent = " " * (3 * _INDENT)
    prose = textwrap.fill(row[-1], max(width, _NARROWEST_PROSE), initial_indent=indent, subsequent_indent=indent)
    return f"{_cells(row[:-1], widths)}\n{prose}"


def _shrunk(widths: Sequence[int], room: int) -> list[int]:
    """Widths that fit the room: the widest gives first, the first column, which people copy from, last."""
    found = list(widths)
    while sum(found) + _GAP * (len(found) - 1) > room and max(found) > _NARROWEST:
        later = max(range(1, len(found)), key=found.__getitem__, default=0)
        found[later if found[later] > _NARROWEST else 0] -= 1
    return found
