"""Any shuffling, dropping, repeating and delaying, and any restart, against a model that can be seen to be right."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from otel_setup.catalogue import EventType
from otel_setup.events.record import SystemEvent
from otel_setup.hub.accounts import AccountBounds, Accounts, Delivery, Kind
from otel_setup.hub.uids import parse_uid

PRODUCERS = ("a-00000001", "a-00000002", "b-b-00000001")
NOT_IN_THE_LOG = ("duplicates", "undecided")


@dataclass
class Journey:
    """Copies of events on their way: the times at which each arrives. What has none is lost."""

    arrivals: dict[tuple[str, int], list[float]] = field(default_factory=dict)

    def in_order_of_arrival(self) -> list[tuple[float, str, int]]:
        return sorted((time, *key) for key, times in self.arrivals.items() for time in times)


@st.composite
def journeys(draw: st.DrawFn) -> Journey:
    """Each event is told every 0.1 s and takes some time; some take very long, come twice, or never."""
    journey = Journey()
    for producer in draw(st.lists(st.sampled_from(PRODUCERS), min_size=1, max_size=3, unique=True)):
        for number in range(1, draw(st.integers(1, 40)) + 1):
            delays = draw(
                st.one_of(
                    st.lists(st.floats(0, 0.5), min_size=1, max_size=1),
                    st.lists(st.floats(0, 12), min_size=0, max_size=3),
                )
            )
            journey.arrivals[producer, number] = [number * 0.1 + delay for delay in delays]
    return journey


def made(producer: str, number: int) -> SystemEvent:
    return SystemEvent(event_type=EventType.TURN_COMPLETED, timestamp_ns=number * 1000, event_id=f"{producer}-{number}")


class Hub:
    """Accounts, and the log that somebody writes of what they say."""

    def __init__(self, bounds: AccountBounds) -> None:
        self.accounts = Accounts(bounds)
        self.log: list[tuple[Kind, SystemEvent]] = []
        self.checkpoint = (0, json.dumps(self.accounts.state()))

    def write(self, deliveries: list[Delivery]) -> None:
        self.log += [(kind, event) for event, kind in deliveries if kind is not Kind.DUPLICATE]

    def restart(self) -> None:
        before = self.accounts.report()
        place, state = self.checkpoint
        self.accounts = Accounts(self.accounts.bounds)
        self.accounts.restore(json.loads(state))
        for kind, event in self.log[place:]:
            (self.accounts.held if kind is Kind.HOLD else self.accounts.delivered)(event)
        after = self.accounts.report()
        for report in (*before.values(), *after.values()):
            for name in NOT_IN_THE_LOG:  # nobody logs repetitions
                del report[name]
        assert after == before


def check(journey: Journey, hub: Hub) -> None:
    arrived = {key for key, times in journey.arrivals.items() if times}
    delivered: Counter[tuple[str, int]] = Counter()
    missing: set[tuple[str, int]] = set()
    newest = dict.fromkeys(PRODUCERS, 0)
    for kind, event in hub.log:
        if kind is Kind.HOLD:
            continue
        if event.event_type in (EventType.STREAM_GAP, EventType.STREAM_GAP_FILLED):
            data = event.data
            numbers = {(data["producer"], number) for number in range(data["first"], data["last"] + 1)}
            assert data["count"] == len(numbers)
            if event.event_type == EventType.STREAM_GAP:
                assert not numbers & missing
                missing |= numbers
                newest[data["producer"]] = data["last"]
            else:
                assert numbers <= missing
                missing -= numbers
            continue
        found = parse_uid(event.event_id)
        assert found is not None
        delivered[found] += 1
        producer, number = found
        if not event.metadata.get("late"):
            assert number == newest[producer] + 1, "in order, and nothing left out unsaid"
            newest[producer] = number
        else:
            assert number <= newest[producer]
    assert set(delivered) == arrived
    assert set(delivered.values()) <= {1}
    for producer, report in hub.accounts.report().items():
        emitted = max(number for name, number in arrived if name == producer)
        numbers = {(producer, number) for number in range(1, emitted + 1)}
        assert report["emitted"] == emitted
        assert report["delivered"] == len(numbers & arrived)
        assert report["missing"] == len(numbers - arrived)
        assert (report["held"], report["awaited"]) == (0, 0)
        assert numbers - arrived == {key for key in missing if key[0] == producer}


@settings(max_examples=200, deadline=None)
@given(
    journey=journeys(),
    max_held=st.sampled_from([2, 4_096]),
    batch=st.integers(1, 7),
    checkpoint=st.integers(0, 200),
    restarts=st.sets(st.integers(0, 200), max_size=3),
)
def test_every_event_is_delivered_once_in_order_and_what_is_missing_is_told(
    journey: Journey, max_held: int, batch: int, checkpoint: int, restarts: set[int]
) -> None:
    hub = Hub(AccountBounds(max_held=max_held))
    arrivals = journey.in_order_of_arrival()
    now = 0.0
    for place in range(0, len(arrivals), batch):
        if place >= checkpoint and hub.checkpoint[0] == 0:
            hub.checkpoint = (len(hub.log), json.dumps(hub.accounts.state()))
        if restarts & set(range(place, place + batch)):
            hub.restart()
        now = arrivals[place][0]
        hub.write(hub.accounts.due(now))
        arrived = [made(producer, number) for _, producer, number in arrivals[place : place + batch]]
        hub.write(hub.accounts.take_all(arrived, now))
        for report in hub.accounts.report().values():
            assert report["emitted"] == sum(report[name] for name in ("delivered", "missing", "held", "awaited"))
    for _ in range(2):  # after a restart the first one only starts the clock
        now += 1_000
        hub.write(hub.accounts.due(now))
    check(journey, hub)
