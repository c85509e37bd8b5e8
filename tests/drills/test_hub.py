"""Every event is accounted for, across a fleet whose every part breaks: game servers, Collector, hub, broker, readers.

Two game servers write down what they do. Their events go through the real Collector, and once through Kafka, to the
hub. Three readers follow: one that never lets go, one that comes and goes, one that asks for pages. Meanwhile the hub
is killed and started again, the Collector (or the broker) is stopped and started, one server is killed and the other
ends in good order.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from deploy import native
from deploy.collector.roles import events, kafka_consumer, kafka_producer
from otel_setup.catalogue import EventType
from otel_setup.clients.hub import HubEvents
from otel_setup.events.record import SystemEvent
from settings import Settings
from tests.drills.fleet_game import HEARTBEAT_SECONDS, facts_of
from tests.drills.proof import Finding, write_proof
from tests.e2e.processes import PYTHON, Process, process
from tests.support.peers import free_ports, free_settings, require

pytestmark = [pytest.mark.drill, pytest.mark.timeout(500)]

FACTS = ("game.started", "action.completed", "turn.completed", "state.transition.complete", "game.ended")
LOST_WITHIN = 3 * HEARTBEAT_SECONDS
LATE = 1.5
"""Seconds that the way to the hub and back may take on top, on a machine that does everything at once."""


# --- the fleet --------------------------------------------------------------------------------------------------------
class Part:
    """Something that runs, and can be stopped and started again with what it had."""

    def __init__(self, start: Callable[[], AbstractContextManager[Any]], stack: ExitStack) -> None:
        self._start = start
        self._running = ExitStack()
        stack.push(self._running.__exit__)
        self.begin()

    def begin(self) -> None:
        self.process = self._running.enter_context(self._start())

    def end(self) -> None:
        self._running.close()


@contextmanager
def hub(port: int, directory: Path) -> Iterator[Process]:
    command = (PYTHON, "-m", "otel_setup", "hub", "--port", str(port), "--directory", str(directory))
    with process(command, "") as running:
        running.wait_until_it_says("INFO ok")
        yield running


@contextmanager
def game(name: str, collector: str, record: Path) -> Iterator[Process]:
    module = (PYTHON, "-m", "tests.drills.fleet_game")
    with process((*module, "--collector", collector, "--record", str(record), "--name", name), collector) as running:
        running.wait_until_it_says("playing")
        yield running


class Way(NamedTuple):
    """How events come from the servers to the hub: where servers send to, and what breaks on the way."""

    collector: str
    breaks: Part
    what: str


def direct(settings: Settings, tmp_path: Path, hub_url: str, stack: ExitStack) -> Way:
    def collector() -> AbstractContextManager[native.Collector]:
        where = {"EVENTS_HUB_URL": hub_url}
        return native.running_collector(settings, tmp_path / "collector", role=events, environment=where)

    part = Part(collector, stack)
    return Way(part.process.otlp_http, part, "Collector")


def through_kafka(settings: Settings, tmp_path: Path, hub_url: str, stack: ExitStack) -> Way:
    require("kafka")
    broker = Part(lambda: native.running_kafka(settings, tmp_path / "kafka"), stack)
    where = {"KAFKA_BROKERS": broker.process.brokers, "EVENTS_HUB_URL": hub_url}
    before = stack.enter_context(
        native.running_collector(settings, tmp_path / "producer", role=kafka_producer, environment=where)
    )
    beside = free_settings()
    stack.enter_context(native.running_collector(beside, tmp_path / "consumer", role=kafka_consumer, environment=where))
    return Way(before.otlp_http, broker, "Kafka")


# --- the readers ------------------------------------------------------------------------------------------------------
async def never_lets_go(url: str, got: list[SystemEvent]) -> None:
    async with HubEvents(url, since="oldest") as reader:
        async for event in reader:
            got.append(event)


async def comes_and_goes(url: str, got: list[SystemEvent]) -> None:
    since: Any = "oldest"
    while True:
        with contextlib.suppress(Exception):  # there may be no hub just now
            async with HubEvents(url, since=since) as reader:
                until = time.monotonic() + 1.5
                while time.monotonic() < until:
                    if (event := await reader.get_event(timeout=0.2)) is not None:
                        got.append(event)
                        since = reader.cursor
        await asyncio.sleep(0.3)


async def asks_for_pages(url: str, got: list[dict[str, Any]]) -> None:
    since = "oldest"
    async with httpx.AsyncClient(trust_env=False) as client:
        while True:
            with contextlib.suppress(httpx.HTTPError):
                answer = await client.get(f"{url}/events", params={"since": since, "limit": 500})
                if answer.status_code == httpx.codes.OK:
                    page = answer.json()
                    got += page["events"]
                    since = page["cursor"]
            await asyncio.sleep(0.25)


class Look(NamedTuple):
    """What a view said of itself at a moment."""

    at: float
    complete: bool
    why: dict[str, Any]


async def watches_a_view(url: str, looks: list[Look]) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        while True:
            with contextlib.suppress(httpx.HTTPError):
                answer = await client.get(f"{url}/views/flows")
                if answer.status_code == httpx.codes.OK:
                    view = answer.json()
                    looks.append(Look(time.monotonic(), view["complete"], view.get("incomplete", {})))
            await asyncio.sleep(0.1)


# --- the accounts -----------------------------------------------------------------------------------------------------
def number_of(event: SystemEvent) -> tuple[str, int]:
    producer, _, number = event.event_id.rpartition("-")
    return producer, int(number)


class Account(NamedTuple):
    """One server's events, as a reader got them."""

    delivered: list[int]
    missing: int
    filled: int
    emitted: int

    @property
    def sum(self) -> int:
        return len(self.delivered) + self.missing - self.filled

    @property
    def repeats(self) -> int:
        return len(self.delivered) - len(set(self.delivered))

    @classmethod
    def of(cls, producer: str, got: list[SystemEvent]) -> Account:
        own = [number_of(event)[1] for event in got if event.metadata.get("service") and is_of(event, producer)]
        about = [event for event in got if event.data.get("producer") == producer]
        gaps = sum(event.data["count"] for event in about if event.event_type == EventType.STREAM_GAP)
        filled = sum(event.data["count"] for event in about if event.event_type == EventType.STREAM_GAP_FILLED)
        return cls(own, gaps, filled, max(own))


