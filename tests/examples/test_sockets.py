"""One socket at a time: what is read, written and closed is what the record and /metrics say."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from examples.common.client import get_text
from examples.common.record import expected
from examples.common.serving import MAX_MESSAGE, running
from examples.liap_tui.record import LiapTuiRecord
from examples.liap_tui.server import MAX_NAME, build_app
from examples.reconcile import from_exposition, reconcile
from otel_setup.testing import Recorded


class Server:
    """A running server with its record."""

    def __init__(self, address: str, record: LiapTuiRecord) -> None:
        self.address = address
        self.record = record

    @asynccontextmanager
    async def socket(self, path: str = "/ws/lobby") -> AsyncIterator[ClientConnection]:
        async with connect(f"ws://{self.address}{path}", proxy=None) as socket:
            yield socket

    async def closed(self, sockets: int) -> None:
        """Wait until the server has recorded so many closings."""
        async with asyncio.timeout(20):
            while self.record.total("websocket_connections_closed_total") < sockets:
                await asyncio.sleep(0.01)

    async def agrees(self) -> None:
        """The monitor's account is the record's, as soon as the last closing has reached it."""
        patience = time.monotonic() + 20
        while True:
            exposition = from_exposition(await get_text(self.address, "/metrics"), "liap_tui_")
            result = reconcile(expected(self.record), {"/metrics": exposition})
            if result.equal or time.monotonic() > patience:
                break
            await asyncio.sleep(0.1)
        assert result.equal, result.render()


@pytest.fixture
async def server(telemetry: Recorded) -> AsyncIterator[Server]:
    record = LiapTuiRecord()
    async with running(build_app(telemetry.monitor, record)) as address:
        yield Server(address, record)


async def ask(socket: ClientConnection, message: str | bytes) -> dict[str, object]:
    await socket.send(message)
    async with asyncio.timeout(20):
        answer: dict[str, object] = json.loads(await socket.recv())
        return answer


async def test_messages_and_bytes_are_those_on_the_wire(server: Server) -> None:
    ping, listing = '{"event": "ping"}', '{"event": "request_room_list", "data": {"note": "déjà vu"}}'
    async with server.socket() as socket:
        sizes = []
        for message in (ping, listing, ping):
            await socket.send(message)
            sizes.append(len(await socket.recv(decode=False)))
    await server.closed(1)
    record = server.record
    assert record.total("websocket_messages_total", direction="receive", message_type="ping") == 2
    assert record.total("websocket_io_bytes_total", direction="receive", message_type="ping") == 2 * len(ping)
    assert record.total("websocket_io_bytes_total", direction="receive") == len(f"{ping}{listing}{ping}".encode())
    assert record.total("websocket_messages_total", direction="transmit") == 3
    assert record.total("websocket_io_bytes_total", direction="transmit", message_type="pong") == sizes[0] + sizes[2]
    assert record.total("websocket_io_bytes_total", direction="transmit") == sum(sizes)
    await server.agrees()


@pytest.mark.parametrize("code", [1000, 1001, 3000])
async def test_a_clients_close_code_is_recorded(server: Server, code: int) -> None:
    async with server.socket() as socket:
        await socket.close(code)
    await server.closed(1)
    assert server.record.total("websocket_closes_total", code=str(code)) == 1


async def test_a_lost_connection_is_1006_and_a_close_without_code_1005(server: Server) -> None:
    async with server.socket() as lost:
        lost.transport.abort()
    await server.closed(1)
    assert server.record.total("websocket_closes_total", code="1006") == 1
    async with server.socket() as silent:
        silent.transport.write(b"\x88\x80\x00\x00\x00\x00")  # a masked close frame with no payload, RFC 6455 §5.5.1
        await silent.wait_closed()
    await server.closed(2)
    assert server.record.total("websocket_closes_total", code="1005") == 1
    await server.agrees()


async def test_an_unknown_room_is_refused_with_1008(server: Server) -> None:
    async with server.socket("/ws/NOROOM") as socket:
        assert json.loads(await socket.recv()) == {"event": "error", "data": {"message": "no such room"}}
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008
    await server.closed(1)
    assert server.record.total("websocket_closes_total", code="1008") == 1
    await server.agrees()


@pytest.mark.parametrize(
    "message",
    [
        b"\xff\xfe",
        "",
        "{",
        "[1, 2]",
        "null",
        '"ping"',
        '{"event": 5}',
        '{"event": ["ping"]}',
        '{"data": {}}',
        '{"event": "format_disk", "data": {}}',
        "[" * 60_000,
    ],
)
async def test_what_is_no_message_gets_an_error_and_counts_as_other(server: Server, message: str | bytes) -> None:
    async with server.socket() as socket:
        assert (await ask(socket, message))["event"] == "error"
        assert (await ask(socket, '{"event": "ping"}'))["event"] == "pong"
    await server.closed(1)
    assert server.record.total("websocket_messages_total", direction="receive", message_type="other") == 1
    await server.agrees()


@pytest.mark.parametrize("name", [None, "", 5, ["North"], "x" * (MAX_NAME + 1)])
async def test_what_is_no_name_opens_no_room(server: Server, name: object) -> None:
    async with server.socket() as socket:
        answer = await ask(socket, json.dumps({"event": "create_room", "data": {"player_name": name}}))
        assert answer["event"] == "error"
    assert server.record.total("rooms_created_total") == 0


async def test_a_message_too_large_closes_its_socket_alone(server: Server) -> None:
    async with server.socket() as other, server.socket() as socket:
        await socket.send("x" * (MAX_MESSAGE + 1))
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        await server.closed(1)
        assert (await ask(other, '{"event": "ping"}'))["event"] == "pong"
    assert server.record.total("websocket_closes_total", code="1009") == 1


async def test_stopping_the_server_closes_and_counts_every_socket(telemetry: Recorded) -> None:
    record = LiapTuiRecord()
    async with running(build_app(telemetry.monitor, record)) as address:
        server = Server(address, record)
        lobby = await connect(f"ws://{address}/ws/lobby", proxy=None)
        await ask(lobby, '{"event": "create_room", "data": {"player_name": "North"}}')
        assert server.record.total("rooms_created_total") == 1
    await lobby.wait_closed()
    assert lobby.close_code == 1012
    assert record.total("websocket_closes_total", code="1012") == 1
    assert record.total("rooms_closed_total") == record.total("players_left_total") == 1
    result = reconcile(expected(record), {"/metrics": _own(telemetry)})
    assert result.equal, result.render()


def _own(telemetry: Recorded) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (name.removeprefix("liap_tui_"), frozenset((k, v) for k, v in labels if not k.startswith("otel_scope"))): value
        for (name, labels), value in telemetry.samples().items()
    }
