"""render_event: what a person reads in a terminal. Lines are written out by hand."""

from __future__ import annotations

import re
import time
import unicodedata
from collections.abc import Iterator
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from otel_setup.catalogue import EVENTS, EventType, Severity
from otel_setup.cli import event_lines
from otel_setup.cli.event_lines import is_noise, render_event
from otel_setup.events.record import SystemEvent

SEVERITIES = {each.name: each.severity for each in EVENTS}
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(autouse=True)
def _two_hours_east_of_greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "XXX-2")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def event(name: str, **fields: Any) -> SystemEvent:
    return SystemEvent(
        event_type=EventType(name),
        timestamp_ns=1_700_000_000_123_999_999,  # 2023-11-14 22:13:20 UTC
        severity=fields.pop("severity", SEVERITIES.get(EventType(name), Severity.INFO)),
        **fields,
    )


TRANSITION = {"from_state": "turn", "to_state": "scoring"}
IN_ROOM = {"game_id": "2D3779", "room_id": "2D3779"}

LINES: list[tuple[str, SystemEvent]] = [
    (
        "00:13:20.123   transition  2D3779              turn → scoring  4.2 ms",
        event("state.transition.complete", **IN_ROOM, data={**TRANSITION, "legal": True, "duration_ms": 4.21}),
    ),
    (
        "00:13:20.123 ✗ transition  2D3779              turn → scoring failed after 2.0 s: ValueError: gone",
        event(
            "state.transition.failed",
            **IN_ROOM,
            data={**TRANSITION, "duration_ms": 2000, "error_type": "ValueError", "error": "gone"},
        ),
    ),
    (
        "00:13:20.123 ! transition  2D3779              turn → scoring is against the rules",
        event("state.transition.illegal", **IN_ROOM, data=TRANSITION),
    ),
    (
        "00:13:20.123   action      2D3779   first      play_pieces accepted  2.3 ms                 89abcdef",
        event(
            "action.completed",
            **IN_ROOM,
            player_id="first",
            correlation_id="corr_0123456789abcdef",
            data={"action_type": "play_pieces", "status": "completed", "outcome": "accepted", "duration_ms": 2.3},
        ),
    ),
    (
        "00:13:20.123 · action      2D3779   first      play_pieces queued",
        event("action.queued", **IN_ROOM, player_id="first", data={"action_type": "play_pieces", "status": "queued"}),
    ),
    (
        "00:13:20.123   game        2D3779              started  4 players, 1 bot",
        event("game.started", **IN_ROOM, data={"player_count": 4, "bot_count": 1}),
    ),
    (
        "00:13:20.123   game        2D3779              ended  ★ first 52, ★ third 52, second -5  30 min 22 s",
        event(
            "game.ended",
            **IN_ROOM,
            data={
                "winner_id": ["first", "third"],
                "final_scores": {"first": 52, "second": -5, "third": 52},
                "abandoned": False,
                "game_seconds": 1822.4,
            },
        ),
    ),
    (
        "00:13:20.123   game        2D3779              ended  ★ first 52, second 4",
        event(
            "game.ended",
            **IN_ROOM,
            data={
                "winner_id": "first",
                "final_scores": [{"player": "second", "score": 4}, {"player": "first", "score": 52}],
            },
        ),
    ),
    (
        "00:13:20.123   game        2D3779              abandoned",
        event("game.ended", **IN_ROOM, data={"winner_id": None, "final_scores": {}, "abandoned": True}),
    ),
    (
        "00:13:20.123 · broadcast   lobby               room_update to 3 sockets  0.24 ms",
        event(
            "broadcast.sent",
            room_id="lobby",
            data={"event": "room_update", "recipient_count": 3, "broadcast_time_ms": 0.2382, "success": True},
        ),
    ),
    (
        "00:13:20.123   connection  lobby    79a5507x   closed after 1 h 2 min  code=1001",
        event(
            "connection.closed",
            room_id="lobby",
            connection_id="790a8249-79a5507x",
            data={"code": 1001, "connection_seconds": 3725},
        ),
    ),
    (
        "00:13:20.123   phase       2D3779              declaration lasted 59.9 s",
        event("phase.completed", **IN_ROOM, data={"phase": "declaration", "duration_seconds": 59.94}),
    ),
    (
        "00:13:20.123 ✗ error                           HighMemoryUsage: RSS is 1203 MB",
        event("error.occurred", data={"error_type": "HighMemoryUsage", "error_message": "RSS is 1203 MB"}),
    ),
    (
        '00:13:20.123   arena       arena-7             storm closing  radius=120.5 seats=["a", "b"]',
        event("arena.storm.closing", room_id="arena-7", data={"radius": 120.5, "seats": ["a", "b"]}),
    ),
    ("00:13:20.123   custom", event("custom")),
    (
        "00:13:20.123 ! stream                          ━━ 2 events missing  no. 5 to 6 of i-0: they never a…",
        event("stream.gap", data={"first": 5, "last": 6, "count": 2, "reason": "upstream", "producer": "i-0"}),
    ),
    (
        "00:13:20.123 ! stream                          ━━ 1 event missing  no. 5: this reader was too slow",
        event("stream.gap", data={"first": 5, "last": 5, "count": 1, "reason": "queue_full"}),
    ),
    (
        "00:13:20.123   stream                          ━━ 2 missing events came after all  no. 5 to 6 of i-0",
        event("stream.gap.filled", data={"first": 5, "last": 6, "count": 2, "producer": "i-0"}),
    ),
    (
        "00:13:20.123 ! stream                          ━━ begins anew: 0a-5 is not of this stream",
        event("stream.reset", data={"cursor": "0a-5"}),
    ),
    (
        "00:13:20.123 ✗ producer                        ━━ lost: what came after no. 99 is not known  2 game…",
        event("producer.lost", data={"last_sequence": 99, "live_games": 2, "producer": "i1-0a"}),
    ),
    (
        "00:13:20.123   game        2D3779              abandoned late",
        event("game.ended", **IN_ROOM, data={"abandoned": True}, metadata={"late": True}),
    ),
    (
        "00:13:20.123 ! player      2D3779   象棋大師…  disconnected",
        event("player.disconnected", **IN_ROOM, player_id="象棋大師傅的名字"),
    ),
]


