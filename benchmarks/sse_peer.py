"""A server of Server-Sent Events as sse-starlette makes it easy to write: what the hub's streams are compared with.

    python -m benchmarks.sse_peer VIEWERS EVENTS

It prints its port, waits until so many viewers are there, publishes the events at the benchmark's rate and goes on
until it is ended. Each event becomes JSON once, for all viewers.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from sse_starlette import EventSourceResponse  # type: ignore[import-not-found,unused-ignore]
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

from benchmarks.sse import EVENTS_PER_SECOND, PATH
from benchmarks.stream.events import events

Frame = dict[str, Any]


class _Board:
    """A queue for each viewer."""

    def __init__(self, viewers: int, count: int) -> None:
        self._expected = viewers
        self._events = events(count, viewers)
        self._queues: list[asyncio.Queue[Frame]] = []
        self._task: asyncio.Task[None] | None = None

    async def stream(self, _: Request) -> Any:
        queue: asyncio.Queue[Frame] = asyncio.Queue()
        self._queues.append(queue)
        if len(self._queues) == self._expected:
            self._task = asyncio.create_task(self._publish())

        async def frames() -> AsyncIterator[Frame]:
            while True:
                yield await queue.get()

        return EventSourceResponse(frames())

    async def _publish(self) -> None:
        began = time.perf_counter()
        for number, event in enumerate(self._events):
            await asyncio.sleep(max(0.0, began + number / EVENTS_PER_SECOND - time.perf_counter()))
            frame = {"id": f"peer-{number}", "event": event.event_type, "data": event.to_json()}
            for queue in self._queues:
                queue.put_nowait(frame)


def main(viewers: int, count: int) -> None:
    """Serves."""
    board = _Board(viewers, count)
    app = Starlette(routes=[Route(PATH, board.stream)])
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(app, loop="asyncio", log_config=None)).run(sockets=[listener])


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
