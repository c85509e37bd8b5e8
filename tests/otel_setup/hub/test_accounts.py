"""The accounts: each event once, in order, and exactly what is missing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from otel_setup.catalogue import EVENTS, EventType
from otel_setup.events.record import SystemEvent
from otel_setup.hub.accounts import AccountBounds, Accounts, Delivery, Kind

EPOCH = "9f8e7d6c"
SERVER = f"server-1-{EPOCH}"


def uid(number: int, producer: str = SERVER) -> str:
    return f"{producer}-{number}"


def event(number: int, producer: str = SERVER, event_type: str = EventType.TURN_COMPLETED, **data: Any) -> SystemEvent:
    """The producer's event of that number, told in the second of that number."""
    return SystemEvent(
        event_type=EventType(event_type),
        timestamp_ns=number * 1_000_000_000,
        event_id=uid(number, producer),
        data=data,
        metadata={"service": "liap", "instance": producer.rpartition("-")[0]},
    )


def told(deliveries: list[Delivery]) -> list[str]:
    """What has its place in the stream, in short: numbers, late ones with a star, and ranges of gaps."""
    found = []
    for delivered, kind in deliveries:
        if kind is not Kind.DELIVER:
            continue
        if delivered.event_type in (EventType.STREAM_GAP, EventType.STREAM_GAP_FILLED):
            name = "filled" if delivered.event_type == EventType.STREAM_GAP_FILLED else delivered.data["reason"]
            found.append(f"{name} {delivered.data['first']}-{delivered.data['last']}")
        else:
            found.append(delivered.event_id.rpartition("-")[2] + "*" * delivered.metadata.get("late", False))
    return found


def kinds(deliveries: list[Delivery]) -> list[str]:
    return [kind.value for _, kind in deliveries]


def take(accounts: Accounts, *numbers: int, now: float = 0.0, producer: str = SERVER) -> list[Delivery]:
    return [delivery for number in numbers for delivery in accounts.take(event(number, producer), now)]


# --- order ----------------------------------------------------------------------------------------------------------


def test_events_in_order_are_delivered_at_once_as_they_are() -> None:
    accounts = Accounts()
    first = event(1)
    (delivery,) = accounts.take(first, 0.0)
    assert delivery == (first, Kind.DELIVER)
    assert told(take(accounts, 2, 3)) == ["2", "3"]
    assert accounts.next_due() is None


def test_an_early_event_waits_for_those_before_it() -> None:
    accounts = Accounts()
    take(accounts, 1)
    assert kinds(take(accounts, 4, 3, now=10.0)) == ["hold", "hold"]
    assert accounts.report()[SERVER] | {"filled": 0} == accounts.report()[SERVER]
    assert (accounts.next_due(), list(accounts.waiting())) == (12.0, [SERVER])
    assert told(take(accounts, 2, now=11.0)) == ["2", "3", "4"]
    assert (accounts.next_due(), list(accounts.waiting())) == (None, [])


def test_a_hole_that_stays_becomes_a_gap_when_its_time_is_over_and_not_before() -> None:
    accounts = Accounts(AccountBounds(hole_seconds=2.0))
    take(accounts, 1)
    take(accounts, 5, now=10.0)
    take(accounts, 6, now=11.5)
    assert accounts.due(11.9) == []
    assert told(accounts.due(12.0)) == ["upstream 2-4", "5", "6"]
    assert accounts.next_due() is None


def test_each_hole_waits_for_its_own_time() -> None:
    """The second hole is known later than the first: it is not told with it, nor made to wait from then on."""
    accounts = Accounts(AccountBounds(hole_seconds=2.0))
    take(accounts, 1)
    take(accounts, 3, now=10.0)
    take(accounts, 5, now=11.0)
    assert told(accounts.due(12.0)) == ["upstream 2-2", "3"]
    assert accounts.next_due() == 13.0
    assert told(accounts.due(13.0)) == ["upstream 4-4", "5"]