@pytest.mark.parametrize(("line", "shown"), LINES, ids=[shown.event_type for _, shown in LINES])
def test_lines(line: str, shown: SystemEvent) -> None:
    assert render_event(shown, color=False, width=100) == line


def test_a_line_that_does_not_fit_ends_in_an_ellipsis() -> None:
    failed = LINES[1][1]
    assert render_event(failed, False, 80) == (
        "00:13:20.123 ✗ transition  2D3779              turn → scoring failed after 2.0 …"
    )
    assert render_event(failed, False, 60) == "00:13:20.123 ✗ transition  2D3779   turn → scoring failed a…"
    assert render_event(failed, False, 40) == "00:13:20.123 ✗ transition  turn → scori…"


def test_without_a_width_everything_is_there() -> None:
    message = "m" * 400
    line = render_event(event("error.occurred", data={"error_message": message}, correlation_id="c0ffee"), False, None)
    assert message in line
    assert line.endswith("  c0ffee")


def test_colours_say_kind_and_severity() -> None:
    assert render_event(event("game.started"), True, 100).startswith("\x1b[2m00:13:20.123\x1b[0m\x1b[32m   game")
    assert "\x1b[31m turn → scoring failed" in render_event(LINES[1][1], True, 100)
    assert "\x1b[33m turn → scoring is against" in render_event(LINES[2][1], True, 100)
    assert "\x1b[2m room_update" in render_event(LINES[9][1], True, 100)


@pytest.mark.parametrize("shown", [shown for _, shown in LINES], ids=lambda shown: shown.event_type)
@pytest.mark.parametrize("width", [40, 70, 100, 200, None])
def test_colours_change_nothing_else(shown: SystemEvent, width: int | None) -> None:
    assert COLOURS.sub("", render_event(shown, True, width)) == render_event(shown, False, width)


def test_red_and_yellow_are_kept_for_errors_and_warnings() -> None:
    for declared in EVENTS:
        line = render_event(event(declared.name, data=TRANSITION), True, 100)
        assert ("\x1b[31m" in line) == (declared.severity is Severity.ERROR), declared.name
        assert ("\x1b[33m" in line) == (declared.severity is Severity.WARN), declared.name


