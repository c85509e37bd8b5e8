"""A lobby that asks game servers, each a process of its own: by HTTP, and by a message on a socket.

``python -m tests.e2e.two_services lobby --port 8000 --collector URL``, and so ``game`` (FastAPI, which instruments
itself) and ``bare`` (the websockets library alone). The lobby is told whom to ask by the request.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import uuid
from collections.abc import Iterable

import httpx
import uvicorn
import websockets
from fastapi import FastAPI, Request, WebSocket
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request as Handshake
from websockets.http11 import Response

import otel_setup
from otel_setup import inject_context, message_span
from otel_setup.asgi import socket_connection

HOST = "127.0.0.1"
PROPAGATED = ("traceparent", "tracestate", "baggage", "b3", "x-b3-traceid")
log = logging.getLogger("service")
monitor = otel_setup.get_enterprise_monitor()


def lobby() -> FastAPI:
    app = FastAPI(telemetry={"operation_spans": False})

    @app.get("/ready")
    async def ready() -> None: ...

    @app.post("/by-http")
    async def by_http(game: str) -> list[str]:
        await monitor.record_room_created(uuid.uuid4().hex)
        log.warning("asking by http")
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.post(f"{game}/games", headers=inject_context({}))
        found: list[str] = answer.json()
        return found

    @app.post("/by-message")
    async def by_message(game: str) -> list[str]:
        await monitor.record_room_created(uuid.uuid4().hex)
        log.warning("asking by message")
        async with websockets.connect(game, proxy=None) as socket:
            await socket.send(json.dumps({"event": "play", "context": inject_context({})}))
            found: list[str] = json.loads(await socket.recv())
        return found

    return app


async def act() -> None:
    async with monitor.monitor_action_processing("g1", "declare", "p1"):
        log.warning("acting")


def propagated(names: Iterable[str]) -> list[str]:
    """What of a carrier propagates a trace."""
    return sorted({name.lower() for name in names} & set(PROPAGATED))


def game() -> FastAPI:
    app = FastAPI(telemetry={"operation_spans": False})

    @app.get("/ready")
    async def ready() -> None: ...

    @app.post("/games")
    async def create(request: Request) -> list[str]:
        await act()
        return propagated(request.headers)

    @app.websocket("/ws")
    async def play(websocket: WebSocket) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            message = json.loads(text)
            with message_span(websocket, message["event"], message["context"]):
                await act()
            await websocket.send_json(propagated(message["context"]))

    return app


async def bare(port: int) -> None:
    async def handler(websocket: ServerConnection) -> None:
        with socket_connection(websocket) as connection:
            async for text in websocket:
                message = json.loads(text)
                with message_span(connection, message["event"], message["context"]):
                    await act()
                await websocket.send(json.dumps(propagated(message["context"])))

    def ready(connection: ServerConnection, request: Handshake) -> Response | None:
        return connection.respond(200, "") if request.path == "/ready" else None

    async with serve(handler, HOST, port, process_request=ready) as server:
        await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.two_services")
    parser.add_argument("service", choices=("lobby", "game", "bare"))
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--collector", required=True, metavar="URL")
    args = parser.parse_args()
    telemetry = otel_setup.configure(service=args.service, collector=args.collector)
    asyncio.run(monitor.record_game_start("g1", "r1", player_count=1, bot_count=0))
    if args.service == "bare":
        asyncio.run(bare(args.port))
    else:
        app = lobby() if args.service == "lobby" else game()
        uvicorn.run(telemetry.asgi(app), host=HOST, port=args.port, log_level="warning")


if __name__ == "__main__":
    main()
