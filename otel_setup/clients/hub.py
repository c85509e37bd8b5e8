"""Reads the events of a whole fleet from a hub, live or from any point of the past, across disconnects and restarts."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import math
import random
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from otel_setup.clients.arriving import DEFAULT_QUEUE_SIZE, ArrivingEvents
from otel_setup.clients.asking import query_of
from otel_setup.events.boxes import Policy
from otel_setup.events.cursor import Cursor
from otel_setup.events.filter import EventFilter
from otel_setup.events.past import Since
from otel_setup.events.record import SystemEvent
from otel_setup.text import clean_text

if TYPE_CHECKING:
    import httpx
    from httpx_sse import ServerSentEvent

STREAM_PATH, PAGE_PATH = "/events/stream", "/events"
RECONNECT_SECONDS = 2.0
"""Wait before the first attempt to connect again, unless the hub names another; each further one is twice as long."""
MAX_RECONNECT_SECONDS = 30.0
"""The longest such wait."""
CONNECT_SECONDS = 10.0
"""How long an attempt may take."""
SILENCE_SECONDS = 45.0
"""A stream that says nothing for so long is taken for broken: a hub gives a sign of life every 15 seconds."""
MAX_MESSAGE = 300
"""Characters shown of what a hub says of a refusal."""

_END, _FINISHED = "end", "finished"
_LATER = (HTTPStatus.TOO_MANY_REQUESTS, *range(500, 600))
_MS = 1000


class HubError(Exception):
    """The hub cannot be read; the text says what to do."""


class _TryAgain(Exception):
    """The stream broke off, or is not to be had now.

    Parameters:
        why: for people.
        seconds: the least wait that the hub asks for.
    """

    def __init__(self, why: str, seconds: float = 0.0) -> None:
        super().__init__(why)
        self.seconds = seconds


class HubEvents(ArrivingEvents):
    """The events of a hub, read as from ``EventStream.subscribe()``::

        async with HubEvents("http://127.0.0.1:4380", EventFilter(room_ids={"room1"})) as events:
            async for event in events:
                ...

    What breaks off is taken up again where it was: no event is lost and none comes twice. What the hub itself has lost,
    or never got, comes as ``stream.gap``. It ends where the hub says that there is no more (``live=False``), and
    otherwise goes on until it is closed.

    Parameters:
        url: the hub's address, without a path.
        event_filter: which events; None is all. Players have their pseudonyms here.
        token: the hub's, where it needs one.
        since, live, speed, policy: as for ``EventStream.subscribe()``.
        queue_size: events that wait here; while there are as many, the hub's bounds hold.
        on_status: told, in a sentence, when the connection is lost and when it is back.

    Raises:
        ImportError: the extra ``hub`` is not installed.
        TypeError, ValueError: the address, the filter or ``since`` makes no sense.
        HubError: from ``start()``, or later from reading: there is no hub, or it refuses.
    """

    def __init__(
        self,
        url: str,
        event_filter: EventFilter | None = None,
        *,
        token: str | None = None,
        since: Since = None,
        live: bool = True,
        speed: float | None = None,
        policy: Policy | str | None = None,
        queue_size: int = DEFAULT_QUEUE_SIZE,
        on_status: Callable[[str], object] | None = None,
    ) -> None:
        super().__init__(queue_size)
        self.url = checked_url(url)
        self._query = query_of(event_filter, since, live=live, speed=speed, policy=policy)
        # Where now is, or the last so many begin, must not change when the connection breaks before the first event.
        counted = 0 if since is None else since
        self._first = query_of(event_filter, counted) if isinstance(counted, int) else None
        self._live = live
        self._token = token
        self._on_status = on_status or (lambda text: None)
        self._last_id = ""
        self._reconnect_seconds = RECONNECT_SECONDS
        self._attempts = 0
        self._is_lost = False
        self._httpx, self._sse = _modules()

    # --- the course of it ---------------------------------------------------------------------------------------------
    async def _fetch(self) -> None:
        async with _client(self._httpx, self.url, self._token) as client:
            while True:
                try:
                    if self._first is not None and not self._last_id:
                        self._last_id = await self._begin(client, self._first)
                    await self._read(client)
                except _TryAgain as broken:
                    if not self._is_lost:
                        self._on_status(f"the hub at {self.url} {broken}; trying again until it is back")
                    self._is_lost = True
                    await asyncio.sleep(self._pause(broken.seconds))
                else:
                    return

    def _pause(self, least: float) -> float:
        """Seconds until the next attempt: longer each time, and not the same for all who were disconnected at once."""
        longest: float = min(MAX_RECONNECT_SECONDS, self._reconnect_seconds * 2**self._attempts)
        self._attempts = min(self._attempts + 1, 16)
        return max(least, longest * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, hides nothing

    async def _begin(self, client: httpx.AsyncClient, query: str) -> str:
        """The cursor before the first event that a query means; of one that means none, the newest."""
        try:
            answer = await client.get(f"{PAGE_PATH}?{query}&limit=1")
        except self._httpx.TransportError as problem:
            raise self._unreachable(problem) from problem
        self._check(answer)
        try:
            page = answer.json()
            cursor = Cursor.parse(page["cursor"])
            before = [int(event["sequence"]) - 1 for event in page["events"]]
        except (ValueError, KeyError, TypeError):
            raise HubError(self._no_hub("its answer has no cursor")) from None
        return str(Cursor(cursor.epoch, before[0]) if before else cursor)

    async def _read(self, client: httpx.AsyncClient) -> None:
        """One connection; returns where the hub says that there is no more."""
        headers = {"accept": "text/event-stream", **({"last-event-id": self._last_id} if self._last_id else {})}
        path = f"{STREAM_PATH}?{self._query}" if self._query else STREAM_PATH
        try:
            async with client.stream("GET", path, headers=headers) as response:
                if response.status_code == HTTPStatus.NO_CONTENT:
                    return
                if response.status_code != HTTPStatus.OK:
                    await response.aread()
                self._check(response, is_stream=True)
                self._connected(Cursor.parse(self._last_id) if self._last_id else None)
                if self._is_lost:
                    self._on_status(f"the hub at {self.url} is back")
                    self._is_lost = False
                async for frame in self._sse.EventSource(response).aiter_sse():
                    if await self._take(frame):
                        return
        except (self._httpx.TransportError, self._httpx.StreamError) as problem:
            raise self._unreachable(problem) from problem
        raise _TryAgain("closed the connection")

    async def _take(self, frame: ServerSentEvent) -> bool:
        """Takes one frame; True where it was the last one."""
        if frame.retry is not None:
            self._reconnect_seconds = min(max(frame.retry, 0) / _MS, MAX_RECONNECT_SECONDS)
        self._attempts = 0
        if frame.event == _END:
            reason = _member(frame.data, "reason")
            if reason == _FINISHED:
                return True
            raise _TryAgain(f"ended the stream ({clean_text(reason, MAX_MESSAGE)})")
        if not frame.data:
            self._last_id = frame.id or self._last_id
            return False
        try:
            event, cursor = SystemEvent.from_dict(json.loads(frame.data)), Cursor.parse(frame.id)
        except (ValueError, KeyError, TypeError) as problem:
            raise HubError(self._no_hub(f"it sent what is no event ({clean_text(problem, MAX_MESSAGE)})")) from problem
        await self._put(event, cursor)
        # Not before it is in the queue: where this is cancelled while it waits for room, it has not been taken.
        self._last_id = frame.id
        return False

    # --- what goes wrong ----------------------------------------------------------------------------------------------
    def _check(self, response: httpx.Response, *, is_stream: bool = False) -> None:
        status = response.status_code
        if status == HTTPStatus.OK:
            kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind != ("text/event-stream" if is_stream else "application/json"):
                raise HubError(self._no_hub(f"it answers with {kind or 'nothing'}"))
            return
        said = _message(response)
        if status == HTTPStatus.UNAUTHORIZED:
            what = "refuses this token" if self._token else "needs a token"
            raise HubError(
                f"the hub at {self.url} {what}: give its own with --token-file FILE, or in the environment variable "
                "EVENTS_HUB_READER_TOKEN"
            )
        if status in _LATER:
            raise _TryAgain(f"says it is not ready ({said or status})", _retry_after(response))
        if status == HTTPStatus.NOT_FOUND or response.is_redirect:
            raise HubError(self._no_hub(f"{PAGE_PATH} is not there ({status})"))
        raise HubError(f"the hub at {self.url} refuses ({status}): {said or HTTPStatus(status).phrase}")

    def _no_hub(self, why: str) -> str:
        return f"what listens at {self.url} is no events hub: {why}; the address is that of `python -m otel_setup hub`"

    def _unreachable(self, problem: Exception) -> Exception:
        why = clean_text(str(problem) or type(problem).__name__, MAX_MESSAGE)
        if self._stands.is_set():
            return _TryAgain(f"is out of reach ({why})")
        return HubError(
            f"no hub answers at {self.url} ({why}): start one with `python -m otel_setup hub`, or name another one "
            "with --hub URL"
        )


def checked_url(url: str) -> str:
    """The address of a hub, without a slash at its end.

    Raises:
        ValueError: it is none.
    """
    wanted = f"{url!r:.200} is no address of a hub; write one such as http://127.0.0.1:4380"
    try:
        parts = urlsplit(url)
        port_is_sound = parts.port is None or parts.port > 0
    except ValueError:
        raise ValueError(wanted) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_sound:
        raise ValueError(wanted)
    if parts.username is not None or parts.password is not None:
        raise ValueError("a hub's address holds no user and password; the token goes by itself (--token-file)")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(f"{url!r:.200} has a path; a hub's address has none, as in {parts.scheme}://{parts.netloc}")
    return f"{parts.scheme}://{parts.netloc}"


def _modules() -> tuple[Any, Any]:
    try:
        import httpx
        import httpx_sse
    except ImportError as missing:
        raise ImportError(
            f"reading from a hub needs {missing.name}: pip install 'otel-setup[hub]'", name=missing.name
        ) from missing
    return httpx, httpx_sse


def _client(httpx: Any, url: str, token: str | None) -> Any:
    return httpx.AsyncClient(
        base_url=url,
        headers={"authorization": f"Bearer {token}"} if token else {},
        timeout=httpx.Timeout(CONNECT_SECONDS, read=SILENCE_SECONDS),
        # A proxy from the environment is for the outside; this machine it would not find.
        trust_env=not _is_this_machine(urlsplit(url).hostname or ""),
    )


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _member(text: str, key: str) -> str:
    try:
        found = json.loads(text)
    except ValueError:
        return ""
    return str(found.get(key, "")) if isinstance(found, Mapping) else ""


def _message(response: httpx.Response) -> str:
    """What a hub says of a refusal."""
    try:
        found = response.json()
        return clean_text(found["error"]["message"], MAX_MESSAGE)
    except (ValueError, KeyError, TypeError):
        return ""


def _retry_after(response: httpx.Response) -> float:
    try:
        seconds = float(response.headers.get("retry-after", "0"))
    except ValueError:
        return 0.0
    return min(seconds, MAX_RECONNECT_SECONDS) if math.isfinite(seconds) else 0.0
