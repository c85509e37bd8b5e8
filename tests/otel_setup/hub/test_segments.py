"""The hub's log on disk: what was appended is there again, within its bounds, safe in the way that was asked for."""

from __future__ import annotations

import json
import os
import resource
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from otel_setup import clock
from otel_setup.hub import directory_lock, segment_file
from otel_setup.hub.segments import Entry, Kind, LogError, SegmentLog

HOUR_NS = 3600 * 10**9
NOON_NS = 1_800_000_000 * 10**9


class Writer:
    """Appends numbered events, and keeps the state that checkpoints are made of: how many there were."""

    def __init__(self, directory: Path, **options: Any) -> None:
        self.log = SegmentLog(directory, lambda: str(self.last).encode(), **options)
        self.last = 0
        self.entries = list(self.log.open())
        self.last = self.log.last_sequence

    def events(self, count: int, size: int = 0) -> list[bytes]:
        payloads = [f'{{"n":{self.last + number + 1}}}'.encode().ljust(size) for number in range(count)]
        batch = [(Kind.EVENT, self.last + number + 1, payload) for number, payload in enumerate(payloads)]
        self.last += count
        self.log.append(batch)
        return payloads


@contextmanager
def writing(directory: Path, **options: Any) -> Iterator[Writer]:
    writer = Writer(directory, **options)
    try:
        yield writer
    finally:
        writer.log.close()


def numbers(entries: list[Entry]) -> list[int]:
    return [entry.sequence for entry in entries if entry.kind is Kind.EVENT]


def files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.log"))


@contextmanager
def at(time_ns: int) -> Iterator[None]:
    with clock.replaced(time_ns=lambda: time_ns, monotonic=clock.monotonic, token_hex=clock.token_hex):
        yield


# --- there and back -------------------------------------------------------------------------------------------------


def test_entries_come_back_in_their_order_with_what_they_hold(tmp_path: Path) -> None:
    batches = [
        [(Kind.EVENT, 1, b"one"), (Kind.HELD, 0, b"three, early")],
        [(Kind.EVENT, 2, b"\x00\xff\xfe binary, and a marker"), (Kind.EVENT, 3, b"")],
    ]
    with writing(tmp_path) as writer:
        for batch in batches:
            writer.log.append(batch)
    with writing(tmp_path) as writer:
        assert [(entry.kind, entry.sequence, entry.payload) for entry in writer.entries] == [
            (Kind.CHECKPOINT, 0, b"0"),
            *batches[0],
            *batches[1],
        ]
        assert (writer.log.first_sequence, writer.log.last_sequence) == (1, 3)


def test_the_epoch_stays_with_its_log(tmp_path: Path) -> None:
    epochs = []
    for directory in ("one", "one", "other"):
        with writing(tmp_path / directory) as writer:
            writer.events(3)
            epochs.append(writer.log.epoch)
    assert epochs[0] == epochs[1] != epochs[2]
    assert all(len(epoch) == 8 and int(epoch, 16) >= 0 for epoch in epochs)


def test_sequences_go_on_where_they_ended(tmp_path: Path) -> None:
    for start in range(5):
        with writing(tmp_path) as writer:
            assert writer.last == start * 10
            writer.events(10)
    with writing(tmp_path) as writer:
        assert numbers(writer.entries) == list(range(1, 51))


