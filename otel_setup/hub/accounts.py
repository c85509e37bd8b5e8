"""The accounts of all producers: each event once, in its producer's order, and what is missing is told.

Senders repeat what they are not sure has arrived, and batches overtake each other. Here an event that came before is
recognised, one that came too early waits for a moment for those before it, and numbers that stay away become a
``stream.gap`` event. There is no clock in here and nothing is read or written: who calls says what time it is.

An event that ``take`` has given for delivery has come, as far as the accounts know: should it not get into the log, it
must be kept and put there before anything else is taken, because when its sender repeats it, it is a duplicate.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from otel_setup.catalogue import EventType
from otel_setup.catalogue import attributes as a
from otel_setup.events.record import SystemEvent
from otel_setup.hub import findings
from otel_setup.hub.account import Account, AccountBounds, Delivery, Kind
from otel_setup.hub.uids import LARGEST_NUMBER, parse_uid
from otel_setup.ledger.payload import is_late

__all__ = ["AccountBounds", "Accounts", "Delivery", "Kind"]

_TELLS_ITS_COUNT = frozenset({EventType.PRODUCER_HEARTBEAT, EventType.PRODUCER_STOPPED})


class Accounts:
    """What became of every event of every producer.

    Parameters:
        bounds: how long and how much it waits and remembers.
        is_live: whether a producer is known to live; its account is forgotten last.
    """

    def __init__(
        self, bounds: AccountBounds | None = None, is_live: Callable[[str], bool] = lambda producer: False
    ) -> None:
        self.bounds = bounds or AccountBounds()
        self.is_live = is_live
        # The longest silent first.
        self._accounts: OrderedDict[str, Account] = OrderedDict()
        self._waiting: dict[str, Account] = {}
        self._foreign: OrderedDict[str, None] = OrderedDict()
        self._forgotten: Counter[str] = Counter()
        self.producers_forgotten = 0
        self.foreign_delivered = 0
        self.foreign_duplicates = 0

    # --- what comes ---------------------------------------------------------------------------------------------------

    def take(self, event: SystemEvent, now: float) -> list[Delivery]:
        """Takes one event in. What to do with it comes first or, where others have to go before it, among them.

        Parameters:
            now: seconds on a clock that never jumps.
        """
        return self.take_all((event,), now)

    def take_all(self, events: Iterable[SystemEvent], now: float) -> list[Delivery]:
        """Takes a batch in: as event by event, but late events that follow each other fill their gap together."""
        deliveries: list[Delivery] = []
        late: _LateRun | None = None
        for event in events:
            found = parse_uid(event.event_id)
            if found is None:
                deliveries.append(self._take_foreign(event))
                continue
            producer, number = found
            fills = False
            for delivery in self._take(producer, number, event, now):
                fills = fills or is_late(delivery.event)
                if late is not None and not (fills and late.goes_on_with(producer, number)):
                    deliveries.append(late.filled())
                    late = None
                deliveries.append(delivery)
            if fills:
                late = late or _LateRun(producer, number, event)
                late.last = number
        if late is not None:
            deliveries.append(late.filled())
        return deliveries

    def _take(self, producer: str, number: int, event: SystemEvent, now: float) -> Iterator[Delivery]:
        account = self._accounts.get(producer)
        if account is None:
            yield from self._make_room()
            account = self._open(producer)
        else:
            self._accounts.move_to_end(producer)
        yield from account.take(number, event, now)
        if event.event_type in _TELLS_ITS_COUNT:
            account.expect(_count(event.data.get(a.LAST_SEQUENCE.data_key)), now)
        self._note_waiting(account)

    def _take_foreign(self, event: SystemEvent) -> Delivery:
        if event.event_id and event.event_id in self._foreign:
            self._foreign.move_to_end(event.event_id)
            self.foreign_duplicates += 1
            return Delivery(event, Kind.DUPLICATE)
        self._remember_foreign(event.event_id)
        return Delivery(event, Kind.DELIVER)

    def _remember_foreign(self, uid: str) -> None:
        self.foreign_delivered += 1
        if uid:
            self._foreign[uid] = None
            if len(self._foreign) > self.bounds.max_foreign:
                self._foreign.popitem(last=False)

    def due(self, now: float) -> list[Delivery]:
        """What has waited for long enough: gaps, and what stood behind them.

        Parameters:
            now: seconds on the same clock as ever.
        """
        deliveries: list[Delivery] = []
        for account in list(self._waiting.values()):
            deliveries += account.due(now)
            self._note_waiting(account)
        return deliveries

    def next_due(self) -> float | None:
        """When to call ``due()`` next, on the clock of ``take()``; minus infinity, which is at once, after a restart;
        None while nothing waits.
        """
        since = [since for account in self._waiting.values() if (since := account.waiting_since()) is not None]
        return min(since) + self.bounds.hole_seconds if since else None

    def waiting(self) -> Collection[str]:
        """Producers of which a number is awaited."""
        return self._waiting.keys()

    # --- what a log says, after a restart -----------------------------------------------------------------------------

    def held(self, event: SystemEvent) -> None:
        """The log says: this event was received, and waited."""
        found = parse_uid(event.event_id)
        if found is not None:
            account = self._known(found[0])
            account.was_held(found[1], event)
            self._note_waiting(account)

    def delivered(self, event: SystemEvent) -> None:
        """The log says: this event has its place in the stream."""
        if findings.is_finding(event):
            if event.event_type == EventType.STREAM_GAP:
                account = self._known(event.data[a.PRODUCER_ID.data_key])
                account.was_missing(event.data[a.GAP_LAST.data_key])
                self._note_waiting(account)
            return
        found = parse_uid(event.event_id)
        if found is None:
            self._remember_foreign(event.event_id)
            return
        account = self._known(found[0])
        account.was_delivered(found[1], event)
        self._note_waiting(account)

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what ``state()`` gave, in place of whatever is here.

        Raises:
            KeyError, ValueError, TypeError: this is no such state.
        """
        self._accounts = OrderedDict(
            (producer, Account(producer, self.bounds, account)) for producer, account in state["accounts"].items()
        )
        self._waiting = {}
        for account in self._accounts.values():
            self._note_waiting(account)
        self._foreign = OrderedDict.fromkeys(state["foreign"])
        self._forgotten = Counter(state["forgotten"])
        self.producers_forgotten = state["producers_forgotten"]
        self.foreign_delivered, self.foreign_duplicates = state["foreign_delivered"], state["foreign_duplicates"]

    def state(self) -> dict[str, Any]:
        """Everything that is needed to go on later, in JSON values."""
        return {
            "accounts": {producer: account.state() for producer, account in self._accounts.items()},
            "foreign": list(self._foreign),
            "forgotten": dict(self._forgotten),
            "producers_forgotten": self.producers_forgotten,
            "foreign_delivered": self.foreign_delivered,
            "foreign_duplicates": self.foreign_duplicates,
        }

    # --- what is known ------------------------------------------------------------------------------------------------

    def report(self) -> dict[str, dict[str, int]]:
        """Each producer's account: ``emitted = delivered + missing + held + awaited``, exactly."""
        return {producer: account.report() for producer, account in self._accounts.items()}

    def totals(self) -> dict[str, int]:
        """The sums of all accounts, also of those that are forgotten, and of what no producer has numbered."""
        sums = Counter(self._forgotten)
        for account in self._accounts.values():
            sums.update(account.report())
        sums.update(
            emitted=self.foreign_delivered, delivered=self.foreign_delivered, duplicates=self.foreign_duplicates
        )
        return dict(sums)

    # --- steps --------------------------------------------------------------------------------------------------------

    def _known(self, producer: str) -> Account:
        """The account of a producer that the log speaks of."""
        account = self._accounts.get(producer)
        if account is None:
            for _ in self._make_room():
                pass  # the log has it already
            return self._open(producer)
        self._accounts.move_to_end(producer)
        return account

    def _open(self, producer: str) -> Account:
        account = self._accounts[producer] = Account(producer, self.bounds)
        return account

    def _make_room(self) -> Iterator[Delivery]:
        if len(self._accounts) < self.bounds.max_producers:
            return
        quiet = next((name for name in self._accounts if not self.is_live(name)), next(iter(self._accounts)))
        account = self._accounts.pop(quiet)
        self._waiting.pop(quiet, None)
        yield from account.flush()
        self._forgotten.update(account.report())
        self.producers_forgotten += 1

    def _note_waiting(self, account: Account) -> None:
        if account.waiting_since() is None:
            self._waiting.pop(account.producer, None)
        else:
            self._waiting[account.producer] = account


class _LateRun:
    """Late events of one producer that follow each other."""

    def __init__(self, producer: str, first: int, beside: SystemEvent) -> None:
        self.producer = producer
        self.first = self.last = first
        self._beside = beside

    def goes_on_with(self, producer: str, number: int) -> bool:
        return producer == self.producer and number == self.last + 1

    def filled(self) -> Delivery:
        return Delivery(findings.filled(self.producer, self.first, self.last, self._beside), Kind.DELIVER)


def _count(value: object) -> int:
    """What a producer says it has told; nothing, where it says no such thing."""
    return value if type(value) is int and 0 < value <= LARGEST_NUMBER else 0
