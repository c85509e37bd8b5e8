"""The one writer: nothing is answered or shown that the log does not have, and nothing is lost that was taken."""

from __future__ import annotations

import asyncio
import errno
import json
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from otel_setup.events.record import SystemEvent
from otel_setup.events.stream import EventStream
from otel_setup.hub.accounts import AccountBounds, Accounts
from otel_setup.hub.frames import Frames
from otel_setup.hub.intake import Intake, NotTaken
from otel_setup.hub.metrics import Counters, Refused
from otel_setup.hub.segments import Kind, SegmentLog
from otel_setup.hub.settings import HubSettings
from tests.otel_setup.hub.app_support import numbers, sent

HOLE_SECONDS = 0.05
SOON = 20.0
"""Seconds after which a test that waits in vain has failed."""


class Disk(SegmentLog):
    """A log whose disk can be full, or slow."""

    full = False
    appends = 0
    gate: Callable[[], object] = staticmethod(lambda: None)

    def append(self, entries: Sequence[tuple[Kind, int, bytes]]) -> None:
        self.gate()
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.appends += 1
        super().append(entries)


class Running:
    """A writer that runs, and what it works on."""

    def __init__(self, directory: Path, found: Sequence[SystemEvent] = (), **settings: Any) -> None:
        self.settings = HubSettings(hole_seconds=HOLE_SECONDS, **settings)
        self.accounts = Accounts(AccountBounds(hole_seconds=HOLE_SECONDS))
        self.log = Disk(directory, lambda: json.dumps(self.accounts.state()).encode())
        for _ in self.log.open():
            pass
        self.stream = EventStream(epoch=self.log.epoch, last_sequence=self.log.last_sequence)
        self.frames = Frames(self.stream.epoch, 1_000_000)
        self.counters = Counters()
        self.applied: list[SystemEvent] = []
        self.found = list(found)
        self.caught_up: list[bool] = []
        self.intake = Intake(
            self.stream,
            self.log,
            self.accounts,
            self.applied.append,
            self._judge,
            self.frames,
            self.settings,
            self.counters,
        )

    def _judge(self, caught_up: bool) -> list[SystemEvent]:
        self.caught_up.append(caught_up)
        found, self.found = self.found, []
        return found

    def shown(self) -> list[SystemEvent]:
        return self.stream.read(0)

    def logged(self) -> list[dict[str, Any]]:
        return [json.loads(entry.payload) for entry in self.log.read(0, 10_000)]


@asynccontextmanager
async def running(directory: Path, **how: Any) -> AsyncIterator[Running]:
    hub = Running(directory, **how)
    writer = asyncio.create_task(hub.intake.run())
    try:
        yield hub
    finally:
        hub.intake.end()
        async with asyncio.timeout(SOON):
            await writer
        hub.log.close()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(SOON):
        while not condition():
            await asyncio.sleep(0.005)


async def test_what_is_answered_is_in_the_log_in_the_stream_and_applied(tmp_path: Path) -> None:
    async with running(tmp_path) as hub:
        await hub.intake.take([sent(1), sent(2)])
        assert [event["event_id"][-2:] for event in hub.logged()] == ["-1", "-2"]
        assert [event["sequence"] for event in hub.logged()] == [1, 2]
        assert numbers(hub.shown()) == numbers(hub.applied) == [1, 2]
        assert [event.sequence for event in hub.shown()] == [1, 2]


async def test_the_frame_that_readers_share_holds_what_is_logged(tmp_path: Path) -> None:
    async with running(tmp_path) as hub:
        await hub.intake.take([sent(1, data={"note": "<b>\u2028\n"})])
        (entry,) = hub.log.read(0, 1)
        made = hub.frames.of(hub.shown()[0])
        assert made == b"id: %s-1\nevent: game.started\ndata: %s\n\n" % (hub.stream.epoch.encode(), entry.payload)
        assert json.loads(entry.payload) == hub.shown()[0].to_dict()
        assert b"\n" not in entry.payload


