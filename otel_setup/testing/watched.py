"""An event stream that a test looks over the shoulder of: which reader got what, and who is behind.

Its readers are the engine's own, and lose, wait and end as ever.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from otel_setup.events.cursor import Cursor
from otel_setup.events.filter import EventFilter
from otel_setup.events.reader import EventReader
from otel_setup.events.record import SystemEvent
from otel_setup.events.stream import EventStream
from otel_setup.events.subscriber import EventSubscriber
from otel_setup.events.waiting import wake

_POLL_SECONDS = 0.005


class Account:
    """What the readers of one id have read, one after the other.

    Attributes:
        begun: where the first of them began.
        filter: what the latest wants.
        subscriber: the latest.
        received: everything that was given, in order.
    """

    def __init__(self, subscriber: EventSubscriber) -> None:
        self.id = subscriber.id
        self.begun: Cursor = subscriber.cursor
        self.received: list[SystemEvent] = []
        self.held = False
        self.renew(subscriber)

    def renew(self, subscriber: EventSubscriber) -> None:
        """Goes on with another subscriber of the same id."""
        self.subscriber = subscriber
        self.filter: EventFilter | None = subscriber.filter
        self._reading = 0
        self._found_nothing = False

    @property
    def idle(self) -> bool:
        """Whether it has read all there is, and waits for more or has ended."""
        if not self.subscriber.active and not self.subscriber.queued:
            return True
        return not self.held and not self.subscriber.queued and (self._reading > 0 or self._found_nothing)

    def begin(self) -> None:
        """Somebody asks for events."""
        self._reading += 1
        self._found_nothing = False

    def end(self, *events: SystemEvent | None) -> None:
        """What was asked for has been given, or there was nothing."""
        given = [event for event in events if event is not None]
        self.received += given
        self._reading -= 1
        self._found_nothing = not given


class _Subscriber(EventSubscriber):
    """Tells its account what it gives. Made of an ordinary one, so that it has no initialiser of its own."""

    account: Account

    async def get_event(self, timeout: float | None = None) -> SystemEvent | None:  # noqa: ASYNC109
        if not await self._let_go(timeout):
            return None
        event: SystemEvent | None = None
        self.account.begin()
        try:
            event = await super().get_event(timeout)
        finally:
            self.account.end(event)
        return event

    async def get_events(self, max_n: int = 100, timeout: float | None = None) -> list[SystemEvent]:  # noqa: ASYNC109
        if not await self._let_go(timeout):
            return []
        events: list[SystemEvent] = []
        self.account.begin()
        try:
            events = await super().get_events(max_n, timeout)
        finally:
            self.account.end(*events)
        return events

    async def __anext__(self) -> SystemEvent:
        await self._let_go(None)
        event: SystemEvent | None = None
        self.account.begin()
        try:
            event = await super().__anext__()
        finally:
            self.account.end(event)
        return event

    async def _let_go(self, timeout: float | None) -> bool:  # noqa: ASYNC109
        """Waits while a test holds it; False where the time is up before."""
        ends = None if timeout is None else asyncio.get_running_loop().time() + timeout
        while self.account.held and self.active:
            if ends is not None and asyncio.get_running_loop().time() >= ends:
                return False
            await asyncio.sleep(_POLL_SECONDS)
        return True


class _Reader(EventReader):
    def __init__(self, subscriber: EventSubscriber, account: Account) -> None:
        super().__init__(subscriber)
        self._account = account
        self._pause = threading.Event()

    def get_event(self, timeout: float | None = None) -> SystemEvent | None:
        events = self.get_events(1, timeout)
        return events[0] if events else None

    def get_events(self, max_n: int = 100, timeout: float | None = None) -> list[SystemEvent]:
        while self._account.held and self.subscriber.active:
            self._pause.wait(_POLL_SECONDS)
        events: list[SystemEvent] = []
        self._account.begin()
        try:
            events = super().get_events(max_n, timeout)
        finally:
            self._account.end(*events)
        return events

    def __next__(self) -> SystemEvent:
        while self._account.held and self.subscriber.active:
            self._pause.wait(_POLL_SECONDS)
        event: SystemEvent | None = None
        self._account.begin()
        try:
            event = super().__next__()
        finally:
            self._account.end(event)
        return event


class WatchedStream(EventStream):
    """An event stream that keeps what was published and the accounts of its readers; parameters as of the engine's.

    Attributes:
        published: every event taken in, with the epoch it was taken in under.
        accounts: by the id of a reader.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.published: list[tuple[str, SystemEvent]] = []
        self.accounts: dict[str, Account] = {}
        self.publisher = self.append

    def append(self, event: SystemEvent) -> SystemEvent:
        """Takes an event in."""
        event = super().append(event)
        self.published.append((self.epoch, event))
        return event

    async def subscribe(self, *arguments: Any, **wishes: Any) -> EventSubscriber:
        """As the engine's."""
        subscriber = await super().subscribe(*arguments, **wishes)
        # The same object, which the stream knows: only how it is read from is looked at.
        subscriber.__class__ = _Subscriber
        subscriber.account = self._account(subscriber)  # type: ignore[attr-defined]
        return subscriber

    def reader(self, *arguments: Any, **wishes: Any) -> EventReader:
        """As the engine's."""
        subscriber = super().reader(*arguments, **wishes).subscriber
        return _Reader(subscriber, self._account(subscriber))

    def wake(self) -> None:
        """Lets everybody who waits look again: what they wait for may be a time, and the clock was moved."""
        with self._lock:
            waiters = [waiter for reader in self._subscribers.values() for waiter in reader._waiters]
        wake(waiters)

    def _account(self, subscriber: EventSubscriber) -> Account:
        account = self.accounts.get(subscriber.id)
        if account is None:
            account = self.accounts[subscriber.id] = Account(subscriber)
        else:
            account.renew(subscriber)
        return account
