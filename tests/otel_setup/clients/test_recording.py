"""The file that is written as events come: wherever its writing ended, it is whole and goes on there."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from otel_setup.catalogue import EventType
from otel_setup.clients.recording import Recording, RecordingError
from otel_setup.events.cursor import Cursor
from otel_setup.events.record import SystemEvent


def numbers(file: Path) -> list[int]:
    opener = gzip.open if file.suffix == ".gz" else open
    with opener(file, "rt") as lines:
        return [json.loads(line)["data"]["number"] for line in lines]


def event(number: int, text: str = "") -> tuple[SystemEvent, Cursor]:
    made = SystemEvent(event_type=EventType("arena.tick"), data={"number": number, "text": text}, sequence=number)
    return made, Cursor("e", number)


@pytest.mark.parametrize("compress", [False, True])
def test_wherever_it_was_cut_off_it_goes_on_with_the_next_event(tmp_path: Path, compress: bool) -> None:
    file = tmp_path / ("f.gz" if compress else "f.ndjson")
    ends = [0]
    with Recording(file, compress=compress) as recording:
        for number in range(1, 5):
            recording.add(*event(number, "x" * 50))
            recording.flush()
            ends.append(recording.bytes)
    whole = file.read_bytes()
    for size in range(1, len(whole) + 1):
        kept = max(count for count, end in enumerate(ends) if end <= size)
        if compress and not kept:
            continue  # nothing in it says that it is ours
        file.write_bytes(whole[:size])
        with Recording(file, compress=compress) as recording:
            assert (recording.last and recording.last[1]) == (Cursor("e", kept) if kept else None)
            for number in range(kept + 1, 5):
                recording.add(*event(number, "x" * 50))
        assert numbers(file) == [1, 2, 3, 4], size


def test_lines_longer_than_what_is_read_at_a_time(tmp_path: Path) -> None:
    file = tmp_path / "f.ndjson"
    text = {f"k{number}": "x" * 2000 for number in range(60)}
    made = SystemEvent(event_type=EventType("arena.tick"), data=text, sequence=1)
    with Recording(file) as recording:
        recording.add(made, Cursor("e", 1))
        recording.add(made, Cursor("e", 2))
    assert file.stat().st_size > 2 * 64 * 1024
    with file.open("ab") as torn:
        torn.write(b'{"cursor":"e-3",' + b"x" * 70_000)
    with Recording(file) as recording:
        assert recording.last is not None
        assert recording.last[1] == Cursor("e", 2)


def test_compressed_and_not_are_not_mixed(tmp_path: Path) -> None:
    for compress in (True, False):
        file = tmp_path / str(compress)
        with Recording(file, compress=compress) as recording:
            recording.add(*event(1))
        with pytest.raises(RecordingError, match="compressed"):
            Recording(file, compress=not compress)


def test_a_full_disk_is_told() -> None:
    with pytest.raises(RecordingError, match="No space left"), Recording(Path("/dev/full")) as recording:
        recording.add(*event(1))