def test_a_hole_below_an_older_one_is_as_old_as_what_stands_above_it() -> None:
    accounts = Accounts(AccountBounds(hole_seconds=2.0))
    take(accounts, 1)
    take(accounts, 9, now=10.0)  # both holes are known from here on
    take(accounts, 5, now=11.9)
    assert told(accounts.due(12.0)) == ["upstream 2-4", "5", "upstream 6-8", "9"]


def test_the_gap_says_all_of_it_under_an_id_of_its_own() -> None:
    accounts = Accounts()
    take(accounts, 1)
    take(accounts, 4)
    gap, _ = accounts.due(5.0)
    declared = next(declared for declared in EVENTS if declared.name == "stream.gap")
    assert gap.event.event_type == "stream.gap"
    assert gap.event.data == {"producer": SERVER, "first": 2, "last": 3, "count": 2, "reason": "upstream"}
    assert gap.event.event_id == f"gap-{SERVER}-2-3"
    assert gap.event.severity is declared.severity
    assert gap.event.data.keys() <= {attribute.data_key for attribute in declared.attributes}
    assert gap.event.timestamp_ns == 4_000_000_000, "it stands before the event after it"
    assert gap.event.metadata["instance"] == "server-1"


# --- the beginning ---------------------------------------------------------------------------------------------------


def test_what_was_before_the_first_event_received_is_told_after_the_usual_wait() -> None:
    """Batches may overtake each other at the start as well."""
    accounts = Accounts(AccountBounds(hole_seconds=2.0))
    assert kinds(take(accounts, 101, 102, now=0.0)) == ["hold", "hold"]
    assert told(take(accounts, 100, now=1.0)) == []
    assert told(accounts.due(2.0)) == ["before 1-99", "100", "101", "102"]


def test_only_what_is_below_all_that_was_received_was_before_it() -> None:
    accounts = Accounts()
    take(accounts, 10, 8)
    assert told(accounts.due(5.0)) == ["before 1-7", "8", "upstream 9-9", "10"]


def test_a_beginning_that_comes_late_is_delivered_all_the_same() -> None:
    accounts = Accounts()
    take(accounts, 3)
    accounts.due(5.0)
    assert told(accounts.take_all([event(1), event(2)], 6.0)) == ["1*", "2*", "filled 1-2"]
    assert accounts.report()[SERVER]["missing"] == 0


# --- late, again, both -----------------------------------------------------------------------------------------------


def test_a_late_event_is_marked_and_its_gap_filled() -> None:
    accounts = Accounts()
    take(accounts, 1, 5)
    accounts.due(5.0)
    (late, filled) = accounts.take(event(3), 6.0)
    assert late.event == SystemEvent(
        event_type=event(3).event_type,
        timestamp_ns=event(3).timestamp_ns,
        event_id=uid(3),
        metadata={**event(3).metadata, "late": True},
    )
    assert filled.event.data == {"producer": SERVER, "first": 3, "last": 3, "count": 1}
    assert filled.event.event_id == f"filled-{SERVER}-3-3"
    assert "late" not in filled.event.metadata


def test_late_events_that_follow_each_other_fill_their_gap_together() -> None:
    accounts = Accounts()
    take(accounts, 1, 9, producer=SERVER)
    take(accounts, 1, 4, producer=f"b-{EPOCH}")
    accounts.due(5.0)
    batch = [event(2), event(3), event(5), event(10), event(2, f"b-{EPOCH}"), event(6)]
    assert told(accounts.take_all(batch, 6.0)) == [
        "2*", "3*", "filled 2-3", "5*", "filled 5-5", "10", "2*", "filled 2-2", "6*", "filled 6-6",
    ]  # fmt: skip


@pytest.mark.parametrize("number", [1, 2, 3, 5], ids=["delivered", "delivered late", "missing and filled", "held"])
def test_what_came_before_is_a_duplicate(number: int) -> None:
    accounts = Accounts()
    take(accounts, 1, 4)
    accounts.due(5.0)
    take(accounts, 2, 3, 6, 5, 8, now=6.0)
    again = accounts.take(event(number), 7.0)
    assert again == [(event(number), Kind.DUPLICATE)]
    take(accounts, 8, now=7.0)
    assert accounts.report()[SERVER]["duplicates"] == 2