def test_every_family_of_the_catalogue_has_its_style() -> None:
    assert {declared.name.partition(".")[0] for declared in EVENTS} <= set(event_lines._FAMILY_STYLES)


@pytest.mark.parametrize("declared", EVENTS, ids=lambda declared: str(declared.name))
def test_every_declared_event_says_what_it_carries(declared: Any) -> None:
    """Whatever an event may carry is in its line, in words or as ``key=value``, but for what has its own column."""
    ids = {"game_id", "room_id", "player_id", "connection_id", "correlation_id"}
    hidden = {"stack_trace", "ordinal", "legal", "success", "status", "abandoned", "actor", "is_bot", "players"}
    keys = [each.data_key for each in declared.attributes if each.data_key not in ids | hidden]
    told = render_event(event(declared.name, data={key: f"v-{key}" for key in keys}), False, None)
    timed = [key for key in keys if key.endswith(("_ms", "_seconds", "seconds"))]
    assert [key for key in keys if key not in timed and f"v-{key}" not in told] == []
    told = render_event(event(declared.name, data=dict.fromkeys(timed, 7)), False, None)
    assert len(re.findall(r"\b7\.0 (?:ms|s)\b|=7\b", told)) == len(timed)


def test_noise_is_what_is_declared_for_debugging() -> None:
    noisy = {str(declared.name) for declared in EVENTS if is_noise(event(declared.name))}
    assert {"broadcast.sent", "action.queued", "producer.heartbeat", "state.transition.start"} <= noisy
    assert not noisy & {"broadcast.failed", "action.completed", "game.started", "error.occurred"}
    assert is_noise(event("arena.tick", severity=Severity.DEBUG))


# --- hostile text ----------------------------------------------------------------------------------------------------

ODD_VALUES: list[Any] = [None, float("nan"), float("inf"), True, 10**400, b"\x1b", [], {}, object(), "\x1b[2J"]
ANY_TEXT = st.text(st.characters(), max_size=40) | st.sampled_from(
    [
        "\x1b[2J\x1b[1;1H",
        "\x9b31m",
        "\u202eevil",
        "a\nb\rc",
        "\u2028",
        "Z" + "\u0301" * 200,
        "象" * 50,
        "\x1b]0;title\x07",
    ]
)
ANY_VALUE = ANY_TEXT | st.integers() | st.floats() | st.lists(ANY_TEXT, max_size=3) | st.sampled_from(ODD_VALUES)


def columns(line: str) -> int:
    """Columns of a terminal (UAX #11: wide and full-width characters take two, non-spacing marks none)."""
    return sum(
        0 if unicodedata.category(char) in ("Mn", "Me") else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in line
    )


@given(
    declared=st.sampled_from(EVENTS),
    text=ANY_TEXT,
    values=st.lists(ANY_VALUE, min_size=1, max_size=6),
    width=st.integers(20, 160) | st.none(),
)
def test_nothing_hostile_reaches_the_terminal(declared: Any, text: str, values: list[Any], width: int | None) -> None:
    keys = [each.data_key for each in declared.attributes] + [text]
    data = {key: values[index % len(values)] for index, key in enumerate(keys)}
    ids = dict.fromkeys(("game_id", "room_id", "player_id", "connection_id", "correlation_id"), text)
    for name in (declared.name, text):
        shown = event(name, **ids, data=data)
        line = render_event(shown, False, width)
        assert {unicodedata.category(char) for char in line}.isdisjoint({"Cc", "Cf", "Cs", "Zl", "Zp"})
        assert "\u0301" * 3 not in line
        assert width is None or columns(line) <= width
        assert line == line.rstrip()
        assert COLOURS.sub("", render_event(shown, True, width)) == line


@pytest.mark.parametrize("scores", [{"a": None, "b": "x", "c": 3}, [1, {"player": "c", "score": 3}], "text", 5])
def test_scores_of_any_shape_are_shown(scores: Any) -> None:
    line = render_event(event("game.ended", data={"winner_id": "c", "final_scores": scores}), False, None)
    assert "★ c" in line
