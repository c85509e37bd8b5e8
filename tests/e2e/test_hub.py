"""Games on a real server, through a real Collector, into the hub: what readers get is what the game wrote down.

In the midst of play the hub is killed, as by a power cut to its process, and started again: the Collector sends what
was not answered once more, the hub knows what it has, and readers go on from their cursors.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

import examples.liap_tui.players as liap_tui
from deploy.native import Collector
from deploy.process import Process, http_get, running, wait_until
from examples.common.pace import MAX_SPEED
from examples.reconcile import Reconciliation, Values, from_samples, reconcile
from otel_setup.catalogue import EventType, Severity, build
from otel_setup.events.record import SystemEvent
from otel_setup.ledger import Ledger
from settings import Settings
from tests.e2e.support import event_records, ledger_samples, retried
from tests.e2e.test_reconcile_smoke import LEDGER_KNOWS
from tests.support.peers import free_ports, free_settings, running_collector

pytestmark = [pytest.mark.slow, pytest.mark.peer("otelcol")]

GAMES = 12
CROWD = liap_tui.Crowd(games=GAMES, speed=MAX_SPEED, seed=7, drop=0.2, abandon=0.3, concurrency=4)
KILL_AFTER = 300
"""Events that a reader has before the hub is killed."""
QUIET_SECONDS = 60.0
SOON = 60.0


# --- readers ----------------------------------------------------------------------------------------------------------
@dataclass
class Reader:
    """Reads the stream in a thread, and comes back with its last id whenever it ends."""

    port: int
    query: str = "since=oldest"
    events: list[dict[str, Any]] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    connections: int = 0
    cursor: str = ""
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        thread = threading.Thread(target=self._read, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join(SOON)

    def _read(self) -> None:
        while not self._stop.is_set():
            try:
                self._read_once()
            except (OSError, http.client.HTTPException):
                time.sleep(0.05)  # the hub is away

    def _read_once(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SOON)
        try:
            headers = {"Last-Event-ID": self.cursor} if self.cursor else {}
            connection.request("GET", f"/events/stream?{self.query}", headers=headers)
            answer = connection.getresponse()
            if answer.status != http.client.OK:
                time.sleep(0.05)
                return
            self.connections += 1
            fields: dict[str, str] = {}
            while not self._stop.is_set() and (line := answer.readline()):
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name:
                    fields[name] = value
                elif "data" in fields:
                    self._take(fields)
                    fields = {}
        finally:
            connection.close()

    def _take(self, fields: dict[str, str]) -> None:
        self.cursor = fields.get("id", self.cursor)
        if fields["event"].startswith("stream.") or fields["event"] == "end":
            self.notices.append(fields["event"])
        else:
            self.events.append(json.loads(fields["data"]))


def event_in(told: dict[str, Any]) -> SystemEvent:
    """An event as it was sent; written here again, because a reader elsewhere has nothing but the JSON."""
    ids = ("game_id", "room_id", "player_id", "connection_id", "correlation_id")
    return SystemEvent(
        event_type=EventType(told["event_type"]),
        severity=Severity[told["severity"]],
        data=told["data"],
        event_id=told["event_id"],
        **{name: told[name] for name in ids},
    )


def ledger_of(events: list[dict[str, Any]]) -> Values:
    """A ledger that knows nothing but what a reader got."""
    ledger = Ledger(build().model)
    for told in events:
        ledger.apply(event_in(told))
    return from_samples(ledger_samples(ledger), "")


# --- processes --------------------------------------------------------------------------------------------------------
@contextmanager
def hub_process(settings: Settings, folder: Path) -> Iterator[Process]:
    command = [
        sys.executable,
        "-m",
        "otel_setup",
        "hub",
        f"--port={settings.hub.port}",
        f"--directory={folder / 'hub'}",
    ]
    ready = f"http://127.0.0.1:{settings.hub.port}/health"
    with running("the hub", command, folder / "hub.log", ready) as process:
        yield process


@contextmanager
def game_process(collector: Collector, folder: Path) -> Iterator[tuple[Process, int]]:
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "tests.e2e.game_server", "liap_tui", f"--port={port}"]
    command += [f"--collector={collector.otlp_http}", f"--record={folder / 'record.jsonl'}"]
    ready = f"http://127.0.0.1:{port}/test/quiet"
    with running("the game server", command, folder / "server.log", ready) as process:
        yield process, port


def told_by(port: int, path: str) -> Any:
    status, body = http_get(f"http://127.0.0.1:{port}{path}")
    assert status == 200, f"{path}: {status} {body[:500]!r}"
    return json.loads(body)


def play(port: int) -> None:
    asyncio.run(liap_tui.simulate(f"127.0.0.1:{port}", CROWD))
    quiet = {"rooms": 0, "sockets": 0, "failures": []}
    wait_until(lambda: told_by(port, "/test/quiet"), lambda now: now == quiet, QUIET_SECONDS, "all left")


# --- what agrees with what --------------------------------------------------------------------------------------------
def assert_each_once_and_in_order(reader: Reader) -> None:
    """Every number of the server from 1 on, and every place of the stream, without hole or repeat."""
    numbers = [int(event["event_id"].rpartition("-")[2]) for event in reader.events]
    assert numbers == list(range(1, len(numbers) + 1)), [n for n, count in Counter(numbers).items() if count > 1]
    assert len({event["event_id"].rpartition("-")[0] for event in reader.events}) == 1
    places = [event["sequence"] for event in reader.events]
    assert places == sorted(set(places))


def hub_views(port: int) -> dict[str, int]:
    """What the hub's views say, under the names of the record."""
    diagram = told_by(port, "/views/state_diagram")
    assert diagram["complete"], diagram["incomplete"]
    return {
        "state_transitions_total": sum(edge["count"] for edge in diagram["edges"]),
        "state_illegal_transitions_total": sum(edge["illegal_attempts"] for edge in diagram["edges"]),
        "games_active": sum(node["active_games"] for node in diagram["nodes"]),
    }