def test_starts_without_events_leave_no_files_behind(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        writer.events(1)
    for _ in range(5):
        with writing(tmp_path):
            pass
    assert len(files(tmp_path)) == 2


def test_sequences_go_on_after_a_start_that_needs_no_event(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        writer.events(5)
    for _ in range(2):
        with writing(tmp_path, rebuild_bytes=1) as writer:
            assert writer.log.last_sequence == 5
    assert [entry.kind for entry in writer.entries] == [Kind.CHECKPOINT]


@pytest.mark.parametrize("sequence", [0, 3, 2])
def test_an_event_out_of_order_is_the_writers_mistake(tmp_path: Path, sequence: int) -> None:
    with writing(tmp_path) as writer:
        writer.events(3)
        with pytest.raises(ValueError, match="after 4"):
            writer.log.append([(Kind.EVENT, 4, b""), (Kind.EVENT, sequence, b"")])
        writer.log.append([(Kind.EVENT, 4, b"again")])
        assert numbers(writer.log.read(0, 10)) == [1, 2, 3, 4]


def test_what_was_not_read_to_the_end_cannot_be_appended_to(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        writer.events(3)
    log = SegmentLog(tmp_path, lambda: b"")
    next(log.open())
    with pytest.raises(LogError, match="read to the end"):
        log.append([(Kind.EVENT, 4, b"")])
    log.close()


# --- checkpoints ----------------------------------------------------------------------------------------------------


def test_every_file_begins_with_what_was_known_at_its_place(tmp_path: Path) -> None:
    with writing(tmp_path, segment_bytes=1000) as writer:
        for _ in range(50):
            writer.events(3)
    with writing(tmp_path) as writer:
        known = 0
        checkpoints = 0
        for entry in writer.entries:
            if entry.kind is Kind.CHECKPOINT:
                assert int(entry.payload) == known
                checkpoints += 1
            known = max(known, entry.sequence)
    assert checkpoints == len(files(tmp_path)) - 1 > 3  # the last one was begun by the second start


def test_a_log_is_read_back_no_further_than_asked_and_from_a_checkpoint_on(tmp_path: Path) -> None:
    with writing(tmp_path, segment_bytes=2000) as writer:
        for _ in range(100):
            writer.events(5, size=50)
    with writing(tmp_path, rebuild_bytes=5000) as writer:
        first, *rest = writer.entries
        assert first.kind is Kind.CHECKPOINT
        assert numbers(rest) == list(range(int(first.payload) + 1, 501))
        assert 5000 <= sum(len(entry.payload) + segment_file.ENTRY_BYTES for entry in writer.entries) <= 7000 + 1000
        assert numbers(writer.log.read(0, 1000)) == list(range(1, 501))  # and all of it is still there


# --- bounds ---------------------------------------------------------------------------------------------------------


def test_past_its_size_the_oldest_file_goes_and_is_counted(tmp_path: Path) -> None:
    with writing(tmp_path, segment_bytes=1000, total_bytes=5000) as writer:
        for _ in range(100):
            writer.events(5, size=50)
            assert sum(path.stat().st_size for path in files(tmp_path)) <= 5000
        statistics = writer.log.statistics()
        kept = numbers(writer.log.read(0, 1000))
        assert kept == list(range(kept[0], 501))
        assert kept[0] == writer.log.first_sequence == statistics.first_sequence > 400
        assert statistics.removed_events == kept[0] - 1
        assert statistics.segments == len(files(tmp_path)) < 6
        assert statistics.segments + statistics.removed_segments == int(files(tmp_path)[-1].stem)
        assert statistics.bytes == sum(path.stat().st_size for path in files(tmp_path))


def test_past_its_age_a_file_goes_even_where_nothing_comes(tmp_path: Path) -> None:
    with at(NOON_NS), writing(tmp_path, max_age_hours=12) as writer:
        writer.events(3)
        with at(NOON_NS + 2 * HOUR_NS):
            writer.events(3)  # an hour is a twelfth of the age: these are the file's last
        with at(NOON_NS + 13 * HOUR_NS):
            writer.log.prune()
        assert numbers(writer.log.read(0, 10)) == [1, 2, 3, 4, 5, 6]
        with at(NOON_NS + 14 * HOUR_NS + 1):
            writer.log.prune()
        assert (writer.log.first_sequence, writer.log.last_sequence) == (7, 6)
        assert writer.log.read(0, 10) == []
        assert writer.log.statistics().removed_events == 6


def test_a_batch_is_never_divided_between_files(tmp_path: Path) -> None:
    with writing(tmp_path, segment_bytes=100) as writer:
        writer.events(1000)
        assert len(files(tmp_path)) == 2
    with writing(tmp_path) as writer:
        assert numbers(writer.entries) == list(range(1, 1001))


def test_what_an_entry_cannot_hold_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_file, "MAX_PAYLOAD_BYTES", 10)
    with writing(tmp_path) as writer:
        with pytest.raises(ValueError, match="11 bytes"):
            writer.log.append([(Kind.EVENT, 1, b"x" * 11)])
        writer.log.append([(Kind.EVENT, 1, b"x" * 10)])


# --- reading --------------------------------------------------------------------------------------------------------


def test_events_are_read_a_page_at_a_time(tmp_path: Path) -> None:
    with writing(tmp_path, segment_bytes=100_000) as writer:
        for number in range(1000):
            writer.log.append([(Kind.EVENT, number + 1, b"x" * 300), (Kind.HELD, 0, b"y")])
        assert len(files(tmp_path)) == 4
        for _ in range(2):  # the second time places in the files are known
            seen: list[int] = []
            while page := writer.log.read(seen[-1] if seen else 0, 7):
                assert len(page) <= 7
                seen += numbers(page)
            assert seen == list(range(1, 1001))


@pytest.mark.parametrize("after", [0, 1, 499, 500, 998, 999, 1000, 5000])
def test_reading_begins_after_any_event(tmp_path: Path, after: int) -> None:
    with writing(tmp_path, segment_bytes=50_000) as writer:
        for _ in range(100):
            writer.events(10, size=1000)
        assert numbers(writer.log.read(after, 5)) == list(range(after + 1, 1001))[:5]


def test_a_page_is_bounded_in_bytes_but_never_empty(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        writer.events(20, size=1000)
        assert numbers(writer.log.read(0, 100, max_bytes=3500)) == [1, 2, 3]
        assert numbers(writer.log.read(5, 100, max_bytes=10)) == [6]


@pytest.mark.parametrize(("segment_bytes", "size"), [(20_000, 300), (10_000_000, 3000)])
def test_a_time_is_found(tmp_path: Path, segment_bytes: int, size: int) -> None:
    """Among many files, and among many places in one."""
    with at(NOON_NS), writing(tmp_path, segment_bytes=segment_bytes) as writer:
        for minute in range(60):
            with at(NOON_NS + minute * 60 * 10**9):
                writer.events(10, size=size)
        for _ in range(2):
            assert writer.log.find_time(0) == 0
            assert writer.log.find_time(NOON_NS) == 0
            assert [writer.log.find_time(NOON_NS + minute * 60 * 10**9) for minute in range(60)] == list(
                range(0, 600, 10)
            )
            assert writer.log.find_time(NOON_NS + 30 * 60 * 10**9 - 1) == 300
            assert writer.log.find_time(NOON_NS + 30 * 60 * 10**9 + 1) == 310
            assert writer.log.find_time(NOON_NS + HOUR_NS) == 600


def test_a_clock_that_goes_back_hides_nothing(tmp_path: Path) -> None:
    with at(NOON_NS), writing(tmp_path) as writer:
        writer.events(1)
        with at(NOON_NS - HOUR_NS):
            writer.events(1)
        with at(NOON_NS + HOUR_NS):
            writer.events(1)
        assert writer.log.find_time(NOON_NS - HOUR_NS) == 0
        assert writer.log.find_time(NOON_NS + 1) == 2
    with at(NOON_NS - HOUR_NS), writing(tmp_path) as writer:
        writer.events(1)
        (newest,) = writer.log.read(3, 1)
        assert newest.time_ns == NOON_NS + HOUR_NS


def test_a_file_that_goes_while_it_is_read_ends_the_page_there(tmp_path: Path) -> None:
    with writing(tmp_path, segment_bytes=1000) as writer:
        for _ in range(10):
            writer.events(5, size=200)
        first, second = files(tmp_path)[:2]
        second.unlink()
        seen = numbers(writer.log.read(0, 100))
        assert seen == [*range(1, 6), *range(11, 51)]
        assert first.exists()
        assert writer.log.repairs == []


# --- safe against a power cut ---------------------------------------------------------------------------------------


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The calls to the system that write, in their order."""
    made: list[str] = []

    def watch(name: str) -> None:
        original = getattr(os, name)

        def watched(*arguments: Any) -> Any:
            made.append(name)
            return original(*arguments)

        monkeypatch.setattr(os, name, watched)

    watch("pwrite")
    watch("fsync")
    return made


def test_always_writes_and_syncs_before_an_append_returns(tmp_path: Path, calls: list[str]) -> None:
    with writing(tmp_path, fsync="always") as writer:
        for _ in range(3):
            calls.clear()
            writer.events(100)
            assert calls == ["pwrite", "fsync"]
        assert writer.log.sync() is False
        assert calls == ["pwrite", "fsync"]


def test_interval_syncs_when_it_is_time_and_there_is_something(tmp_path: Path, calls: list[str]) -> None:
    with writing(tmp_path, fsync="interval", fsync_seconds=0) as writer:
        calls.clear()
        assert writer.log.sync() is False
        writer.events(100)
        writer.events(100)
        assert calls == ["pwrite", "pwrite"]
        assert writer.log.sync() is True
        assert writer.log.sync() is False
        assert calls == ["pwrite", "pwrite", "fsync"]
    with writing(tmp_path, fsync="interval", fsync_seconds=3600) as writer:
        writer.events(1)
        assert writer.log.sync() is True
        writer.events(1)
        assert writer.log.sync() is False
        calls.clear()
    assert calls == ["fsync"]  # closed


def test_interval_syncs_a_file_before_it_is_left(tmp_path: Path, calls: list[str]) -> None:
    with writing(tmp_path, fsync="interval", segment_bytes=1000) as writer:
        calls.clear()
        writer.events(100)
        assert sorted(calls) == ["fsync", "fsync", "fsync", "pwrite", "pwrite"]  # the new file, its name, the old file


def test_never_syncs_no_event(tmp_path: Path, calls: list[str]) -> None:
    with writing(tmp_path, fsync="never", segment_bytes=1000) as writer:
        calls.clear()
        writer.events(100)
        assert writer.log.sync() is False
    assert set(calls) == {"pwrite"}


def test_another_word_for_fsync_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="always, interval, never"):
        SegmentLog(tmp_path, lambda: b"", fsync="sometimes")


@pytest.mark.parametrize(("fsync", "stays"), [("always", True), ("interval", False), ("never", False)])
def test_sequences_that_readers_may_have_seen_of_other_events_get_another_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fsync: str, stays: bool
) -> None:
    boot = tmp_path / "boot_id"
    boot.write_text("first\n")
    monkeypatch.setattr(directory_lock, "_BOOT_ID", boot)
    log = Writer(tmp_path / "log", fsync=fsync).log
    log.append([(Kind.EVENT, 1, b"seen")])
    release(log)  # by the machine going down
    boot.write_text("second\n")
    failed = SegmentLog(tmp_path / "log", lambda: b"")
    next(iter(failed.open()))
    release(failed)  # before it had seen to it
    with writing(tmp_path / "log", fsync=fsync) as writer:
        assert (writer.log.epoch == log.epoch) is stays
        assert writer.log.last_sequence == 1
        second = writer.log.epoch
    with writing(tmp_path / "log", fsync=fsync) as writer:
        assert writer.log.epoch == second


def release(log: SegmentLog) -> None:
    """Ends a log's hold on its directory as the end of its process does."""
    for number in (log._file, log._lock._file):
        if number >= 0:
            os.close(number)


# --- disks that fail ------------------------------------------------------------------------------------------------


@contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """A real bound on what the system writes: a write past it is cut there, and the next one fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_batch_that_the_disk_has_no_room_for_is_as_if_it_never_was(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        writer.events(10)
        size = files(tmp_path)[0].stat().st_size
        with no_file_above(size + 100), pytest.raises(OSError, match="too large"):
            writer.log.append([(Kind.EVENT, 11 + number, b"x" * 40) for number in range(5)])
        assert files(tmp_path)[0].stat().st_size == size
        assert (writer.log.last_sequence, len(writer.log.read(0, 100))) == (10, 10)
        writer.events(10)
    with writing(tmp_path) as writer:
        assert numbers(writer.entries) == list(range(1, 21))
        assert writer.log.repairs == []


def test_a_failed_batch_leaves_nothing_even_where_it_cannot_be_cut_off_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise OSError("broken")

    with writing(tmp_path) as writer:
        writer.events(1)
        size = files(tmp_path)[0].stat().st_size
        with monkeypatch.context() as patch:
            patch.setattr(os, "ftruncate", broken)
            with no_file_above(size + 100), pytest.raises(OSError, match="too large"):
                writer.log.append([(Kind.EVENT, 2 + number, b"unwritten") for number in range(5)])
            with pytest.raises(OSError, match="broken"):
                writer.log.append([(Kind.EVENT, 2, b"written!!")])
        assert files(tmp_path)[0].stat().st_size == size + 100
        writer.log.append([(Kind.EVENT, 2, b"written!!")])
    with writing(tmp_path) as writer:
        assert [entry.payload for entry in writer.entries][2:] == [b"written!!"]
        assert writer.log.repairs == []


def test_what_could_not_be_synced_was_not_appended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    with writing(tmp_path, fsync="always") as writer:
        writer.events(1)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", broken)
            with pytest.raises(OSError, match="Input/output"):
                writer.log.append([(Kind.EVENT, 2, b"")])
        assert numbers(writer.log.read(0, 10)) == [1]
        writer.events(1)
        assert numbers(writer.log.read(0, 10)) == [1, 2]


def test_a_new_file_that_cannot_be_begun_is_tried_again_with_the_same_checkpoint(tmp_path: Path) -> None:
    with writing(tmp_path, segment_bytes=1000) as writer:
        (tmp_path / "000000000002.log").mkdir()  # in the way
        writer.events(20, size=30)
        with no_file_above(50), pytest.raises(OSError, match="too large"):
            writer.events(5)
        writer.last = 20
        writer.events(5)
    (tmp_path / "000000000002.log").rmdir()
    with writing(tmp_path) as writer:
        assert [int(entry.payload) for entry in writer.entries if entry.kind is Kind.CHECKPOINT] == [0, 20]
        assert numbers(writer.entries) == list(range(1, 26))


# --- one process at a time, one user --------------------------------------------------------------------------------

HOLD = """
import sys
from pathlib import Path
from otel_setup.hub.segments import SegmentLog
log = SegmentLog(Path(sys.argv[1]), lambda: b"")
list(log.open())
print("open", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_told_who_has_the_log_until_that_one_is_gone(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "open\n"
            with pytest.raises(LogError, match=f"in use by another hub, process {holder.pid};"):
                SegmentLog(tmp_path, lambda: b"").open()
        finally:
            holder.kill()
            holder.wait()
    with writing(tmp_path) as writer:
        writer.events(1)


def test_a_log_that_was_closed_can_be_opened_at_once(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        with pytest.raises(LogError):
            SegmentLog(tmp_path, lambda: b"").open()
        writer.log.close()
        writer.log.close()
        with writing(tmp_path):
            pass


def test_nobody_else_may_look_into_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with writing(tmp_path / "state" / "log", segment_bytes=1000) as writer:
            writer.events(100)
            assert stat.S_IMODE((tmp_path / "state" / "log").stat().st_mode) == 0o700
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "state" / "log").iterdir()}
            assert set(modes.values()) == {0o600}
            assert len(modes) == 3
    finally:
        os.umask(before)


def test_a_file_of_another_version_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(segment_file, "VERSION", 2)
        with writing(tmp_path) as writer:
            writer.events(1)
    before = files(tmp_path)[0].read_bytes()
    for _ in range(2):
        with pytest.raises(LogError, match="has format 2, and this version reads 1"):
            SegmentLog(tmp_path, lambda: b"").open()
    assert files(tmp_path)[0].read_bytes() == before


def test_other_files_in_the_directory_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("x")
    with writing(tmp_path, total_bytes=1000, segment_bytes=500) as writer:
        for _ in range(10):
            writer.events(10, size=30)
    assert (tmp_path / "token").read_text() == "x"
    assert json.loads((tmp_path / "lock").read_text() or "{}") == {}
