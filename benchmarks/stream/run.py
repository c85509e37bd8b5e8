"""All that is measured of the event stream, and which of its goals are met."""

from __future__ import annotations

from benchmarks.report import Result
from benchmarks.stream import emit, fanout, latency, memory, resume, selective, stalled
from benchmarks.stream.goals import table_of

PARTS = {
    "way of an event": emit.run,
    "fan-out": fanout.run,
    "filters": selective.run,
    "stalled reader": stalled.run,
    "resume": resume.run,
    "latency": latency.run,
    "history": memory.run,
}


def run(*, quick: bool) -> Result:
    """One part after the other."""
    found = {}
    for name, part in PARTS.items():
        print(f"\rstream: {name:20}", end="", flush=True)
        found[name] = part(quick=quick)
    print()
    verdicts = [verdict for part in found.values() for verdict in part.verdicts]
    tables = [table_of("Goals of the event stream", verdicts), *(part.table for part in found.values())]
    figures = {name: part.figures for name, part in found.items()}
    return Result("stream", tables, {**figures, "goals": {verdict.goal: verdict for verdict in verdicts}})
