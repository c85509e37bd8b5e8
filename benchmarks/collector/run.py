"""The Collector's roles beside a Collector that does nothing: throughput, processor time and memory."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.collector.load import SIGNALS, Requests
from benchmarks.collector.measure import CONNECTIONS, PER, Bench, Round, Subject, plain
from benchmarks.collector.parts import EVERY_STORE, PARTS, WHOLE
from benchmarks.collector.stores import GATEWAYS, HUB, JAEGER, LOKI, PROMETHEUS, stores
from benchmarks.report import Result, Spread, Table
from benchmarks.stream.goals import Verdict, table_of
from deploy import tools
from deploy.collector import distribution
from deploy.collector.roles import agent, events, gateway, standalone
from settings import Settings

ROUNDS, PART_ROUNDS, ITEMS = 7, 5, 30_000
QUICK_ROUNDS, QUICK_ITEMS = 2, 10_000
_SHARE = 0.4
_DECISION_SECONDS = 1
_EVERYTHING = 10**9
_MS = 1000
_COLUMNS = ("points, ms", "spans, ms", "log records, ms")

Measured = dict[str, list[Round]]
"""The rounds of each Collector, in which those of the same number are to be compared."""


def _keep_all(settings: Settings) -> Settings:
    return replace(settings, traces=replace(settings.traces, budget_spans_per_second=_EVERYTHING))


PLAIN, STANDALONE = "otlp to debug", "standalone"
ROLES = {
    PLAIN: Subject(plain, dict.fromkeys(SIGNALS, 1)),
    STANDALONE: Subject(standalone, EVERY_STORE, sampled=True),
    "standalone, every trace kept": Subject(standalone, EVERY_STORE, sampled=True, change=_keep_all),
    "agent": Subject(agent, {PROMETHEUS: 1, GATEWAYS: 2, LOKI: 1, HUB: 1}),
    "gateway, traces alone": Subject(gateway, {JAEGER: 1}, sampled=True),
    "events": Subject(events, {HUB: 1}),
}


def run(*, quick: bool) -> Result:
    """Each in a new process, by turns. What the parts of ``standalone`` cost is left out where it has to be quick."""
    tools.ensure(distribution.BINARY)
    rounds, items = (QUICK_ROUNDS, QUICK_ITEMS) if quick else (ROUNDS, ITEMS)
    with tempfile.TemporaryDirectory() as folder, stores(Path(folder), settings()) as running:
        bench = Bench(running, items)
        roles = by_turns(bench, ROLES, rounds)
        tables, figures = [_goal(roles), _table(roles, bench.load, rounds)], {"roles": _figures(roles)}
        if not quick:
            parts = by_turns(bench, PARTS, PART_ROUNDS)
            tables.append(_parts_table(parts))
            figures["parts"] = _figures(parts)
    return Result("collector", tables, figures)


def settings() -> Settings:
    """The defaults, but what is decided of a trace is decided soon."""
    default = Settings()
    return replace(default, traces=replace(default.traces, decision_seconds=_DECISION_SECONDS))


def by_turns(bench: Bench, subjects: Mapping[str, Subject], rounds: int) -> Measured:
    """A round of each, so many times, each time begun by another one."""
    measured: Measured = {name: [] for name in subjects}
    order = list(subjects)
    for number in range(rounds):
        for name in order:
            print(f"\rcollector: round {number + 1} of {rounds}, {name:40}", end="", flush=True)
            measured[name].append(bench.round(subjects[name]))
        order.append(order.pop(0))
    print()
    return measured


def _shares(measured: Measured, name: str) -> list[float]:
    """The plain Collector's processor time for what this one takes in, as a share of this one's; of each round."""
    return [
        least.total(found.cpu) / found.total(found.cpu)
        for least, found in zip(measured[PLAIN], measured[name], strict=True)
    ]


def _goal(measured: Measured) -> Table:
    share = Spread.of(_shares(measured, STANDALONE))
    words = "items for the same CPU, standalone against a Collector that only takes them in"
    verdict = Verdict(words, f"at least {_SHARE:g} times", share, share.median >= _SHARE)
    return table_of("Goal of the Collector", [verdict])


def _table(measured: Measured, load: list[Requests], rounds: int) -> Table:
    rows = []
    for name, found in measured.items():
        cpu = [_cell([_MS * each.cpu[signal] for each in found if signal in each.cpu]) for signal in SIGNALS]
        share = Spread.of(_shares(measured, name))
        rate = Spread.of([PER * len(each.elapsed) / sum(each.elapsed.values()) for each in found])
        memory = Spread.of([each.memory for each in found])
        rows.append((name, *cpu, str(share), str(rate), f"{memory.median:.0f}"))
    sizes = {each.signal: sum(map(len, each.bodies)) / each.items for each in load}
    (logs,) = (each for each in load if each.signal == "logs")
    remarks = (
        f"Milliseconds of the Collector's processor time for {PER:,} items, from the first request until everything "
        f"has come to its stores; median (quartiles) of {rounds} rounds by turns, each of {logs.items:,} items of each "
        f"signal in a new process. What server processes of this project export, {CONNECTIONS} requests at a time: "
        f"points of {sizes['metrics']:.0f} bytes, spans of {sizes['traces']:.0f}, log records of {sizes['logs']:.0f}, "
        f"{logs.events / logs.items:.0%} of them events.",
        "The stores are another Collector, which counts; a round in which anything is missing fails. Elapsed time is "
        "that of a machine that also runs the stores and the senders. Of traces the budget "
        f"({settings().traces.budget_spans_per_second} spans a second by default) is kept, after "
        f"{_DECISION_SECONDS} s, which elapsed time leaves out. A gateway gets all spans a second time, by their "
        "service, which is not measured.",
    )
    columns = ("", *_COLUMNS, "of plain", "items a second, elapsed", "MiB at the end")
    return Table("Collectors", columns, rows, remarks)


def _parts_table(measured: Measured) -> Table:
    rows = []
    for name, found in measured.items():
        cells = []
        for signal in SIGNALS:
            pairs = zip(measured[WHOLE], found, strict=True)
            saved = [round(_MS * (whole.cpu[signal] - each.cpu[signal]), 1) for whole, each in pairs]
            cells.append(_cell([_MS * each.cpu[signal] for each in found] if name == WHOLE else saved))
        rows.append((name, *cells))
    remarks = (
        f"The first line is what all of it takes, in milliseconds of processor time for {PER:,} items; the others are "
        f"how much less it takes without the part, median (quartiles) of {PART_ROUNDS} rounds. What is negative or "
        "small beside its quartiles is nothing that this can tell.",
    )
    return Table("What each part of standalone costs", ("", *_COLUMNS), rows, remarks)


def _cell(values: list[float]) -> str:
    return str(Spread.of(values)) if values else ""


def _figures(measured: Measured) -> dict[str, Any]:
    return {
        name: {
            "cpu_seconds": {signal: Spread.of([each.cpu[signal] for each in found]) for signal in found[0].cpu},
            "elapsed_seconds": {signal: Spread.of([each.elapsed[signal] for each in found]) for signal in found[0].cpu},
            "mebibytes": Spread.of([each.memory for each in found]),
        }
        for name, found in measured.items()
    }
