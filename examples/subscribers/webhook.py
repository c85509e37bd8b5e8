"""Posts short messages to a chat's webhook: a bounded queue, a rate that the chat can take, and no endless retries."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

QUEUE_SIZE = 100
"""Messages that wait; the oldest make room, and the next message says how many."""
PER_MINUTE = 30.0
"""Messages a minute in the long run."""
BURST = 5
"""Messages that may go at once after a quiet time."""
ATTEMPTS = 5
"""How often one message is tried."""
TIMEOUT = 10.0
"""Seconds that one attempt may take."""
MAX_PAUSE = 60.0
"""The longest wait between two attempts, whatever the chat asks for; in seconds."""
_LATER = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS, *range(500, 600))


class Answer(NamedTuple):
    """What became of one attempt; status 0 where there was no answer."""

    status: int
    retry_after: float = 0.0


class _NoRedirects(HTTPRedirectHandler):
    """A webhook that moved is asked for by somebody else than its chat."""

    def redirect_request(self, *_: object) -> None:
        return None


class Webhook:
    """Posts ``{"text": message}`` as JSON. ``say()`` never waits; ``run()`` sends, in the order of saying.

    Parameters:
        url: of the webhook; whoever knows it can post, so it is told nobody.
        field: the key under which the chat wants the text: ``text``, or ``content``.
        queue_size, per_minute, burst: see the constants of this module.
        clock, sleep: the time, for tests.

    Attributes:
        sent, dropped, failed: messages that arrived, that had to make room, and that the chat did not take.

    Raises:
        ValueError: the address is none of http or https, or a number makes no sense.
    """

    def __init__(
        self,
        url: str,
        *,
        field: str = "text",
        queue_size: int = QUEUE_SIZE,
        per_minute: float = PER_MINUTE,
        burst: int = BURST,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        if urlsplit(url).scheme not in ("http", "https"):
            raise ValueError("a webhook's address begins with https:// or http://")
        if queue_size < 1 or burst < 1 or not per_minute > 0:
            raise ValueError(f"queue_size={queue_size}, burst={burst}, per_minute={per_minute}: all are above 0")
        self._url, self._field = url, field
        self._clock, self._sleep = clock, sleep
        self._waiting: deque[str] = deque()
        self._queue_size = queue_size
        self._per_second, self._burst = per_minute / 60, float(burst)
        self._allowed, self._allowed_at = self._burst, clock()
        self._arrived, self._done = asyncio.Event(), asyncio.Event()
        self._done.set()
        self._untold = 0
        self.sent = self.dropped = self.failed = 0

    def say(self, text: str) -> None:
        """Queues a message."""
        if len(self._waiting) >= self._queue_size:
            self._waiting.popleft()
            self.dropped += 1
            self._untold += 1
        self._waiting.append(text)
        self._done.clear()
        self._arrived.set()

    async def run(self) -> None:
        """Sends what is said, until cancelled."""
        while True:
            await self._arrived.wait()
            while self._waiting:
                await self._wait_for_allowance()
                untold, self._untold = self._untold, 0
                text = self._waiting.popleft()
                await self._send(f"({untold} messages were dropped here)\n{text}" if untold else text)
            self._arrived.clear()
            self._done.set()

    async def drain(self) -> None:
        """Waits until everything said so far was sent, or given up."""
        await self._done.wait()

    async def _wait_for_allowance(self) -> None:
        """A token bucket: it fills by the rate, up to the burst, and each message takes one."""
        while True:
            now = self._clock()
            self._allowed = min(self._burst, self._allowed + (now - self._allowed_at) * self._per_second)
            self._allowed_at = now
            if self._allowed >= 1:
                self._allowed -= 1
                return
            await self._sleep((1 - self._allowed) / self._per_second)

    async def _send(self, text: str) -> None:
        body = json.dumps({self._field: text}).encode()
        for attempt in range(ATTEMPTS):
            answer = await asyncio.to_thread(self._post, body)
            if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
                self.sent += 1
                return
            if answer.status and answer.status not in _LATER:
                break
            if attempt + 1 < ATTEMPTS:
                await self._sleep(min(MAX_PAUSE, max(answer.retry_after, 2.0**attempt)))
        self.failed += 1

    def _post(self, body: bytes) -> Answer:
        request = Request(self._url, body, {"content-type": "application/json"}, method="POST")  # noqa: S310 - checked
        try:
            with build_opener(_NoRedirects).open(request, timeout=TIMEOUT) as response:
                return Answer(response.status)
        except HTTPError as refused:
            with refused:
                return Answer(refused.code, _seconds(refused.headers.get("retry-after", "")))
        except (URLError, OSError):
            return Answer(0)


def _seconds(text: str) -> float:
    return float(text) if text.isdecimal() else 0.0
