"""``producer.stopped``: the last event of an epoch, whatever ends it, and never somebody else's."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry._logs import NoOpLogger

import otel_setup
from otel_setup.testing import Recorded
from tests.otel_setup.receiver import Receiver, receiving


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


def epochs(receiver: Receiver) -> dict[str, dict[int, Any]]:
    """The records that arrived, by producer and by number."""
    found: dict[str, dict[int, Any]] = {}
    for record in receiver.events():
        producer, _, number = attributes(record)["log.record.uid"].rpartition("-")
        assert int(number) not in found.setdefault(producer, {})
        found[producer][int(number)] = record
    return found


def attributes(record: Any) -> dict[str, Any]:
    return {item.key: getattr(item.value, item.value.WhichOneof("value")) for item in record.attributes}


def check_end(records: dict[int, Any], *, live_games: int) -> None:
    """No number is left out, and the last one says that it is the last one."""
    last = len(records)
    assert sorted(records) == list(range(1, last + 1))
    assert [number for number, record in records.items() if record.event_name == "producer.stopped"] == [last]
    found = attributes(records[last])
    assert found["producer.last_sequence"] == last - 1
    assert found["producer.live_games"] == live_games
    assert found["log.record.uid"].split("-")[-2] == found["producer.epoch"]


async def test_a_shutdown_ends_the_epoch_before_the_logs_are_flushed(telemetry: Recorded, receiver: Receiver) -> None:
    handle = otel_setup.configure(collector=receiver.url, metric_interval=3600)
    await telemetry.monitor.record_game_start("g1", "r1", 4, 0)
    await telemetry.monitor.record_game_start("g2", "r2", 4, 0)
    await telemetry.monitor.record_game_end("g1", None, {})
    assert handle.shutdown(20)
    assert handle.shutdown(20)
    (records,) = epochs(receiver).values()
    assert len(records) == 6, "two starts with a snapshot each, an end, and the end of it all"
    check_end(records, live_games=1)
    assert [event.event_type for event in telemetry.events()][-1] == "producer.stopped", "readers here are told too"
    await telemetry.monitor.record_room_created("afterwards")
    assert len(telemetry.events("producer.stopped")) == 1


async def test_a_new_configuration_ends_the_old_epoch_where_it_was(telemetry: Recorded, receiver: Receiver) -> None:
    with receiving() as other:
        first = otel_setup.configure(collector=receiver.url, metric_interval=3600)
        old = f"{first.settings.instance_id}-{first.core.epoch}"
        await telemetry.monitor.record_game_start("g1", "r1", 4, 0)
        second = otel_setup.configure(collector=other.url, metric_interval=3600)
        await telemetry.monitor.record_room_created("r2")
        assert second.flush(20)
        receiver.wait_for(lambda: len(receiver.events()) == 3)
        assert list(epochs(receiver)) == [old]
        check_end(epochs(receiver)[old], live_games=1)
        (records,) = epochs(other).values()
        assert [record.event_name for record in records.values()] == ["room.created"]
        assert second.shutdown(20)
        (records,) = epochs(other).values()
        check_end(records, live_games=1)


async def test_an_epoch_without_events_ends_without_one(telemetry: Recorded, receiver: Receiver) -> None:
    otel_setup.configure(collector=receiver.url, metric_interval=3600)
    handle = otel_setup.configure(collector=receiver.url, metric_interval=3600, service="other")
    assert handle.shutdown(20)
    assert (receiver.events(), telemetry.events()) == ([], [])


async def test_what_is_not_exported_has_no_epoch_to_end(telemetry: Recorded) -> None:
    handle = otel_setup.configure(collector=False)
    await telemetry.monitor.record_room_created("r")
    handle.shutdown()
    assert [event.event_type for event in telemetry.events()] == ["room.created"]


def test_whatever_threads_do_the_end_is_the_last_number_of_its_epoch(telemetry: Recorded, receiver: Receiver) -> None:
    handle = otel_setup.configure(collector=receiver.url, metric_interval=3600)
    monitor, stop = telemetry.monitor, threading.Event()

    def publish() -> None:
        while not stop.is_set():
            asyncio.run(monitor.record_turn_completed("g", "ann"))

    threads = [threading.Thread(target=publish) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(6):
        events = monitor.event_stream.total_events
        while monitor.event_stream.total_events < events + 20:
            time.sleep(0.001)
        handle = otel_setup.configure(collector=receiver.url, metric_interval=3600, service=f"service-{number}")
    assert handle.shutdown(20)
    stop.set()
    for thread in threads:
        thread.join()
    receiver.wait_for(lambda: [record.event_name for record in receiver.events()].count("producer.stopped") == 7)
    assert len(epochs(receiver)) == 7
    for records in epochs(receiver).values():
        check_end(records, live_games=0)


async def test_an_end_that_cannot_be_told_hinders_nobody(telemetry: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(NoOpLogger):
        def enabled(self, *, event_name: str | None = None, **_: object) -> bool:
            if event_name == "producer.stopped":
                raise ZeroDivisionError
            return True

    handle = otel_setup.configure(collector=False)
    core = handle.core
    monkeypatch.setattr(core._connection, "logger", Broken("broken"))
    await telemetry.monitor.record_room_created("r")
    left = core._connection
    assert handle.shutdown(20)
    assert core._connection is not left
    assert core.faults.counts["stream"] == 1


SCRIPT = """
    import asyncio, os, signal, sys, threading, time, warnings
    warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of forking with threads, which is the point here
    import otel_setup
    monitor = otel_setup.get_enterprise_monitor()
    otel_setup.configure(collector=sys.argv[1], metric_interval=3600, instance_id="server")
    asyncio.run(monitor.record_game_start("g", "r", 4, 0))
"""


def ends_by(code: str, receiver: Receiver) -> int:
    """Runs a server with one live game to its end; gives its exit status."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT) + textwrap.dedent(code), receiver.url],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("", 0),
        ("sys.exit(3)", 3),
        ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(30)", -signal.SIGTERM),
    ],
    ids=["end of the program", "exit", "SIGTERM"],
)
def test_the_end_of_the_process_ends_the_epoch(receiver: Receiver, code: str, status: int) -> None:
    assert ends_by(code, receiver) == status
    (records,) = epochs(receiver).values()
    check_end(records, live_games=1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize(
    ("child", "told"),
    [
        ("pass", 0),
        ('asyncio.run(monitor.record_room_created("r"))', 2),
        ('otel_setup.configure(collector=False); asyncio.run(monitor.record_room_created("r"))', 0),
    ],
    ids=["silent", "tells something", "configures itself"],
)
def test_a_forked_child_ends_its_own_epoch_and_never_its_parents(receiver: Receiver, child: str, told: int) -> None:
    """The child leaves as a whole program does, by the handlers of ``atexit``."""
    code = f"""
    pid = os.fork()
    if pid == 0:
        {child}
        sys.exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    """
    assert ends_by(code, receiver) == 0
    found = epochs(receiver)
    parent = next(producer for producer in found if producer.count("-") == 1)
    check_end(found.pop(parent), live_games=1)
    assert sum(map(len, found.values())) == told
    for records in found.values():
        check_end(records, live_games=0)
