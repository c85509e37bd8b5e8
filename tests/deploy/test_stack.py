"""`python -m deploy up`, `status` and `down`, as a person at a terminal uses them."""

from __future__ import annotations

import dataclasses
import http.client
import json
import os
import shlex
import signal
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from deploy import stack
from deploy.__main__ import main
from deploy.ports import free_settings
from deploy.process import wait_until
from settings import Settings
from tests.support.peers import require


def plain(tree: object) -> object:
    """Settings as YAML has them."""
    if isinstance(tree, Mapping):
        return {key: plain(value) for key, value in tree.items()}
    return [plain(item) for item in tree] if isinstance(tree, tuple) else tree


@dataclasses.dataclass
class Terminal:
    """Somebody at a terminal, with a data folder and settings of their own."""

    folder: Path
    settings: Settings
    capsys: pytest.CaptureFixture[str]

    def says(self, command: str, *arguments: str) -> tuple[int, str, str]:
        """Runs a command; returns its exit code, output and errors."""
        try:
            code = main([command, *arguments, f"--data={self.folder / 'data'}"])
        except SystemExit as ended:
            code = int(str(ended.code))
        out, err = self.capsys.readouterr()
        return code, out, err

    def up(self, role: str) -> tuple[int, str, str]:
        """Starts a role on free ports."""
        file = self.folder / "settings.yaml"
        file.write_text(yaml.safe_dump(plain(dataclasses.asdict(self.settings))))
        return self.says("up", role, f"--settings={file}")

    def state(self) -> dict[str, Any]:
        """What the keeper wrote."""
        found = stack.read(self.folder / "data")
        assert found is not None
        return found


@pytest.fixture
def terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Terminal]:
    """Whatever a test started is stopped at its end."""
    require("otelcol")
    made = Terminal(tmp_path, free_settings(), capsys)
    yield made
    stack.down(tmp_path / "data")


def post(endpoint: str, headers: dict[str, str]) -> int:
    """An empty export; returns the status."""
    connection = http.client.HTTPConnection(endpoint.removeprefix("http://"), timeout=30)
    try:
        connection.request("POST", "/v1/logs", b"{}", {"Content-Type": "application/json", **headers})
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_role_is_started_told_of_and_stopped_in_order(terminal: Terminal) -> None:
    code, out, err = terminal.up("events")
    assert (code, err) == (0, "")
    rows = [line.split() for line in out.splitlines() if line.startswith(("collector", "hub"))]
    assert [row[:2] for row in rows] == [["collector", "ok"], ["hub", "ok"]]
    exported = dict(shlex.split(line)[1].split("=", 1) for line in out.splitlines() if line.startswith("  export "))
    endpoint, secret = exported["OTEL_EXPORTER_OTLP_ENDPOINT"], exported["OTEL_EXPORTER_OTLP_HEADERS"]
    assert post(endpoint, {"Authorization": secret.partition("=")[2].replace("%20", " ")}) == http.client.OK
    assert post(endpoint, {}) == http.client.UNAUTHORIZED
    assert (terminal.folder / "data" / stack.STATE).stat().st_mode & 0o077 == 0, "it holds a token"
    pids = [program["pid"] for program in terminal.state()["programs"]]
    assert terminal.says("status")[0] == 0
    assert terminal.says("down")[:2] == (0, "stopped\n")
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert terminal.says("down")[0] == 0, "there is nothing to do"
    code, out, _ = terminal.says("status")
    assert (code, "nothing runs" in out) == (1, True)


def test_a_second_one_is_refused_and_the_first_goes_on(terminal: Terminal) -> None:
    assert terminal.up("events")[0] == 0
    code, _, err = terminal.up("events")
    assert (code, "runs already" in err, "python -m deploy down" in err) == (2, True, True)
    assert terminal.says("status")[0] == 0


def test_a_program_that_ended_is_told_and_the_rest_can_be_stopped(terminal: Terminal) -> None:
    assert terminal.up("events")[0] == 0
    hub = next(program for program in terminal.state()["programs"] if program["name"] == "hub")
    os.kill(hub["pid"], signal.SIGKILL)
    code, out = wait_until(lambda: terminal.says("status")[:2], lambda told: "ended" in told[1], 30, "status says so")
    assert code == 1
    assert [line.split()[:2] for line in out.splitlines()] == [["collector", "ok"], ["hub", "ended"]]
    assert terminal.says("down")[:2] == (0, "stopped\n")


def test_a_port_that_is_taken_is_named_before_anything_starts(terminal: Terminal) -> None:
    port = terminal.settings.hub.port
    with socket.create_server(("127.0.0.1", port)):
        code, _, err = terminal.up("events")
    assert code == 2
    assert f"hub.port ({port})" in err
    assert "settings file" in err
    assert not (terminal.folder / "data").exists()


@pytest.mark.parametrize("role", ["nobody", "clickhouse"])
def test_a_role_that_cannot_run_here_is_refused_with_those_that_can(terminal: Terminal, role: str) -> None:
    code, _, err = terminal.up(role)
    assert code == 2
    assert repr(role) in err
    assert "standalone, agent, gateway" in err


def test_what_hinders_the_start_is_told_where_it_was_started(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = terminal.folder / "data" / "collector" / "tokens"
    tokens.parent.mkdir(parents=True)
    tokens.mkdir()  # in place of a file
    code, _, err = terminal.up("events")
    assert code == 2
    assert "the stack did not start" in err
    assert "tokens" in err
    assert not any(str(terminal.folder) in " ".join(each.cmdline()) for each in _processes()), "nothing was left"


def test_the_whole_of_standalone_comes_up(terminal: Terminal) -> None:
    for program in ("prometheus", "alertmanager", "jaeger", "loki"):
        require(program)
    code, out, _ = terminal.up("standalone")
    assert code == 0
    found = {line.split()[0]: line.split()[1] for line in out.splitlines()[:6]}
    assert found == dict.fromkeys(["collector", "prometheus", "alertmanager", "jaeger", "loki", "hub"], "ok")
    kept = json.loads((terminal.folder / "data" / stack.STATE).read_text())
    assert kept["role"] == "standalone"


def _processes() -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            process.cmdline()
        except psutil.Error:
            continue
        found.append(process)
    return found
