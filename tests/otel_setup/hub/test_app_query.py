"""The query of a reader: understood, or refused with what to write instead."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from otel_setup.catalogue import EventType, Severity
from otel_setup.events.boxes import Policy
from otel_setup.events.cursor import Cursor
from otel_setup.events.record import SystemEvent
from otel_setup.hub.query import From, Last, Query, QueryError, parse

NOW = datetime(2030, 1, 31, 20, 0, tzinfo=UTC)
NS = 1_000_000_000


def ns(moment: datetime) -> int:
    return int(moment.timestamp()) * NS


def query(text: str, **more: Any) -> Query:
    return parse(text, ns(NOW), default_policy="drop_oldest", default_limit=1000, max_limit=10_000, **more)


def test_nothing_asked_for_is_everything_from_now_on() -> None:
    assert query("") == Query(None, None, True, None, Policy.DROP_OLDEST, 1000)


@pytest.mark.parametrize(
    ("text", "since"),
    [
        ("9f8e7d6c-42", Cursor("9f8e7d6c", 42)),
        ("oldest", "oldest"),
        ("-100", Last(100)),
        ("90s", From(ns(NOW - timedelta(seconds=90)))),
        ("30m", From(ns(NOW - timedelta(minutes=30)))),
        ("1.5h", From(ns(NOW - timedelta(minutes=90)))),
        ("2d", From(ns(NOW - timedelta(days=2)))),
        ("2030-01-31T19:00:00Z", From(ns(NOW - timedelta(hours=1)))),
        ("2030-01-31T19:00:00", From(ns(NOW - timedelta(hours=1)))),
        ("2030-01-31T20:00:00+01:00", From(ns(NOW - timedelta(hours=1)))),
        ("2030-01-31", From(ns(NOW - timedelta(hours=20)))),
    ],
)
@pytest.mark.parametrize("escape", [quote, str], ids=["escaped", "as typed"])
def test_places_to_begin_at(text: str, since: object, escape: Any) -> None:
    assert query(f"since={escape(text)}").since == since


@pytest.mark.parametrize("text", ["yesterday", "30", "-", "-1m", "9f8e7d6c-", "2030-13-01", "nan", "1e9s"])
def test_a_place_that_is_none_is_refused_with_examples(text: str) -> None:
    with pytest.raises(QueryError, match=r"since is .*; write a cursor, oldest, -100"):
        query(f"since={quote(text)}")


def test_the_header_wins_over_the_query() -> None:
    assert query("since=oldest", last_event_id="9f8e7d6c-42").since == Cursor("9f8e7d6c", 42)


def test_the_id_of_the_last_frame_says_that_the_stream_was_finished() -> None:
    found = query("live=0", last_event_id="9f8e7d6c-42.end")
    assert (found.finished, found.since) == (True, Cursor("9f8e7d6c", 42))
    assert not query("live=0", last_event_id="9f8e7d6c-42").finished


def test_sets_may_be_repeated_or_have_commas() -> None:
    found = query("type=game.*,phase.started&type=redeal&room=a,b&game=g&player=p&correlation=c&trace=AB").event_filter
    assert found is not None
    assert found.event_types == {"game.*", "phase.started", "redeal"}
    assert (found.room_ids, found.game_ids, found.player_ids) == ({"a", "b"}, {"g"}, {"p"})
    assert (found.correlation_ids, found.trace_ids) == ({"c"}, {"ab"})


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("severity=WARN", [Severity.WARN, Severity.ERROR]),
        ("severity=error", [Severity.ERROR]),
        ("severity=DEBUG", list(Severity)),
    ],
)
def test_severity_is_at_least(text: str, matches: list[Severity]) -> None:
    wanted = query(text).event_filter
    assert wanted is not None
    events = [SystemEvent(event_type=EventType.GAME_ERROR, severity=severity) for severity in Severity]
    assert [event.severity for event in events if wanted.matches(event)] == matches


def test_attributes_are_of_the_events_data_and_may_hold_commas_and_colons() -> None:
    wanted = query("attr=phase_name:scoring&attr=note:a,b:c").event_filter
    assert wanted is not None
    data = {"phase_name": "scoring", "note": "a,b:c"}
    assert wanted.matches(SystemEvent(event_type=EventType.PHASE_STARTED, data=data))
    assert not wanted.matches(SystemEvent(event_type=EventType.PHASE_STARTED, data=data | {"note": "a"}))


def test_an_empty_set_is_nothing_and_not_everything() -> None:
    wanted = query("room=").event_filter
    assert wanted is not None
    assert not wanted.matches(SystemEvent(event_type=EventType.ROOM_CREATED, room_id="room"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rooms=a", "there is no parameter 'rooms'; there are attr, correlation"),
        ("type=game.*.x*", "game"),
        ("severity=loud", "write one of DEBUG, INFO"),
        ("attr=phase_name", "write attr=key:value"),
        ("attr=:x", "write attr=key:value"),
        ("live=yes", "write 0 or 1"),
        ("speed=0", "write a number from 0.01"),
        ("speed=inf", "write a number from 0.01"),
        ("speed=nan", "write a number from 0.01"),
        ("speed=fast", "write a number from 0.01"),
        ("policy=wait", "write one of drop_oldest, drop_newest"),
        ("limit=0", "write a number from 1 to 10000"),
        ("limit=10001", "write a number from 1 to 10000"),
        ("limit=-1", "write a number from 1 to 10000"),
        ("limit=٣", "write a number from 1 to 10000"),
        ("since=oldest&since=-3", "since is given 2 times; give it once"),
        ("&".join(f"room={n}" for n in range(201)), "at most 200 parameters"),
        ("room=" + ",".join(map(str, range(201))), "at most 200 values"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_would(text: str, says: str) -> None:
    with pytest.raises(QueryError) as refused:
        query(text)
    assert says in str(refused.value)


@pytest.mark.parametrize("name", ["type", "since", "severity", "speed", "policy", "limit", "attr", "nonsense"])
def test_a_hostile_value_is_cut_in_the_answer(name: str) -> None:
    with pytest.raises(QueryError) as refused:
        query(f"{name}={'*' + 'x' * 10_000}")
    assert len(str(refused.value)) < 1000


def test_speed_policy_and_limit() -> None:
    found = query("speed=2.5&policy=disconnect&limit=7&live=0")
    assert (found.speed, found.policy, found.limit, found.live) == (2.5, Policy.DISCONNECT, 7, False)