def is_of(event: SystemEvent, producer: str) -> bool:
    return event.event_id.startswith(f"{producer}-")


def facts_in(got: list[SystemEvent], name: str) -> Counter[tuple[str, str]]:
    wanted = ((str(event.event_type), event.game_id or "") for event in got if event.event_type in FACTS)
    return Counter((fact, game) for fact, game in wanted if game.startswith(name))


async def until(condition: Callable[[], object], seconds: float, what: str) -> float:
    """When it came true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain until {what}"
        await asyncio.sleep(0.05)
    return time.monotonic()


class Fleet:
    """Everything that runs, and what its readers have seen."""

    def __init__(self, way: Callable[[Settings, Path, str, ExitStack], Way], folder: Path, stack: ExitStack) -> None:
        port = free_ports(1)[0]
        self.url = f"http://127.0.0.1:{port}"
        self.folder = folder
        self.hub = Part(lambda: hub(port, folder / "hub"), stack)
        self.way = way(free_settings(), folder, self.url, stack)
        self.ada, self.bob = (
            stack.enter_context(game(name, self.way.collector, folder / f"{name}.record")) for name in ("ada", "bob")
        )
        self.steady: list[SystemEvent] = []
        self.fickle: list[SystemEvent] = []
        self.pages: list[dict[str, Any]] = []
        self.looks: list[Look] = []

    @contextlib.asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        """With its readers."""
        jobs = (
            never_lets_go(self.url, self.steady),
            comes_and_goes(self.url, self.fickle),
            asks_for_pages(self.url, self.pages),
            watches_a_view(self.url, self.looks),
        )
        tasks = [asyncio.create_task(job) for job in jobs]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def heard(self, event_type: EventType, name: str = "") -> list[SystemEvent]:
        found = (event for event in self.steady if event.event_type == event_type)
        return [event for event in found if not name or event.metadata.get("service") == name]

    def complete(self) -> bool:
        return bool(self.looks) and self.looks[-1].complete

    async def plays(self) -> None:
        """Until the server that lives on has ended some more games, and the views are complete."""
        before = len(self.heard(EventType.GAME_ENDED, "ada"))
        await until(lambda: len(self.heard(EventType.GAME_ENDED, "ada")) > before + 3, 60, "games end")
        await until(self.complete, 60, "the views are complete")

    async def get(self, path: str) -> Any:
        async with httpx.AsyncClient(trust_env=False) as client:
            return (await client.get(f"{self.url}{path}")).json()


async def the_hub_is_killed(fleet: Fleet) -> list[Finding]:
    os.kill(fleet.hub.process.popen.pid, signal.SIGKILL)
    await asyncio.to_thread(fleet.hub.process.popen.wait)
    await asyncio.sleep(2)
    fleet.hub.end()
    seen = len(fleet.looks)
    await asyncio.to_thread(fleet.hub.begin)
    await until(lambda: fleet.looks[seen:], 60, "there is a view again")
    first = fleet.looks[seen].complete
    await fleet.plays()
    return [Finding("the hub after its kill: its first view says complete", "False", f"{first}")]


async def the_way_breaks(fleet: Fleet) -> list[Finding]:
    """For longer than silence is put up with."""
    await asyncio.to_thread(fleet.way.breaks.end)
    broken = time.monotonic()
    silent = await until(lambda: not fleet.complete(), 30, "the views say that servers are silent")
    await asyncio.sleep(2)
    await asyncio.to_thread(fleet.way.breaks.begin)
    await fleet.plays()
    what = f"outage of the {fleet.way.what}"
    return [
        Finding(f"{what}: servers lost", "2", f"{len(fleet.heard(EventType.PRODUCER_LOST))}"),
        Finding(f"{what}: servers returned", "2", f"{len(fleet.heard(EventType.PRODUCER_RETURNED))}"),
        Finding(f"{what}: views incomplete after, s", None, f"{silent - broken:.1f}"),
    ]


async def a_server_is_killed(fleet: Fleet) -> tuple[SystemEvent, list[Finding]]:
    """What the hub says of it, and how soon."""
    losses, looks = len(fleet.heard(EventType.PRODUCER_LOST)), len(fleet.looks)
    os.kill(fleet.bob.popen.pid, signal.SIGKILL)
    killed = time.monotonic()
    told = await until(lambda: len(fleet.heard(EventType.PRODUCER_LOST)) > losses, 30, "the killed server is lost")
    incomplete = await until(lambda: not fleet.complete(), 10, "the views say so")
    early = [look for look in fleet.looks[looks:] if not look.complete and look.at < killed]
    soon = f"at most {LOST_WITHIN + LATE}"
    return fleet.heard(EventType.PRODUCER_LOST)[losses], [
        Finding("killed server: reported lost after, s", soon, f"{told - killed:.1f}"),
        Finding("killed server: views incomplete after, s", soon, f"{incomplete - killed:.1f}"),
        Finding("killed server: views incomplete before", "0", f"{len(early)}"),
    ]


async def the_other_ends(fleet: Fleet) -> list[Finding]:
    assert await asyncio.to_thread(fleet.ada.end, signal.SIGTERM, 90) == 0, "\n".join(fleet.ada.said)
    await until(lambda: fleet.heard(EventType.PRODUCER_STOPPED, "ada"), 60, "the other server says that it ends")
    highest = fleet.steady[-1].sequence
    await until(lambda: fleet.fickle and fleet.fickle[-1].sequence >= highest, 60, "who comes and goes has all")
    await until(lambda: fleet.pages and fleet.pages[-1]["sequence"] >= highest, 60, "who asks for pages has all")
    return [Finding("killed server: views incomplete to the end", "True", f"{not fleet.complete()}")]


def accounts_of(fleet: Fleet, lost: SystemEvent) -> list[Finding]:
    """Both servers' accounts by their own records."""
    producers = {event.metadata["service"]: number_of(event)[0] for event in fleet.heard(EventType.GAME_STARTED)}
    ada, bob = (Account.of(producers[name], fleet.steady) for name in ("ada", "bob"))
    of_ada, of_bob = (facts_of(fleet.folder / f"{name}.record") for name in ("ada", "bob"))
    ada_told, bob_told = (facts_in(fleet.steady, name) for name in ("ada", "bob"))
    (stopped,) = fleet.heard(EventType.PRODUCER_STOPPED, "ada")
    different = (of_ada - ada_told) + (ada_told - of_ada)
    return [
        Finding("server that ended: facts, by its own record", f"{of_ada.total()}", f"{ada_told.total()}"),
        Finding("server that ended: facts that differ", "0", f"{different.total()}"),
        Finding("server that ended: events emitted", f"{stopped.data['last_sequence'] + 1}", f"{ada.emitted}"),
        Finding("server that ended: delivered + gaps - filled", f"{ada.emitted}", f"{ada.sum}"),
        Finding("server that ended: delivered twice", "0", f"{ada.repeats}"),
        Finding("killed server: facts told that its record does not have", "0", f"{(bob_told - of_bob).total()}"),
        Finding("killed server: facts of its record that never left it", None, f"{(of_bob - bob_told).total()}"),
        Finding("killed server: delivered + gaps - filled", f"{bob.emitted}", f"{bob.sum}"),
        Finding("killed server: last event, by the hub", f"{bob.emitted}", f"{lost.data['last_sequence']}"),
        Finding("killed server: delivered twice", "0", f"{bob.repeats}"),
    ]


