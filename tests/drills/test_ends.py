"""Every end of a server, again and again: its last games arrive each time. And with a Collector that is of no use, no
end takes longer than the deadline.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from websockets.sync.client import connect

from otel_setup.catalogue import EventType, M
from tests.drills.proof import Finding, write_proof
from tests.e2e.processes import SERVERS, games_of, last_values, process, script, uids
from tests.otel_setup.receiver import receiving
from tests.support.faulty_collector import HANGING, FaultyCollector

pytestmark = [pytest.mark.drill, pytest.mark.timeout(540)]

BY_SIGTERM = -signal.SIGTERM
DEADLINE = 3.0
"""Seconds; the default of ``shutdown_timeout``."""
MARGIN = 0.5


@pytest.mark.parametrize(
    ("configure_in", "end_by", "started", "runs"),
    [
        ("import", "nothing", "within", 30),
        ("lifespan", "nothing", "within", 30),
        ("import", "nothing", "before", 10),
        ("import", "asgi", "within", 10),
        ("lifespan", "asgi", "within", 10),
        ("import", "lifespan", "before", 10),
        ("lifespan", "lifespan", "within", 10),
    ],
)
def test_the_last_games_of_a_server_arrive(
    pytestconfig: pytest.Config, configure_in: str, end_by: str, started: str, runs: int
) -> None:
    arrived, counted, twice, statuses = 0, 0.0, 0, set()
    for _ in range(runs):
        with (
            receiving() as receiver,
            process(SERVERS[started], receiver.url, CONFIGURE_IN=configure_in, END_BY=end_by, OPTIONS="{}") as server,
            connect(f"ws://127.0.0.1:{server.port}/play/connected") as socket,
        ):
            expected = ["connected", str(socket.recv())]
            statuses.add(server.end(signal.SIGTERM))
        arrived += games_of(receiver, EventType.GAME_ENDED) == expected
        counted += sum(last_values(receiver, M.GAMES_COMPLETED).values())
        twice += sum(times > 1 for times in uids(receiver).values())
    findings = [
        Finding("runs", f"{runs}", f"{runs}"),
        Finding("both last games' ends arrived in", f"{runs}", f"{arrived}"),
        Finding("games completed, by the last export of metrics", f"{2 * runs}", f"{counted:g}"),
        Finding("events that arrived twice", "0", f"{twice}"),
        Finding("statuses", f"{{{BY_SIGTERM}}}", f"{statuses}"),
    ]
    ending = {"nothing": "nothing more", "asgi": "the ASGI middleware", "lifespan": "telemetry.lifespan"}[end_by]
    what = (
        f"A server under uvicorn, configured in its {configure_in}, {started} uvicorn's hold on signals, with {ending}"
        ". SIGTERM while a game is on at a socket, and another in the server itself until the end of its lifespan."
    )
    write_proof(pytestconfig, f"ends-{configure_in}-{end_by}-{started}", what, findings)
    assert arrived == runs
    assert counted == 2 * runs
    assert twice == 0
    assert statuses == {BY_SIGTERM}


def test_sigterm_in_the_middle_of_the_monitors_work(pytestconfig: pytest.Config) -> None:
    runs, arrived, statuses = 30, 0, set()
    for _ in range(runs):
        with receiving() as receiver, process(script("busy"), receiver.url) as running:
            running.wait_until_it_says("ready")
            statuses.add(running.end(signal.SIGTERM))
        arrived += games_of(receiver, EventType.GAME_ENDED) == ["played"]
    findings = [
        Finding("what was recorded before arrived in", f"{runs}", f"{arrived}"),
        Finding("statuses", f"{{{BY_SIGTERM}}}", f"{statuses}"),
    ]
    what = f"{runs} scripts that do nothing but record actions, each ended by SIGTERM wherever it was."
    write_proof(pytestconfig, "ends-busy", what, findings)
    assert arrived == runs
    assert statuses == {BY_SIGTERM}


@contextmanager
def useless_collector(kind: str) -> Iterator[str]:
    """The address of a Collector that is not there, or that takes requests and never answers."""
    collector = FaultyCollector()
    if kind == "hanging":
        collector.answer = HANGING
        collector.start()
    try:
        yield collector.url
    finally:
        collector.stop()


def seconds_to_end(name: str, number: int, collector: str, **environment: str) -> tuple[float, int]:
    """How long a script or server lives on after a signal, and its status."""
    if name == "server":
        command, ready = SERVERS["within"], "running on"
    else:
        command, ready = script(name, DEADLINE), "ready"
    with process(command, collector, CONFIGURE_IN="lifespan", **environment) as running:
        running.wait_until_it_says(ready)
        began = time.monotonic()
        status = running.end(number)
        return time.monotonic() - began, status


@pytest.mark.parametrize("kind", ["absent", "hanging"])
def test_no_end_takes_longer_than_the_deadline(pytestconfig: pytest.Config, kind: str) -> None:
    ends = [
        ("default", signal.SIGTERM, BY_SIGTERM),
        ("busy", signal.SIGTERM, BY_SIGTERM),
        ("own_handler", signal.SIGTERM, 0),
        ("cleaning_up", signal.SIGINT, -signal.SIGINT),
        ("server", signal.SIGTERM, BY_SIGTERM),
        ("server", signal.SIGINT, 0),
    ]
    findings, kept = [], []
    for name, number, expected in ends:
        own, _ = seconds_to_end(name, number, "", OTEL_SDK_DISABLED="true")
        with useless_collector(kind) as url:
            seconds, status = seconds_to_end(name, number, url)
        kept.append((seconds - own <= DEADLINE + MARGIN, status == expected))
        findings.append(
            Finding(
                f"{name}, {signal.Signals(number).name}",
                f"<= {DEADLINE + MARGIN:g} s more than without exports, status {expected}",
                f"{seconds:.2f} s, {seconds - own:.2f} s more, status {status}",
            )
        )
    what = f"A Collector that is {kind}, everything recorded still to be exported: from the signal to the end."
    write_proof(pytestconfig, f"ends-collector-{kind}", what, findings)
    assert kept == [(True, True)] * len(ends)
