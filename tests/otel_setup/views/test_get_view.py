"""Views by name, and what every view keeps to."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from contextlib import AbstractContextManager
from types import TracebackType

import pytest

from otel_setup.catalogue import EventType
from otel_setup.events.record import SystemEvent
from otel_setup.ledger import reports
from otel_setup.ledger.state import Room
from otel_setup.views import VisualizationType, all_views, get_view
from otel_setup.views.copying import PORTION
from tests.otel_setup.ledger.builder import World, as_json

OVERVIEW = {"state_diagram", "room_status", "performance_metrics", "error_heatmap", "generated_at"}


def _no_events() -> Iterable[SystemEvent]:
    raise AssertionError("this view needs no events")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("state_diagram", "state_diagram"),
        ("room_status", "room_status"),
        ("performance", "performance_metrics"),
        ("performance_metrics", "performance_metrics"),
        ("errors", "error_heatmap"),
        ("error_heatmap", "error_heatmap"),
        ("flow_diagram", "flow_diagram"),
        (VisualizationType.STATE_DIAGRAM, "state_diagram"),
    ],
)
def test_a_view_by_its_name(name: str, shown: str) -> None:
    world = World()
    view = get_view(name, world.ledger, _no_events, world.now_ns)
    assert (view["type"], view["timestamp"]) == (shown, "2026-03-01T12:00:00+00:00")


def test_player_activity_asks_for_events() -> None:
    world = World()
    world.start()
    events = [world.event(EventType.PLAYER_ACTION, "g", player="ann", action_type="declare")]
    view = get_view("player_activity", world.ledger, lambda: events)
    assert (view["type"], view["events_considered"]) == ("player_activity", 1)


@pytest.mark.parametrize("name", [None, "no_such_view", "", "STATE_DIAGRAM"])
def test_no_name_or_an_unknown_one_gives_the_overview(name: str | None) -> None:
    world = World()
    view = get_view(name, world.ledger, _no_events, world.now_ns)
    assert set(view) == OVERVIEW
    assert view == all_views(world.ledger, world.now_ns)
    assert view["generated_at"] == "2026-03-01T12:00:00+00:00"
    assert all(view[key]["type"] == key for key in OVERVIEW - {"generated_at"})


def test_times_have_microseconds_and_a_zone() -> None:
    world = World()
    world.wait(0.25)
    assert (
        get_view("errors", world.ledger, now_ns=world.now_ns + 999)["timestamp"] == "2026-03-01T12:00:00.250000+00:00"
    )


class PortionLock(AbstractContextManager[None]):
    """Counts the rows that are made each time it is held."""

    def __init__(self) -> None:
        self.depth = 0
        self.portions: list[int] = []

    def __enter__(self) -> None:
        if not self.depth:
            self.portions.append(0)
        self.depth += 1

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.depth -= 1


def test_the_lock_is_let_go_between_portions_of_rooms(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    for number in range(2 * PORTION + 100):
        world.tell(EventType.ROOM_CREATED, room=f"r{number}")
    lock = PortionLock()
    world.ledger.lock = lock  # type: ignore[assignment]

    def counted(room: Room, _now_ns: int) -> str:
        assert lock.depth, f"{room.room_id} is read while events may change it"
        lock.portions[-1] += 1
        return "healthy"

    monkeypatch.setattr("otel_setup.views.rooms.room_health", counted)
    assert len(get_view("room_status", world.ledger)["rooms"]) == 2 * PORTION + 100
    assert [portion for portion in lock.portions if portion] == [PORTION, PORTION, 100]
    assert lock.depth == 0


def test_views_and_reports_may_be_asked_from_other_threads_while_events_arrive() -> None:
    world = World(max_rooms=50, max_players=50, max_live_games=50, max_error_kinds=20)
    faults: list[BaseException] = []
    done = threading.Event()

    def look() -> None:
        try:
            while not done.is_set():
                for name in (*VisualizationType, None):
                    as_json(get_view(name, world.ledger, tuple))
                reports.player_metrics(world.ledger)
                reports.phase_metrics(world.ledger)
                reports.rooms_by_health(world.ledger)
                reports.rooms_by_state(world.ledger)
                reports.hourly_metrics(world.ledger)
        except BaseException as fault:
            faults.append(fault)

    watchers = [threading.Thread(target=look) for _ in range(2)]
    for watcher in watchers:
        watcher.start()
    try:
        for number in range(1_500):
            game = f"g{number}"
            world.start(game, humans=f"a{number} b{number}")
            world.moved("waiting", f"phase{number}" if number % 3 else "turn", number + 1, game=game)
            world.tell(EventType.PHASE_COMPLETED, game, phase="turn", duration_seconds=float(number))
            world.error(f"E{number}", game=game)
            if number % 2:
                world.end(game, winner=f"a{number}")
    finally:
        done.set()
        for watcher in watchers:
            watcher.join()
    assert faults == []
