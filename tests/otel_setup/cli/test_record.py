"""The command record: what it writes is whole and complete, however often and however badly it ends."""

from __future__ import annotations

import gzip
import json
import signal
from pathlib import Path

import pytest

from otel_setup.clients.recording import Recording
from tests.otel_setup.cli.support import PATIENCE, Game, Here, lines_of, run, run_here, running, wait_for


def numbers(file: Path) -> list[int]:
    opener = gzip.open if file.suffix == ".gz" else open
    with opener(file, "rt") as lines:
        return [json.loads(line)["data"]["number"] for line in lines]


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
