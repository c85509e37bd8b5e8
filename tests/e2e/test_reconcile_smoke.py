"""Twenty games on a real server, over real sockets: everybody who watched says what the game itself wrote down.

The server is a process of its own, its telemetry goes through a real Collector into a real Prometheus. The tables are
always printed.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import examples.arena.players as arena
import examples.liap_tui.players as liap_tui
from deploy.native import Stack
from deploy.process import Process, http_get, running, wait_until
from examples.accounts import prometheus_account
from examples.arena.model import CATALOGUE as ARENA_CATALOGUE
from examples.arena.record import ArenaRecord
from examples.common.pace import MAX_SPEED
from examples.common.record import Record
from examples.liap_tui.record import LiapTuiRecord
from examples.reconcile import Reconciliation, Values, from_exposition, from_samples, reconcile
from otel_setup.catalogue import Catalogue, build
from tests.e2e.game_server import with_gauges
from tests.e2e.support import METRIC_INTERVAL, events_account, retried, whole_collector_account
from tests.support.peers import free_ports, running_stack

GAMES = 20
QUIET_SECONDS = 60.0
"""How long the last rooms may take to close after the players left."""

LEDGER_KNOWS = {
    "games_started_total",
    "games_completed_total",
    "games_abandoned_total",
    "games_active",
    "rooms_created_total",
    "seats_total",
    "player_wins_total",
    "state_transitions_total",
    "state_illegal_transitions_total",
    "state_errors_total",
    "phase_duration_seconds_count",
    "turns_total",
    "websocket_connections_active",
}
"""Families that a ledger can speak about. They have a table of their own with two columns more: the server's ledger,
and one folded here from nothing but the events that reached the Collector."""


class Server:
    """A game server in a process of its own, and what it answers."""

    def __init__(self, process: Process, port: int) -> None:
        self.process = process
        self.address = f"127.0.0.1:{port}"

    def get(self, path: str) -> bytes:
        status, body = http_get(f"http://{self.address}{path}")
        assert status == 200, f"{path}: {status} {body[:500]!r}"
        return body

    def told(self, what: str) -> Values:
        """The game's record, or the monitor's ledger."""
        return from_samples(json.loads(self.get(f"/test/{what}")), "")


@contextmanager
def game_server(game: str, stack: Stack, folder: Path) -> Iterator[Server]:
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "tests.e2e.game_server", game, f"--port={port}"]
    command += [f"--collector={stack.collector.otlp_http}", f"--record={folder / 'record.jsonl'}"]
    environment = {"OTEL_METRIC_EXPORT_INTERVAL": f"{METRIC_INTERVAL * 1000:.0f}"}
    ready = f"http://127.0.0.1:{port}/test/quiet"
    with running(f"the server of {game}", command, folder / "server.log", ready, environment) as process:
        yield Server(process, port)


def compare(server: Server, stack: Stack, catalogue: Catalogue) -> tuple[Reconciliation, Reconciliation]:
    """What ledgers speak about too, and the rest."""
    prefix = f"{catalogue.prefix}_"
    record = server.told("record")
    others = {
        "/metrics": from_exposition(server.get("/metrics").decode(), prefix),
        "Collector": whole_collector_account(stack.collector, catalogue),
        "Prometheus": prometheus_account(stack.prometheus, prefix),
    }
    ledgers = {"ledger": server.told("ledger"), "events": events_account(stack.collector, catalogue)}
    known = {series: value for series, value in record.items() if series[0] in LEDGER_KNOWS}
    rest = {series: value for series, value in record.items() if series[0] not in LEDGER_KNOWS}
    return reconcile(known, {**ledgers, **others}), reconcile(rest, others)


def play_and_compare(
    game: str, catalogue: Catalogue, crowd: Any, folder: Path, record_type: type[Record], happened: Mapping[str, int]
) -> str:
    """Play, compare until all agree or the time is up, and return both tables; asserts that they agree.

    Parameters:
        crowd: the coroutine that plays, given the server's address.
        happened: what must be in the record at least, or the comparison would prove too little.
    """
    with running_stack(folder) as stack, game_server(game, stack, folder) as server:
        began = time.monotonic()
        asyncio.run(crowd(server.address))
        quiet = {"rooms": 0, "sockets": 0, "failures": []}
        wait_until(lambda: json.loads(server.get("/test/quiet")), lambda now: now == quiet, QUIET_SECONDS, "all left")
        seconds = time.monotonic() - began
        tables = retried(lambda: compare(server, stack, catalogue), lambda both: all(table.equal for table in both))
        text = f"{GAMES} games of {game} in {seconds:.1f} s\n" + "\n\n".join(table.render() for table in tables)
        assert all(table.equal for table in tables), text
        assert {row.name for row in tables[0].rows} == LEDGER_KNOWS & {family for family, _ in server.told("record")}
        own = from_exposition(server.get("/metrics").decode(), "otel_setup_")
        wrong = ("internal_errors_total", "input_refused_total", "labels_replaced_total", "export_failures_total")
        assert not {series: value for series, value in own.items() if series[0] in wrong and value}
        last_told = server.told("record")
        assert server.process.stop() in (0, -15), server.process.log_tail()
    record = record_type.load(folder / "record.jsonl")
    assert with_gauges(record) == last_told, "the file that the server wrote holds what it told"
    missing = {family: least for family, least in happened.items() if record.total(family) < least}
    assert not missing, f"too little of this happened: {missing}\n{text}"
    return text


def test_liap_tui(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    crowd = liap_tui.Crowd(games=GAMES, speed=MAX_SPEED, seed=3, drop=0.2, abandon=0.5, concurrency=4)
    happened = {
        "games_started_total": GAMES,
        "games_completed_total": 5,
        "games_abandoned_total": 1,
        "players_disconnected_total": 1,
        "players_reconnected_total": 1,
        "bot_takeovers_total": 1,
        "state_illegal_transitions_total": 1,
        "redeals_total": 1,
    }
    text = play_and_compare(
        "liap_tui", build(), lambda address: liap_tui.simulate(address, crowd), tmp_path, LiapTuiRecord, happened
    )
    with capsys.disabled():
        print(f"\n{text}")


def test_arena(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    crowd = arena.Crowd(games=GAMES, speed=MAX_SPEED, seed=3, drop=0.2, abandon=0.5, concurrency=4)
    happened = {
        "games_started_total": GAMES,
        "games_completed_total": 5,
        "games_abandoned_total": 1,
        "players_disconnected_total": 1,
        "players_reconnected_total": 1,
        "state_illegal_transitions_total": 1,
        "shots_fired_total": 1,
        "hit_damage_sum": 1,
    }
    text = play_and_compare(
        "arena", ARENA_CATALOGUE, lambda address: arena.simulate(address, crowd), tmp_path, ArenaRecord, happened
    )
    with capsys.disabled():
        print(f"\n{text}")
