"""A Collector that is away for long: the time the game spends, the time a shutdown takes, memory, and every item.

The faults are those of tests/e2e/test_collector_faults.py; here times are absolute, and the amounts those of a server.
"""

from __future__ import annotations

import signal
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.drills.proof import Finding, write_proof
from tests.support.fault_runs import BATCH, Game, lost, running_game, taken_by, with_the_end
from tests.support.faulty_collector import HANGING, Answer, FaultyCollector, faulty_collector

pytestmark = [pytest.mark.drill, pytest.mark.timeout(900)]

FEW = 10
SIGNALS = ("traces", "logs")
DEADLINE = 3.0
MARGIN = 0.5
"""Seconds beyond its deadline that a shutdown may take."""
ROUNDS = 5
ACTIONS = 2000
"""Of one round; more than the queue holds."""
QUEUE = 1000
RATIO = 2.0
"""By how much calls may be dearer. One that waited for the Collector would be dearer by thousands."""
GROWTH_MB = 5.0
_MB = 1024 * 1024

Fault = Callable[[FaultyCollector], None]


def gone(collector: FaultyCollector) -> None:
    collector.stop()


def hanging(collector: FaultyCollector) -> None:
    collector.answer = HANGING


def overloaded(collector: FaultyCollector) -> None:
    collector.answer = Answer(503)


def broken(collector: FaultyCollector) -> None:
    collector.answer = Answer(500)


def memory_mb(game: Game) -> float:
    return float(game.tell("counts")["memory"]) / _MB


@pytest.mark.parametrize("fault", [gone, hanging, overloaded, broken])
def test_the_game_does_not_notice(fault: Fault, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    with (
        faulty_collector() as collector,
        running_game(tmp_path, collector.url, queue_size=QUEUE, shutdown_timeout=DEADLINE, export_timeout=10.0) as game,
    ):
        game.play(FEW)
        assert game.tell("flush", timeout=60)["all"]
        each = {kind: items // FEW for kind, items in taken_by(collector).different.items()}
        well = [game.play(ACTIONS) for _ in range(ROUNDS)]
        fault(collector)
        failing = [game.play(ACTIONS) for _ in range(ROUNDS)]
        before = memory_mb(game)
        failing += [game.play(ACTIONS) for _ in range(ROUNDS)]
        growth = memory_mb(game) - before
        told = game.counts()
        given = {kind: each[kind] * (FEW + 3 * ROUNDS * ACTIONS) for kind in SIGNALS}
        waiting = {kind: given[kind] - told[kind]["accepted"] - lost(told[kind]) for kind in SIGNALS}
        ended = game.tell("shutdown", timeout=DEADLINE)
        given = with_the_end(given)
        told, taken = game.counts(), taken_by(collector).different
    unaccounted = {kind: given[kind] - taken[kind] - lost(told[kind]) for kind in SIGNALS}
    ratio = statistics.median(failing) / statistics.median(well)
    findings = [
        Finding("actions played, a third of them while all was well", None, f"{3 * ROUNDS * ACTIONS}"),
        Finding(
            "a call while all is well, median of rounds", None, f"{statistics.median(well) / ACTIONS * 1e6:.0f} µs"
        ),
        Finding(
            "a call while it fails, median of rounds", None, f"{statistics.median(failing) / ACTIONS * 1e6:.0f} µs"
        ),
        Finding("dearer by", f"≤ {RATIO:g}", f"{ratio:.2f}"),
        Finding("the longest round while it fails", None, f"{max(failing):.2f} s of {ACTIONS} actions"),
        Finding("items that wait at the end", f"≤ {QUEUE + BATCH} of a signal", f"{waiting}"),
        Finding("growth of memory in the second half", f"< {GROWTH_MB:g} MB", f"{growth:.1f} MB"),
        Finding(f"shutdown, {DEADLINE:g} s allowed", f"≤ {DEADLINE + MARGIN:g} s", f"{ended['seconds']:.2f} s"),
        *(Finding(f"account of {kind}", f"{given[kind]} in all", f"{told[kind]}") for kind in SIGNALS),
        Finding("items that are nowhere in the accounts", "0", f"{unaccounted}"),
        Finding("lines logged about it", "one a signal", f"{len(game.said('do not reach'))}"),
    ]
    what = f"A game plays on while its Collector is {fault.__name__}; the queue holds {QUEUE} items of a signal."
    write_proof(pytestconfig, f"collector-{fault.__name__}", what, findings)
    assert unaccounted == dict.fromkeys(SIGNALS, 0)
    assert max(waiting.values()) <= QUEUE + BATCH
    assert ratio <= RATIO
    assert growth < GROWTH_MB
    assert ended["seconds"] <= DEADLINE + MARGIN
    assert all(len(game.said(f"{kind} do not reach")) == 1 for kind in SIGNALS)


def ended_after(way: str, url: str, folder: Path) -> tuple[int, float]:
    """The exit code of a game that leaves, and the seconds it takes."""
    with running_game(folder, url, shutdown_timeout=DEADLINE, export_timeout=10.0) as game:
        game.play(ACTIONS)
        began = time.monotonic()
        game.send("leave", way=way)
        if way == "interrupt":
            game.answer()
            began = time.monotonic()
            game.child.send_signal(signal.SIGINT)
        code, _ = game.end()
        return code, time.monotonic() - began


def test_a_process_ends_in_time(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """Its interpreter has to end, too: that takes what it takes where the Collector is well."""
    codes = {"end": 0, "exit": 3, "exception": 1, "interrupt": -signal.SIGINT}
    findings, wrong = [], []
    with faulty_collector() as collector:
        well = {way: ended_after(way, collector.url, tmp_path)[1] for way in codes}
        findings += [Finding(f"{way}, Collector well", None, f"{seconds:.2f} s") for way, seconds in well.items()]
        allowed = max(well.values()) + DEADLINE + MARGIN
        for fault in (gone, hanging):
            fault(collector)
            for way, code in codes.items():
                ended, seconds = ended_after(way, collector.url, tmp_path)
                wanted, seen = f"code {code} within {allowed:.2f} s", f"code {ended} after {seconds:.2f} s"
                findings.append(Finding(f"{way}, Collector {fault.__name__}", wanted, seen))
                if ended != code or seconds > allowed:
                    wrong.append(findings[-1])
            if fault is gone:
                collector.start()
    what = f"How a process ends, with {DEADLINE:g} s allowed for a shutdown: from the command until it is gone."
    write_proof(pytestconfig, "collector-process-ends", what, findings)
    assert wrong == []