async def test_batches_that_come_while_the_log_is_written_share_one_write(tmp_path: Path) -> None:
    async with running(tmp_path) as hub:
        gate = threading.Event()
        hub.log.gate = lambda: gate.wait(SOON)
        first = asyncio.create_task(hub.intake.take([sent(1)]))
        await until(lambda: hub.intake.weight and not hub.intake.batches)  # it is being written
        others = [asyncio.create_task(hub.intake.take([sent(number)])) for number in range(2, 12)]
        await until(lambda: hub.intake.batches == 10)
        gate.set()
        await asyncio.gather(first, *others)
        assert hub.log.appends == 2
        assert numbers(hub.shown()) == list(range(1, 12))
        assert hub.intake.weight == hub.intake.batches == 0


async def test_an_event_that_came_too_early_waits_in_the_log(tmp_path: Path) -> None:
    async with running(tmp_path) as hub:
        await hub.intake.take([sent(1)])
        await hub.intake.take([sent(3)])  # answered: it is safe, though nobody sees it yet
        assert numbers(hub.shown()) == [1]
        await hub.intake.take([sent(2)])
        assert numbers(hub.shown()) == [1, 2, 3]
    entries = [entry for entry in Disk(tmp_path, lambda: b"").open() if entry.kind is Kind.HELD]
    assert [json.loads(entry.payload)["event_id"] for entry in entries] == [sent(3).event_id]


async def test_a_hole_that_stays_becomes_a_gap_without_further_batches(tmp_path: Path) -> None:
    async with running(tmp_path) as hub:
        await hub.intake.take([sent(1)])
        await hub.intake.take([sent(4)])
        await until(lambda: len(hub.shown()) == 3)
        first, gap, fourth = hub.shown()
        assert (gap.event_type, gap.data["first"], gap.data["last"]) == ("stream.gap", 2, 3)
        assert (first.game_id, fourth.game_id) == ("game1", "game4")
        assert [event["sequence"] for event in hub.logged()] == [1, 2, 3]


async def test_what_the_hub_finds_out_goes_through_the_log(tmp_path: Path) -> None:
    async with running(tmp_path, found=[sent(1, "finding-00000000")]) as hub:
        await until(hub.shown)
        assert len(hub.logged()) == len(hub.applied) == 1


async def test_servers_are_judged_only_while_what_they_send_is_taken_in(tmp_path: Path) -> None:
    """Those who were refused have more to say, which may be of anybody."""
    async with running(tmp_path, intake_batches=1, retry_after_seconds=1, fsync_seconds=0.1) as hub:
        await until(lambda: hub.caught_up)
        assert hub.caught_up.pop() is True
        gate = threading.Event()
        hub.log.gate = lambda: gate.wait(SOON)
        tasks = [asyncio.create_task(hub.intake.take([sent(1)]))]
        await until(lambda: hub.intake.weight and not hub.intake.batches)
        tasks.append(asyncio.create_task(hub.intake.take([sent(2)])))
        await until(lambda: hub.intake.full)
        with pytest.raises(NotTaken):
            await hub.intake.take([sent(3)])
        hub.caught_up.clear()
        gate.set()
        await asyncio.gather(*tasks)
        await until(lambda: hub.caught_up)
        assert hub.caught_up[0] is False
        await until(lambda: hub.caught_up[-1])


async def test_a_repeated_batch_is_answered_and_changes_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as hub:
        await hub.intake.take([sent(1), sent(2)])
        await hub.intake.take([sent(1), sent(2)])
        assert numbers(hub.shown()) == [1, 2]
        assert len(hub.logged()) == 2


# --- a disk that is full ----------------------------------------------------------------------------------------------
async def test_while_the_log_cannot_be_written_nothing_is_shown_and_senders_are_told(tmp_path: Path) -> None:
    async with running(tmp_path) as hub:
        await hub.intake.take([sent(1)])
        hub.log.full = True
        for _ in range(2):  # the second time the batch is a duplicate of what waits
            with pytest.raises(NotTaken, match="No space left") as refused:
                await hub.intake.take([sent(2)])
            assert refused.value.reason is Refused.LOG
        with pytest.raises(NotTaken):
            await hub.intake.take([sent(3)])
        assert hub.accounts.totals()["delivered"] == 2  # what waits for room does not grow with what senders try
        assert hub.intake.problem == "No space left on device"
        assert numbers(hub.shown()) == numbers(hub.applied) == [1]
        assert hub.counters.write_failures >= 2


