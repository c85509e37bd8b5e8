"""A room: who sits in it, its host, and how it comes to its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from examples.common.pace import LEAST_GRACE, wait
from examples.common.sockets import NORMAL, Connection, Refused
from examples.liap_tui.game import Game
from examples.liap_tui.rules import SEATS, Phase
from examples.liap_tui.seat import Seat
from examples.liap_tui.services import Services
from otel_setup import create_detached_task

EMPTY_ROOM = 30.0
"""Seconds that a room outlives its last human."""
LEAST_ARRIVAL = 10.0
"""Real seconds that the host of a new room has to enter it, at whatever speed."""

_log = logging.getLogger(__name__)


class Room:
    """A room of four seats. Bots stay when everybody leaves; without a human the room is removed after 30 s.

    Parameters:
        room_id: also the game's id.
        services: see ``Services``.
        on_closed: called once the room has ended.
    """

    def __init__(
        self, room_id: str, services: Services, on_closed: Callable[[Room], Awaitable[None]], target: int
    ) -> None:
        self.id = room_id
        self.seats: list[Seat] = []
        self.host: str | None = None
        self._services = services
        self._record, self._monitor = services.record, services.monitor
        self._on_closed = on_closed
        self._target = target
        self._game: Game | None = None
        self._removal: asyncio.Task[None] | None = None
        self._closed: asyncio.Task[None] | None = None
        self._broken: Exception | None = None

    @property
    def game_is_on(self) -> bool:
        """Whether a game has begun and is not decided."""
        return self._game is not None and self._game.live

    @property
    def phase(self) -> Phase:
        return self._game.phase if self._game else Phase.WAITING

    def summary(self) -> dict[str, Any]:
        """The room as the lobby's list shows it."""
        return {"room_id": self.id, "host": self.host, "players": len(self.seats), "phase": self.phase}

    def view(self) -> dict[str, Any]:
        """Who sits here, as everybody in the room sees it."""
        seats = [
            {"name": seat.name, "is_bot": seat.is_bot, "here": seat.is_bot or seat.connection is not None}
            for seat in self.seats
        ]
        return {"room_id": self.id, "host": self.host, "seats": seats}

    # --- before the game ---------------------------------------------------------------------------------------------
    async def open(self, host: str) -> None:
        """Open the room with its first player, the host."""
        self._record.room_created(self.id)
        await self._monitor.record_room_created(self.id)
        await self._monitor.record_game_created(self.id, self.id)
        await self.take_seat(host)
        self._watch_for_emptiness(LEAST_ARRIVAL)

    async def take_seat(self, name: str, *, is_bot: bool = False) -> None:
        """Give a player or a bot a seat.

        Raises:
            Refused: if the room is full, playing or closing, or the name is taken.
        """
        if self._game or self._closed:
            raise Refused("the game has begun")
        if len(self.seats) == SEATS:
            raise Refused("the room is full")
        if self._seat(name):
            raise Refused("the name is taken")
        self.seats.append(Seat(name, is_bot))
        if self.host is None and not is_bot:
            self.host = name
        self._record.player_joined(self.id, name, is_bot)
        await self._monitor.record_player_joined(self.id, name, is_bot=is_bot)

    async def add_bot(self) -> None:
        """Seat a bot, named by its seat's number.

        Raises:
            Refused: as ``take_seat``.
        """
        taken = {seat.name for seat in self.seats}
        name = next(name for number in range(1, SEATS + 2) if (name := f"Bot {number}") not in taken)
        await self.take_seat(name, is_bot=True)

    async def free_seat(self, name: str) -> None:
        """A player leaves, or a bot is sent away, while no game is on.

        Raises:
            Refused: if a game is on or nobody of that name sits here.
        """
        seat = self._seat(name)
        if self.game_is_on or self._closed or seat is None:
            raise Refused("that seat cannot be freed now")
        self.seats.remove(seat)
        self._record.player_left(self.id, seat.name, seat.is_bot)
        await self._monitor.record_player_left(self.id, seat.name, is_bot=seat.is_bot)
        if seat.connection:
            seat.connection.close(NORMAL)
        await self._pass_on_host(name)
        self._watch_for_emptiness()

    async def start_game(self) -> None:
        """Begin the game.

        Raises:
            Refused: if it has begun, or a seat is free or its human not here yet.
        """
        if self._game or self._closed:
            raise Refused("the game has begun")
        if len(self.seats) < SEATS or not all(seat.is_bot or seat.connection for seat in self.seats):
            raise Refused("somebody is missing")
        self._game = Game(self.id, list(self.seats), self._services, self.broadcast, self._failed, self._target)
        await self._game.start()

    # --- sockets -----------------------------------------------------------------------------------------------------
    def attach(self, connection: Connection, name: str) -> None:
        """Tie a socket to the seat of that name; in a running game that is a reconnection.

        Raises:
            Refused: if nobody of that name sits here, or that player's socket is still open.
        """
        seat = self._seat(name)
        if seat is None or seat.is_bot or self._closed:
            raise Refused("no seat of that name")
        if seat.connection:
            raise Refused("that player is already here")
        seat.connection = connection
        self._watch_for_emptiness()
        if self._game:
            self._game.queue("player_reconnect", name, {})
            self._game.show_hand(seat)

    async def detach(self, connection: Connection) -> None:
        """The socket of a seat is closed; in a running game a bot takes over."""
        seat = next((seat for seat in self.seats if seat.connection is connection), None)
        if seat is None or self._closed:
            return
        seat.connection = None
        if self._game and self._game.live:
            self._game.queue("player_disconnect", seat.name, {})
            await self._pass_on_host(seat.name)
        else:
            await self.free_seat(seat.name)
        self._watch_for_emptiness()

    def act(self, action_type: str, name: str, data: dict[str, Any]) -> None:
        """Queue an action of a player.

        Raises:
            Refused: if there is no game that takes actions.
        """
        if not self._game or not self._game.queue(action_type, name, data):
            raise Refused("no game is on")

    async def broadcast(self, event: str, data: dict[str, Any]) -> None:
        """Send an event to every human who is here."""
        here = [seat.connection for seat in self.seats if seat.connection]
        await self._services.broadcaster.send(self.id, here, event, data)

    # --- the end -----------------------------------------------------------------------------------------------------
    async def close(self, reason: str) -> None:
        """End the room: a game that is still on is abandoned, everybody leaves, sockets are closed."""
        await asyncio.shield(self._begin_end(reason))

    def _begin_end(self, reason: str) -> asyncio.Task[None]:
        """A task of its own: whoever asks may be cancelled, the end may not be left half done."""
        if self._closed is None:
            self._closed = asyncio.create_task(self._end(reason))
        return self._closed

    async def _end(self, reason: str) -> None:
        if self._removal:
            self._removal.cancel()
        if self._broken:
            await self._monitor.record_game_error(self.id, self._broken, room_id=self.id)
        was_on = self.game_is_on
        if self._game:
            await self._game.abandon(reason)
        if was_on:
            await self.broadcast("game_ended", {"abandoned": True, "reason": reason})
        for seat in self.seats:
            self._record.player_left(self.id, seat.name, seat.is_bot)
            await self._monitor.record_player_left(self.id, seat.name, is_bot=seat.is_bot)
            if seat.connection:
                seat.connection.close(NORMAL)
        self._record.room_closed(self.id, reason)
        await self._monitor.record_room_closed(self.id, reason=reason)
        await self._on_closed(self)

    def _watch_for_emptiness(self, least: float = LEAST_GRACE) -> None:
        """Start the removal when the last human is gone, stop it when one is back."""
        empty = not any(seat.connection for seat in self.seats)
        if empty and self._removal is None:
            self._removal = create_detached_task(self._remove_after(self._services.pace.grace(EMPTY_ROOM, least)))
        elif not empty and self._removal:
            self._removal.cancel()
            self._removal = None

    async def _remove_after(self, seconds: float) -> None:
        await wait(seconds)
        await self.close("empty")

    def _failed(self, broken: Exception) -> None:
        _log.error("room %s broke", self.id, exc_info=broken)
        self._services.failures.append(broken)
        self._broken = broken
        self._begin_end("error")

    async def _pass_on_host(self, leaving: str) -> None:
        if self.host != leaving:
            return
        self.host = next((seat.name for seat in self.seats if seat.connection), None)
        if self.host:
            await self.broadcast("host_changed", {"host": self.host})

    def _seat(self, name: str) -> Seat | None:
        return next((seat for seat in self.seats if seat.name == name), None)