def test_the_report_says_where_every_number_is() -> None:
    accounts = Accounts()
    take(accounts, 1, 5)
    accounts.due(5.0)  # 2 to 4 are missing
    take(accounts, 3, 3, 9, 8, now=6.0)  # 3 comes late and again; 6 and 7 are awaited
    assert accounts.report() == {
        SERVER: {
            "emitted": 9,
            "delivered": 3,
            "missing": 2,
            "awaited": 2,
            "held": 2,
            "filled": 1,
            "late": 1,
            "duplicates": 1,
            "unfillable": 0,
            "undecided": 0,
        }
    }


@pytest.mark.parametrize("event_type", [EventType.PRODUCER_HEARTBEAT, EventType.PRODUCER_STOPPED])
def test_the_count_that_a_producer_tells_exposes_a_lost_tail(event_type: str) -> None:
    accounts = Accounts()
    take(accounts, 1, 2)
    accounts.take(event(6, event_type=event_type, last_sequence=5), 10.0)
    assert accounts.report()[SERVER]["emitted"] == 6
    assert told(accounts.due(12.0)) == ["upstream 3-5", "6"]


def test_a_count_beyond_its_own_number_is_believed() -> None:
    accounts = Accounts()
    accounts.take(event(1, event_type=EventType.PRODUCER_HEARTBEAT, last_sequence=3), 10.0)
    assert accounts.next_due() == 12.0
    assert accounts.report()[SERVER] | {"emitted": 3, "delivered": 1, "awaited": 2} == accounts.report()[SERVER]
    assert told(accounts.due(12.0)) == ["upstream 2-3"]
    assert told(take(accounts, 4)) == ["4"]


@pytest.mark.parametrize("count", ["7", -1, 10**16, float("nan"), None, True, [7]])
def test_a_count_that_is_none_says_nothing(count: Any) -> None:
    accounts = Accounts()
    accounts.take(event(1, event_type=EventType.PRODUCER_HEARTBEAT, last_sequence=count), 10.0)
    assert (accounts.report()[SERVER]["emitted"], accounts.next_due()) == (1, None)


# --- who -------------------------------------------------------------------------------------------------------------


def test_each_epoch_of_a_server_counts_for_itself() -> None:
    accounts = Accounts()
    assert told(take(accounts, 1, 2)) == ["1", "2"]
    assert told(take(accounts, 1, producer="server-1-00000000")) == ["1"]
    assert {producer: report["delivered"] for producer, report in accounts.report().items()} == {
        SERVER: 2,
        "server-1-00000000": 1,
    }


@pytest.mark.parametrize(
    "foreign",
    [
        "0b6a5f0e-0a51-4b57-9d0e-412345678901",  # a UUID whose last group looks like a number
        "01890a5d-ac96-774b-bcce-b302099a8057",
        f"{SERVER}-0",
        f"{SERVER}-007",
        f"{SERVER}--7",
        f"{SERVER}-{10**15 + 1}",
        f"{SERVER}-٧",
        f"-{EPOCH}-7",
        "7",
        "-",
        "server-1-9F8E7D6C-7",
    ],
)
def test_uids_of_other_forms_have_no_order_and_are_delivered_once(foreign: str) -> None:
    accounts = Accounts()
    odd = SystemEvent(event_type=EventType.TURN_COMPLETED, event_id=foreign)
    assert kinds(accounts.take_all([odd, odd], 0.0)) == ["deliver", "duplicate"]
    assert accounts.report() == {}
    assert accounts.totals() | {"emitted": 1, "delivered": 1, "duplicates": 1} == accounts.totals()


def test_events_without_a_uid_are_all_delivered() -> None:
    accounts = Accounts()
    nameless = SystemEvent(event_type=EventType.TURN_COMPLETED)
    assert kinds(accounts.take_all([nameless, nameless], 0.0)) == ["deliver", "deliver"]