async def test_what_was_taken_is_written_first_once_there_is_room(tmp_path: Path) -> None:
    async with running(tmp_path) as hub:
        hub.log.full = True
        with pytest.raises(NotTaken):
            await hub.intake.take([sent(1), sent(2)])
        hub.log.full = False
        await hub.intake.take([sent(1), sent(2)])  # its sender repeats it, and gets its answer
        await hub.intake.take([sent(3)])
        assert numbers(hub.shown()) == [1, 2, 3]
        assert [event["sequence"] for event in hub.logged()] == [1, 2, 3]
        assert hub.intake.problem == ""


async def test_after_a_restart_in_between_the_repeated_batch_is_new(tmp_path: Path) -> None:
    async with running(tmp_path) as hub:
        await hub.intake.take([sent(1)])
        hub.log.full = True
        with pytest.raises(NotTaken):
            await hub.intake.take([sent(2)])
    again = Running(tmp_path)
    again.log.close()
    assert [event["event_id"] for event in again.logged()] == [sent(1).event_id]


# --- bounds -----------------------------------------------------------------------------------------------------------
async def test_past_the_bound_of_batches_a_batch_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path, intake_batches=2) as hub:
        gate = threading.Event()
        hub.log.gate = lambda: gate.wait(SOON)
        tasks = [asyncio.create_task(hub.intake.take([sent(1)]))]
        await until(lambda: hub.intake.weight and not hub.intake.batches)
        tasks += [asyncio.create_task(hub.intake.take([sent(number)])) for number in (2, 3)]
        await until(lambda: hub.intake.full)
        with pytest.raises(NotTaken) as refused:
            await hub.intake.take([sent(4)])
        assert refused.value.reason is Refused.FULL
        gate.set()
        await asyncio.gather(*tasks)
        await hub.intake.take([sent(4)])
        assert numbers(hub.shown()) == [1, 2, 3, 4]


async def test_past_the_bound_of_bytes_a_batch_is_refused_but_one_alone_always_fits(tmp_path: Path) -> None:
    heavy = {"data": {"text": "x" * 2_000}}
    async with running(tmp_path, intake_bytes=3_000, max_body_bytes=3_000) as hub:
        await hub.intake.take([sent(1, data={"text": "x" * 5_000})])
        gate = threading.Event()
        hub.log.gate = lambda: gate.wait(SOON)
        first = asyncio.create_task(hub.intake.take([sent(2, **heavy)]))
        await until(lambda: hub.intake.weight)
        with pytest.raises(NotTaken) as refused:
            await hub.intake.take([sent(3, **heavy)])
        assert refused.value.reason is Refused.FULL
        gate.set()
        await first


async def test_at_the_end_what_waits_is_written_and_later_batches_are_refused(tmp_path: Path) -> None:
    hub = Running(tmp_path)
    batch = asyncio.create_task(hub.intake.take([sent(1)]))
    await asyncio.sleep(0)
    hub.intake.end()
    with pytest.raises(NotTaken) as refused:
        await hub.intake.take([sent(2)])
    assert refused.value.reason is Refused.ENDING
    await hub.intake.run()
    await batch
    assert numbers(hub.shown()) == [1]
    hub.log.close()


async def test_without_a_log_everything_goes_the_same_way(tmp_path: Path) -> None:
    hub = Running(tmp_path)
    hub.log.close()
    memory = Intake(
        hub.stream, None, hub.accounts, hub.applied.append, hub._judge, hub.frames, hub.settings, hub.counters
    )
    writer = asyncio.create_task(memory.run())
    await memory.take([sent(1)])
    memory.end()
    await writer
    assert numbers(hub.shown()) == [1]
    assert hub.logged() == []
