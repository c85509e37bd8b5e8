"""The server: FastAPI, one WebSocket endpoint for the lobby and the rooms, and what each message asks for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, FastAPI, WebSocket

from examples.common.sockets import NORMAL, Connection, Incoming, Refused
from examples.common.wire import WireRecord
from examples.liap_tui.lobby import LOBBY, Lobby
from examples.liap_tui.record import LiapTuiRecord
from examples.liap_tui.room import Room
from examples.liap_tui.services import Services, Settings
from otel_setup import CorrelationMiddleware, prometheus_router

if TYPE_CHECKING:
    from otel_setup import EnterpriseMonitor

MAX_NAME = 64
"""Characters of a player's name; which characters is up to the player."""

RECEIVED = (
    "ping",
    "request_room_list",
    "client_ready",
    "create_room",
    "join_room",
    "add_bot",
    "remove_player",
    "leave_room",
    "start_game",
    "declare",
    "play",
    "request_redeal",
    "accept_redeal",
    "decline_redeal",
    "leave_game",
    "ack",
    "sync_request",
)
TRANSMITTED = (
    "phase_change",
    "room_created",
    "room_joined",
    "room_update",
    "room_list_update",
    "game_started",
    "game_ended",
    "turn_complete",
    "player_disconnected",
    "player_reconnected",
    "host_changed",
    "play_rejected",
    "error",
    "pong",
)

Data = dict[str, Any]


def build_app(monitor: EnterpriseMonitor, record: LiapTuiRecord, settings: Settings | None = None) -> FastAPI:
    """The game server as an ASGI application; ``app.state.lobby`` is its lobby.

    Parameters:
        monitor: told everything, from start to stop of the application.
        record: the game's own record.
        settings: see ``Settings``.
    """
    services = Services.make(monitor, record, settings or Settings())

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await monitor.start()
        yield
        await lobby.close_rooms("shutdown")
        await monitor.stop()
        record.close()

    # The server's own spans per request are enough; FastAPI's internal ones would only cost.
    app = FastAPI(title="Liap Tui", lifespan=lifespan, telemetry={"operation_spans": False})
    lobby = app.state.lobby = Lobby(services)
    app.add_middleware(WireRecord, record=record, received=RECEIVED, transmitted=TRANSMITTED)
    app.add_middleware(CorrelationMiddleware)
    app.include_router(prometheus_router)
    app.include_router(_http_routes(lobby))

    @app.websocket("/ws/{room_id}")
    async def socket(websocket: WebSocket, room_id: str) -> None:
        connection = Connection(websocket, room_id, monitor)
        async with connection.session():
            if room_id == LOBBY:
                await _serve_lobby(lobby, connection)
            else:
                await _serve_room(lobby, connection)

    return app


def _http_routes(lobby: Lobby) -> APIRouter:
    routes = APIRouter()

    @routes.get("/healthz")
    async def healthz() -> Data:
        return {"status": "ok", "rooms": len(lobby.rooms)}

    @routes.get("/api/rooms")
    async def rooms() -> Data:
        return lobby.room_list()

    return routes


# --- the lobby -------------------------------------------------------------------------------------------------------
async def _serve_lobby(lobby: Lobby, connection: Connection) -> None:
    lobby.connections.add(connection)
    try:
        async for message in connection.messages():
            with connection.handling(message):
                try:
                    await _lobby_message(lobby, connection, message)
                except Refused as refused:
                    connection.send("error", {"message": str(refused)})
    finally:
        lobby.connections.discard(connection)


async def _lobby_message(lobby: Lobby, connection: Connection, message: Incoming) -> None:
    match message.event:
        case "ping":
            connection.send("pong", {})
        case "client_ready" | "request_room_list":
            connection.send("room_list_update", lobby.room_list())
        case "create_room":
            room = await lobby.create_room(_name(message.data), message.data.get("target"))
            connection.send("room_created", {"room_id": room.id})
        case "join_room":
            room = lobby.room(message.data.get("room_id"))
            await room.take_seat(_name(message.data))
            connection.send("room_joined", {"room_id": room.id})
            await room.broadcast("room_update", room.view())
            await lobby.tell_rooms()
        case "ack":
            pass
        case _:
            raise Refused("not possible in the lobby")


