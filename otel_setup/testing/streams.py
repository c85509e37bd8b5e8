"""Tests of what reads events: a stream in memory that the test fills, empties, breaks, and asks what was read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from otel_setup.catalogue import EVENTS, EventType, Severity
from otel_setup.catalogue import attributes as a
from otel_setup.catalogue.types import Attribute, AttributeType
from otel_setup.events.boxes import Policy
from otel_setup.events.notices import GapReason
from otel_setup.events.record import SystemEvent
from otel_setup.game_model import LIAP_TUI, GameModel
from otel_setup.testing import nearest as near
from otel_setup.testing.recorded import facts_of, places_in_order, title_of
from otel_setup.testing.standins import FakeClock
from otel_setup.testing.watched import Account, WatchedStream

PATIENCE = 5.0
"""Seconds of the real clock that a reader has at most to come to the end of what waits for it."""
_POLL_SECONDS = 0.001
_DECLARED = {str(event.name): event for event in EVENTS}
_IDS = {name: f"{name}_id" for name in ("game", "room", "player", "connection", "correlation")}
_ID_ATTRIBUTES = (a.GAME_ID, a.ROOM_ID, a.PLAYER_ID, a.CONNECTION_ID, a.CORRELATION_ID)
_NO_DATA = {attribute.name for attribute in (*_ID_ATTRIBUTES, a.RECORD_UID, a.EXTRA)}
_EXAMPLES: dict[str, Any] = {
    a.SEATS.data_key: [{"player": "Ada", "is_bot": False}, {"player": "Bot 2", "is_bot": True}],
    a.FINAL_SCORES.data_key: {"Ada": 50, "Bot 2": 41},
    a.WINNER_ID.data_key: "Ada",
}
_LOSSES = (EventType.STREAM_GAP, EventType.STREAM_RESET)


class EventStreamTester:
    """An event stream in a test's hand. Give :attr:`stream` to what is to be tested, and publish.

    Readers are told apart by the ids they subscribe with. Where there is but one, it need not be named.

    Parameters:
        history_size: events that are kept for readers that begin in the past.
        queue_size: events that may wait for one reader, unless it asks for another number.
        max_subscribers: readers at a time.
        model: the game, of which :meth:`publish_example` takes phases and the like.

    Attributes:
        stream: the stream.
        clock: its time of day and its monotonic clock; stands still until :meth:`advance`.
    """

    __test__ = False  # its name would make pytest look for tests in it

    def __init__(
        self,
        *,
        history_size: int = 1000,
        queue_size: int = 100,
        max_subscribers: int = 100,
        model: GameModel = LIAP_TUI,
    ) -> None:
        self.clock = FakeClock()
        self._model = model
        self.stream = WatchedStream(
            history_size=history_size,
            max_subscribers=max_subscribers,
            queue_size=queue_size,
            clock=self.clock.monotonic,
            epoch="test",
        )

    # --- what happens -----------------------------------------------------------------------------------------------

    def publish(self, event_type: str, /, **fields: Any) -> SystemEvent:
        """Publishes an event, now.

        Parameters:
            event_type: a name of the catalogue; ``EventType("my.event")`` is how one of a game's own is written.
            fields: ``game``, ``room``, ``player``, ``connection`` and ``correlation`` are its ids, ``severity`` is
                another than the declared one, ``metadata`` is its metadata; all else is its data.

        Returns:
            The event, with its place in the stream.

        Raises:
            ValueError: there is no such event in the catalogue, so that none could ever come.
        """
        declared = _declared(event_type)
        severity = fields.pop("severity", declared.severity if declared else Severity.INFO)
        return self.stream.append(
            SystemEvent(
                event_type=EventType(event_type),
                timestamp_ns=self.clock.time_ns(),
                severity=Severity[severity] if isinstance(severity, str) else severity,
                metadata=fields.pop("metadata", {}),
                **{full: fields.pop(name, None) for name, full in _IDS.items()},
                data=fields,
            )
        )

    def publish_example(self, event_type: str, /, **fields: Any) -> SystemEvent:
        """As :meth:`publish`, with an example of everything that the event may carry and ``fields`` does not say."""
        declared = _declared(event_type)
        examples: dict[str, Any] = {}
        for attribute in declared.attributes if declared else ():
            if attribute in _ID_ATTRIBUTES:
                key = attribute.data_key.removesuffix("_id")
                examples[key] = {"game": "g1", "room": "r1", "player": "Ada"}.get(key, f"{key}-1")
            elif attribute.name not in _NO_DATA:
                examples[attribute.data_key] = self._example(attribute)
        return self.publish(event_type, **{**examples, **fields})

    def _example(self, attribute: Attribute) -> Any:
        if attribute.data_key in _EXAMPLES:
            return _EXAMPLES[attribute.data_key]
        if attribute.examples:
            return attribute.examples[0]
        if isinstance(attribute.values, tuple):
            return attribute.values[0]
        if attribute.type is AttributeType.STRING:
            return self._model.initial if attribute.name.startswith(("state", "phase")) else "example"
        return {AttributeType.INT: 1, AttributeType.DOUBLE: 1.5, AttributeType.BOOLEAN: False}.get(attribute.type, {})

    def advance(self, seconds: float) -> None:
        """Lets time pass: for replays at their original speed, bookmarks, and the times of what is published."""
        self.clock.advance(seconds)
        self.stream.wake()

    def gap(self, count: int = 1, *, producer: str = "server-1f0c9b2e", first: int = 1) -> SystemEvent:
        """Events of a producer never arrived: what a hub says in their place.

        Parameters:
            count: how many.
            producer: whose.
            first: the first one's number there.
        """
        return self.publish(
            EventType.STREAM_GAP,
            **{
                a.PRODUCER_ID.data_key: producer,
                a.GAP_FIRST.data_key: first,
                a.GAP_LAST.data_key: first + count - 1,
                a.GAP_COUNT.data_key: count,
                a.GAP_REASON.data_key: GapReason.UPSTREAM.value,
            },
        )

    def overwhelm(self, event_type: str, /, *, lost: int = 1, reader: str | None = None, **fields: Any) -> int:
        """Publishes more than may wait for a reader, before it can read any of it: ``lost`` events are one too many.

        What becomes of them is for the policy that the reader chose.

        Parameters:
            event_type, fields: as of :meth:`publish`; of an event that the reader wants.

        Returns:
            How many were published.

        Raises:
            ValueError: the reader does not want such events, or it is closed.
        """
        account = self._account(reader)
        told = account.subscriber.statistics()
        if not account.subscriber.active:
            raise ValueError(f"{account.id!r} is closed, so nothing can be too much for it")
        number: int = max(0, told["queue_size"] - told["queued"]) + lost
        for _ in range(number):
            event = self.publish(event_type, **fields)
            if account.filter is not None and not account.filter.matches(event):
                raise ValueError(
                    f"{account.id!r} does not want {title_of(event)}; name an event that its filter lets in"
                )
        return number

    @contextmanager
    def held(self, reader: str | None = None) -> Iterator[None]:
        """A reader is slow: inside the block it gets nothing, whatever it asks for.

        Where it waits already, one event still reaches it.
        """
        account = self._account(reader)
        account.held = True
        try:
            yield
        finally:
            account.held = False

    def disconnect(self, reader: str | None = None) -> None:
        """A reader's subscription is closed under it: it reads what waits, then :class:`StreamClosed` is raised."""
        self._account(reader).subscriber.close()

    def restart(self) -> None:
        """The stream begins anew, as that of a server that was started again: nothing is kept, and no cursor is known.

        Every reader's subscription is closed. Whoever comes back with a cursor is told by ``stream.reset``.
        """
        self.stream.close()
        self.stream.after_fork()

    # --- what was read ----------------------------------------------------------------------------------------------

    async def settle(self, seconds: float = PATIENCE) -> None:
        """Lets readers run until each has read what waits for it and asks for more, or has ended.

        Parameters:
            seconds: of the real clock, that they have for it.

        Raises:
            AssertionError: naming those that are behind then.
        """
        __tracebackhide__ = True
        deadline = time.monotonic() + seconds
        await asyncio.sleep(0)
        while behind := self._behind():
            if time.monotonic() > deadline:
                raise AssertionError(_told_behind(behind, seconds))
            await asyncio.sleep(_POLL_SECONDS)

    def settled(self, seconds: float = PATIENCE) -> None:
        """As :meth:`settle`, for readers in threads."""
        __tracebackhide__ = True
        deadline = time.monotonic() + seconds
        while behind := self._behind():
            if time.monotonic() > deadline:
                raise AssertionError(_told_behind(behind, seconds))
            time.sleep(_POLL_SECONDS)

    def _behind(self) -> list[Account]:
        return [account for account in self.stream.accounts.values() if not account.idle]

    def received(self, reader: str | None = None) -> list[SystemEvent]:
        """Everything that a reader was given, gaps and resets too, in order."""
        return list(self._account(reader).received)

    def assert_received(self, event_type: str, /, *, reader: str | None = None, **fields: Any) -> SystemEvent:
        """A reader was given an event of this type with these fields.

        Parameters:
            event_type: its name.
            fields: as of :meth:`publish`.

        Returns:
            The first such event.
        """
        __tracebackhide__ = True
        account, wanted = self._account(reader), _full_names(fields)
        of_type = [event for event in account.received if event.event_type == event_type]
        for event in of_type:
            if near.fits(facts_of(event), wanted):
                return event
        told = f" has {near.described(wanted)}" if wanted else ""
        if of_type:
            closest = near.nearest(of_type, facts_of, wanted, title_of)
            raise AssertionError(f"{account.id!r} received no event {event_type!r} that{told}; the nearest:\n{closest}")
        raise AssertionError(
            f"{account.id!r} received no event {event_type!r}{self._why_not(account, event_type, wanted)}; "
            f"it received: {near.counted([str(event.event_type) for event in account.received])}"
        )

    def assert_not_received(self, event_type: str, /, *, reader: str | None = None, **fields: Any) -> None:
        """A reader was given no event of this type with these fields.

        Raises:
            ValueError: nobody published such an event, so that it could not be received whatever the reader does.
        """
        __tracebackhide__ = True
        account, wanted = self._account(reader), _full_names(fields)
        for event in account.received:
            if event.event_type == event_type and near.fits(facts_of(event), wanted):
                raise AssertionError(f"{account.id!r} received {title_of(event)}: {near.described(facts_of(event))}")
        if not any(e.event_type == event_type and near.fits(facts_of(e), wanted) for _, e in self.stream.published):
            hint = near.did_you_mean(event_type, {str(event.event_type) for _, event in self.stream.published})
            raise ValueError(f"no event {event_type!r} like that was published{hint}; nobody could receive it")

    def assert_received_in_order(self, *event_types: str, reader: str | None = None) -> list[SystemEvent]:
        """A reader was given events of these types in this order, perhaps with others in between.

        Returns:
            The events, one for each type.
        """
        __tracebackhide__ = True
        received = self._account(reader).received
        places = places_in_order("event", event_types, [str(event.event_type) for event in received])
        return [received[place] for place in places]

    def assert_nothing_missed(self, reader: str | None = None) -> None:
        """A reader was given everything it wants since it first subscribed, each once, and was told of no gap.

        That holds over disconnections too, of a reader that subscribes again under its id.
        """
        __tracebackhide__ = True
        account = self._account(reader)
        told = [event for event in account.received if event.event_type in _LOSSES]
        got = [event.event_id for event in account.received if event.event_id]
        wanted = [event for event in self._since(account) if account.filter is None or account.filter.matches(event)]
        missed = [event for event in wanted if event.event_id not in got]
        again = [event for event in wanted if got.count(event.event_id) > 1]
        if not (told or missed or again):
            return
        lines = [f"{account.id!r} missed {len(missed)} of {len(wanted)} events"]
        for words, events in (("missed", missed), ("received again", again), ("was told of", told)):
            lines += [f"    {words}: {_shown(event)}" for event in events[: near.MAX_NAMES]]
            lines += [f"    and {len(events) - near.MAX_NAMES} more"] * (len(events) > near.MAX_NAMES)
        if waiting := account.subscriber.queued:
            lines.append(f"    {waiting} still wait for it: has it come to read them? See settle()")
        raise AssertionError("\n".join(lines))

    def _since(self, account: Account) -> list[SystemEvent]:
        begun = account.begun
        return [
            event for epoch, event in self.stream.published if epoch != begun.epoch or event.sequence > begun.sequence
        ]

    def _why_not(self, account: Account, event_type: str, wanted: Mapping[str, Any]) -> str:
        """Where it was published, what has become of it."""
        for epoch, event in self.stream.published:
            if event.event_type != event_type or not near.fits(facts_of(event), wanted):
                continue
            if account.filter is not None and not account.filter.matches(event):
                return f", because its filter leaves {title_of(event)} out"
            if epoch == account.begun.epoch and event.sequence <= account.begun.sequence:
                return ", because it was published before it subscribed"
            if account.subscriber.queued:
                return f", though one was published; {account.subscriber.queued} events still wait for it, see settle()"
            return ", though one was published: it was closed, or too slow"
        if event_type in _DECLARED:
            return ", and none like that was published"
        return near.did_you_mean(
            event_type, {*_DECLARED, *(str(event.event_type) for _, event in self.stream.published)}
        )

    def _account(self, reader: str | None) -> Account:
        accounts = self.stream.accounts
        if reader is None and len(accounts) == 1:
            return next(iter(accounts.values()))
        if reader is not None and reader in accounts:
            return accounts[reader]
        there = ", ".join(map(repr, accounts)) or "nobody"
        if reader is None:
            raise ValueError(f"say which reader; subscribed have: {there}")
        raise ValueError(
            f"no reader {reader!r} has subscribed{near.did_you_mean(reader, accounts)}; there were: {there}"
        )


def _declared(event_type: str) -> Any:
    declared = _DECLARED.get(event_type)
    if declared is None and not isinstance(event_type, EventType):
        hint = near.did_you_mean(event_type, _DECLARED)
        raise ValueError(
            f"{event_type!r} is no event of the catalogue{hint}; one of your own is EventType({event_type!r})"
        )
    return declared


def _full_names(fields: Mapping[str, Any]) -> dict[str, Any]:
    return near.plain({_IDS.get(name, name): value for name, value in fields.items()})


def _shown(event: SystemEvent) -> str:
    about = near.described(event.data) if event.event_type in _LOSSES else f"sequence={event.sequence}"
    return f"{title_of(event)} {about}"


def _told_behind(behind: list[Account], seconds: float) -> str:
    lines = [f"not everything was read after {seconds:g} s:"]
    for account in behind:
        if account.held:
            why = "the test holds it"
        elif account.subscriber.queued:
            policy = Policy(account.subscriber.statistics()["policy"])
            why = f"{account.subscriber.queued} events wait for it (policy {policy}), and it does not read them"
        else:
            why = "it does not ask for more, nor close its subscription: has its task ended, or is it still busy?"
        lines.append(f"    {account.id!r}: {why}")
    return "\n".join(lines)
