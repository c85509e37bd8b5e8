"""Monitoring that is broken, and applications that fail: neither touches the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import websockets
from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute

import otel_setup
from otel_setup.asgi import ObservabilityMiddleware, http, message_span, websocket
from otel_setup.asgi.semconv import Describer
from otel_setup.asgi.totals import SOCKETS, SocketTotals
from otel_setup.core import Core
from otel_setup.testing import Recorded
from tests.otel_setup.asgi.support import Exported, serving, until
from tests.otel_setup.asgi.test_http import room
from tests.otel_setup.asgi.test_websocket import echo

ROUTES = [Route("/rooms/{room_id}", room), WebSocketRoute("/ws", echo)]


def broken(*_: Any, **__: Any) -> Any:
    raise ZeroDivisionError("monitoring is broken")


class BrokenTracer:
    start_span = staticmethod(broken)


BREAKAGES: dict[str, Callable[[pytest.MonkeyPatch], object]] = {
    "tracer": lambda patch: patch.setattr(Core, "tracer", BrokenTracer()),
    "extraction": lambda patch: (
        patch.setattr(http, "from_headers", broken),
        patch.setattr(websocket, "from_headers", broken),
    ),
    "description": lambda patch: (
        patch.setattr(Describer, "request", broken),
        patch.setattr(Describer, "handshake", broken),
        patch.setattr(Describer, "measurement", broken),
    ),
    "routes": lambda patch: patch.setattr(http.Requests, "route", broken),
    "histogram": lambda patch: patch.setattr(http.Requests, "measure", broken),
    "detection": lambda patch: patch.setattr("otel_setup.asgi.native.around", broken),
    "counts": lambda patch: (
        patch.setattr(SocketTotals, "opened", broken),
        patch.setattr(SocketTotals, "closed", broken),
        patch.setattr(websocket, "size_of", broken),
    ),
}


@pytest.mark.parametrize("breakage", BREAKAGES)
async def test_the_application_does_not_notice(
    telemetry: Recorded, monkeypatch: pytest.MonkeyPatch, breakage: str
) -> None:
    BREAKAGES[breakage](monkeypatch)
    async with serving(ObservabilityMiddleware(Starlette(routes=ROUTES))) as address:
        async with httpx.AsyncClient(base_url=f"http://{address}") as client:
            assert (await client.get("/rooms/1")).text.startswith("room 1 corr_")
        async with websockets.connect(f"ws://{address}/ws") as socket:
            await socket.send("x")
            assert await socket.recv() == "x"
        with message_span({}, "play"):
            pass
    faults = telemetry.monitor.core.faults.counts
    assert faults["tracing"] + faults["measures"] > 0


@pytest.mark.parametrize("error", [LookupError("mine"), asyncio.CancelledError("mine"), KeyboardInterrupt("mine")])
@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_what_the_application_raises_passes_unchanged(
    telemetry: Recorded, error: BaseException, kind: str
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        await ObservabilityMiddleware(app)({"type": kind, "path": "/", "headers": []}, broken, broken)
    assert raised.value is error


async def test_a_failing_send_and_receive_are_the_application_s_to_handle(telemetry: Recorded) -> None:
    caught: list[str] = []

    async def gone(*_: Any) -> Any:
        raise OSError("gone")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for call in (lambda: send({"type": "websocket.accept"}), lambda: send({"type": "websocket.send"}), receive):
            try:
                await call()
            except OSError as error:
                caught.append(str(error))

    await ObservabilityMiddleware(app)({"type": "websocket", "path": "/", "headers": []}, gone, gone)
    assert caught == ["gone"] * 3
    assert (SOCKETS.active(), SOCKETS.total("pending")) == (0, 0)


async def test_a_strange_scope_type_passes_through(telemetry: Recorded) -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((dict(scope), receive, send))

    await ObservabilityMiddleware(app)({"type": "quic"}, broken, broken)
    assert seen == [({"type": "quic"}, broken, broken)]


async def test_requests_leave_nothing_behind(exported: Exported) -> None:
    async with serving(ObservabilityMiddleware(Starlette(routes=ROUTES))) as address:
        for _ in range(20):
            async with websockets.connect(f"ws://{address}/ws") as socket:
                await socket.send("x")
                await socket.recv()
    assert SOCKETS.active() == 0


async def test_a_collector_that_hangs_holds_up_nobody(telemetry: Recorded) -> None:
    """It takes connections and never answers; whoever waited for an export would still be waiting at the end."""
    connected: list[asyncio.StreamWriter] = []

    async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.append(writer)

    collector = await asyncio.start_server(hang, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{collector.sockets[0].getsockname()[1]}"
    handle = otel_setup.configure(collector=url, export_timeout=3600.0, batch_delay=0.01, shutdown_timeout=0.1)
    try:
        async with serving(ObservabilityMiddleware(Starlette(routes=ROUTES))) as address:
            async with httpx.AsyncClient(base_url=f"http://{address}") as client:
                for number in range(50):
                    assert (await client.get(f"/rooms/{number}")).status_code == 200
                await until(lambda: connected)
                assert (await client.get("/rooms/1")).status_code == 200
            async with websockets.connect(f"ws://{address}/ws") as socket:
                for _ in range(50):
                    await socket.send("x")
                    assert await socket.recv() == "x"
        assert sum(handle.core.exports.accepted.values()) == 0
    finally:
        await asyncio.to_thread(handle.shutdown)
        for writer in connected:
            writer.close()
        collector.close()


def test_an_illegal_header_name_is_refused() -> None:
    with pytest.raises(ValueError, match="header_name"):
        ObservabilityMiddleware(broken, header_name="X Correlation")
