"""Sockets of the websockets library's own server, without ASGI: their spans, their links, their correlation."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from opentelemetry import trace
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

import otel_setup
from otel_setup.asgi import create_detached_task, message_span, socket_connection
from otel_setup.core import Core
from otel_setup.testing import Recorded
from tests.otel_setup.asgi.support import (
    CONSUMER,
    HOSTILE_CORRELATION_IDS,
    HOSTILE_TRACEPARENTS,
    INTERNAL,
    PARENT,
    SERVER,
    TRACE,
    TRACEPARENT,
    Exported,
    attributes_of,
    identity,
    linked,
    until,
)

Handler = Callable[[ServerConnection], Awaitable[None]]


@asynccontextmanager
async def served(handler: Handler) -> AsyncIterator[str]:
    """The handler behind a real server; its address."""
    async with serve(handler, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()[:2]
        yield f"ws://{host}:{port}"


async def echo(websocket: ServerConnection) -> None:
    with socket_connection(websocket):
        async for message in websocket:
            await websocket.send(message)


async def fail(websocket: ServerConnection) -> None:
    with socket_connection(websocket):
        raise LookupError("no such piece")


async def leave(websocket: ServerConnection) -> None:
    with socket_connection(websocket):
        pass


async def read_on(websocket: ServerConnection) -> None:
    with socket_connection(websocket):
        while True:
            await websocket.recv()  # raises when the client has gone


async def test_a_hundred_actions_are_a_hundred_traces_linked_to_their_connection(
    exported: Exported, telemetry: Recorded
) -> None:
    queue: asyncio.Queue[Any] = asyncio.Queue()

    async def play() -> None:
        while (token := await queue.get()) is not None:
            async with telemetry.monitor.monitor_action_processing("g1", "play", "ann", token=token):
                pass

    async def handler(websocket: ServerConnection) -> None:
        with socket_connection(websocket) as connection:
            game = create_detached_task(play())
            async for text in websocket:
                with message_span(connection, json.loads(text)["event"]):
                    queue.put_nowait(telemetry.monitor.capture())
            queue.put_nowait(None)
            await game

    async with served(handler) as address:
        for times in (100, 7):
            async with connect(address, proxy=None) as client:
                for _ in range(times):
                    await client.send('{"event": "play"}')
    actions = exported.named("action.play_pieces")
    messages = {identity(span): span for span in exported.named("websocket.message.play")}
    connections = {identity(span): 0 for span in exported.named("websocket.connect")}
    assert (len(actions), len(messages), len(connections)) == (107, 107, 2)
    assert len({action.trace_id for action in actions}) == 107
    for action in actions:
        message = messages[action.trace_id, action.parent_span_id]
        assert (message.kind, message.parent_span_id) == (CONSUMER, b"")
        assert attributes_of(action)["correlation.id"] == attributes_of(message)["correlation.id"]
        (connection,) = linked(message)
        connections[connection] += 1
    assert list(connections.values()) == [100, 7]


async def test_short_spans_at_both_ends_of_a_socket(exported: Exported) -> None:
    headers = {"traceparent": TRACEPARENT, "X-Correlation-ID": "from-client"}
    async with served(echo) as address:
        async with connect(f"{address}/rooms/r1?secret=1", additional_headers=headers, proxy=None) as client:
            await client.send("hello")
            await client.recv()
            (opened,) = exported.spans()  # over before the first message
        await until(lambda: len(exported.spans()) == 2)
    (closed,) = exported.named("websocket.close")
    assert (opened.name, opened.kind) == ("websocket.connect", SERVER)
    assert (opened.trace_id.hex(), opened.parent_span_id.hex()) == (TRACE, PARENT)
    told = attributes_of(opened)
    assert (told["url.path"], told["url.scheme"], told["correlation.id"]) == ("/rooms/r1", "ws", "from-client")
    assert (told["network.protocol.name"], told["http.response.status_code"]) == ("websocket", 101)
    assert (closed.kind, closed.parent_span_id, linked(closed)) == (INTERNAL, b"", [identity(opened)])
    assert closed.trace_id != opened.trace_id
    ended = attributes_of(closed)
    assert (ended["connection.id"], ended["correlation.id"]) == (told["connection.id"], "from-client")
    assert ended["connection.close_code"] == 1000


@pytest.mark.parametrize(
    ("handler", "client_closes", "code", "error"),
    [
        (echo, 1001, 1001, None),
        (echo, 4321, 4321, None),
        (read_on, 1001, 1001, None),  # the library tells a reader by an exception
        (read_on, 4321, 4321, None),
        (leave, None, 1000, None),
        (fail, None, 1011, "LookupError"),
    ],
)
async def test_the_close_span_has_the_code_the_client_sees(
    exported: Exported, handler: Handler, client_closes: int | None, code: int, error: str | None
) -> None:
    async with served(handler) as address:
        async with connect(address, proxy=None) as client:
            if client_closes is None:
                await client.wait_closed()
            else:
                await client.close(client_closes)
            assert client.close_code == code
        await until(lambda: exported.named("websocket.close"))
    (closed,) = exported.named("websocket.close")
    told = attributes_of(closed)
    assert (told["connection.close_code"], told.get("error.type")) == (code, error)
    assert closed.status.code == (2 if error else 0)


async def test_no_span_is_current_in_a_handler_and_its_correlation_is_its_own(exported: Exported) -> None:
    seen: list[tuple[bool, str | None]] = []

    async def handler(websocket: ServerConnection) -> None:
        with socket_connection(websocket):
            seen.append((trace.get_current_span().get_span_context().is_valid, otel_setup.get_correlation_id()))
        seen.append((False, otel_setup.get_correlation_id()))

    async with served(handler) as address:
        for _ in range(2):
            async with connect(address, proxy=None) as client:
                await client.wait_closed()
    (first, after_first, second, after_second) = seen
    assert not first[0]
    assert first[1] not in (None, second[1])
    assert (after_first[1], after_second[1]) == (None, None)


async def test_hostile_headers_begin_anew(exported: Exported) -> None:
    async with served(leave) as address:
        for traceparent in HOSTILE_TRACEPARENTS[1:]:  # a client cannot send an empty one
            async with connect(address, additional_headers={"traceparent": traceparent}, proxy=None) as client:
                await client.wait_closed()
        for value in (own for own in HOSTILE_CORRELATION_IDS if own.isascii()):
            async with connect(address, additional_headers={"X-Correlation-ID": value}, proxy=None) as client:
                await client.wait_closed()
        opened = exported.named("websocket.connect")
    assert {span.parent_span_id for span in opened} == {b""}
    assert all(attributes_of(span)["correlation.id"].startswith("corr_") for span in opened)


class Odd:
    """Something with less than a connection has, and more trouble."""

    path = property(lambda self: 1 / 0)

    @property
    def request(self) -> Any:
        return self

    @property
    def headers(self) -> Any:
        raise ZeroDivisionError


@pytest.mark.parametrize("websocket", [None, object(), Odd()])
async def test_whatever_the_socket_is_the_handler_runs(exported: Exported, telemetry: Recorded, websocket: Any) -> None:
    with socket_connection(websocket) as connection, message_span(connection, "play"):
        ran = True
    assert ran
    with pytest.raises(LookupError), socket_connection(websocket):
        raise LookupError


async def test_broken_monitoring_is_counted_and_harms_nobody(
    telemetry: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    class BrokenTracer:
        @staticmethod
        def start_span(*_: Any, **__: Any) -> Any:
            raise ZeroDivisionError("monitoring is broken")

    monkeypatch.setattr(Core, "tracer", BrokenTracer())
    async with served(echo) as address, connect(address, proxy=None) as client:
        await client.send("x")
        assert await client.recv() == "x"
    assert telemetry.monitor.core.faults.counts["tracing"] > 0