def test_nobody_can_claim_to_be_the_hub() -> None:
    """A gap that somebody sends is an event as any other, also when it is read back from the log."""
    accounts, later = Accounts(), Accounts()
    forged = SystemEvent(
        event_type=EventType.STREAM_GAP,
        event_id=f"gap-{SERVER}-1-1000",
        data={"producer": SERVER, "first": 1, "last": 1000, "count": 1000, "reason": "upstream"},
        metadata={"found_by": "True"},
    )
    assert kinds(accounts.take(forged, 0.0)) == ["deliver"]
    later.delivered(forged)
    assert told(take(later, 1)) == told(take(accounts, 1)) == ["1"]


# --- bounds ----------------------------------------------------------------------------------------------------------


def test_an_absurd_number_costs_no_more_than_any_other() -> None:
    accounts = Accounts()
    take(accounts, 1)
    take(accounts, 10**15, now=0.0)
    assert told(accounts.due(5.0)) == [f"upstream 2-{10**15 - 1}", str(10**15)]
    assert told(take(accounts, 2, now=6.0)) == ["2*", "filled 2-2"]
    assert len(json.dumps(accounts.state())) < 2_000
    report = accounts.report()[SERVER]
    assert report["emitted"] == 10**15 == report["delivered"] + report["missing"]


def test_past_the_bound_of_held_events_the_oldest_gap_is_told_at_once() -> None:
    accounts = Accounts(AccountBounds(max_held=3))
    take(accounts, 1)
    assert told(take(accounts, 3, 5, 7)) == []
    assert told(take(accounts, 9)) == ["upstream 2-2", "3"]
    assert accounts.report()[SERVER]["held"] == 3


def test_held_events_that_were_delivered_do_not_count_for_the_bound() -> None:
    accounts = Accounts(AccountBounds(max_held=3))
    take(accounts, 50)
    for number in range(1, 40, 2):
        assert told(take(accounts, number + 1, number, now=0.0)) == [str(number), str(number + 1)]
    assert accounts.report()[SERVER] | {"held": 1, "missing": 0} == accounts.report()[SERVER]


def test_what_is_remembered_of_waiting_goes_with_it() -> None:
    accounts = Accounts()
    for number in range(1, 20_001, 2):
        take(accounts, number + 1, number)
    account = accounts._accounts[SERVER]
    assert (len(account._held), len(account._lowest), len(account._known)) == (0, 0, 0)


def test_past_the_bound_of_ranges_the_lowest_can_no_longer_be_filled() -> None:
    accounts = Accounts(AccountBounds(max_ranges=2))
    take(accounts, 1, 4, 6, 8)
    assert told(accounts.due(5.0)) == ["upstream 2-3", "4", "upstream 5-5", "6", "upstream 7-7", "8"]
    assert told(take(accounts, 2, now=6.0)) == [], "nobody can tell any more whether it came before"
    assert told(take(accounts, 5, now=6.0)) == ["5*", "filled 5-5"]
    assert accounts.report()[SERVER] | {
        "emitted": 8, "delivered": 5, "missing": 3, "unfillable": 2, "undecided": 1, "duplicates": 1,
    } == accounts.report()[SERVER]  # fmt: skip


def test_a_range_that_is_filled_in_its_middle_is_two() -> None:
    accounts = Accounts(AccountBounds(max_ranges=2))
    take(accounts, 1, 10, 20)
    accounts.due(5.0)  # 2-9 and 11-19 are missing
    assert told(take(accounts, 15, now=6.0)) == ["15*", "filled 15-15"]
    report = accounts.report()[SERVER]
    assert (report["unfillable"], report["missing"], report["delivered"]) == (8, 16, 4)
    assert told(take(accounts, 11, 14, 16, 19, now=6.0)) == [
        "11*", "filled 11-11", "14*", "filled 14-14", "16*", "filled 16-16", "19*", "filled 19-19",
    ]  # fmt: skip


def test_past_the_bound_of_producers_the_longest_silent_is_forgotten_after_it_was_told_of() -> None:
    accounts = Accounts(AccountBounds(max_producers=2))
    a, b, c = (f"{name}-{EPOCH}" for name in "abc")
    take(accounts, 1, 3, producer=a)
    take(accounts, 1, producer=b)
    assert told(take(accounts, 1, producer=c)) == ["upstream 2-2", "3", "1"]
    assert (set(accounts.report()), accounts.producers_forgotten) == ({b, c}, 1)
    assert accounts.totals() | {"emitted": 5, "delivered": 4, "missing": 1} == accounts.totals()
    assert list(accounts.waiting()) == []


