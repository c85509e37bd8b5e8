"""A ledger behind a way that loses events: snapshots, late events and the memory of ends put it right."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from otel_setup.catalogue import EventType
from otel_setup.events.record import SystemEvent
from otel_setup.game_model import LIAP_TUI
from otel_setup.ledger import Ledger, reports
from otel_setup.views import flow_diagram
from tests.otel_setup.ledger.builder import World

_NS = 1_000_000_000


class Reader(World):
    """A game server's ledger, and a reader's that gets its events: all but those that are lost."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[SystemEvent] = []
        self.losing = False
        self.lost: list[SystemEvent] = []
        self.copy = Ledger(LIAP_TUI, clock=lambda: self.monotonic, lossy=True)

    def tell(self, event_type: str, game: str | None = None, room: str | None = None, **more: Any) -> Any:
        event = self.event(event_type, game, room, **more)
        facts = self.ledger.apply(event)
        self._send(event)
        return facts

    def _send(self, event: SystemEvent) -> None:
        if self.losing:
            self.lost.append(event)
        else:
            self.copy.apply(event)

    def snapshot(self, game: str = "g") -> None:
        """As the recorder makes them."""
        live = self.ledger.games[game]
        seats = [{"player": s.player_id, "is_bot": s.is_bot, "bot_plays": s.bot_plays} for s in live.seats]
        self._send(
            self.event(
                EventType.GAME_SNAPSHOT,
                game,
                live.room_id,
                state=live.state,
                ordinal=live.ordinal,
                round_number=live.round_number,
                turns=live.turns,
                player_count=live.player_count,
                bot_count=live.bot_count,
                players=seats,
            )
        )

    def arrive_late(self) -> None:
        for event in self.lost:
            self.copy.apply(replace(event, metadata={"late": True}))
        self.lost = []

    def lose(self) -> Losing:
        return Losing(self)

    def check_same(self, *, but: tuple[str, ...] = ()) -> None:
        """Everything that counts is as the server has it."""
        for name in (
            "started",
            "completed",
            "abandoned",
            "games_by_state",
            "rooms_played",
            "seats_total",
            "wins_total",
        ):
            if name not in but:
                mine, theirs = (getattr(ledger, name) for ledger in (self.copy, self.ledger))
                assert _without_zeros(mine) == _without_zeros(theirs), name
        assert set(self.copy.games) == set(self.ledger.games)
        for game, live in self.ledger.games.items():
            found = self.copy.games[game]
            for name in ("room_id", "state", "ordinal", "round_number", "turns", "player_count", "bot_count", "seats"):
                assert getattr(found, name) == getattr(live, name), (game, name)
        check_sums(self.copy)


class Losing:
    def __init__(self, reader: Reader) -> None:
        self.reader = reader

    def __enter__(self) -> None:
        self.reader.losing = True

    def __exit__(self, *_: object) -> None:
        self.reader.losing = False


def _without_zeros(value: Any) -> Any:
    return {key: count for key, count in value.items() if count} if isinstance(value, dict) else value


def check_sums(ledger: Ledger) -> None:
    """Every game that was started is somewhere, once."""
    given_up = sum(ledger.dropped.values())
    somewhere = len(ledger.games) + ledger.completed + ledger.abandoned + given_up + ledger.ends_unseen
    assert ledger.started == somewhere
    assert 0 <= ledger.starts_unseen <= ledger.started
    assert ledger.ends_unseen >= 0


def in_the_middle() -> Reader:
    reader = Reader()
    reader.start(humans="ann bea", bots="B1", room="r")
    reader.moved("waiting", "preparation", 1)
    reader.moved("preparation", "turn", 2)
    reader.tell(EventType.ROUND_STARTED, "g", round_number=3)
    reader.tell(EventType.TURN_COMPLETED, "g")
    reader.tell(EventType.PLAYER_DISCONNECTED, "g", player="ann")
    reader.tell(EventType.BOT_TAKEOVER, "g", player="ann")
    return reader


def test_with_nothing_lost_a_snapshot_changes_nothing() -> None:
    reader = in_the_middle()
    reader.wait(7)
    before = repr((reader.copy.games, reader.copy.rooms, vars(reader.copy)))
    live, activity = reader.copy.games["g"], reader.copy.games["g"].last_activity_at
    reader.snapshot()
    assert (live.corrected_ns, live.seen_ns) == (reader.now_ns, reader.now_ns)
    live.corrected_ns, live.seen_ns = 0, reader.now_ns - 7 * _NS
    assert repr((reader.copy.games, reader.copy.rooms, vars(reader.copy))) == before
    assert live.last_activity_at == activity, "nothing happens in a snapshot"