def test_readers_get_what_happened_though_the_hub_is_killed_in_the_midst(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = free_settings()
    settings = replace(settings, hub=replace(settings.hub, enabled=True))
    hub_port = settings.hub.port
    reader, of_games = Reader(hub_port), Reader(hub_port, "since=oldest&type=game.started,game.ended")
    with (
        reader.reading(),
        of_games.reading(),
        running_collector(tmp_path, settings=settings) as collector,
        game_process(collector, tmp_path) as (server, port),
    ):
        players = threading.Thread(target=play, args=(port,), daemon=True)
        with hub_process(settings, tmp_path) as hub:
            players.start()
            wait_until(lambda: len(reader.events), lambda count: count >= KILL_AFTER, SOON, "the reader has some")
            had = len(reader.events)
            assert players.is_alive(), "the games were over before the hub was killed"
            hub.kill()
        with hub_process(settings, tmp_path):
            players.join(QUIET_SECONDS + SOON)
            record = from_samples(told_by(port, "/test/record"), "")
            known = {series: value for series, value in record.items() if series[0] in LEDGER_KNOWS}

            def compare() -> Reconciliation:
                return reconcile(known, {"reader": ledger_of(reader.events)})

            table = retried(compare, lambda found: found.equal)
            assert server.stop() in (0, -15), server.log_tail()
            wait_until(
                lambda: [event for event in reader.events if event["event_type"] == EventType.PRODUCER_STOPPED],
                bool,
                SOON,
                "the server's last word has arrived",
            )
            with capsys.disabled():
                print(f"\n{GAMES} games, hub killed after {had} of {len(reader.events)} events\n{table.render()}")
            assert table.equal, table.render()

            # Nothing was lost or repeated, for the reader, the Collector's own file, and the hub's account.
            assert_each_once_and_in_order(reader)
            assert {event["event_id"] for event in reader.events} == {
                str(item.attributes["log.record.uid"]) for item in event_records(collector)
            }
            assert (reader.connections, reader.notices.count("stream.gap"), reader.notices.count("stream.reset")) == (
                2,
                0,
                0,
            )
            producers = told_by(hub_port, "/producers")["producers"]
            (account,) = producers.values()
            assert account["state"] == "stopped"
            assert account["emitted"] == account["delivered"] == len(reader.events)
            assert account["missing"] == account["held"] == 0

            # A filtered reader got those of its own, over the kill as well.
            games = [event["event_type"] for event in of_games.events]
            assert games.count("game.started") == record["games_started_total", frozenset()] == GAMES
            assert len(games) == len({event["event_id"] for event in of_games.events}) == 2 * GAMES

            # The views, rebuilt from the log after the kill, say what the game wrote down.
            expected = Counter[str]()
            for (family, _), value in record.items():
                expected[family] += int(value)
            views = hub_views(hub_port)
            assert views == {family: expected[family] for family in views}
    assert (tmp_path / "hub.log").read_text().count("events hub at") == 2
