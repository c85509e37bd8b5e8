"""How soon queries of what is so now are right, after a server stopped, was killed, or was killed and began again."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from deploy.process import wait_until
from settings import MetricSettings, Settings
from tests.drills.live_fleet import CURRENT, Fleet, running_fleet
from tests.drills.proof import Finding, write_proof

pytestmark = [pytest.mark.drill, pytest.mark.timeout(400)]

INTERVAL = MetricSettings().export_interval_seconds
EVALUATION = 1.0
"""Seconds more that it may take: who asks does so in intervals, too."""
AFTERWARDS = INTERVAL
"""How long it is watched whether it stays right."""
SOON = 60.0


def stopped(fleet: Fleet) -> None:
    fleet.stop("lobby")


def killed(fleet: Fleet) -> None:
    fleet.kill("match")


def killed_and_begun_again(fleet: Fleet) -> None:
    fleet.kill("arena")
    fleet.begin("arena", games=2, sockets=9)


def test_servers_that_stop_are_killed_or_begin_again(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    within = Settings().current_seconds + EVALUATION
    findings, wrong = [], {}
    with running_fleet(tmp_path, INTERVAL) as fleet:
        fleet.begin("lobby", games=3, sockets=5)
        fleet.begin("match", games=4, sockets=7)
        fleet.begin("arena", games=5, sockets=11)
        wait_until(fleet.seen, fleet.live().__eq__, SOON, "all three are seen")
        for act in (stopped, killed, killed_and_begun_again):
            act(fleet)
            name = act.__name__.replace("_", " ")
            ways = fleet.wrong_for(time.monotonic(), within + AFTERWARDS)
            wrong[name] = ways.pop(CURRENT)
            findings += [
                Finding(f"{name}: wrong for, {CURRENT}", f"≤ {within:g} s", f"{wrong[name]:.1f} s"),
                *(Finding(f"{name}: wrong for, {way}", None, f"{late:.1f} s") for way, late in ways.items()),
                Finding(f"{name}: in the end, by the records", str(fleet.live()), str(fleet.seen())),
            ]
    write_proof(
        pytestconfig,
        "current-state",
        f"Three game servers behind a standalone Collector and Prometheus, an export every {INTERVAL:g} s. Live games "
        "and open sockets of the fleet are asked for ten times a second and compared with the servers' own records, "
        f"until {within + AFTERWARDS:g} s after each act; an answer that was wrong to the end has that time. "
        "Prometheus is asked with the lookback that it is started with, three intervals, and with five minutes.",
        findings,
    )
    assert max(wrong.values()) <= within, wrong
