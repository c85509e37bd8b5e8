"""A hub over real sockets in this process, and a reader of its streams that knows nothing but the standard's text."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from otel_setup.events.record import SystemEvent
from otel_setup.hub.app import build_app
from otel_setup.hub.connections import Limits, protocol_with
from otel_setup.hub.engine import Hub
from otel_setup.hub.security import Tokens
from otel_setup.hub.settings import HubSettings
from tests.otel_setup.hub.app_support import request

SOON = 20.0
"""Seconds after which a test that waits in vain has failed."""
PROTOBUF = "application/x-protobuf"


@dataclass
class Frame:
    """One event of a stream of server-sent events."""

    event: str = "message"
    data: str = ""
    id: str = ""

    @property
    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.data))

    @property
    def number(self) -> int:
        """The server's number of the event in it."""
        return int(self.json["event_id"].rpartition("-")[2])


@dataclass
class Stream:
    """What a reader received: parsed as the HTML standard says (9.2.6), from bytes cut anywhere."""

    response: httpx.Response
    frames: list[Frame] = field(default_factory=list)
    comments: int = 0
    retry: int | None = None
    writes: int = 0
    closed: bool = False
    error: Exception | None = None
    _task: asyncio.Task[None] | None = None
    _more: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def read(self) -> None:
        try:
            frame, pending = Frame(), b""
            async for chunk in self.response.aiter_raw():
                self.writes += 1
                pending += chunk
                *lines, pending = pending.split(b"\n")
                for line in lines:
                    frame = self._line(frame, line.decode())
                async with self._more:
                    self._more.notify_all()
        except Exception as error:
            self.error = error
        finally:
            self.closed = True
            async with self._more:
                self._more.notify_all()

    def _line(self, frame: Frame, line: str) -> Frame:
        if not line:
            if frame.data:
                self.frames.append(frame)
            return Frame()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not name:
            self.comments += 1
        elif name == "retry":
            self.retry = int(value)
        elif name == "data":
            frame.data += ("\n" if frame.data else "") + value
        else:
            setattr(frame, name, value)
        return frame

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(SOON), self._more:
            await self._more.wait_for(lambda: condition() or self.closed)
        assert condition(), (self.error, self.frames[-3:])

    async def events(self, count: int) -> list[Frame]:
        """The first so many, bookmarks aside."""
        await self.until(lambda: len(self.told()) >= count)
        return self.told()[:count]

    def told(self) -> list[Frame]:
        return [frame for frame in self.frames if frame.event != "stream.bookmark"]

    def numbers(self) -> list[int]:
        return [frame.number for frame in self.frames if frame.event == "game.started"]

    async def end(self) -> None:
        await self.until(lambda: self.closed)


class Served:
    """A hub that answers at an address."""

    def __init__(self, hub: Hub, server: uvicorn.Server, port: int, client: httpx.AsyncClient) -> None:
        self.hub = hub
        self.server = server
        self.port = port
        self.client = client

    async def send(self, *events: SystemEvent, instance: str = "server1") -> httpx.Response:
        body = request(events, instance).SerializeToString()
        return await self.client.post("/v1/logs", content=body, headers={"content-type": PROTOBUF})

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.client.get(path, headers=headers)

    @asynccontextmanager
    async def stream(self, query: str = "", **headers: str) -> AsyncIterator[Stream]:
        async with self.client.stream("GET", f"/events/stream?{query}", headers=headers, timeout=None) as response:
            stream = Stream(response)
            if response.status_code != 200:
                await response.aread()
            task = asyncio.create_task(stream.read()) if response.status_code == 200 else None
            try:
                if task is not None:
                    await stream.until(lambda: stream.retry is not None)
                yield stream
            finally:
                if task is not None:
                    task.cancel()
                    with suppress(asyncio.CancelledError):
                        await task


class _Quiet(uvicorn.Server):
    def capture_signals(self) -> Any:
        return nullcontext()


@asynccontextmanager
async def served(directory: Path | None, tokens: Tokens | None = None, **settings: Any) -> AsyncIterator[Served]:
    """A hub with its log in a directory, or without one; it is ended in good order."""
    async with serving(directory, tokens, **settings) as made:
        await made.hub.start()
        yield made


@asynccontextmanager
async def serving(directory: Path | None, tokens: Tokens | None = None, **settings: Any) -> AsyncIterator[Served]:
    """The same, before it is started."""
    where = {"memory": True} if directory is None else {"directory": directory}
    hub = Hub(HubSettings(**where, **{"hole_seconds": 0.05, "write_seconds": 0.02, "shutdown_seconds": 2.0} | settings))
    hub.open()
    limits = Limits(hub.settings.max_connections, hub.settings.idle_seconds, hub.counters.refused)
    config = uvicorn.Config(
        build_app(hub, tokens or Tokens()),
        http=protocol_with(limits),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        h11_max_incomplete_event_size=hub.settings.max_head_bytes,
        timeout_graceful_shutdown=int(hub.settings.shutdown_seconds),
    )
    server = _Quiet(config)
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        running = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            async with asyncio.timeout(SOON):
                while not server.started:
                    await asyncio.sleep(0.01)
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=SOON) as client:
                yield Served(hub, server, port, client)
        finally:
            hub.end()
            server.should_exit = True
            await running
            await hub.stop()