def test_who_was_heard_of_again_is_not_the_longest_silent() -> None:
    accounts = Accounts(AccountBounds(max_producers=2))
    a, b, c = (f"{name}-{EPOCH}" for name in "abc")
    for producer in (a, b):
        take(accounts, 1, producer=producer)
    take(accounts, 2, producer=a)
    take(accounts, 1, producer=c)
    assert set(accounts.report()) == {a, c}


def test_a_producer_that_lives_is_forgotten_last() -> None:
    a, b, c, d = (f"{name}-{EPOCH}" for name in "abcd")
    accounts = Accounts(AccountBounds(max_producers=2), is_live=lambda producer: producer in (a, c))
    for producer in (a, b, c):
        take(accounts, 1, producer=producer)
    assert set(accounts.report()) == {a, c}
    take(accounts, 1, producer=d)
    assert set(accounts.report()) == {c, d}, "a bound is a bound"


def test_past_the_bound_of_foreign_uids_the_longest_unheard_is_forgotten() -> None:
    accounts = Accounts(AccountBounds(max_foreign=2))
    odd = [SystemEvent(event_type=EventType.TURN_COMPLETED, event_id=name) for name in "abc"]
    accounts.take_all([odd[0], odd[1], odd[0], odd[2]], 0.0)
    assert kinds(accounts.take_all([odd[0], odd[2], odd[1]], 0.0)) == ["duplicate", "duplicate", "deliver"]


# --- restarts ---------------------------------------------------------------------------------------------------------


def restored(accounts: Accounts) -> Accounts:
    later = Accounts(accounts.bounds)
    later.restore(json.loads(json.dumps(accounts.state())))
    return later


def test_what_waited_at_a_restart_waits_once_more_and_is_delivered_whole() -> None:
    accounts = Accounts(AccountBounds(hole_seconds=2.0))
    waited = event(4, ordinal=7, players=[{"player": "ann"}])
    take(accounts, 1)
    accounts.take(waited, 0.0)
    later = restored(accounts)
    assert later.next_due() == float("-inf")
    assert later.due(1_000.0) == []
    assert later.next_due() == 1_002.0
    gap, delivered = later.due(1_002.0)
    assert (told([gap]), delivered) == (["upstream 2-3"], (waited, Kind.DELIVER))


def test_a_gap_whose_followers_did_not_get_into_the_log_is_followed_by_them() -> None:
    accounts = Accounts()
    take(accounts, 1)
    take(accounts, 3, 4)
    (gap, *_) = accounts.due(5.0)
    later = Accounts()
    later.delivered(event(1))
    for number in (3, 4):
        later.held(event(number))
    later.delivered(gap.event)
    assert told(later.due(1_000.0)) == ["3", "4"]
    assert later.next_due() is None


def test_a_damaged_log_leaves_no_number_unaccounted_for() -> None:
    later = Accounts()
    later.delivered(event(1))
    later.delivered(event(5))
    report = later.report()[SERVER]
    assert (report["emitted"], report["delivered"], report["missing"]) == (5, 2, 3)


def test_foreign_uids_are_known_after_a_restart_from_state_and_from_the_log() -> None:
    accounts = Accounts()
    odd = [SystemEvent(event_type=EventType.TURN_COMPLETED, event_id=name) for name in "ab"]
    accounts.take(odd[0], 0.0)
    later = restored(accounts)
    later.delivered(odd[1])
    assert kinds(later.take_all(odd, 0.0)) == ["duplicate", "duplicate"]


def test_a_lost_tail_that_was_awaited_at_a_restart_is_told() -> None:
    accounts = Accounts()
    accounts.take(event(1, event_type=EventType.PRODUCER_HEARTBEAT, last_sequence=3), 10.0)
    later = restored(accounts)
    later.due(0.0)
    (gap,) = later.due(2.0)
    assert told([gap]) == ["upstream 2-3"]
    assert (gap.event.timestamp_ns, gap.event.metadata["instance"]) == (1_000_000_000, "server-1")