def readers_of(fleet: Fleet, nodes: Mapping[str, float]) -> list[Finding]:
    """What the readers got, and what the hub's view says, against each other and the events."""
    sequences, ids = ([getattr(event, of) for event in fleet.steady] for of in ("sequence", "event_id"))
    ended = len(fleet.heard(EventType.GAME_ENDED))
    fickle, pages = [event.sequence for event in fleet.fickle], [event["sequence"] for event in fleet.pages]
    return [
        Finding("games abandoned, by the hub", "0", f"{nodes['games_abandoned']:g}"),
        Finding("games completed, by the hub", f"{ended}", f"{nodes['games_completed']:g}"),
        Finding("games active, by the hub", "0", f"{nodes['games_active']:g}"),
        Finding("steady reader: sequences with a hole or a repeat", "0", f"{holes(sequences)}"),
        Finding("steady reader: ids that came twice", "0", f"{len(ids) - len(set(ids))}"),
        Finding("the reader that comes and goes differs in", "0", f"{differences(sequences, fickle)}"),
        Finding("the reader of pages differs in", "0", f"{differences(sequences, pages)}"),
        Finding("events in all", None, f"{len(fleet.steady)}"),
    ]


@pytest.mark.parametrize("way", [direct, through_kafka])
async def test_every_event_is_accounted_for(
    tmp_path: Path, pytestconfig: pytest.Config, way: Callable[[Settings, Path, str, ExitStack], Way]
) -> None:
    require("otelcol")
    with ExitStack() as stack:
        fleet = Fleet(way, tmp_path, stack)
        async with fleet.followed():
            await fleet.plays()
            findings = await the_hub_is_killed(fleet)
            findings += await the_way_breaks(fleet)
            lost, more = await a_server_is_killed(fleet)
            findings += more + await the_other_ends(fleet)
            flows = await fleet.get("/views/flows")
        findings += accounts_of(fleet, lost)
        findings += readers_of(fleet, {node["id"]: node["value"] for node in flows["nodes"]})
    write_proof(
        pytestconfig,
        f"hub-{way.__name__.replace('_', '-')}",
        f"Two game servers, {fleet.way.what}, hub and three readers. The hub is killed with SIGKILL and started again, "
        f"then the {fleet.way.what} is away for some seconds, then one server is killed and the other ends. Compared "
        "with the servers' own records.",
        findings,
    )
    assert [finding for finding in findings if not as_expected(finding)] == []


def as_expected(finding: Finding) -> bool:
    if finding.expected is None:
        return True
    limit = finding.expected.removeprefix("at most ")
    return finding.observed == limit if limit == finding.expected else float(finding.observed) <= float(limit)


def holes(sequences: list[int]) -> int:
    return sum(after != before + 1 for before, after in itertools.pairwise(sequences))


def differences(one: list[int], other: list[int]) -> int:
    """Up to where both have come, how many are in one alone, or out of place."""
    last = min(one[-1], other[-1])
    one, other = ([each for each in those if each <= last] for those in (one, other))
    return len(set(one) ^ set(other)) + (one != other)
