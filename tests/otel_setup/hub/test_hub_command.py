"""The command `hub`: it starts, says where it is, ends in good order, and says what to do where it cannot start."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from otel_setup.cli import hub as command
from otel_setup.hub.metrics import FAMILIES, exposition
from otel_setup.hub.pages import PATHS
from otel_setup.hub.server import _listening
from otel_setup.hub.settings import HubSettings
from tests.otel_setup.hub.app_client import PROTOBUF
from tests.otel_setup.hub.app_support import request, sent

SOON = 60.0
TOKENS = ("EVENTS_HUB_TOKEN", "EVENTS_HUB_READER_TOKEN")


class Process:
    """A hub as a process, and what it says."""

    def __init__(self, *arguments: str) -> None:
        self.child = subprocess.Popen(
            [sys.executable, "-m", "otel_setup", "hub", "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.child.stdout is not None
        for line in self.child.stdout:
            self.said.append(line.rstrip())

    @property
    def text(self) -> str:
        return "\n".join(self.said)

    def says(self, pattern: str) -> re.Match[str]:
        deadline = time.monotonic() + SOON
        while time.monotonic() < deadline:
            if found := re.search(pattern, self.text):
                return found
            if not self._reader.is_alive() and not re.search(pattern, self.text):
                break
            time.sleep(0.02)
        raise AssertionError(f"{pattern!r} was not said in:\n{self.text}")

    @property
    def address(self) -> str:
        return self.says(r"events hub at (http\S+) ")[1]

    def started(self) -> Process:
        """When it takes events."""
        deadline = time.monotonic() + SOON
        while time.monotonic() < deadline:
            try:
                if self.ask("/health")["status"] == "ok":
                    return self
            except (OSError, AssertionError):
                assert self.child.poll() is None, self.text
            time.sleep(0.02)
        raise AssertionError(self.text)

    def ask(self, path: str, data: bytes | None = None) -> Any:
        headers = {"content-type": PROTOBUF} if data is not None else {}
        asked = urllib.request.Request(self.address + path, data=data, headers=headers)  # noqa: S310 - our own
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=SOON) as answer:
            text = answer.read()
        return json.loads(text) if data is None else text

    def send(self, *numbers: int, **fields: Any) -> None:
        self.ask("/v1/logs", request([sent(number, **fields) for number in numbers]).SerializeToString())

    def end(self, number: int = signal.SIGTERM) -> int:
        self.child.send_signal(number)
        code = self.child.wait(SOON)
        self._reader.join(SOON)
        return code


@contextmanager
def hub(*arguments: str) -> Iterator[Process]:
    process = Process(*arguments)
    try:
        yield process
    finally:
        process.child.kill()
        process.child.wait()


@pytest.fixture(autouse=True)
def no_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in TOKENS:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_is_and_ends_in_good_order(number: int, tmp_path: Path) -> None:
    with hub("--directory", str(tmp_path / "log")) as process:
        process.started().send(1, 2)
        assert process.end(number) == 0
        said = process.text
        address = re.escape(process.address)
        assert re.search(
            rf"events hub at {address} \(senders: {address}/v1/logs, readers: {address}/events/stream\)", said
        )
        assert f"log: {tmp_path / 'log'}" in said
        assert "token: none needed" in said
        assert re.search(r"ended; .*events: 2, 0 missing", said)
        assert "Traceback" not in said


def test_readers_that_stay_do_not_hold_the_end_up(tmp_path: Path) -> None:
    """One reads on, and gets everything and a word at the end; the other has stopped reading long ago."""
    with hub("--directory", str(tmp_path), "--shutdown-seconds", "4") as process:
        process.started()
        port = int(process.address.rpartition(":")[2])
        with (
            closing(socket.socket()) as stalled,
            closing(urllib.request.urlopen(process.address + "/events/stream", timeout=SOON)) as reader,  # noqa: S310
        ):
            stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            stalled.connect(("127.0.0.1", port))
            stalled.sendall(b"GET /events/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            received: list[bytes] = []
            reading = threading.Thread(target=lambda: received.append(reader.read()), daemon=True)
            reading.start()
            for first in range(1, 4000, 500):
                process.send(*range(first, first + 500), data={"text": "x" * 2000})  # more than sockets hold
            assert process.end() == 0
            reading.join(SOON)
        text = received[0].decode()
        assert text.count("event: game.started\n") == 4000
        assert re.search(r'event: end\ndata: {"reason":"shutdown","cursor":"\w+-4000"}\n\n$', text)
        assert "Traceback" not in process.text
        assert "ERROR" not in process.text


def test_what_was_answered_outlives_a_kill(tmp_path: Path) -> None:
    with hub("--directory", str(tmp_path)) as process:
        process.started().send(1, 2)
        before = process.ask("/events")
        process.child.kill()
        process.child.wait()
    with hub("--directory", str(tmp_path)) as process:
        process.started().send(2, 3)
        after = process.ask(f"/events?since={before['cursor']}")
        assert after["complete"]
        assert [event["event_id"] for event in after["events"]] == [sent(3).event_id]
        assert process.ask("/events?since=oldest")["events"][:2] == before["events"]


def test_in_memory_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with hub("--memory") as process:
        process.started().send(1)
        assert process.end() == 0
        assert "log: none" in process.text
    assert not list(tmp_path.iterdir())


def test_a_change_is_told_and_otherwise_a_line_at_a_time(tmp_path: Path) -> None:
    with hub("--memory", "--status-seconds", "0.2") as process:
        process.started().send(1)
        process.says(r"ok; events: 1, 0 missing; servers: 1 live.*; readers: 0")


# --- where it cannot start --------------------------------------------------------------------------------------------
def refused(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "otel_setup", "hub", *arguments],
        capture_output=True,
        text=True,
        timeout=SOON,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
        said = refused("--port", port, "--memory")
        assert f"127.0.0.1:{port} is taken" in said
        assert "--port 0" in said


def test_a_directory_that_another_hub_has(tmp_path: Path) -> None:
    with hub("--directory", str(tmp_path)) as process:
        process.started()
        said = refused("--port", "0", "--directory", str(tmp_path))
        assert str(tmp_path) in said
        assert process.ask("/health")["status"] == "ok"


def test_a_directory_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "--directory" in refused("--port", "0", "--directory", str(tmp_path / "file"))


def test_beyond_loopback_without_a_token() -> None:
    assert "--generate-token" in refused("--host", "192.0.2.1", "--memory")


def test_an_address_that_is_not_this_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENTS_HUB_TOKEN", "x" * 40)
    assert "is --host right?" in refused("--host", "192.0.2.1", "--memory", "--port", "0")


def test_everything_that_makes_no_sense_is_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["--port", "70000", "--max-viewers", "0", "--fsync", "sometimes", "--memory", "--directory", "x"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    for part in ("port is 70000", "max_viewers is 0; it is above 0", "one of always, interval, never", "memory keeps"):
        assert part in said


def test_without_its_extra_it_names_it(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['uvicorn'] = None; import otel_setup.cli.hub as hub; sys.exit(hub.main(['--memory']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=SOON, check=False)
    assert done.returncode == 2
    assert "otel-setup[hub]" in done.stderr
    assert "uvicorn" in done.stderr


# --- what it says of itself -------------------------------------------------------------------------------------------
def test_the_help_has_every_setting_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    for setting in fields(HubSettings):
        flag = f"--{setting.name.replace('_', '-')}"
        assert re.search(rf"{flag}[ \]]", text), flag
        if setting.type in ("int", "float", "str"):
            assert f"(default: {setting.default})" in text.partition(f" {flag} ")[2], flag


def test_the_page_for_operators_names_what_there_is() -> None:
    page = (Path(__file__).parents[3] / "docs" / "hub.md").read_text(encoding="utf-8")
    exposed = exposition(lambda: {family: {"x": 1.0} if family.label else 1.0 for family in FAMILIES}).decode()
    for name, label in re.findall(r"(otel_setup_hub_\w+)(?:\{(\w+))?", page):
        assert re.search(rf"^{name}{{{label}=" if label else rf"^{name} ", exposed, re.MULTILINE) or (
            not label and re.search(rf"^{name}{{", exposed, re.MULTILINE)
        ), name
    flags = {f"--{setting.name.replace('_', '-')}" for setting in fields(HubSettings)}
    assert set(re.findall(r"--[a-z][a-z-]+", page)) <= flags | {"--help"}
    for path in PATHS:
        assert path.split()[1] in page, path


def test_a_token_that_is_made_is_named_once_and_never_shown(tmp_path: Path) -> None:
    with hub("--directory", str(tmp_path), "--generate-token") as process:
        process.says("token: needed, as Authorization: Bearer TOKEN")
        token = (tmp_path / "token").read_text().strip()
        assert f"a token was made, which only you can read: {tmp_path / 'token'}" in process.text
        with pytest.raises(urllib.error.HTTPError, match="401"):
            process.started().ask("/events")
        assert process.end() == 0
        assert token not in process.text
    with hub("--directory", str(tmp_path), "--generate-token") as process:
        process.says("token: needed")
        assert "was made" not in process.text


async def test_events_do_not_wait_for_acknowledgements() -> None:
    """Nagle's algorithm is off: else a reader gets each event 40 ms late."""
    found: list[int] = []

    class Accepted(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            accepted = transport.get_extra_info("socket")
            found.append(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            transport.close()

    listener = _listening(HubSettings(port=0))
    server = await asyncio.get_running_loop().create_server(Accepted, sock=listener)
    async with server:
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        await reader.read()
        writer.close()
    assert found == [1]
