"""The command record: what it writes is whole and complete, however often and however badly it ends."""

from __future__ import annotations

import gzip
import json
import signal
from pathlib import Path

import pytest

from otel_setup.catalogue import EventType
from otel_setup.events.cursor import Cursor
from otel_setup.events.record import SystemEvent
from otel_setup.events.recording import Recording, RecordingError
from tests.otel_setup.cli.support import PATIENCE, Game, Here, lines_of, run, run_here, running, wait_for


def numbers(file: Path) -> list[int]:
    opener = gzip.open if file.suffix == ".gz" else open
    with opener(file, "rt") as lines:
        return [json.loads(line)["data"]["number"] for line in lines]


def event(number: int, text: str = "") -> tuple[SystemEvent, Cursor]:
    made = SystemEvent(event_type=EventType("arena.tick"), data={"number": number, "text": text}, sequence=number)
    return made, Cursor("e", number)


# --- the command ------------------------------------------------------------------------------------------------------


def test_killed_again_and_again_it_loses_and_repeats_nothing(running_game: Game, tmp_path: Path) -> None:
    file = tmp_path / "f.ndjson"
    for _ in range(3):
        with running("record", str(file)) as record:
            before = len(lines_of(file))
            running_game.publish(times=300)
            wait_for(lambda: len(lines_of(file)) > before)  # noqa: B023
            running_game.publish(times=200)
            record.send_signal(signal.SIGKILL)
            record.wait()
        running_game.publish(times=50)
    done = run("record", str(file), "--no-follow")
    assert done.returncode == 0
    assert f"{file} goes on after" in done.stderr
    assert numbers(file) == list(range(1, 3 * 550 + 1))


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_ctrl_c_leaves_a_whole_file_to_go_on_with(running_game: Game, tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"f.ndjson{suffix}"
    options = ["--gzip"] if suffix else []
    running_game.publish(times=20)
    with running("record", str(file), *options) as record:
        wait_for(file.exists)
        running_game.publish(times=20)
        record.send_signal(signal.SIGINT)
        assert record.wait(PATIENCE) == 130
        assert record.stderr is not None
        assert "Traceback" not in record.stderr.read()
    done = run("record", str(file), "--no-follow", *options)
    assert done.returncode == 0
    assert numbers(file) == list(range(1, 41))
    assert file.stat().st_mode & 0o777 == 0o600


def test_what_it_writes_is_what_happened(capfd: pytest.CaptureFixture[str], here: Here, tmp_path: Path) -> None:
    here.publish(room_id="r1", player_id="\u202eada\x1b[2J", times=3, trace_id="ab" * 16)
    here.publish(room_id="r2")
    file = tmp_path / "f.ndjson"
    done = run_here(capfd, "record", str(file), "--no-follow", "--room", "r1")
    assert (done.returncode, done.stdout) == (0, "")
    assert f"3 events written to {file}" in done.stderr
    text = file.read_text()
    assert text.isascii()
    assert "\x1b" not in text
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line.pop("cursor") for line in lines] == [f"{here.stream.epoch}-{n}" for n in (1, 2, 3)]
    assert lines == [event.to_dict() for event in here.stream.get_history()[:3]]


def test_a_size_is_not_exceeded(capfd: pytest.CaptureFixture[str], here: Here, tmp_path: Path) -> None:
    here.publish(times=100)
    for file, options in ((tmp_path / "f.ndjson", []), (tmp_path / "f.gz", ["--gzip"])):
        done = run_here(capfd, "record", str(file), "--no-follow", "--max-size", "5k", *options)
        assert done.returncode == 0
        found = numbers(file)
        assert file.stat().st_size <= 5000
        assert found == list(range(1, len(found) + 1))
        assert len(found) > 0
    assert len(numbers(tmp_path / "f.ndjson")) < 100
    assert "--max-size" in run_here(capfd, "record", str(tmp_path / "f.ndjson"), "--max-size", "5k").stderr


@pytest.mark.parametrize("content", ["some notes\n", "no end", "\n", '{"cursor":5}\n', '{"a": 1}\n'])
def test_another_file_is_left_alone(
    capfd: pytest.CaptureFixture[str], here: Here, tmp_path: Path, content: str
) -> None:
    file = tmp_path / "notes"
    file.write_text(content)
    done = run_here(capfd, "record", str(file), "--no-follow")
    assert done.returncode == 2
    assert f"{file} is no recording of events" in done.stderr
    assert file.read_text() == content


def test_two_recorders_do_not_share_a_file(capfd: pytest.CaptureFixture[str], here: Here, tmp_path: Path) -> None:
    file = tmp_path / "f.ndjson"
    with Recording(file):
        done = run_here(capfd, "record", str(file), "--no-follow")
    assert done.returncode == 2
    assert "another recorder writes" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["none/f"], "No such file"), (["."], "Is a directory"), (["f", "--max-size", "0"], "no size")],
)
def test_errors(capfd: pytest.CaptureFixture[str], here: Here, arguments: list[str], said: str) -> None:
    done = run_here(capfd, "record", "--no-follow", *arguments)
    assert done.returncode == 2
    assert said in done.stderr


# --- the file ---------------------------------------------------------------------------------------------------------


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
