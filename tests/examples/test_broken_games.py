"""What breaks inside a game is an event of that game, once, before its room is closed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

import otel_setup
from examples.arena.match import Match
from examples.arena.match import Services as ArenaServices
from examples.arena.match import Settings as ArenaSettings
from examples.arena.model import ARENA
from examples.arena.record import ArenaRecord
from examples.common.pace import Pace
from examples.common.sockets import Broadcaster
from examples.liap_tui.lobby import Lobby
from examples.liap_tui.record import LiapTuiRecord
from examples.liap_tui.services import Services, Settings
from otel_setup.testing import Recording, recording


@pytest.fixture
def recorded() -> Iterator[Recording]:
    with recording() as recorded:
        yield recorded


def check(recorded: Recording, room: str) -> None:
    recorded.assert_event("game.error", game_id=room, room_id=room, error_type="KeyError", error_message="'deck'")
    recorded.assert_events("game.created", "game.error", "room.closed")
    assert len(recorded.events("game.error")) == 1


async def test_a_room_of_liap_tui(recorded: Recording) -> None:
    lobby = Lobby(Services.make(recorded.monitor, LiapTuiRecord(), Settings()))
    room = await lobby.create_room("Ada")
    room._failed(KeyError("deck"))
    async with asyncio.timeout(20):
        await lobby.wait_quiet()
    check(recorded, room.id)


async def test_a_match_of_the_arena(recorded: Recording) -> None:
    otel_setup.configure(model=ARENA)
    record, closed = ArenaRecord(), asyncio.Event()
    services = ArenaServices(
        ArenaSettings(), recorded.monitor, record, Pace(1.0), Broadcaster(record, recorded.monitor)
    )
    match = Match("m1", 2, services, lambda _: closed.set())
    await match.open()
    match._failed(KeyError("deck"))
    async with asyncio.timeout(20):
        await closed.wait()
        match._full.set()  # nobody is waited for any more
        await match.close("done")
    check(recorded, "m1")
