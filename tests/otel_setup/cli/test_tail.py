"""The command tail, in real pipes and terminals."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import termios
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from otel_setup.privacy import Pseudonyms, read_key
from tests.otel_setup.cli.support import (
    PATIENCE,
    Game,
    Here,
    command,
    game,
    read_until,
    run,
    run_here,
    running,
    wait_for,
)

HOSTILE = [
    "\x1b[2J\x1b[1;1H",
    "\x1b]0;owned\x07",
    "\x9b31m",
    "\u202eevil\u202c",
    "\u2066x\u2069",
    "a\nb\rc\x08\x7f",
    "\u2028\u2029\x85",
    "\x00",
    "Z" + "\u0301" * 200,
    "\U000e0041\ufeff\u200d",
    "象" * 4000,
    '"},{"player_id":"forged"}',
    "$(reboot)`reboot`;|&",
]
"""Names that players chose."""


def numbers(text: str) -> list[int]:
    return [json.loads(line)["data"]["number"] for line in text.splitlines()]


# --- what it shows ----------------------------------------------------------------------------------------------------


def test_the_last_events_and_then_what_happens(running_game: Game) -> None:
    running_game.publish(times=25)
    with running("tail", "--json") as tail:
        assert tail.stdout is not None
        assert numbers("".join(tail.stdout.readline() for _ in range(10))) == list(range(16, 26))
        running_game.publish(times=2)
        assert numbers(tail.stdout.readline() + tail.stdout.readline()) == [26, 27]
        running_game.end()
        assert tail.wait(PATIENCE) == 0, "it ends with the process"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--last", "2"], [3, 6]),
        (["--since", "oldest", "--room", "r1"], [1, 3]),
        (["--since", "oldest", "--room", "r1", "--room", "r2", "--severity", "WARN"], [3]),
        (["--since", "oldest", "--type", "game.*"], [6]),
        (["--since", "oldest", "--player", "ada,bob", "--debug"], [5, 6]),
        (["--since", "oldest", "--attr", "kind=odd"], [1, 3]),
        (["--since", "oldest", "--attr", "kind=odd", "--attr", "kind=even", "--debug"], [1, 2, 3, 4]),
        (["--since", "oldest", "--debug"], [1, 2, 3, 4, 5, 6]),
        (["--since", "oldest"], [1, 3, 6]),
        (["--since", "oldest", "--type", "noise"], [5]),
        (["--since", "oldest", "--correlation", "c1", "--trace", "AB" * 16, "--debug"], [4]),
        (["--since", "1h", "--game", "g1"], [6]),
        (["--since", "2001-01-01"], [1, 3, 6]),
        (["--since", "2999-01-01T00:00:00Z"], []),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) and value and isinstance(value[0], str) else "",
)  # fmt: skip
def test_filters(capfd: pytest.CaptureFixture[str], here: Here, arguments: list[str], expected: list[int]) -> None:
    for event in (
        {"room_id": "r1", "data": {"kind": "odd"}},
        {"room_id": "r2", "data": {"kind": "even"}, "severity": "DEBUG"},
        {"room_id": "r1", "data": {"kind": "odd"}, "severity": "ERROR"},
        {"room_id": "r3", "data": {"kind": "even"}, "severity": "DEBUG", "correlation_id": "c1", "trace_id": "ab" * 16},
        {"player_id": "ada", "severity": "DEBUG", "event_type": "noise"},
        {"player_id": "bob", "game_id": "g1", "event_type": "game.started"},
    ):
        here.publish(**event)
    done = run_here(capfd, "tail", "--json", "--no-follow", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert numbers(done.stdout) == expected


def test_lines_for_people(running_game: Game) -> None:
    running_game.publish(event_type="game.started", room_id="r1", game_id="g1", data={"player_count": 4})
    done = run("tail", "--no-follow", environment={"COLUMNS": "90"})
    (line,) = done.stdout.splitlines()
    assert line.split()[1:] == ["game", "r1", "started", "4", "players", "number=1"]
    assert "\x1b" not in line


def test_a_cursor_goes_on_where_it_was(capfd: pytest.CaptureFixture[str], here: Here) -> None:
    here.publish(times=5)
    first = run_here(capfd, "tail", "--json", "--no-follow", "--last", "3").stdout.splitlines()
    done = run_here(capfd, "tail", "--json", "--no-follow", "--since", json.loads(first[0])["cursor"])
    assert done.stdout.splitlines() == first[1:]


def test_a_gap_and_a_foreign_cursor_are_told(capfd: pytest.CaptureFixture[str], here: Here) -> None:
    here.stream.resize(history_size=1000, max_subscribers=10)
    here.publish(times=2000)
    first = run_here(capfd, "tail", "--no-follow", "--since", f"{here.stream.epoch}-400").stdout.splitlines()[0]
    assert "━━ 600 events missing  no. 401 to 1000: they had left the history" in first
    first = run_here(capfd, "tail", "--no-follow", "--since", "0000-7").stdout.splitlines()[0]
    assert "━━ begins anew: 0000-7 is not of this stream" in first


# --- hostile names ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [[], ["--json"], ["--color"]], ids=["lines", "json", "colours"])
def test_no_name_reaches_the_terminal_as_it_is(running_game: Game, form: list[str]) -> None:
    for name in HOSTILE:
        running_game.publish(event_type="player.joined", player_id=name, room_id=name, data={name: name, "a": [name]})
    done = subprocess.run(
        command("tail", "--no-follow", "--last", "100", *form), capture_output=True, timeout=PATIENCE, check=True
    )
    text = done.stdout.decode()
    for allowed in ("\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[33m", "\x1b[35m"):
        text = text.replace(allowed, "") if form == ["--color"] else text
    lines = text.split("\n")
    assert len(lines) == len(HOSTILE) + 1, "each event is one line"
    bad = {unicodedata.category(char) for line in lines for char in line} & {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    assert not bad
    if form == ["--json"]:
        assert text.isascii()
        found = [json.loads(line) for line in lines[:-1]]
        assert [event["data"]["number"] for event in found] == list(range(1, len(HOSTILE) + 1))
        assert {event["event_type"] for event in found} == {"player.joined"}
        assert found[-2]["player_id"] == HOSTILE[-2], "what is harmless stays"


# --- terminals, pipes and signals -------------------------------------------------------------------------------------


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of a terminal of 70 columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 70, 0, 0))
    yield ours, theirs
    os.close(ours)


def test_in_a_terminal_there_are_colours_and_lines_fit(running_game: Game, terminal: tuple[int, int]) -> None:
    ours, theirs = terminal
    running_game.publish(event_type="error.occurred", room_id="r1", data={"error_message": "x" * 300})
    with running("tail", stdout=theirs, stderr=theirs) as tail:
        os.close(theirs)
        shown = read_until(ours, lambda text: "\n" in text)
        assert "\x1b[31m" in shown
        plain = shown.replace("\x1b[31m", "").replace("\x1b[2m", "").replace("\x1b[1m", "").replace("\x1b[0m", "")
        assert len(plain.rstrip("\r\n")) == 70
        tail.send_signal(signal.SIGINT)
        assert tail.wait(PATIENCE) == 130
        with contextlib.suppress(OSError):  # EIO: nobody has the other end any more, and nothing was left
            assert os.read(ours, 100) == b"", "it ends without a word"


def test_no_color_is_respected(running_game: Game, terminal: tuple[int, int]) -> None:
    ours, theirs = terminal
    running_game.publish(event_type="error.occurred", room_id="r1")
    with running("tail", stdout=theirs, stderr=theirs, env={**os.environ, "NO_COLOR": "1"}):
        os.close(theirs)
        assert "\x1b" not in read_until(ours, lambda text: "\n" in text)


def test_ctrl_c_ends_it_quietly(running_game: Game) -> None:
    running_game.publish()
    with running("tail", "--json") as tail:
        assert tail.stdout is not None
        assert tail.stderr is not None
        tail.stdout.readline()
        tail.send_signal(signal.SIGINT)
        assert tail.wait(PATIENCE) == 130
        assert tail.stderr.read() == ""


def test_it_ends_when_nobody_reads_even_if_nothing_happens(running_game: Game) -> None:
    running_game.publish()
    line = " ".join(command("tail", "--json"))
    done = subprocess.run(
        ["bash", "-c", f"{line} | head -1; echo ${{PIPESTATUS[0]}}"],
        capture_output=True, text=True, timeout=PATIENCE, check=True,
    )  # fmt: skip
    assert (done.stdout.splitlines()[-1], done.stderr) == ("141", "")


# --- choosing a process -----------------------------------------------------------------------------------------------


def test_the_process_is_chosen_by_number_or_service(running_game: Game) -> None:
    running_game.publish(data={"in": "first"})
    with game("other") as second:
        second.publish(data={"in": "second"})
        for chosen, found in (("other", "second"), (str(running_game.pid), "first"), ("mygame", "first")):
            done = run("tail", "--json", "--no-follow", "--process", chosen)
            assert json.loads(done.stdout)["data"]["in"] == found
        done = run("tail")
        assert done.returncode == 2
        assert f"{second.pid} other" in done.stderr
        assert "--process" in done.stderr


def test_a_pseudonym_is_found_by_its_name(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """In a file, as in a hub, players have pseudonyms; who has the key may ask by the name."""
    pseudonym = Pseudonyms(read_key(tmp_path / "key").value, reserved=()).of("ada")
    event = {"event_type": "player.joined", "timestamp": "2030-01-01T00:00:00+00:00", "severity": "INFO"}
    ids = dict.fromkeys(("game_id", "room_id", "connection_id", "correlation_id", "trace_id", "span_id"))
    rest = {**ids, "metadata": {}, "event_id": "i-e-1", "sequence": 1}
    file = tmp_path / "f.ndjson"
    file.write_text(
        "".join(
            json.dumps({**event, **rest, "player_id": player, "data": {"number": number}}) + "\n"
            for number, player in enumerate((pseudonym, "p_0000000000000000"))
        )
    )
    assert numbers(run_here(capfd, "tail", "--json", "--file", str(file), "--player", "ada").stdout) == [0]


# --- files ------------------------------------------------------------------------------------------------------------


def test_a_file_is_followed_and_other_lines_are_counted(running_game: Game, tmp_path: Path) -> None:
    running_game.publish(times=3)
    file = tmp_path / "f.ndjson"
    lines = run("tail", "--json", "--no-follow").stdout.splitlines(keepends=True)
    file.write_text(lines[0] + "no event\n{}\n[1]\n" + lines[1] + lines[2][:50])
    done = run("tail", "--json", "--file", str(file))
    assert done.stdout.splitlines(keepends=True) == lines[:2]
    assert done.stderr == f"python -m otel_setup tail: 3 lines of {file} hold no event\n"
    with running("tail", "--json", "--file", str(file), "--follow") as tail:
        assert tail.stdout is not None
        assert [tail.stdout.readline() for _ in range(2)] == lines[:2]
        with file.open("a") as more:
            more.write(lines[2][50:])
        assert tail.stdout.readline() == lines[2]


# --- what goes wrong is one sentence ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "no game process of this user listens"),
        (["--hub", "nowhere"], 2, "no address of a hub"),
        (["--hub", "http://127.0.0.1:9"], 1, "no hub answers at http://127.0.0.1:9"),
        (["--hub", "http://127.0.0.1:9", "--token-file", "none"], 2, "cannot be read: No such file"),
        (["--file", "none.ndjson"], 2, "cannot be read: No such file"),
        (["--file", "."], 2, "cannot be read: Is a directory"),
        (["--kafka", "127.0.0.1:9"], 2, "--topic"),
        (["--topic", "t"], 2, "--kafka"),
        (["--since", "yesterday"], 2, "since is 'yesterday'; write"),
        (["--severity", "LOUD"], 2, "severity is 'LOUD'; write one of"),
        (["--type", "a*b"], 2, "stands for one whole word"),
        (["--attr", "x"], 2, "KEY=VALUE"),
        (["--file", "f", "--hub", "http://h"], 2, "not allowed with argument"),
    ],
)
def test_errors(capfd: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str) -> None:
    done = run_here(capfd, "tail", *arguments)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_the_environment_names_the_hub() -> None:
    done = run("tail", environment={"OTEL_SETUP_HUB_URL": "http://127.0.0.1:9"})
    assert "http://127.0.0.1:9" in done.stderr


def test_it_notices_that_the_process_was_killed(running_game: Game) -> None:
    with running("tail", "--json") as tail:
        running_game.publish()
        assert tail.stdout is not None
        tail.stdout.readline()
        running_game.process.kill()
        wait_for(lambda: tail.poll() is not None)
        assert tail.returncode == 0
