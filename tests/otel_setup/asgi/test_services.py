"""A lobby service that asks a game service: one trace and one correlation id, by HTTP and by socket message."""

from __future__ import annotations

import json
from typing import Any

import httpx
import websockets
from fastapi import FastAPI, WebSocket

from otel_setup import EventType
from otel_setup.asgi import ObservabilityMiddleware, inject_context, message_span
from otel_setup.testing import Recorded
from tests.otel_setup.asgi.support import CONSUMER, SERVER, Exported, attributes_of, identity, linked, serving


def game(telemetry: Recorded) -> Any:
    app = FastAPI(telemetry={"operation_spans": False})

    @app.post("/games")
    async def create() -> str:
        async with telemetry.monitor.monitor_action_processing("g1", "declare", "ann"):
            return "made"

    @app.websocket("/ws")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            message = json.loads(text)
            with message_span(websocket, message["event"], message.get("context")):
                async with telemetry.monitor.monitor_action_processing("g1", "play", "ann"):
                    await websocket.send_text("done")

    return ObservabilityMiddleware(app)


def lobby(game_address: str) -> Any:
    app = FastAPI(telemetry={"tracing": False, "metrics": False})

    @app.post("/by-http")
    async def by_http() -> str:
        async with httpx.AsyncClient() as client:
            answer = await client.post(f"http://{game_address}/games", headers=inject_context({}))
            return answer.headers["x-correlation-id"]

    @app.post("/by-socket")
    async def by_socket() -> None:
        async with websockets.connect(f"ws://{game_address}/ws") as client:
            await client.send(json.dumps({"event": "play", "context": inject_context({})}))
            await client.recv()

    return ObservabilityMiddleware(app)


async def test_by_http(exported: Exported, telemetry: Recorded) -> None:
    async with (
        serving(game(telemetry)) as game_address,
        serving(lobby(game_address)) as address,
        httpx.AsyncClient() as client,
    ):
        answer = await client.post(f"http://{address}/by-http")
    correlation_id = answer.headers["x-correlation-id"]
    assert answer.json() == correlation_id
    spans = {span.name: span for span in exported.spans()}
    asked, made, action = spans["POST /by-http"], spans["POST /games"], spans["action.declare"]
    assert len(exported.spans(SERVER)) == 2
    assert (made.trace_id, made.parent_span_id) == identity(asked)
    assert (action.trace_id, action.parent_span_id) == identity(made)
    (event,) = telemetry.events(EventType.ACTION_COMPLETED)
    assert (event.correlation_id, event.trace_id) == (correlation_id, asked.trace_id.hex())


async def test_by_socket_message(exported: Exported, telemetry: Recorded) -> None:
    async with (
        serving(game(telemetry)) as game_address,
        serving(lobby(game_address)) as address,
        httpx.AsyncClient() as client,
    ):
        answer = await client.post(f"http://{address}/by-socket")
    correlation_id = answer.headers["x-correlation-id"]
    spans = {span.name: span for span in exported.spans()}
    asked, message, action = spans["POST /by-socket"], spans["websocket.message.play"], spans["action.play_pieces"]
    assert (message.kind, message.trace_id, message.parent_span_id) == (CONSUMER, *identity(asked))
    assert (action.trace_id, action.parent_span_id) == identity(message)
    assert linked(message) == [identity(spans["websocket.connect"])]
    assert attributes_of(message)["correlation.id"] == correlation_id
    (event,) = telemetry.events(EventType.ACTION_COMPLETED)
    assert (event.correlation_id, event.trace_id) == (correlation_id, asked.trace_id.hex())
