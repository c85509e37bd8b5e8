"""The lobby: all rooms, and the sockets of those who look for one."""

from __future__ import annotations

import asyncio
from typing import Any

from examples.common.chance import seeded
from examples.common.sockets import Connection, Refused
from examples.liap_tui.room import Room
from examples.liap_tui.services import Services

LOBBY = "lobby"


class Lobby:
    """Opens and finds rooms; tells everyone in the lobby about them."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.rooms: dict[str, Room] = {}
        self.connections: set[Connection] = set()
        self._ids = seeded(services.settings.seed, "rooms")
        self._quiet = asyncio.Event()
        self._quiet.set()

    async def create_room(self, host: str, target: object = None) -> Room:
        """Open a room with its host.

        Parameters:
            target: points that end its game, for a short one; the server's own where not given.

        Raises:
            Refused: if the target is no number of points, or more than the server's.
        """
        most = self.services.settings.target
        if target is None:
            target = most
        if not isinstance(target, int) or not 1 <= target <= most:
            raise Refused(f"a game ends at 1 to {most} points")
        room_id = f"{self._ids.getrandbits(24):06X}"
        while room_id in self.rooms:
            room_id = f"{self._ids.getrandbits(24):06X}"
        room = self.rooms[room_id] = Room(room_id, self.services, self._on_closed, target)
        self._quiet.clear()
        await room.open(host)
        await self.tell_rooms()
        return room

    def room(self, room_id: object) -> Room:
        """The room of that id.

        Raises:
            Refused: if there is none.
        """
        room = self.rooms.get(room_id) if isinstance(room_id, str) else None
        if room is None:
            raise Refused("no such room")
        return room

    def room_list(self) -> dict[str, Any]:
        """Every room's summary."""
        return {"rooms": [room.summary() for room in self.rooms.values()]}

    async def tell_rooms(self) -> None:
        """Send the list of rooms to everyone in the lobby."""
        await self.services.broadcaster.send(LOBBY, self.connections, "room_list_update", self.room_list())

    async def close_rooms(self, reason: str) -> None:
        """End every room."""
        await asyncio.gather(*(room.close(reason) for room in list(self.rooms.values())))

    async def wait_quiet(self) -> None:
        """Wait until there is no room."""
        await self._quiet.wait()

    async def _on_closed(self, room: Room) -> None:
        del self.rooms[room.id]
        await self.tell_rooms()
        if not self.rooms:
            self._quiet.set()
