"""Does what others show equal what happened? A game's record against any number of accounts of it, side by side.

A source is a mapping from series (family without the game's prefix, label items) to values, the same form in which
``examples.common.record.expected`` gives the record. A series that a source lacks counts as 0, which is right only
where 0 is expected.
"""

from __future__ import annotations

import textwrap
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from examples.common.record import Series

WIDTH = 100
"""Columns of the rendered table."""

BESIDES = (
    "__name__",
    "job",
    "instance",
    "service_name",
    "service_namespace",
    "service_instance_id",
    "service_version",
    "deployment_environment_name",
)
"""Labels that Prometheus adds and that say nothing about the game; so do those that begin with ``otel_scope_``."""

_SAME, _DIFFERS = "✓", "✗"
_LEAST_NAME = 24

Values = Mapping[Series, float]


@dataclass(frozen=True)
class Row:
    """One line of the comparison: a family's sum, or one of its series.

    Parameters:
        name: the family, or the series' labels in braces.
        expected: what the record says.
        found: what each source says, in the sources' order; None where it has no such series.
        equal: whether nothing in this line differs; for a family, in none of its series.
        series: the family's series that differ.
    """

    name: str
    expected: float
    found: tuple[float | None, ...]
    equal: bool
    series: tuple[Row, ...] = ()


@dataclass(frozen=True)
class Reconciliation:
    """The whole comparison, a row for each family, in alphabetical order."""

    sources: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def equal(self) -> bool:
        """Whether all sources say what the record says."""
        return all(row.equal for row in self.rows)

    def differences(self) -> list[tuple[Row, Row]]:
        """Every series that differs, with its family's row."""
        return [(row, series) for row in self.rows for series in row.series]

    def render(self) -> str:
        """The table for a terminal, at most 100 columns wide; the last line says whether all agree."""
        return _render(self)


def reconcile(expected: Values, sources: Mapping[str, Values]) -> Reconciliation:
    """Compare the record with every source.

    Parameters:
        expected: the record's values; its families are those compared, a source's others are ignored.
        sources: by the name that heads the source's column.

    Raises:
        ValueError: if there is nothing to compare, which must not pass for agreement.
    """
    if not expected or not sources:
        raise ValueError("nothing to compare: the record expects nothing, or no source was given")
    by_family: dict[str, set[Series]] = defaultdict(set)
    for series in expected:
        by_family[series[0]].add(series)
    for values in sources.values():
        for series in values:
            if series[0] in by_family:
                by_family[series[0]].add(series)
    rows = (_family_row(family, by_family[family], expected, sources) for family in sorted(by_family))
    return Reconciliation(tuple(sources), tuple(rows))


def from_exposition(text: str, prefix: str) -> dict[Series, float]:
    """A game's series from Prometheus text exposition, such as ``/metrics`` answers.

    Parameters:
        text: the exposition.
        prefix: the game's, with its underscore (``liap_tui_``); series without it are left out.

    Raises:
        ValueError: if the text is no valid exposition.
    """
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return from_samples(((sample.name, sample.labels, sample.value) for sample in samples), prefix)


def from_prometheus(answer: Mapping[str, Any], prefix: str) -> dict[Series, float]:
    """A game's series from the answer of Prometheus's ``/api/v1/query``.

    Parameters:
        answer: the decoded JSON of an instant query that gives a vector, e.g. ``{__name__=~"liap_tui_.*"}``.
        prefix: the game's, with its underscore.

    Raises:
        ValueError: if the query failed or gave something else.
    """
    if answer.get("status") != "success" or answer["data"]["resultType"] != "vector":
        raise ValueError(f"not the answer of an instant query: {str(answer)[:200]}")
    results = answer["data"]["result"]
    return from_samples(((r["metric"].get("__name__", ""), r["metric"], float(r["value"][1])) for r in results), prefix)


def from_samples(samples: Iterable[tuple[str, Mapping[str, str], float]], prefix: str) -> dict[Series, float]:
    """Series of several processes, which differ only in ``instance``, add up."""
    values: dict[Series, float] = defaultdict(float)
    for name, labels, value in samples:
        if name.startswith(prefix):
            own = {k: v for k, v in labels.items() if k not in BESIDES and not k.startswith("otel_scope_")}
            values[name.removeprefix(prefix), frozenset(own.items())] += value
    return dict(values)


def _family_row(family: str, series: Collection[Series], expected: Values, sources: Mapping[str, Values]) -> Row:
    differing = []
    for one in sorted(series, key=lambda s: sorted(s[1])):
        wanted = expected.get(one, 0.0)
        found = tuple(values.get(one) for values in sources.values())
        if any((value or 0.0) != wanted for value in found):
            differing.append(Row(_labels(one), wanted, found, equal=False))
    total = sum(expected.get(one, 0.0) for one in series)
    totals = tuple(_sum(values, series) for values in sources.values())
    return Row(family, total, totals, equal=not differing, series=tuple(differing))


def _sum(values: Values, series: Iterable[Series]) -> float | None:
    present = [values[one] for one in series if one in values]
    return sum(present) if present else None


def _labels(series: Series) -> str:
    """As PromQL writes them; nothing for the series without labels, which its family's row shows."""
    return "{" + ", ".join(f"{name}={value}" for name, value in sorted(series[1])) + "}" if series[1] else ""


# --- the table -------------------------------------------------------------------------------------------------------
def _render(result: Reconciliation) -> str:
    heads = ["record", *result.sources]
    shown = [line for row in result.rows for line in (row, *(series for series in row.series if series.name))]
    widths = [max(len(head), *(len(_cells(row)[i]) for row in shown), 0) for i, head in enumerate(heads)]
    while sum(widths) + 2 * len(widths) > WIDTH - _LEAST_NAME - 2:  # long heads give way; no number is that long
        widths[widths.index(max(widths))] -= 1
    numbers_width = sum(widths) + 2 * len(widths)
    longest = max((len(_name(row)) for row in shown), default=0)
    name_width = min(max(longest, _LEAST_NAME), WIDTH - 2 - numbers_width)

    def numbers(cells: list[str]) -> str:
        return "".join(f"  {_clip(cell, width):>{width}}" for cell, width in zip(cells, widths, strict=True))

    out = [f"{'family':<{name_width}}{numbers(heads)}", "─" * (name_width + numbers_width + 2)]
    for row in shown:
        name = _name(row)
        if len(name) > name_width:  # on a line of its own
            out += textwrap.wrap(name, WIDTH, subsequent_indent="    ", break_on_hyphens=False)
            name = ""
        out.append(f"{name:<{name_width}}{numbers(_cells(row))} {_SAME if row.equal else _DIFFERS}")
    different = len(result.differences())
    compared = f"{len(result.rows)} families, {len(result.sources)} source{'s' * (len(result.sources) != 1)}"
    out.append(f"{compared}: " + (f"{different} series differ" if different else "all equal to the record"))
    return "\n".join(out)


def _name(row: Row) -> str:
    return f"  {row.name}" if row.name.startswith("{") else row.name


def _cells(row: Row) -> list[str]:
    return [_number(row.expected), *(_found(value, row.expected) for value in row.found)]


def _found(value: float | None, expected: float) -> str:
    if value is None:
        return "absent"
    return _number(value) if value == expected else "≠" + _number(value)


def _number(value: float) -> str:
    return f"{value:.0f}" if value.is_integer() else f"{value:.3f}"


def _clip(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
