"""Whatever is published, the fold does not fail, and what it says stays sound."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_setup.catalogue import EVENTS, Event, EventType
from otel_setup.events.record import SystemEvent
from otel_setup.game_model import LIAP_TUI
from otel_setup.ledger import Bounds, Ledger, reports
from otel_setup.views import VisualizationType, get_view
from tests.otel_setup.ledger.builder import as_json

IDS = st.none() | st.sampled_from(["", "a", "b", "lobby", "\u202e\x00", "x" * 500])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=True, allow_infinity=True)
    | st.text(max_size=12)
    | st.sampled_from([10**400, "turn", "TURN", "failed", "cancelled", "nan"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["player", "is_bot", "a", "b"]) | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=8,
)


def _events_of(declared: Event) -> st.SearchStrategy[SystemEvent]:
    keys = sorted({attribute.data_key for attribute in declared.attributes})
    return st.builds(
        SystemEvent,
        event_type=st.just(EventType(declared.name)),
        timestamp_ns=st.integers(0, 2**62),
        game_id=IDS,
        room_id=IDS,
        player_id=IDS,
        connection_id=IDS,
        data=st.dictionaries(st.sampled_from(keys), VALUES, max_size=8),
    )


FOREIGN = Event(name="some.body.elses", description="Not of this catalogue.", attributes=EVENTS[0].attributes)
EVENT = st.sampled_from([*EVENTS, FOREIGN]).flatmap(_events_of)


@given(st.lists(EVENT, max_size=20))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_events_can_be_folded_and_shown(events: list[SystemEvent]) -> None:
    ledger = Ledger(
        LIAP_TUI, Bounds(max_live_games=3, max_players=3, max_rooms=3, max_connections=3, max_error_kinds=3)
    )
    for event in events:
        ledger.apply(event)
    now_ns = 2**61
    assert sum(reports.games_by_state(ledger).values()) == reports.games_active(ledger) <= 3
    assert all(count >= 0 for count in reports.games_by_state(ledger).values())
    assert max(len(held) for held in (ledger.players, ledger.rooms, ledger.connections, ledger.errors)) <= 3
    given_up = ledger.dropped.get("max_live_games", 0) + ledger.dropped.get("game_idle_timeout", 0)
    assert ledger.started == ledger.completed + ledger.abandoned + reports.games_active(ledger) + given_up
    shown: list[Any] = [
        get_view(name, ledger, lambda: events, now_ns) for name in (*VisualizationType, "performance", None)
    ]
    shown += [reports.game_analytics(ledger, now_ns), reports.phase_metrics(ledger), reports.player_metrics(ledger)]
    shown += [reports.hourly_metrics(ledger, 24, now_ns), reports.win_rates(ledger)]
    shown += [reports.player_metrics(ledger, player) for player in list(ledger.players)]
    for value in shown:
        as_json(value)
    assert all(rate >= 0 for rate in reports.win_rates(ledger).values())
