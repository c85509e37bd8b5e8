"""Goals of the stream, and whether they are met: by the median, whose quartiles say how sure that is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.report import Spread, Table
from benchmarks.stream.rounds import NOT_INSTALLED, Cost, ratios


@dataclass(frozen=True)
class Verdict:
    """What became of a goal.

    Parameters:
        goal: in words.
        wanted: the limit, with what it is: "at least 5 times".
        measured: what was measured; None where a peer is not installed.
        met: whether the median keeps the limit.
        unit: of what was measured.
    """

    goal: str
    wanted: str
    measured: Spread | None
    met: bool
    unit: str = ""

    def row(self) -> tuple[str, str, str, str]:
        """For the table of goals."""
        if self.measured is None:
            return self.goal, self.wanted, NOT_INSTALLED, ""
        return self.goal, self.wanted, f"{self.measured}{self.unit}", "met" if self.met else "NOT MET"


@dataclass(frozen=True)
class Found:
    """What one part found."""

    table: Table
    verdicts: list[Verdict] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Goal:
    """To take so many times less than a peer does.

    Parameters:
        words: what is compared.
        ours, theirs: names of what is compared.
        times: how many times less, at least.
        part: which part of the cost is compared.
    """

    words: str
    ours: str
    theirs: str
    times: float
    part: str = "total"

    def found(self, measured: Mapping[str, list[Cost]]) -> Verdict:
        """What became of it."""
        wanted = f"at least {self.times:g} times"
        if self.theirs not in measured:
            return Verdict(self.words, wanted, None, met=False)
        ratio = ratios(measured[self.theirs], measured[self.ours], self.part)
        return Verdict(self.words, wanted, ratio, ratio.median >= self.times)


def at_most(words: str, limit: float, measured: Spread, unit: str = "") -> Verdict:
    """A goal not to exceed a limit."""
    return Verdict(words, f"at most {limit:g}{unit}", measured, measured.median <= limit, unit)


def table_of(title: str, verdicts: Iterable[Verdict]) -> Table:
    """All goals."""
    rows = [verdict.row() for verdict in verdicts]
    return Table(title, ("", "goal", "measured", ""), rows, ("Median (quartiles).",))
