"""However a process ends, what it recorded last has arrived, and it ends with the status it would have had anyway.

Servers and scripts are processes of their own, and nothing of theirs is exported on the way: what arrives was exported
at the end. ``os._exit`` and SIGKILL are not covered by anything.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator

import pytest
from websockets.sync.client import connect

from otel_setup.catalogue import EventType, M
from tests.e2e.lifecycle_script import ENDLESS
from tests.e2e.processes import SERVERS, games_of, last_values, process, script, uids
from tests.otel_setup.receiver import Receiver, receiving
from tests.support.gate import Gate

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no signals to end a process with")
ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a server needs telemetry.lifespan or .asgi")

BY_SIGTERM = -signal.SIGTERM
"""What a shell calls 143."""
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


# --- servers ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("configure_in", "end_by", "started"),
    [
        ("import", "nothing", "before"),
        pytest.param("import", "nothing", "within", marks=ON_LINUX),
        pytest.param("lifespan", "nothing", "within", marks=ON_LINUX),
        ("lifespan", "lifespan", "within"),
        ("import", "asgi", "within"),
    ],
)
def test_a_server_that_gets_sigterm_exports_the_end_of_its_last_games(
    receiver: Receiver, configure_in: str, end_by: str, started: str
) -> None:
    """One game ends when the server closes its socket, one at the very end of the lifespan."""
    with process(SERVERS[started], receiver.url, CONFIGURE_IN=configure_in, END_BY=end_by) as server:
        with connect(f"ws://127.0.0.1:{server.port}/play/connected") as socket:
            evening = str(socket.recv())
            status = server.end(signal.SIGTERM)
        assert status == BY_SIGTERM, server.said
    assert games_of(receiver, EventType.GAME_ENDED) == ["connected", evening]
    assert list(last_values(receiver, M.GAMES_COMPLETED).values()) == [2]
    assert set(uids(receiver).values()) == {1}


# --- scripts ---------------------------------------------------------------------------------------------------------
def test_sigterm_by_default(receiver: Receiver) -> None:
    with process(script("default"), receiver.url) as running:
        running.wait_until_it_says("ready")
        assert running.end(signal.SIGTERM) == BY_SIGTERM, running.said
    assert games_of(receiver, EventType.GAME_ENDED) == ["played"]
    assert list(last_values(receiver, M.GAMES_COMPLETED).values()) == [1]


def test_sigterm_in_the_middle_of_the_monitors_work(receiver: Receiver) -> None:
    """The thread that is interrupted may hold locks that an export needs."""
    with process(script("busy"), receiver.url) as running:
        running.wait_until_it_says("ready")
        assert running.end(signal.SIGTERM) == BY_SIGTERM, running.said
    assert games_of(receiver, EventType.GAME_ENDED) == ["played"]
    assert games_of(receiver, EventType.GAME_STARTED) == [ENDLESS, "played"]


@pytest.mark.parametrize(
    ("name", "number", "status", "ended"),
    [
        ("own_handler", signal.SIGTERM, 0, ENDLESS),
        ("cleaning_up", signal.SIGINT, -signal.SIGINT, ENDLESS),
        ("sys_exit", None, 3, "played"),
        ("unhandled_exception", None, 1, "played"),
    ],
)
def test_every_other_end(receiver: Receiver, name: str, number: int | None, status: int, ended: str) -> None:
    with process(script(name), receiver.url) as running:
        if number is not None:
            running.wait_until_it_says("ready")
        assert running.end(number) == status, running.said
    assert games_of(receiver, EventType.GAME_ENDED) == [ended]
    assert list(last_values(receiver, M.GAMES_COMPLETED).values()) == [1]


def test_a_lifespan_starts_background_work_and_ends_everything(receiver: Receiver) -> None:
    with process(script("lifespan"), receiver.url) as running:
        assert running.end() == 0, running.said
    assert running.said[:3] == ["background work: True", "background work: False", "configured: False"]
    assert games_of(receiver, EventType.GAME_ENDED) == ["played"]
    assert [record for record in receiver.log_records() if record.event_name == EventType.PRODUCER_HEARTBEAT]


def test_the_end_waits_for_a_configuration_that_was_replaced(receiver: Receiver) -> None:
    with process(script("reconfigured"), receiver.url) as running:
        assert running.end() == 0, running.said
    assert games_of(receiver, EventType.GAME_ENDED) == ["after", "before"]
    assert list(last_values(receiver, M.GAMES_COMPLETED).values()) == [1, 1]


@pytest.mark.parametrize("name", ["default", "sys_exit"])
def test_a_collector_that_is_not_there_keeps_nothing_from_ending(name: str) -> None:
    """The SDK's own end takes half a minute here. By how much the deadline is missed is judged in a drill."""
    with process(script(name, shutdown_timeout=0.5), NOWHERE) as running:
        if name == "default":
            running.wait_until_it_says("ready")
        status = running.end(signal.SIGTERM if name == "default" else None, timeout=25)
    assert status == (BY_SIGTERM if name == "default" else 3)


# --- forks -----------------------------------------------------------------------------------------------------------
def test_workers_that_multiprocessing_forks_export_before_they_are_gone(receiver: Receiver) -> None:
    with process(script("in_a_worker"), receiver.url) as running:
        assert running.end() == 0, running.said
    assert games_of(receiver, EventType.GAME_ENDED) == ["in a pool", "in a process"]
    assert list(last_values(receiver, M.GAMES_COMPLETED).values()) == [1, 1]


def test_a_child_that_gets_sigterm_exports_and_dies_of_it(receiver: Receiver) -> None:
    with process(script("forked_and_ended"), receiver.url) as running:
        running.wait_until_it_says("ready")
        running.tell("it is ready")
        assert running.end() == 0, running.said
    assert f"child: {BY_SIGTERM}" in running.said
    assert games_of(receiver, EventType.GAME_ENDED) == ["of the parent", "played"]
    assert list(last_values(receiver, M.GAMES_COMPLETED).values()) == [1, 1]


def test_a_child_made_during_an_export_repeats_nothing_and_loses_nothing(receiver: Receiver) -> None:
    gate = receiver.requests["/v1/logs"] = Gate()
    with process(script("forked_while_exporting"), receiver.url) as running:
        assert gate.arrived.wait(60), running.said
        running.tell("it hangs")
        running.wait_until_it_says("ready")  # the child, which has played
        gate.open.set()
        assert running.end() == 0, running.said
    assert games_of(receiver, EventType.GAME_ENDED) == ["of the child", "of the parent"]
    assert list(last_values(receiver, M.GAMES_COMPLETED).values()) == [1, 1]
    assert set(uids(receiver).values()) == {1}
