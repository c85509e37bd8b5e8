"""A player's socket, over the network like any other client's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.request import Request, urlopen

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

Data = dict[str, Any]


class Gone(Exception):
    """The server has closed the socket."""


class Client:
    """One open socket: JSON ``{event, data}`` both ways."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    async def send(self, event: str, **data: Any) -> None:
        """Send a message; one that comes too late is nobody's loss, the next ``receive`` tells."""
        with suppress(ConnectionClosed):
            await self._socket.send(json.dumps({"event": event, "data": data}))

    async def receive(self) -> tuple[str, Data]:
        """The next message's event and data.

        Raises:
            Gone: if the server has closed the socket.
        """
        try:
            message = json.loads(await self._socket.recv())
        except ConnectionClosed as closed:
            raise Gone from closed
        return message["event"], message["data"]

    async def receive_one_of(self, *events: str) -> tuple[str, Data]:
        """The next message with one of these events, passing over others.

        Raises:
            Gone: if the server has closed the socket.
        """
        while True:
            event, data = await self.receive()
            if event in events:
                return event, data

    async def close(self, code: int = 1000) -> None:
        """Say goodbye with this close code."""
        await self._socket.close(code)

    def drop(self) -> None:
        """Vanish without a close frame, as a phone does in a tunnel."""
        self._socket.transport.abort()


@asynccontextmanager
async def connected(address: str, path: str, *, leave_with: int = 1000) -> AsyncIterator[Client]:
    """A socket to ``ws://address/path``, closed with ``leave_with`` when the block ends.

    Raises:
        OSError, websockets.exceptions.InvalidHandshake: if the server does not take the connection.
    """
    async with asyncio.timeout(30):
        socket = await connect(
            f"ws://{address}{path}", compression=None, ping_interval=None, max_queue=None, proxy=None
        )
    client = Client(socket)
    try:
        yield client
    finally:
        await client.close(leave_with)


async def post(address: str, path: str, **data: Any) -> Data:
    """The JSON that ``http://address/path`` answers to this JSON.

    Raises:
        OSError: if the server cannot be reached or refuses (``urllib.error.HTTPError``).
    """
    answer: Data = json.loads(await asyncio.to_thread(_http, address, path, json.dumps(data).encode()))
    return answer


async def get_text(address: str, path: str) -> str:
    """The text that ``http://address/path`` answers.

    Raises:
        OSError: if the server cannot be reached or refuses (``urllib.error.HTTPError``).
    """
    return await asyncio.to_thread(_http, address, path, None)


def _http(address: str, path: str, body: bytes | None) -> str:
    request = Request(f"http://{address}{path}", body, {"Content-Type": "application/json"})
    with urlopen(request, timeout=30) as answer:  # noqa: S310 - the scheme is fixed above
        text: str = answer.read().decode()
        return text
