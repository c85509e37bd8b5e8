"""Servers with four workers behind the real Collector: the fleet's totals are what its players did, to the last game.

Each player writes down what it did and which worker it met. The server is ended while all are connected, so that every
worker's last games end in its shutdown.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections import Counter
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from deploy.native import Collector
from deploy.otlp_json import Item
from otel_setup.catalogue import EventType, M, Metric, build
from otel_setup.catalogue import attributes as a
from tests.drills.proof import Finding, write_proof
from tests.e2e.processes import EVENING, SERVER, Process, process
from tests.e2e.support import event_records, retried
from tests.support.peers import running_collector

pytestmark = [pytest.mark.drill, pytest.mark.timeout(300)]

WORKERS = 4
PLAYERS = 40
ACTIONS = 25
"""Most that a player does; the n-th does n modulo this many."""
_APP = f"{SERVER}:app"
_GUNICORN = ("gunicorn", _APP, "-k", "uvicorn_worker.UvicornWorker", "-w", str(WORKERS), "-b", "127.0.0.1:0")
SERVERS = {
    "uvicorn": ("uvicorn", _APP, "--port", "0", "--workers", str(WORKERS)),
    "gunicorn": _GUNICORN,
    "gunicorn-preload": (*_GUNICORN, "--preload"),
}


class Played(NamedTuple):
    """What the players wrote down: how many each worker served, and actions done in all."""

    served: Counter[str]
    actions: int


@pytest.mark.parametrize("configure_in", ["import", "lifespan"])
@pytest.mark.parametrize("kind", SERVERS)
async def test_a_fleet_of_workers(tmp_path: Path, pytestconfig: pytest.Config, kind: str, configure_in: str) -> None:
    module, *arguments = SERVERS[kind]
    if find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    command = (sys.executable, "-m", module, *arguments)
    options = '{"metric_interval": 1}'  # several exports, the last of them at the end
    with running_collector(tmp_path) as collector:
        with process(command, collector.otlp_http, CONFIGURE_IN=configure_in, OPTIONS=options) as server:
            retried(lambda: len(started(collector)), lambda workers: workers == WORKERS)
            played, status = await play(server)
        expected = {
            M.GAMES_STARTED: PLAYERS + WORKERS,
            M.GAMES_COMPLETED: PLAYERS + WORKERS,
            M.ACTIONS: played.actions,
        }
        wanted = tuple(float(total) for total in expected.values())
        totals = retried(lambda: fleet(collector, expected), lambda found: tuple(found.values()) == wanted, 20)
        records = event_records(collector)
        evenings, by_worker = ends_by_worker(records)
    events = Counter(str(record.data["eventName"]) for record in records)
    uids = Counter(record.attributes["log.record.uid"] for record in records)
    findings = [
        *(
            Finding(f"{metric.name}, all workers", f"{total}", f"{totals[metric]:g}")
            for metric, total in expected.items()
        ),
        Finding("games' ends that arrived", f"{PLAYERS + WORKERS}", f"{events[EventType.GAME_ENDED]}"),
        Finding("completed actions that arrived", f"{played.actions}", f"{events[EventType.ACTION_COMPLETED]}"),
        Finding("events that arrived twice", "0", f"{sum(times > 1 for times in uids.values())}"),
        Finding("players' games of each worker", f"{sorted(played.served.values())}", f"{sorted(by_worker.values())}"),
        Finding("workers' own games that ended", f"{WORKERS}", f"{len(evenings)}"),
        Finding("status of the parent", "0", f"{status}"),
    ]
    what = f"{kind} with {WORKERS} workers, configured in its {configure_in}; SIGTERM with {PLAYERS} players connected."
    write_proof(pytestconfig, f"workers-{kind}-{configure_in}", what, findings)
    assert tuple(totals.values()) == wanted
    assert events[EventType.GAME_ENDED] == PLAYERS + WORKERS
    assert events[EventType.ACTION_COMPLETED] == played.actions
    assert set(uids.values()) == {1}
    assert by_worker == played.served
    assert len(evenings) == WORKERS
    assert status == 0


async def play(server: Process) -> tuple[Played, int]:
    """Everybody plays, and stays until the server closes the socket."""
    served: Counter[str] = Counter()
    done: list[int] = []
    all_done = asyncio.Event()

    async def player(number: int) -> None:
        async with connect(f"ws://127.0.0.1:{server.port}/play/game-{number}", open_timeout=60) as socket:
            served[str(await socket.recv())] += 1
            for _ in range(number % ACTIONS):
                await socket.send(f"player-{number}")
                await socket.recv()
            done.append(number % ACTIONS)
            if len(done) == PLAYERS:
                all_done.set()
            try:
                await socket.recv()
            except ConnectionClosed:
                return

    async with asyncio.TaskGroup() as players:
        for number in range(PLAYERS):
            players.create_task(player(number))
        await all_done.wait()
        status = await asyncio.to_thread(server.end, signal.SIGTERM)
    return Played(served, sum(done)), status


def started(collector: Collector) -> set[str]:
    """The workers whose lifespan has begun."""
    records = event_records(collector)
    return {instance(record) for record in records if record.data["eventName"] == EventType.GAME_STARTED}


def instance(item: Item) -> str:
    return str(item.resource["service.instance.id"])


def fleet(collector: Collector, metrics: Mapping[Metric, int]) -> dict[Metric, float]:
    """Of each counter the sum over all instances of what each exported last."""
    names = {built.name: metric for built in build().metrics for metric in metrics if built.declared is metric}
    last: dict[tuple[str, str, frozenset[tuple[str, str]]], float] = {}
    for point in collector.points():
        if point.metric["name"] in names:
            labels = frozenset((key, str(value)) for key, value in point.attributes.items())
            last[point.metric["name"], instance(point), labels] = point.value
    totals = dict.fromkeys(metrics, 0.0)
    for (name, _, _), value in last.items():
        totals[names[name]] += value
    return totals


def ends_by_worker(records: list[Item]) -> tuple[set[str], Counter[str]]:
    """The games that workers play by themselves and have ended, and how many of its players' games each has ended."""
    ends = [(instance(record), str(record.attributes[a.GAME_ID.name])) for record in records if is_end(record)]
    evenings = {worker: game for worker, game in ends if game.startswith(EVENING)}
    return set(evenings.values()), Counter(evenings[worker] for worker, game in ends if not game.startswith(EVENING))


def is_end(record: Item) -> bool:
    return bool(record.data["eventName"] == EventType.GAME_ENDED)
