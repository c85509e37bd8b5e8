"""How long an event takes from a game server, through the real Collector and the real hub, to who watches there."""

from __future__ import annotations

import asyncio
import random
import subprocess
import tempfile
import time
from pathlib import Path

from opentelemetry._logs import SeverityNumber, get_logger
from opentelemetry.util.types import AnyValue

import otel_setup
from benchmarks.report import Result, Spread, Table
from benchmarks.sse import port_told, serving, until_it_answers
from benchmarks.stream.goals import at_most, table_of
from benchmarks.ticking import percentile
from deploy import native, tools
from deploy.collector import variables as v
from deploy.collector.roles import events
from deploy.ports import free_settings
from otel_setup.clients.hub import HubEvents
from otel_setup.events.filter import EventFilter

ROUNDS, SECONDS = 7, 10.0
QUICK_ROUNDS, QUICK_SECONDS = 2, 3.0
EVENTS_PER_SECOND = 100
NAME, NUMBER = "benchmark.tick", "number"
_P99_MS, _MS = 500.0, 1000
_WAIT_SECONDS = 30.0


def run(*, quick: bool) -> Result:
    """A server, a Collector and a hub for each round."""
    rounds, seconds = (QUICK_ROUNDS, QUICK_SECONDS) if quick else (ROUNDS, SECONDS)
    tools.ensure("otelcol")
    took = []
    for number in range(rounds):
        took.append(asyncio.run(once(int(seconds * EVENTS_PER_SECOND))))
        print(f"\rthrough_hub: round {number + 1} of {rounds}", end="", flush=True)
    print()
    p50, p99 = (Spread.of([percentile(each, share) for each in took]) for share in (0.5, 0.99))
    remarks = (
        f"Milliseconds from the emitting of a log record until a reader of the hub has the event: {EVENTS_PER_SECOND} "
        f"a second at random moments; median (quartiles) of {rounds} rounds of {seconds:g} s. Server and Collector "
        "gather events for as long as they do by default.",
    )
    verdict = at_most("p99 from a server through Collector and hub to a reader", _P99_MS, p99, " ms")
    tables = [
        table_of("Goals of the way through the hub", [verdict]),
        Table("From a server to a reader of the hub", ("p50, ms", "p99, ms"), [(str(p50), str(p99))], remarks),
    ]
    return Result("through_hub", tables, {"p50_ms": p50, "p99_ms": p99})


async def once(count: int) -> list[float]:
    """Milliseconds that each of so many events took, in order of size.

    Raises:
        TimeoutError: they did not all come.
    """
    settings = free_settings()
    with tempfile.TemporaryDirectory() as folder:
        command = ["-m", "otel_setup", "hub", "--port", "0", "--directory", str(Path(folder, "hub"))]
        with serving(command, subprocess.PIPE) as hub:
            port = await asyncio.to_thread(port_told, hub)
            await until_it_answers(port)
            url = f"http://{v.LOOPBACK}:{port}"
            with native.running_collector(
                settings, Path(folder, "collector"), role=events, environment={v.HUB_URL: url}
            ) as collector:
                return await _measured(collector, url, count)


async def _measured(collector: native.Collector, url: str, count: int) -> list[float]:
    telemetry = otel_setup.configure(
        service="benchmark", collector=collector.otlp_http, headers=collector.headers, traces=False, metrics=False
    )
    try:
        async with HubEvents(url, EventFilter(event_types={NAME})) as arriving:
            sent: dict[int, float] = {}
            reading = asyncio.create_task(_read(arriving, sent, count))
            await _emit(sent, count)
            return sorted(await asyncio.wait_for(reading, _WAIT_SECONDS))
    finally:
        await asyncio.to_thread(telemetry.shutdown)


async def _emit(sent: dict[int, float], count: int) -> None:
    logger, chance = get_logger(NAME), random.Random(count)  # noqa: S311 - no secret
    due = time.perf_counter()
    for number in range(count):
        due += chance.expovariate(EVENTS_PER_SECOND)
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        attributes: dict[str, AnyValue] = {NUMBER: number}
        sent[number] = time.perf_counter()
        logger.emit(event_name=NAME, severity_number=SeverityNumber.INFO, attributes=attributes)


async def _read(arriving: HubEvents, sent: dict[int, float], count: int) -> list[float]:
    took: list[float] = []
    while len(took) < count:
        for event in await arriving.get_events():
            if event.event_type != NAME:
                raise RuntimeError(f"events were lost on the way: {event.to_json()}")
            took.append((time.perf_counter() - sent[event.data[NUMBER]]) * _MS)
    return took
