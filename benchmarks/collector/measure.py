"""One Collector, one round: what each signal takes of its processor time until everything has come where it belongs."""

from __future__ import annotations

import asyncio
import itertools
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from benchmarks.collector import stores
from benchmarks.collector.load import SIGNALS, Requests, recorded, requests
from benchmarks.collector.stores import HUB, JAEGER, Stores
from deploy import native
from deploy.collector import receivers
from deploy.collector.graph import Pipeline, Role, Signal
from deploy.collector.roles import MakeRole, common
from deploy.process import wait_until
from otel_setup.catalogue import Catalogue
from settings import Settings

DOORS: dict[str, Signal] = {**stores.DOORS, **{signal: signal for signal in SIGNALS}}
"""Where items come to: the stores, and the exporters of the plain Collector, with their signals."""
CONNECTIONS = 4
"""Requests under way at the same time."""
PER = 10_000
ARRIVAL_SECONDS = 90.0
"""How long a round waits for what it has sent."""
_PAUSE_SECONDS = 0.5
_MIB = 2**20
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Subject:
    """A Collector to be measured.

    Parameters:
        role: what it does.
        doors: to which stores each item of their signal has to come, and how often; to the hub come events alone, and
            to Jaeger what is kept of traces, where they are sampled.
        sampled: whether they are.
        change: of the settings.
    """

    role: MakeRole
    doors: Mapping[str, int]
    sampled: bool = False
    change: Callable[[Settings], Settings] = lambda settings: settings

    @property
    def signals(self) -> tuple[Signal, ...]:
        """What it takes in."""
        return tuple(signal for signal in SIGNALS if any(DOORS[door] == signal for door in self.doors))


@dataclass
class Round:
    """What one round took: seconds for :data:`PER` items of a signal, and MiB of memory at its end."""

    cpu: dict[Signal, float] = field(default_factory=dict)
    elapsed: dict[Signal, float] = field(default_factory=dict)
    memory: float = 0.0

    def total(self, signals: Iterable[Signal]) -> float:
        """Seconds of processor time for so many items of each of these signals."""
        return sum(self.cpu[signal] for signal in signals)


def plain(settings: Settings, _catalogue: Catalogue) -> Role:
    """The least that a Collector can do: it takes everything in, by the same door, and drops it."""
    pipelines = [Pipeline(signal, (receivers.otlp(settings),), (), (stores.debug(signal),)) for signal in SIGNALS]
    return common.role(settings, "plain", "A Collector that does nothing.", pipelines)


class Bench:
    """Measures Collectors, all with the same load and in front of the same stores.

    Parameters:
        running: the stores that they send to.
        items: of each signal, in a round; a tenth more comes before, unmeasured.
    """

    def __init__(self, running: Stores, items: int) -> None:
        self._stores = running
        servers, exports = itertools.count(1), recorded()
        self._first = [requests(signal, exports[signal], max(items // 10, 1), servers) for signal in SIGNALS]
        self._load = [requests(signal, exports[signal], items, servers) for signal in SIGNALS]

    @property
    def load(self) -> list[Requests]:
        """What each round sends."""
        return self._load

    def round(self, subject: Subject) -> Round:
        """Run one Collector for one round.

        Raises:
            RuntimeError: it refused something, or something came twice.
            TimeoutError: not everything came.
        """
        settings, found = subject.change(self._stores.settings), Round()
        with (
            tempfile.TemporaryDirectory() as folder,
            native.running_collector(
                settings, Path(folder), self._stores.prometheus_url, role=subject.role
            ) as collector,
        ):
            process = psutil.Process(collector.process.pid)
            for load in self._first:
                if load.signal in subject.signals:
                    self._send(collector, subject, load)
            for load in self._load:
                if load.signal in subject.signals:
                    cpu, began = _seconds(process), time.perf_counter()
                    self._send(collector, subject, load)
                    each = PER / load.items
                    found.cpu[load.signal] = (_seconds(process) - cpu) * each
                    waited = settings.traces.decision_seconds if subject.sampled and load.signal == "traces" else 0
                    found.elapsed[load.signal] = (time.perf_counter() - began - waited) * each
            found.memory = process.memory_info().rss / _MIB
        return found

    def _send(self, collector: native.Collector, subject: Subject, load: Requests) -> None:
        """Send it all, and wait until it has come everywhere."""

        def came() -> dict[str, int]:
            # Not asked where it need not be: to answer costs processor time, too.
            found = stores.written(collector) if load.signal in subject.doors else self._stores.came()
            return {door: found.get(door, 0) for door in subject.doors if DOORS[door] == load.signal}

        sampled = subject.sampled and load.signal == "traces"
        before, kept_before = came(), stores.decided(collector) if sampled else (0, 0)
        asyncio.run(_post(collector, load))
        wanted = dict(before)
        for door in before:
            wanted[door] += subject.doors[door] * (load.events if door == HUB else load.items)
        if sampled:
            wanted[JAEGER] = before[JAEGER] + self._kept(collector, load, kept_before)
        seen = wait_until(came, lambda now: _all(now, wanted), ARRIVAL_SECONDS, f"there came {wanted}")
        if seen != wanted:
            raise RuntimeError(f"of {wanted} there came {seen}")

    def _kept(self, collector: native.Collector, load: Requests, before: tuple[int, int]) -> int:
        """How many spans are kept, once that is decided; all traces of a load have equally many."""

        def rarely() -> tuple[int, int]:
            time.sleep(_PAUSE_SECONDS)  # to answer costs processor time, too
            return stores.decided(collector)

        decided = wait_until(
            rarely,
            lambda now: sum(now) >= sum(before) + load.traces,
            ARRIVAL_SECONDS,
            f"{load.traces} traces are decided",
        )
        return (decided[0] - before[0]) * load.items // load.traces


def _all(found: Mapping[str, int], wanted: Mapping[str, int]) -> bool:
    return all(found[door] >= count for door, count in wanted.items())


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def _post(collector: native.Collector, load: Requests) -> None:
    """Several connections share the requests, each with one under way at a time."""
    url = urlsplit(collector.otlp_http)
    more = "".join(f"{name}: {value}\r\n" for name, value in collector.headers.items())
    head = f"POST /v1/{load.signal} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Type: application/x-protobuf\r\n{more}"
    waiting = iter(load.bodies)

    async def connection() -> None:
        reader, writer = await asyncio.open_connection(url.hostname, url.port)
        for body in waiting:
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            if b" 200 " not in answer.partition(b"\r\n")[0]:
                raise RuntimeError(f"the Collector refused {load.signal}: {answer!r}")
            length = _LENGTH.search(answer)
            await reader.readexactly(int(length[1]) if length else 0)
        writer.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(connection())
