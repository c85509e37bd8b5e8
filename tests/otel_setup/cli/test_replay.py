"""The command replay: the same events, at the speed at which they happened."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.otel_setup.cli.support import Here, run_here

BEGIN = 1_700_000_000_000_000_000
MS = 1_000_000


def play(here: Here) -> None:
    """Three events of one room, half a second apart, and one of another."""
    for number, room in enumerate(("r1", "r1", "r2", "r1")):
        here.publish(room_id=room, timestamp_ns=BEGIN + number * 250 * MS)


@pytest.mark.parametrize("from_file", [False, True])
def test_it_takes_as_long_as_it_took(
    capfd: pytest.CaptureFixture[str], here: Here, tmp_path: Path, from_file: bool
) -> None:
    play(here)
    source = []
    if from_file:
        file = tmp_path / "f.ndjson"
        assert run_here(capfd, "record", str(file), "--no-follow").returncode == 0
        source = ["--file", str(file)]
    took = []
    for speed in ("2", "0.5"):
        began = time.monotonic()
        done = run_here(capfd, "replay", "--room", "r1", "--speed", speed, "--json", *source)
        took.append(time.monotonic() - began)
        assert [json.loads(line)["data"]["number"] for line in done.stdout.splitlines()] == [1, 2, 4]
    assert took[0] >= 0.75 / 2
    assert took[1] >= 0.75 * 2


def test_at_once_with_the_time_that_passed_in_the_game(capfd: pytest.CaptureFixture[str], here: Here) -> None:
    play(here)
    here.publish(room_id="r1", timestamp_ns=BEGIN + 3_723_004 * MS)
    here.publish(room_id="r1", timestamp_ns=BEGIN - 1500 * MS)
    done = run_here(capfd, "replay", "--room", "r1", "--speed", "max", "--width", "100")
    assert [line.split()[0] for line in done.stdout.splitlines()] == [
        "+0:00:00.000",
        "+0:00:00.250",
        "+0:00:00.750",
        "+1:02:03.004",
        "-0:00:01.500",
    ]
    assert all(len(line) <= 100 for line in done.stdout.splitlines())


def test_two_replays_are_the_same(capfd: pytest.CaptureFixture[str], here: Here) -> None:
    play(here)
    outputs = [run_here(capfd, "replay", "--speed", "max").stdout for _ in range(2)]
    assert outputs[0] == outputs[1]
    assert len(outputs[0].splitlines()) == 4


@pytest.mark.parametrize("speed", ["0", "-1", "fast", "nan", "inf"])
def test_a_speed_that_makes_no_sense(capfd: pytest.CaptureFixture[str], speed: str) -> None:
    done = run_here(capfd, "replay", "--speed", speed)
    assert done.returncode == 2
    assert "is no speed such as" in done.stderr


def test_kafka_is_recorded_first(capfd: pytest.CaptureFixture[str]) -> None:
    done = run_here(capfd, "replay", "--kafka", "h:1", "--topic", "t", "--group", "g")
    assert done.returncode == 2
    assert "record it first" in done.stderr
