"""Fixtures of the commands' tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from otel_setup.cli.event_options import HUB_VARIABLE
from otel_setup.control import RUNTIME_DIR_VARIABLE, ControlServer
from otel_setup.diagnosis.close_look import CloseLook
from otel_setup.privacy import KEY_FILE_VARIABLE
from otel_setup.telemetry import current_core
from otel_setup.testing import Recorded
from tests.otel_setup.cli.support import Game, Here, game


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for sockets and a key of the test's own, and no hub in the environment."""
    monkeypatch.setenv(RUNTIME_DIR_VARIABLE, str(tmp_path / "r"))
    monkeypatch.setenv(KEY_FILE_VARIABLE, str(tmp_path / "key"))
    monkeypatch.delenv(HUB_VARIABLE, raising=False)
    for variable in ("NO_COLOR", "COLUMNS", "LINES"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    (tmp_path / "key").write_text("0123456789abcdef0123456789abcdef")
    return tmp_path


@pytest.fixture
def running_game(place: Path) -> Iterator[Game]:
    """A game process that listens."""
    with game() as process:
        yield process


@pytest.fixture
def here(place: Path, telemetry: Recorded) -> Iterator[Here]:
    """The test's own process as the game process."""
    core = current_core()
    describe = {"service": "mygame", "instance": "i1"}
    server = ControlServer(CloseLook(core), lambda: describe, core.faults, core.stream)
    yield Here(core.stream)
    server.stop()
