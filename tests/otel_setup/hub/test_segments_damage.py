"""The hub's log after kills, power cuts and bad disks: what is sound is there, what is not is told and kept apart."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_setup.hub.segment_file import ENTRY_BYTES, HEADER_BYTES
from otel_setup.hub.segments import Entry, Kind, SegmentLog

EVENTS = 60


@dataclass
class Written:
    """A log of several files, and what the file system said while it was written.

    Parameters:
        ends: of each event, its file's name and the size that the file had when the event was in it.
        sizes: of each file, in the end.
    """

    directory: Path
    ends: dict[int, tuple[str, int]]
    sizes: dict[str, int]
    epoch: str


def payload(number: int) -> bytes:
    return f'{{"event":{number}}}'.encode() * (number % 4)


@pytest.fixture(scope="module")
def written() -> Iterator[Written]:
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        log = SegmentLog(directory, lambda: b"a checkpoint", segment_bytes=900, fsync="never")
        list(log.open())
        ends = {}
        for number in range(1, EVENTS + 1):
            path = max(directory.glob("*.log"))
            log.append([(Kind.EVENT, number, payload(number))])
            ends[number] = path.name, path.stat().st_size
        log.close()
        yield Written(directory, ends, {p.name: p.stat().st_size for p in directory.glob("*.log")}, log.epoch)


@contextmanager
def copied(written: Written) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(shutil.copytree(written.directory, Path(folder) / "log"))


@contextmanager
def opened(directory: Path) -> Iterator[tuple[SegmentLog, list[Entry]]]:
    log = SegmentLog(directory, lambda: b"another", segment_bytes=900, fsync="never")
    try:
        yield log, list(log.open())
    finally:
        log.close()


def sequences(entries: list[Entry]) -> list[int]:
    return [entry.sequence for entry in entries if entry.kind is Kind.EVENT]


def sound(written: Written, name: str, offset: int) -> list[int]:
    """The events that damage at this place of a file leaves whole, by the sizes that the files had."""
    return [number for number, (file, end) in written.ends.items() if file != name or end <= offset]


def behind(written: Written, name: str, offset: int, size: int) -> int:
    """The bytes from the end of the last entry that is whole before this place, to the end of the file."""
    ends = [end for file, end in written.ends.values() if file == name]
    first = min(ends) - ENTRY_BYTES - len(payload(min(n for n, (file, _) in written.ends.items() if file == name)))
    return size - max(end for end in (0, HEADER_BYTES, first, *ends) if end <= offset)


places = st.tuples(st.sampled_from(range(6)), st.integers(0, 2**20))


def place(written: Written, drawn: tuple[int, int]) -> tuple[str, int]:
    names = sorted(written.sizes)
    name = names[drawn[0] % len(names)]
    return name, drawn[1] % written.sizes[name]


# --- any damage anywhere --------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=150)
@given(drawn=places, flip=st.integers(1, 255))
def test_a_changed_byte_costs_nothing_before_it_and_is_told(
    written: Written, drawn: tuple[int, int], flip: int
) -> None:
    name, offset = place(written, drawn)
    with copied(written) as directory:
        content = bytearray((directory / name).read_bytes())
        content[offset] ^= flip
        (directory / name).write_bytes(content)
        with opened(directory) as (log, entries):
            assert sequences(entries) == sound(written, name, offset)
            assert [entry.payload for entry in entries if entry.kind is Kind.EVENT] == [
                payload(number) for number in sequences(entries)
            ]
            (repair,) = log.repairs
            assert repair.path.name == name
            assert repair.bytes == behind(written, name, offset, written.sizes[name])
            if repair.kept_as is None:
                assert name == max(written.sizes)  # only the newest file can end in what was never written whole
            else:
                assert repair.kept_as.read_bytes() == bytes(content)[-repair.bytes :]
        goes_on(directory)


@settings(deadline=None, max_examples=150)
@given(drawn=places)
def test_a_shorter_file_costs_nothing_before_its_end(written: Written, drawn: tuple[int, int]) -> None:
    name, size = place(written, drawn)
    with copied(written) as directory:
        with (directory / name).open("r+b") as file:
            file.truncate(size)
        with opened(directory) as (log, entries):
            assert sequences(entries) == sound(written, name, size)
            assert sum(repair.bytes for repair in log.repairs) == behind(written, name, size, size)
            assert (log.epoch == written.epoch) or name == max(written.sizes)
        goes_on(directory)


@settings(deadline=None, max_examples=100)
@given(rest=st.binary(min_size=1, max_size=200) | st.integers(1, 5000).map(bytes))
def test_what_stands_behind_the_last_entry_is_cut_off(written: Written, rest: bytes) -> None:
    with copied(written) as directory:
        newest = max(directory.glob("*.log"))
        with newest.open("ab") as file:
            file.write(rest)
        with opened(directory) as (log, entries):
            assert sequences(entries) == list(range(1, EVENTS + 1))
            assert log.statistics().torn_bytes == len(rest)
            assert log.statistics().damaged_parts == 0
            assert log.epoch == written.epoch
        goes_on(directory)


@settings(deadline=None, max_examples=50)
@given(content=st.binary(max_size=300), name=st.sampled_from(["000000000000.log", "999999999999.log", "x.log"]))
def test_a_file_of_anything_stops_nothing(written: Written, content: bytes, name: str) -> None:
    with copied(written) as directory:
        (directory / name).write_bytes(content)
        with opened(directory) as (log, entries):
            assert sequences(entries) == list(range(1, EVENTS + 1))
            assert [repair.bytes for repair in log.repairs] == [len(content)]
        goes_on(directory)


def goes_on(directory: Path) -> None:
    """The log takes new events, and is sound when it is opened again."""
    with opened(directory) as (log, before):
        assert log.repairs == []
        following = log.last_sequence + 1
        log.append([(Kind.EVENT, following, b"new")])
        assert log.read(following - 1, 10)[0].payload == b"new"
    with opened(directory) as (log, entries):
        assert log.repairs == []
        assert sequences(entries) == [*sequences(before), following]


# --- particular damage ----------------------------------------------------------------------------------------------


def test_damage_behind_which_events_follow_begins_another_epoch(written: Written) -> None:
    """Readers have seen the events that are gone; their sequences will be those of others."""
    newest = max(written.sizes)
    first = min(number for number, (name, _) in written.ends.items() if name == newest)
    with copied(written) as directory:
        content = bytearray((directory / newest).read_bytes())
        content[written.ends[first][1] + 10] ^= 1
        (directory / newest).write_bytes(content)
        ended = SegmentLog(directory, lambda: b"", fsync="never")
        next(ended.open())
        ended.close()  # before it had begun a file of another epoch
        with opened(directory) as (log, entries):
            assert sequences(entries) == list(range(1, first + 1))
            assert log.epoch != written.epoch
            assert (ended.statistics().damaged_parts, ended.statistics().torn_bytes) == (1, 0)
            epoch = log.epoch
        with opened(directory) as (log, _):
            assert log.epoch == epoch


def test_events_are_found_behind_damage_that_looks_like_the_beginning_of_one(tmp_path: Path) -> None:
    log = SegmentLog(tmp_path, lambda: b"", fsync="never")
    list(log.open())
    log.append([(Kind.EVENT, 1, b"\xff\xfe\x01" * 20), (Kind.EVENT, 2, b"whole")])
    log.close()
    newest = max(tmp_path.glob("*.log"))
    newest.write_bytes(newest.read_bytes().replace(b"\xff\xfe\x01" * 20, b"\xff\xfe\x01" * 19 + b"???"))
    with opened(tmp_path) as (again, entries):
        assert sequences(entries) == []
        assert (again.statistics().damaged_parts, again.statistics().torn_bytes) == (1, 0)


def test_a_file_whose_checkpoint_is_damaged_is_not_begun_with(written: Written) -> None:
    newest, before = sorted(written.sizes)[-1], sorted(written.sizes)[-2]
    with copied(written) as directory:
        content = bytearray((directory / newest).read_bytes())
        content[HEADER_BYTES + ENTRY_BYTES] ^= 1
        (directory / newest).write_bytes(content)
        log = SegmentLog(directory, lambda: b"", fsync="never", rebuild_bytes=1)
        entries = list(log.open())
        assert entries[0].kind is Kind.CHECKPOINT
        assert sequences(entries) == [number for number, (name, _) in written.ends.items() if name == before]
        log.close()


def test_damage_found_by_a_reader_is_set_aside_and_reading_goes_on(tmp_path: Path) -> None:
    log = SegmentLog(tmp_path, lambda: b"", segment_bytes=1000)
    list(log.open())
    for number in range(1, 41):
        log.append([(Kind.EVENT, number, b"x" * 70)])
    first = min(tmp_path.glob("*.log"))
    content = bytearray(first.read_bytes())
    content[len(content) // 2] ^= 1
    first.write_bytes(content)
    for _ in range(2):
        seen = sequences(log.read(0, 100))
        assert seen == [*range(1, 5), *range(11, 41)]
    (repair,) = log.repairs
    assert repair.kept_as is not None
    assert first.read_bytes() + repair.kept_as.read_bytes() == content
    log.close()


def test_damage_at_the_end_of_an_open_log_is_set_aside_and_writing_goes_on(tmp_path: Path) -> None:
    log = SegmentLog(tmp_path, lambda: b"")
    list(log.open())
    log.append([(Kind.EVENT, number, b"x" * 70) for number in range(1, 11)])
    (newest,) = tmp_path.glob("*.log")
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    assert sequences(log.read(0, 100)) == [1, 2, 3, 4]
    log.append([(Kind.EVENT, 11, b"y")])
    assert sequences(log.read(0, 100)) == [1, 2, 3, 4, 11]
    log.close()
    with opened(tmp_path) as (again, entries):
        assert (sequences(entries), again.repairs) == ([1, 2, 3, 4, 11], [])


def test_what_was_set_aside_counts_and_goes_with_its_neighbours(tmp_path: Path) -> None:
    log = SegmentLog(tmp_path, lambda: b"", segment_bytes=1000)
    list(log.open())
    for number in range(1, 101):
        log.append([(Kind.EVENT, number, b"x" * 70)])
    log.close()
    for path in sorted(tmp_path.glob("*.log"))[:5]:
        path.write_bytes(path.read_bytes()[:500] + b"?" + path.read_bytes()[501:])
    bounded = SegmentLog(tmp_path, lambda: b"", segment_bytes=1000, total_bytes=6000)
    list(bounded.open())
    assert sum(path.stat().st_size for path in tmp_path.iterdir() if path.name != "lock") <= 6000
    assert bounded.statistics().bytes <= 6000
    assert len(list(tmp_path.glob("*.damaged"))) < len(bounded.repairs) == 5
    bounded.close()


def test_a_file_that_was_being_begun_is_taken_away(written: Written) -> None:
    """Killed between making the file and writing its first entry, or in the midst of that."""
    for size in (0, 10, 70):
        with copied(written) as directory:
            newest = max(directory.glob("*.log"))
            (directory / f"{int(newest.stem) + 1:012}.log").write_bytes(newest.read_bytes()[:size])
            with opened(directory) as (log, entries):
                assert sequences(entries) == list(range(1, EVENTS + 1))
                assert entries[-1].kind is Kind.EVENT
                assert log.epoch == written.epoch
                assert not (directory / f"{int(newest.stem) + 1:012}.log").exists()


# --- kills ----------------------------------------------------------------------------------------------------------

APPEND = """
import sys
from pathlib import Path
from otel_setup.hub.segment_file import ENTRY_BYTES, HEADER_BYTES
from otel_setup.hub.segments import Kind, SegmentLog
log = SegmentLog(Path(sys.argv[1]), lambda: b"checkpoint", fsync=sys.argv[2], segment_bytes=20_000)
list(log.open())
number = log.last_sequence
print("from", number, flush=True)
while True:
    batch = [(Kind.EVENT, number + n, b"%d " % (number + n) * 20) for n in range(1, 9)]
    log.append(batch)
    number += len(batch)
    print(number, flush=True)
"""


@pytest.mark.parametrize("fsync", ["always", "interval", "never"])
def test_everything_that_was_appended_survives_a_kill(tmp_path: Path, fsync: str) -> None:
    acknowledged = 0
    for lines in (3, 40, 111):
        with subprocess.Popen(
            [sys.executable, "-c", APPEND, str(tmp_path), fsync], stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            assert int(child.stdout.readline().split()[1]) >= acknowledged
            for _ in range(lines):
                child.stdout.readline()
            child.send_signal(signal.SIGKILL)
            # The pipe holds what was printed between our last look and the end.
            told = [line for line in child.stdout.read().split("\n")[:-1] if line]
            acknowledged = max(acknowledged, *map(int, told), 0) if told else acknowledged + lines * 8
        log = SegmentLog(tmp_path, lambda: b"")
        entries = [entry for entry in log.open() if entry.kind is Kind.EVENT]
        log.close()
        assert log.last_sequence >= acknowledged
        assert [entry.sequence for entry in entries] == list(range(1, log.last_sequence + 1))
        assert all(entry.payload == b"%d " % entry.sequence * 20 for entry in entries)
        assert log.statistics().damaged_parts == 0
        acknowledged = log.last_sequence
