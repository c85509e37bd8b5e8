"""The control socket: who may use it, what it takes, and that nothing is left of it."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from otel_setup import control
from otel_setup.cli import debug
from otel_setup.control import MAX_REQUEST, RUNTIME_DIR_VARIABLE, ControlError, ControlServer, ask
from otel_setup.core import Core
from otel_setup.diagnosis.close_look import CloseLook
from otel_setup.diagnosis.rules import MAX_RULES, MAX_SECONDS
from otel_setup.telemetry import current_core
from otel_setup.testing import Recorded

OTHER_USER = 12345


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "r"
    monkeypatch.setenv(RUNTIME_DIR_VARIABLE, str(folder))
    return folder


@pytest.fixture
def core(telemetry: Recorded) -> Core:
    return current_core()


@pytest.fixture
def server(directory: Path, core: Core) -> Iterator[ControlServer]:
    server = open_door(core)
    yield server
    server.stop()


def open_door(core: Core) -> ControlServer:
    return ControlServer(CloseLook(core), lambda: {"service": "mygame", "instance": "i1"}, core.faults)


def raw(path: Path, sent: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(path))
        try:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(4096), b""))
        except (BrokenPipeError, ConnectionResetError):  # turned away before all was read
            return b""


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not come"
        time.sleep(0.01)


# --- who may use it ---------------------------------------------------------------------------------------------------


def test_socket_and_directory_are_the_users_alone(server: ControlServer, directory: Path) -> None:
    assert server.path == directory / f"{os.getpid()}.sock"
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(server.path.stat().st_mode) == 0o600
    assert server.path.is_socket()


def test_another_user_gets_no_answer(server: ControlServer, monkeypatch: pytest.MonkeyPatch) -> None:
    own = os.geteuid()
    monkeypatch.setattr(control.os, "geteuid", lambda: own + OTHER_USER)
    assert raw(server.path, b'{"do": "start", "room": "r", "seconds": 60}\n') == b""
    monkeypatch.undo()
    assert ask(server.path, {"do": "list"})["rules"] == []


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_a_directory_that_others_may_enter_is_not_used(directory: Path, core: Core, mode: int) -> None:
    directory.mkdir()
    directory.chmod(mode)
    with pytest.raises(OSError, match="0700"):
        open_door(core)


def test_a_link_is_not_used_as_the_directory(directory: Path, core: Core, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    directory.symlink_to(elsewhere)
    with pytest.raises(OSError, match="0700"):
        open_door(core)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_somebody_else_is_not_used(directory: Path, core: Core) -> None:
    directory.mkdir(mode=0o700)
    os.chown(directory, OTHER_USER, OTHER_USER)
    with pytest.raises(OSError, match="0700"):
        open_door(core)


# --- what it takes ----------------------------------------------------------------------------------------------------


def test_a_rule_is_begun_listed_and_stopped(server: ControlServer) -> None:
    begun = ask(server.path, {"do": "start", "room": "room1", "player": "ada", "seconds": 60})
    assert (begun["pid"], begun["service"], begun["instance"]) == (os.getpid(), "mygame", "i1")
    (rule,) = ask(server.path, {"do": "list"})["rules"]
    assert (rule["room"], rule["game"], rule["player"]) == ("room1", None, "ada")
    assert 0 < rule["seconds"] <= 60
    assert server._rules.wants("room1", None, "ada")
    assert ask(server.path, {"do": "stop", "rule": rule["rule"]})["rules"] == []
    assert not server._rules.active


HOSTILE = [
    b"",
    b"\n",
    b"{",
    b"[]",
    b"null",
    b"\xff\xfe",
    b"[" * 2000,
    b"GET / HTTP/1.1\r\n\r\n",
    b'{"do": "reboot"}',
    b'{"do": ["start"]}',
    b'{"do": "start", "seconds": 60}',
    b'{"do": "start", "room": "", "seconds": 60}',
    b'{"do": "start", "room": 7, "seconds": 60}',
    b'{"do": "start", "room": ["r"], "seconds": 60}',
    b'{"do": "start", "room": "r"}',
    b'{"do": "start", "room": "r", "seconds": "60"}',
    b'{"do": "start", "room": "r", "seconds": true}',
    b'{"do": "start", "room": "r", "seconds": NaN}',
    b'{"do": "start", "room": "r", "seconds": Infinity}',
    b'{"do": "start", "room": "r", "seconds": -1}',
    b'{"do": "start", "room": "r", "seconds": 1e300}',
    b'{"do": "start", "room": "r", "seconds": 60, "run": "rm"}',
    b'{"do": "stop", "rule": true}',
    b'{"do": "stop", "rule": 1.5}',
    b'{"do": "stop", "rule": "all"}',
    b'{"do": "stop", "rule": 99}',
    b'{"do": "list", "more": 1}',
    b"x" * (MAX_REQUEST * 2),
]


def test_what_makes_no_sense_is_refused_and_the_next_request_is_answered(server: ControlServer, core: Core) -> None:
    for sent in HOSTILE:
        answer = raw(server.path, sent)
        # A request that is too long may be cut off before it is read to its end.
        assert answer == b"" if len(sent) > MAX_REQUEST and not answer else json.loads(answer)["ok"] is False, sent
    assert ask(server.path, {"do": "list"})["rules"] == []
    assert not any(core.faults.counts.values())


def test_rules_and_times_are_bounded(server: ControlServer) -> None:
    with pytest.raises(ControlError, match="at most"):
        ask(server.path, {"do": "start", "room": "r", "seconds": MAX_SECONDS + 1})
    for number in range(MAX_RULES):
        ask(server.path, {"do": "start", "room": f"r{number}", "seconds": 60})
    with pytest.raises(ControlError, match="already"):
        ask(server.path, {"do": "start", "room": "r", "seconds": 60})


def test_names_of_players_come_back_harmless_and_bounded(server: ControlServer) -> None:
    answer = ask(server.path, {"do": "start", "player": "\x1b]0;x\x07\u202e" + "x" * 2000, "seconds": 60})
    (rule,) = answer["rules"]
    assert rule["player"].startswith("\N{REPLACEMENT CHARACTER}]0;x\N{REPLACEMENT CHARACTER}")
    assert len(rule["player"]) <= 128


def test_who_says_nothing_does_not_keep_others_waiting(server: ControlServer) -> None:
    silent = [socket.socket(socket.AF_UNIX) for _ in range(3)]
    for connection in silent:
        connection.connect(str(server.path))
    assert ask(server.path, {"do": "list"}, timeout=30)["rules"] == []
    for connection in silent:
        connection.close()


async def test_begin_and_end_are_events(server: ControlServer, telemetry: Recorded) -> None:
    ask(server.path, {"do": "start", "room": "room1", "seconds": 0.05})
    wait_for(lambda: telemetry.events("producer.debug.ended"))  # by itself
    ask(server.path, {"do": "start", "game": "game1", "seconds": 60})
    ask(server.path, {"do": "stop"})
    told = [event for event in telemetry.events() if event.event_type.startswith("producer.debug")]
    assert {(event.event_type, event.room_id, event.game_id) for event in told} == {
        ("producer.debug.started", "room1", None),
        ("producer.debug.ended", "room1", None),
        ("producer.debug.started", None, "game1"),
        ("producer.debug.ended", None, "game1"),
    }


# --- its life ---------------------------------------------------------------------------------------------------------


def test_nothing_is_left_when_it_stops(server: ControlServer, directory: Path) -> None:
    threads = [thread for thread in threading.enumerate() if thread.name == "otel_setup-control"]
    assert len(threads) == 1
    assert threads[0].daemon
    server.stop()
    server.stop()
    assert not threads[0].is_alive()
    assert list(directory.iterdir()) == []


def test_the_socket_of_a_killed_process_of_the_same_number_is_replaced(directory: Path, core: Core) -> None:
    directory.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(directory / f"{os.getpid()}.sock"))
    server = open_door(core)
    assert ask(server.path, {"do": "list"})["rules"] == []
    server.stop()


def test_a_forked_child_leaves_the_parents_socket_alone(server: ControlServer) -> None:
    child = os.fork()
    if child == 0:
        try:
            server.stop()  # what a child does at its end
            os._exit(0 if server.path.exists() and server._listener.fileno() < 0 else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert ask(server.path, {"do": "list"})["pid"] == os.getpid()


def test_it_works_with_thousands_of_open_files(directory: Path, core: Core) -> None:
    held = [os.dup(0) for _ in range(1100)] if _may_open(1300) else pytest.skip("too few open files are allowed")
    try:
        server = open_door(core)
        assert server._listener.fileno() > 1024
        assert ask(server.path, {"do": "list"})["rules"] == []
        server.stop()
    finally:
        for descriptor in held:
            os.close(descriptor)


def _may_open(files: int) -> bool:
    import resource

    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] > files


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_begins_lists_and_stops(server: ControlServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert debug.main(["--room", "room1", "--for", "10m"]) == 0
    assert debug.main(["--game", "game1", "--for", "90s"]) == 0
    capsys.readouterr()
    assert debug.main(["--list"]) == 0
    said = capsys.readouterr().out
    assert f"process {os.getpid()}, mygame i1" in said
    assert "room room1" in said
    assert "game game1" in said
    assert debug.main(["--stop", "1"]) == 0
    assert "room room1" not in capsys.readouterr().out
    assert debug.main(["--stop"]) == 0
    assert not server._rules.active
    assert debug.main(["--stop", "1"]) == 1
    assert "no such rule" in capsys.readouterr().err


def test_the_command_says_that_no_process_listens(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert debug.main(["--room", "room1"]) == 2
    said = capsys.readouterr().err
    assert "no process of this user listens" in said
    assert str(directory) in said
    assert "control_socket" in said


def test_the_socket_of_a_killed_process_is_said_not_to_answer(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(directory / "4194305.sock"))  # above the largest process id there is
    assert debug.main(["--list"]) == 2
    assert "no process of this user listens" in capsys.readouterr().err


ANOTHER_SERVER = """
import sys
from otel_setup.control import ControlServer
from otel_setup.diagnosis.close_look import CloseLook
from otel_setup.telemetry import current_core
core = current_core()
ControlServer(CloseLook(core), lambda: {"service": "other", "instance": "i2"}, core.faults)
print("ready", flush=True)
sys.stdin.read()
"""


def test_among_several_processes_one_has_to_choose(
    server: ControlServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with subprocess.Popen(
        [sys.executable, "-c", ANOTHER_SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "ready\n"
            assert debug.main(["--room", "room1"]) == 2
            said = capsys.readouterr().err
            for told in (str(os.getpid()), str(other.pid), "--pid", "--all"):
                assert told in said
            assert debug.main(["--room", "room1", "--pid", "1073741824"]) == 2
            assert debug.main(["--room", "room1", "--pid", str(os.getpid())]) == 0
            assert f"process {other.pid}" not in capsys.readouterr().out
            assert server._rules.wants("room1")
            assert debug.main(["--room", "room2", "--all"]) == 0
            said = capsys.readouterr().out
            assert f"process {other.pid}, other i2" in said
            assert said.count("room room1") == 1
            assert said.count("room room2") == 2
        finally:
            other.kill()
    assert debug.main(["--list"]) == 0, "the socket that the killed one left does not matter"
    assert f"process {other.pid}" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    ["", "--list --stop", "--room r --list", "--for 10m", "--room r --for 0s", "--room r --for 5h", "--room r --for 1d",
     "--room r --for -1", "--room r --for 1e9", "--stop one", "--stop -1", "--room r --pid x"],
)  # fmt: skip
def test_arguments_that_make_no_sense(arguments: str) -> None:
    with pytest.raises(SystemExit) as ended:
        debug.main(arguments.split())
    assert ended.value.code == 2
