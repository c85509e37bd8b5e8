"""A hundred people watch a thousand events a second: what that takes of the hub, and of a server on sse-starlette."""

from __future__ import annotations

import asyncio
import importlib.util
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import SEVERITY_NUMBER_INFO, LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from benchmarks.report import Result, Spread, Table
from benchmarks.stream.events import events
from benchmarks.stream.goals import Verdict, at_most, table_of
from otel_setup.events.log_records import attributes_of
from otel_setup.hub.security import LOGS_PATH

VIEWERS = 100
EVENTS_PER_SECOND = 1000
PATH = "/events/stream"
ROUNDS, EVENTS = 7, 10_000
QUICK_ROUNDS, QUICK_EVENTS = 2, 2_000
_FEWER = 10
"""By how much fewer events are enough for the other server, which takes longer for each."""
_BATCH = 200
"""Events of one request, as a Collector sends them that waits for 200 ms."""
_HUB, _UNSEEN, _PEER = "hub, 100 viewers", "hub, nobody watches", "sse-starlette, 100 viewers"
_ADDRESS = re.compile(rb"http://127\.0\.0\.1:(\d+)")
_DATA = b"data: "
_SECONDS = 120.0
_CORE, _TIMES = 10.0, 10.0


@dataclass
class _Measured:
    """Each round's share of a core, in percent, and the deliveries that one second of it is enough for."""

    cpu: list[float] = field(default_factory=list)
    deliveries: list[float] = field(default_factory=list)