# --- a room ----------------------------------------------------------------------------------------------------------
ACTIONS: dict[str, tuple[str, Callable[[Data], Data]]] = {
    "declare": ("declare", lambda data: data),
    "play": ("play_pieces", lambda data: data),
    "request_redeal": ("redeal_request", lambda _: {}),
    "accept_redeal": ("redeal_response", lambda _: {"accept": True}),
    "decline_redeal": ("redeal_response", lambda _: {"accept": False}),
}


async def _serve_room(lobby: Lobby, connection: Connection) -> None:
    """A room's socket: the first message says who it is, the rest is that player's."""
    try:
        room = lobby.room(connection.room_id)
    except Refused as refused:
        connection.refuse(refused)
        return
    name = await _attach(room, connection)
    if name is None:
        return
    try:
        await room.broadcast("room_update", room.view())
        async for message in connection.messages():
            with connection.handling(message):
                try:
                    await _room_message(room, connection, name, message)
                except Refused as refused:
                    connection.send("error", {"message": str(refused)})
    finally:
        await room.detach(connection)
        if room.id in lobby.rooms and not room.game_is_on:
            await room.broadcast("room_update", room.view())
            await lobby.tell_rooms()


async def _attach(room: Room, connection: Connection) -> str | None:
    """Who the socket belongs to; None where it closed before it said so, or is refused."""
    message = await connection.receive()
    if message is None:
        return None
    with connection.handling(message):
        try:
            name = _who(message)
            room.attach(connection, name)
        except Refused as refused:
            connection.refuse(refused)
            return None
    return name


def _who(message: Incoming) -> str:
    if message.event != "client_ready":
        raise Refused("client_ready comes first")
    return _name(message.data)


async def _room_message(room: Room, connection: Connection, name: str, message: Incoming) -> None:
    event, data = message.event, message.data
    if event in ACTIONS:
        action_type, arguments = ACTIONS[event]
        room.act(action_type, name, arguments(data))
    elif event in _REQUESTS:
        await _REQUESTS[event](room, connection, name, data)
    elif event != "ack":
        raise Refused("not possible in a room")


async def _ping(room: Room, connection: Connection, name: str, data: Data) -> None:
    connection.send("pong", {})


async def _sync(room: Room, connection: Connection, name: str, data: Data) -> None:
    if room.game_is_on:
        room.act("game_state_update", name, {})
    else:
        connection.send("room_update", room.view())


async def _add_bot(room: Room, connection: Connection, name: str, data: Data) -> None:
    _only_host(room, name)
    await room.add_bot()
    await room.broadcast("room_update", room.view())


async def _remove_player(room: Room, connection: Connection, name: str, data: Data) -> None:
    _only_host(room, name)
    await room.free_seat(_name(data))
    await room.broadcast("room_update", room.view())


async def _start_game(room: Room, connection: Connection, name: str, data: Data) -> None:
    _only_host(room, name)
    await room.start_game()


async def _leave(room: Room, connection: Connection, name: str, data: Data) -> None:
    """Outside a game the seat is free again. Inside, the host's leaving ends it; a bot plays on for anyone else."""
    if not room.game_is_on:
        await room.free_seat(name)
    elif room.host == name:
        await room.close("host_left")
    else:
        connection.close(NORMAL)


_REQUESTS: dict[str, Callable[[Room, Connection, str, Data], Awaitable[None]]] = {
    "ping": _ping,
    "sync_request": _sync,
    "add_bot": _add_bot,
    "remove_player": _remove_player,
    "start_game": _start_game,
    "leave_room": _leave,
    "leave_game": _leave,
}


def _only_host(room: Room, name: str) -> None:
    if room.host != name:
        raise Refused("only the host may do that")


def _name(data: Data) -> str:
    name = data.get("player_name")
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME:
        raise Refused(f"player_name must be a text of 1 to {MAX_NAME} characters")
    return name