def test_a_game_whose_start_was_lost_is_live_with_its_first_snapshot() -> None:
    reader = Reader()
    with reader.lose():
        reader.start(humans="ann bea", bots="B1", room="r")
        reader.moved("waiting", "preparation", 1)
        reader.tell(EventType.PLAYER_DISCONNECTED, "g", player="ann")
        reader.tell(EventType.BOT_TAKEOVER, "g", player="ann")
    reader.snapshot()
    reader.copy.games["g"].seats[0].away_since = reader.monotonic  # which no snapshot tells
    reader.check_same()
    assert (reader.copy.started, reader.copy.starts_unseen) == (1, 1)
    room = reader.copy.rooms["r"]
    assert (room.game_id, room.state, room.player_count, room.bot_count) == ("g", "preparation", 3, 2)
    assert reports.hourly_metrics(reader.copy, now_ns=reader.now_ns) == {}, "nobody knows when it started"
    reader.snapshot()
    assert reader.copy.started == 1
    reader.end(winner="ann")
    reader.check_same()


def test_a_snapshot_corrects_state_round_turns_and_seats() -> None:
    reader = in_the_middle()
    with reader.lose():
        reader.moved("turn", "scoring", 3)
        reader.tell(EventType.ROUND_STARTED, "g", round_number=4)
        reader.tell(EventType.TURN_COMPLETED, "g")
        reader.tell(EventType.PLAYER_RECONNECTED, "g", player="ann")
    reader.snapshot()
    reader.copy.games["g"].seats[0].away_since = None
    reader.check_same()
    assert reader.copy.rooms["r"].state == "scoring"


def test_late_events_do_not_undo_what_a_snapshot_has_corrected_and_still_count() -> None:
    reader = in_the_middle()
    with reader.lose():
        reader.moved("turn", "scoring", 3)
        reader.tell(EventType.ROUND_STARTED, "g", round_number=4)
        reader.tell(EventType.TURN_COMPLETED, "g")
        reader.tell(EventType.BOT_TAKEOVER, "g", player="bea")
        reader.tell(EventType.PLAYER_RECONNECTED, "g", player="bea")
    reader.wait(1)
    reader.moved("scoring", "round_start", 4)
    reader.tell(EventType.ROUND_STARTED, "g", round_number=5)
    reader.snapshot()
    reader.arrive_late()
    reader.check_same()
    assert reader.copy.edges["turn", "scoring"].count == 1
    hours = reports.hourly_metrics(reader.copy, now_ns=reader.now_ns)
    assert [hour["total_turns"] for hour in hours.values()] == [2]


def test_late_events_without_a_snapshot_in_between_move_the_game() -> None:
    reader = in_the_middle()
    with reader.lose():
        reader.moved("turn", "scoring", 3)
        reader.tell(EventType.TURN_COMPLETED, "g")
    reader.arrive_late()
    reader.check_same()


def test_a_late_event_is_no_activity_of_now() -> None:
    reader = in_the_middle()
    quiet_since = reader.monotonic
    with reader.lose():
        reader.tell(EventType.TURN_COMPLETED, "g")
    reader.wait(100)
    reader.arrive_late()
    assert reader.copy.games["g"].last_activity_at == quiet_since


def test_a_late_snapshot_says_nothing() -> None:
    reader = in_the_middle()
    with reader.lose():
        reader.snapshot()
        reader.wait(1)
    reader.end(winner="ann")
    reader.arrive_late()
    reader.check_same()
    assert (reader.copy.started, reader.copy.starts_unseen) == (1, 0)


@pytest.mark.parametrize("ended", [False, True])
def test_a_start_that_comes_late_was_seen_after_all(ended: bool) -> None:
    reader = Reader()
    with reader.lose():
        reader.start(humans="ann bea")
    reader.wait(3600)
    reader.snapshot()
    if ended:
        reader.end(winner="ann")
    reader.arrive_late()
    reader.check_same()
    assert (reader.copy.started, reader.copy.starts_unseen) == (1, 0)
    at_noon, *_ = reports.hourly_metrics(reader.copy, now_ns=reader.now_ns).values()
    assert (at_noon["games_started"], at_noon["total_players"]) == (1, 2), "in the hour in which it started"
    assert reader.copy.game_seconds("g") == (None if ended else 3600)


def test_a_start_that_comes_late_before_anything_else_makes_the_game_live() -> None:
    reader = Reader()
    with reader.lose():
        reader.start(humans="ann bea")
    reader.arrive_late()
    reader.check_same()


def test_a_game_of_which_only_the_end_was_seen_counts_if_its_server_knew_it() -> None:
    reader = Reader()
    with reader.lose():
        reader.start(humans="ann bea", bots="B1 B2")
    reader.wait(600)
    reader.end(winner="ann", scores={"ann": 50, "bea": 3, "B1": 4, "B2": 5})
    assert (reader.copy.started, reader.copy.starts_unseen, reader.copy.completed) == (1, 1, 1)
    assert reports.mean_game_minutes(reader.copy, reader.now_ns) == 10
    assert reports.game_analytics(reader.copy, reader.now_ns)["avg_players"] == 4
    assert reports.win_rates(reader.copy) == {}, "who is a bot is not known"
    check_sums(reader.copy)
    reader.arrive_late()
    assert (reader.copy.started, reader.copy.starts_unseen) == (1, 0)