def run(*, quick: bool) -> Result:
    """Each in a process of its own, by turns."""
    rounds, count = (QUICK_ROUNDS, QUICK_EVENTS) if quick else (ROUNDS, EVENTS)
    names = [_HUB, _UNSEEN] + ([_PEER] if importlib.util.find_spec("sse_starlette") else [])
    measured = {name: _Measured() for name in names}
    for number in range(rounds):
        for name in names:
            if name == _PEER:
                each = asyncio.run(peer(count // _FEWER, VIEWERS)) / (count // _FEWER)
            else:
                each = asyncio.run(hub(count, VIEWERS if name == _HUB else 0)) / count
            measured[name].cpu.append(each * EVENTS_PER_SECOND * 100)
            measured[name].deliveries.append(VIEWERS / each)
        print(f"\rsse: round {number + 1} of {rounds}", end="", flush=True)
    print()
    return _result(measured, rounds, count)


def _result(measured: dict[str, _Measured], rounds: int, count: int) -> Result:
    rows = [
        (name, f"{Spread.of(found.cpu)} %", "" if name == _UNSEEN else str(Spread.of(found.deliveries)))
        for name, found in measured.items()
    ]
    viewing = [both - alone for both, alone in zip(measured[_HUB].cpu, measured[_UNSEEN].cpu, strict=True)]
    verdicts = [
        at_most(f"what {VIEWERS} viewers add to the hub", _CORE, Spread.of(viewing), " % of a core"),
        at_most("the hub with them, taking events in included", _CORE, Spread.of(measured[_HUB].cpu), " % of a core"),
    ]
    words, wanted = "deliveries for the same CPU, against sse-starlette", f"at least {_TIMES:g} times"
    if _PEER in measured:
        pairs = zip(measured[_HUB].deliveries, measured[_PEER].deliveries, strict=True)
        ratio = Spread.of([ours / theirs for ours, theirs in pairs])
        verdicts.append(Verdict(words, wanted, ratio, ratio.median >= _TIMES))
    else:
        rows.append((_PEER, "not installed", ""))
        verdicts.append(Verdict(words, wanted, None, met=False))
    remarks = (
        f"Processor time of the server's process for {count:,} events at {EVENTS_PER_SECOND:,} a second, until every "
        f"viewer has each of them: median (quartiles) of {rounds} rounds. The hub's includes taking them in over HTTP, "
        f"{_BATCH} at a time, its accounts and its log on disk.",
    )
    columns = ("", "CPU of a core", "deliveries for a second of CPU")
    tables = [
        table_of("Goals of live viewing", verdicts),
        Table(f"{VIEWERS} viewers of {EVENTS_PER_SECOND:,} events a second", columns, rows, remarks),
    ]
    figures = {
        name: {"cpu_percent": Spread.of(found.cpu), "deliveries_per_cpu_second": Spread.of(found.deliveries)}
        for name, found in measured.items()
    }
    return Result("sse", tables, figures)


async def hub(count: int, viewers: int) -> float:
    """Seconds of a hub's processor time for so many events, until each viewer has each of them."""
    with tempfile.TemporaryDirectory() as directory:
        command = ["-m", "otel_setup", "hub", "--port", "0", "--directory", directory]
        with serving(command, subprocess.PIPE) as process:
            port = await asyncio.to_thread(port_told, process)
            await until_it_answers(port)
            watching = [asyncio.create_task(_watch(port, count)) for _ in range(viewers)]
            await asyncio.sleep(1.0)  # until all are connected: the hub tells nobody who is
            before = _cpu(process)
            await _feed(port, count)
            await asyncio.wait_for(asyncio.gather(*watching), _SECONDS)
            return _cpu(process) - before


async def peer(count: int, viewers: int) -> float:
    """The same of the other server."""
    command = ["-m", "benchmarks.sse_peer", str(viewers), str(count)]
    with serving(command, subprocess.DEVNULL) as process:
        port = int(await asyncio.to_thread(process.stdout.readline)) if process.stdout else 0
        before = _cpu(process)
        await asyncio.wait_for(asyncio.gather(*(_watch(port, count) for _ in range(viewers))), _SECONDS)
        return _cpu(process) - before


@contextmanager
def serving(command: list[str], errors: int) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a server of Python's, and ends it."""
    arguments = [sys.executable, *command]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=errors) as process:  # noqa: S603 - our own
        try:
            yield process
        finally:
            process.kill()


def port_told(process: subprocess.Popen[bytes]) -> int:
    """The port that a hub says it listens on."""
    assert process.stderr is not None  # noqa: S101 - it was asked for
    for line in process.stderr:
        if found := _ADDRESS.search(line):
            return int(found[1])
    raise RuntimeError("the hub did not start")


def _cpu(process: subprocess.Popen[bytes]) -> float:
    times = psutil.Process(process.pid).cpu_times()
    return float(times.user + times.system)


# --- clients --------------------------------------------------------------------------------------------------------
async def until_it_answers(port: int) -> None:
    """Waits until a hub is ready."""
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        if b" 200 " in answer.partition(b"\r\n")[0]:
            return
        await asyncio.sleep(0.05)


async def _watch(port: int, count: int) -> None:
    """Reads a stream until ``count`` events have come."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n".encode())
    found, rest = 0, b""
    while found < count:
        data = rest + await reader.read(2**16)
        if data == rest:
            raise RuntimeError(f"a stream ended after {found} events")
        found += data.count(_DATA)
        rest = data[1 - len(_DATA) :]  # what a frame may begin with that is not there as a whole
    writer.close()


async def _feed(port: int, count: int) -> None:
    """Sends events as a Collector does, each batch when it is due."""
    bodies = [_body(first, min(_BATCH, count - first)) for first in range(0, count, _BATCH)]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began = time.perf_counter()
    for number, body in enumerate(bodies):
        await asyncio.sleep(max(0.0, began + number * _BATCH / EVENTS_PER_SECOND - time.perf_counter()))
        head = (
            f"POST {LOGS_PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-protobuf\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in answer.partition(b"\r\n")[0]:
            raise RuntimeError(f"the hub refused events: {answer!r}")
        length = re.search(rb"content-length: *(\d+)", answer, re.IGNORECASE)
        await reader.readexactly(int(length[1]) if length else 0)
    writer.close()


def _body(first: int, count: int) -> bytes:
    """A request with the events from the ``first`` on, of one server's life."""
    records = []
    for number, event in enumerate(events(count, VIEWERS), first + 1):
        object.__setattr__(event, "event_id", f"benchmark-life-{number}")
        records.append(
            LogRecord(
                time_unix_nano=time.time_ns(),
                severity_number=SEVERITY_NUMBER_INFO,
                event_name=event.event_type,
                attributes=[KeyValue(key=key, value=_value(value)) for key, value in attributes_of(event).items()],
            )
        )
    who = Resource(attributes=[KeyValue(key="service.name", value=_value("benchmark"))])
    logs = ResourceLogs(resource=who, scope_logs=[ScopeLogs(log_records=records)])
    body: bytes = ExportLogsServiceRequest(resource_logs=[logs]).SerializeToString()
    return body


def _value(value: object) -> AnyValue:
    return AnyValue(double_value=value) if isinstance(value, float) else AnyValue(string_value=str(value))
