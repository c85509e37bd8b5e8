"""Running programs: what happens when one dies at once, will not end, or never becomes what is waited for."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil
import pytest

from deploy.process import ProcessError, running, wait_until
from tests.support.peers import free_ports

SERVER = """
import http.server, signal
{extra}
http.server.ThreadingHTTPServer(("127.0.0.1", {port}), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


def test_a_program_that_dies_at_once_shows_its_last_words(tmp_path: Path) -> None:
    script = "import sys; print('the port is taken'); sys.exit(3)"
    (port,) = free_ports(1)
    with (
        pytest.raises(ProcessError, match=r"(?s)exit code 3.*the port is taken"),
        running("server", [sys.executable, "-c", script], tmp_path / "log", f"http://127.0.0.1:{port}/"),
    ):
        pass


@pytest.mark.parametrize(
    ("extra", "expected"),
    [("", -15), ("signal.signal(signal.SIGTERM, signal.SIG_IGN)", -9)],
    ids=["ends when asked", "ignores SIGTERM"],
)
def test_a_program_is_stopped_whatever_it_does(tmp_path: Path, extra: str, expected: int) -> None:
    (port,) = free_ports(1)
    script = SERVER.format(port=port, extra=extra)
    with running("server", [sys.executable, "-c", script], tmp_path / "log", f"http://127.0.0.1:{port}/") as process:
        assert psutil.pid_exists(process.pid)
        assert process.stop(timeout=1) == expected
    assert not psutil.pid_exists(process.pid)


def test_a_failure_inside_stops_the_program(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    script = SERVER.format(port=port, extra="")
    with (
        pytest.raises(ZeroDivisionError),
        running("server", [sys.executable, "-c", script], tmp_path / "log", f"http://127.0.0.1:{port}/") as process,
    ):
        raise ZeroDivisionError
    assert not psutil.pid_exists(process.pid)


def test_waiting_in_vain_tells_what_was_seen_last() -> None:
    with pytest.raises(TimeoutError, match=r"until three arrive; last seen: \[1, 2\]"):
        wait_until(lambda: [1, 2], lambda seen: len(seen) == 3, 0.1, "three arrive")
