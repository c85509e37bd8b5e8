"""The server: matches are made over HTTP, played over one WebSocket each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, FastAPI, WebSocket
from pydantic import BaseModel, Field

from examples.arena.match import Match, Services, Settings
from examples.arena.protocol import RECEIVED, TRANSMITTED
from examples.arena.record import ArenaRecord
from examples.common.chance import seeded
from examples.common.pace import Pace
from examples.common.sockets import Broadcaster, Connection, Incoming, Refused
from examples.common.wire import WireRecord
from otel_setup import CorrelationMiddleware, prometheus_router

if TYPE_CHECKING:
    from otel_setup import EnterpriseMonitor

MAX_NAME = 64
"""Characters of a player's name; which characters is up to the player."""
MAX_FIGHTERS = 16


class NewMatch(BaseModel):
    """What ``POST /matches`` takes."""

    size: int = Field(ge=2, le=MAX_FIGHTERS)


class Arena:
    """All matches."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.matches: dict[str, Match] = {}
        self._ids = seeded(services.settings.seed, "matches")
        self._quiet = asyncio.Event()
        self._quiet.set()

    async def create(self, size: int) -> str:
        """Open a match; its id."""
        match_id = f"m{self._ids.getrandbits(40):010x}"
        match = self.matches[match_id] = Match(match_id, size, self.services, self._closed)
        self._quiet.clear()
        await match.open()
        return match_id

    def match(self, match_id: str) -> Match:
        """The match of that id.

        Raises:
            Refused: if there is none.
        """
        if match_id not in self.matches:
            raise Refused("no such match")
        return self.matches[match_id]

    async def close(self, reason: str) -> None:
        """End every match."""
        await asyncio.gather(*(match.close(reason) for match in list(self.matches.values())))

    async def wait_quiet(self) -> None:
        """Wait until there is no match."""
        await self._quiet.wait()

    def _closed(self, match: Match) -> None:
        del self.matches[match.id]
        if not self.matches:
            self._quiet.set()


def build_app(monitor: EnterpriseMonitor, record: ArenaRecord, settings: Settings | None = None) -> FastAPI:
    """The game server as an ASGI application; ``app.state.arena`` holds its matches.

    Parameters:
        monitor: told everything, from start to stop of the application.
        record: the game's own record.
        settings: see ``Settings``.
    """
    settings = settings or Settings()
    arena = Arena(Services(settings, monitor, record, Pace(settings.speed), Broadcaster(record, monitor)))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await monitor.start()
        yield
        await arena.close("shutdown")
        await monitor.stop()
        record.close()

    # The server's own spans per request are enough; FastAPI's internal ones would only cost.
    app = FastAPI(title="Arena", lifespan=lifespan, telemetry={"operation_spans": False})
    app.state.arena = arena
    app.add_middleware(WireRecord, record=record, received=RECEIVED, transmitted=TRANSMITTED)
    app.add_middleware(CorrelationMiddleware)
    app.include_router(prometheus_router)
    app.include_router(_http_routes(arena))

    @app.websocket("/ws/{match_id}")
    async def socket(websocket: WebSocket, match_id: str) -> None:
        connection = Connection(websocket, match_id, monitor)
        async with connection.session():
            await _serve(arena, connection)

    return app


def _http_routes(arena: Arena) -> APIRouter:
    routes = APIRouter()

    @routes.post("/matches")
    async def new_match(wanted: NewMatch) -> dict[str, str]:
        return {"match_id": await arena.create(wanted.size)}

    @routes.get("/matches")
    async def matches() -> dict[str, str]:
        return {match.id: match.phase for match in arena.matches.values()}

    return routes


async def _serve(arena: Arena, connection: Connection) -> None:
    """A match's socket: the first message says who it is, the rest is that fighter's."""
    message = await connection.receive()
    if message is None:
        return
    with connection.handling(message):
        try:
            match, name = arena.match(connection.room_id), _name(message)
            await match.join(connection, name)
        except Refused as refused:
            connection.refuse(refused)
            return
    try:
        async for message in connection.messages():
            with connection.handling(message):
                try:
                    await _message(match, connection, name, message)
                except Refused as refused:
                    connection.send("error", {"message": str(refused)})
    finally:
        await match.detach(connection)


async def _message(match: Match, connection: Connection, name: str, message: Incoming) -> None:
    if message.event in ("fire", "dash", "respawn"):
        match.act(message.event, name, message.data)
    elif message.event == "ping":
        connection.send("pong", {})
    elif message.event == "leave":
        await match.leave(name)
    else:
        raise Refused("not possible in a match")


def _name(message: Incoming) -> str:
    name: Any = message.data.get("name")
    if message.event != "join" or not isinstance(name, str) or not 0 < len(name) <= MAX_NAME:
        raise Refused(f"join with a name of 1 to {MAX_NAME} characters comes first")
    return name
