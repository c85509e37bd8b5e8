"""Reads the event stream of another process of this user on this machine, over its command socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

from otel_setup.clients.arriving import DEFAULT_QUEUE_SIZE, ArrivingEvents
from otel_setup.clients.asking import query_of
from otel_setup.control import ControlError
from otel_setup.events.cursor import Cursor
from otel_setup.events.filter import EventFilter
from otel_setup.events.past import Since
from otel_setup.events.record import SystemEvent

MAX_LINE_BYTES = 16 * 2**20
"""Bytes of one event; one that is larger ends the reading."""
CONNECT_SECONDS = 5.0
"""How long the process may take to answer."""
RETRY_SECONDS = 0.5
"""After the process closed: when it is asked once more, because it may only have been configured anew."""


class ProcessEvents(ArrivingEvents):
    """The events of a running game process, as it keeps them: with players' names, not pseudonyms.

    Read as from ``EventStream.subscribe()``; it ends when the process does.

    Parameters:
        path: the process's command socket, see :func:`otel_setup.control.listening_processes`.
        event_filter, since, live, speed: as for ``EventStream.subscribe()``.
        queue_size: events that wait here; while there are as many, the process's own bounds hold, and what is lost
            there comes as a ``stream.gap``.

    Raises:
        ControlError: the process refuses, with its reason (when it is started).
        OSError: no process listens there, or it does not answer (when it is started).
    """

    def __init__(
        self,
        path: Path,
        event_filter: EventFilter | None = None,
        *,
        since: Since = None,
        live: bool = True,
        speed: float | None = None,
        queue_size: int = DEFAULT_QUEUE_SIZE,
    ) -> None:
        super().__init__(queue_size)
        self._path = path
        self._filter = event_filter
        self._since = since
        self._live = live
        self._speed = speed
        self.about: dict[str, Any] = {}
        """What the process said of itself: pid, service, instance."""
        self._query()  # says at once what is wrong with it

    async def _fetch(self) -> None:
        is_first = True
        while True:
            try:
                reader, writer = await asyncio.wait_for(self._ask(), CONNECT_SECONDS)
            except (OSError, ControlError):
                if is_first:
                    raise
                return  # it has ended
            try:
                await self._read(reader)
            except ConnectionError:
                pass
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
            if not self._live:
                return
            is_first = False
            await asyncio.sleep(RETRY_SECONDS)

    async def _ask(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_unix_connection(str(self._path), limit=MAX_LINE_BYTES)
        try:
            writer.write(json.dumps({"do": "events", "query": self._query()}).encode() + b"\n")
            await writer.drain()
            answer = await _answer(reader)
        except BaseException:
            writer.close()
            raise
        cursor = Cursor.parse(answer.pop("cursor"))
        self.about = answer
        self._epoch = cursor.epoch
        if self._since is None:
            self._since = cursor  # so that nothing is missed that comes before the first event
        self._connected(cursor)
        return reader, writer

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while (line := await reader.readline()).endswith(b"\n"):
            event = SystemEvent.from_dict(json.loads(line))
            self._since = Cursor(self._epoch, event.sequence)
            await self._put(event, self._since)

    def _query(self) -> str:
        return query_of(self._filter, self._since, live=self._live, speed=self._speed)


async def _answer(reader: asyncio.StreamReader) -> dict[str, Any]:
    line = await reader.readline()
    if not line:
        raise ConnectionResetError("it went away without an answer")
    answer: dict[str, Any] = json.loads(line)
    if not answer.pop("ok", False):
        raise ControlError(str(answer.get("error")))
    return answer
