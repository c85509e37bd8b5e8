"""The canary: what it says of a server that plays, and of those that do not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from websockets.asyncio.server import ServerConnection, serve

import otel_setup
from alerts.canary import ANSWER, CONNECT
from examples.canary.round import play_round
from examples.common.serving import observed, running
from examples.liap_tui.lobby import Lobby
from examples.liap_tui.record import LiapTuiRecord
from examples.liap_tui.server import build_app
from examples.liap_tui.services import Services, Settings
from otel_setup.testing import Recording, recording
from tests.support.peers import free_ports

FAST = 60.0
"""Times as fast as people play: seconds instead of minutes."""


class Felt:
    """What a canary told, in place of its monitor."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}

    async def record_metric(self, name: str, value: float) -> None:
        self.seconds.setdefault(name, []).append(value)


async def played(address: str, seconds: float) -> tuple[str, Felt]:
    felt = Felt()
    outcome = await play_round(address, cast(otel_setup.EnterpriseMonitor, felt), 0, seconds)
    return outcome, felt


@pytest.fixture
def recorded() -> Iterator[Recording]:
    with recording() as recorded:
        yield recorded


@asynccontextmanager
async def server(answer: Callable[[ServerConnection], Awaitable[Any]]) -> AsyncIterator[str]:
    """Takes connections, and does with each what it is told."""
    (port,) = free_ports(1)
    async with serve(answer, "127.0.0.1", port):
        yield f"127.0.0.1:{port}"


@pytest.mark.slow
async def test_a_game_is_played_to_its_end(recorded: Recording) -> None:
    """By the server's own record: what the canary starts burns no budget."""
    record = LiapTuiRecord()
    app = build_app(recorded.monitor, record, Settings(speed=FAST))
    async with running(observed(app)) as address:
        outcome, felt = await played(address, 120)
        await app.state.lobby.wait_quiet()
    assert outcome == "ok"
    assert (record.total("games_started_total"), record.total("games_completed_total")) == (1, 1)
    assert record.total("games_abandoned_total") == 0
    assert len(felt.seconds[CONNECT.name]) == 1
    # It declares once and plays up to eight turns.
    assert len(felt.seconds[ANSWER.name]) >= 2
    assert all(seconds > 0 for told in felt.seconds.values() for seconds in told)


async def test_nobody_listens() -> None:
    (port,) = free_ports(1)
    assert (await played(f"127.0.0.1:{port}", 10))[0] == "refused"


async def test_the_server_says_nothing() -> None:
    async with server(lambda connection: connection.wait_closed()) as address:
        outcome, felt = await played(address, 1)
    assert outcome == "timeout"
    assert felt.seconds.keys() == {CONNECT.name}


async def test_the_server_ends_the_connection() -> None:
    async with server(lambda connection: connection.close(1011)) as address:
        assert (await played(address, 10))[0] == "lost"


@pytest.mark.parametrize("target", [0, 51, "many", 1.5])
async def test_a_room_with_another_target_than_it_may_have_is_refused(recorded: Recording, target: object) -> None:
    lobby = Lobby(Services.make(recorded.monitor, LiapTuiRecord(), Settings()))
    with pytest.raises(Exception, match="1 to 50 points"):
        await lobby.create_room("Ada", target)
    async with asyncio.timeout(10):
        await lobby.wait_quiet()