def test_the_end_of_a_game_that_its_server_does_not_know_counts_nothing() -> None:
    reader = Reader()
    reader.start(humans="ann")
    reader.end(winner="ann")
    reader.end(winner="ann")
    reader.end("never")
    reader.check_same()
    assert reader.copy.starts_unseen == 0


def test_in_a_servers_own_ledger_nothing_is_lost_and_nothing_is_guessed() -> None:
    world = World()
    facts = world.tell(EventType.GAME_ENDED, "never", game_seconds=60.0)
    assert (facts.counted, facts.irregular, world.ledger.completed) == (False, "unknown_game_ended", 0)


def test_a_game_whose_end_was_lost_is_closed_when_its_snapshots_stay_away() -> None:
    reader = in_the_middle()
    reader.start("other", humans="cid")
    with reader.lose():
        reader.end(winner="ann")
    reader.wait(30)
    reader.snapshot("other")
    reader.copy.forget_unseen(reader.now_ns - 30 * _NS)
    assert set(reader.copy.games) == {"g", "other"}, "it may be that old"
    reader.wait(1)
    reader.copy.forget_unseen(reader.now_ns - 30 * _NS)
    assert set(reader.copy.games) == {"other"}
    assert (reader.copy.ends_unseen, reader.copy.completed, reader.copy.abandoned) == (1, 0, 0)
    check_sums(reader.copy)
    reader.arrive_late()
    reader.check_same()
    assert reader.copy.ends_unseen == 0


def test_a_game_that_was_closed_wrongly_goes_on_with_its_next_snapshot() -> None:
    reader = in_the_middle()
    reader.wait(100)
    reader.copy.forget_unseen(reader.now_ns)
    assert (len(reader.copy.games), reader.copy.ends_unseen) == (0, 1)
    reader.snapshot()
    reader.check_same()
    assert (reader.copy.ends_unseen, reader.copy.starts_unseen) == (0, 0)
    assert reader.copy.rooms["r"].game_id == "g"
    assert reader.copy.game_seconds("g") == 100


def test_another_game_under_the_same_id_is_another_game() -> None:
    """The first one's end was lost, and the second one's start looks like the first one's told twice."""
    reader = in_the_middle()
    with reader.lose():
        reader.end(winner="ann")
    reader.wait(1)
    reader.start(humans="cid dan", room="r")
    reader.snapshot()
    reader.check_same(but=("completed", "seats_total", "wins_total"))
    assert (reader.copy.started, reader.copy.starts_unseen, reader.copy.ends_unseen) == (2, 1, 1)
    reader.arrive_late()
    assert set(reader.copy.games) == {"g"}, "that end was the other game's"
    check_sums(reader.copy)


def test_a_snapshot_after_an_end_is_of_another_game_under_the_same_id() -> None:
    reader = in_the_middle()
    reader.end(winner="ann")
    with reader.lose():
        reader.start(humans="cid dan", room="r")
    reader.snapshot()
    reader.check_same()
    assert (reader.copy.started, reader.copy.starts_unseen) == (2, 1)


def test_a_game_that_moved_to_another_room_left_the_first() -> None:
    reader = in_the_middle()
    reader.ledger.games["g"].room_id = "r2"
    reader.snapshot()
    assert {room.room_id: room.game_id for room in reader.copy.rooms.values()} == {"r2": "g"}


def test_the_flow_of_games_adds_up_whatever_was_lost() -> None:
    reader = in_the_middle()
    with reader.lose():
        reader.start("unseen", humans="cid")
        reader.end(winner="ann")
    reader.wait(100)
    reader.snapshot("unseen")
    reader.copy.forget_unseen(reader.now_ns - 60 * _NS)
    check_sums(reader.copy)
    nodes = {node["id"]: node["value"] for node in flow_diagram(reader.copy)["nodes"] if node["group"] == "games"}
    assert (nodes["games_started"], nodes["games_active"]) == (2, 1)


@pytest.mark.parametrize("players", ["ann", [7, None], [{"player": "ann", "bot_plays": "x"}], {"a": 1}, None])
def test_snapshots_of_nonsense_harm_nobody(players: Any) -> None:
    reader = in_the_middle()
    hostile = reader.event(
        EventType.GAME_SNAPSHOT, "g", "r", state=7, ordinal="x", turns=float("nan"), player_count=-3, players=players
    )
    reader.copy.apply(hostile)
    reader.snapshot()
    assert reader.copy.state_of("g") == "turn"
    check_sums(reader.copy)
