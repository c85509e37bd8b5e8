"""The fleet: who lives, what is lost and returns, and when what is shown is all there is."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import pytest

from otel_setup import clock
from otel_setup.catalogue import EVENTS
from otel_setup.hub.fleet import Fleet, FleetBounds
from otel_setup.ledger import Bounds, reports
from otel_setup.views import get_view
from tests.otel_setup.hub.fleet_world import NOON_NS, NS, FleetWorld, Server


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> FleetWorld:
    """It is noon, UTC, and only the world moves its clocks."""
    return in_its_own_time(monkeypatch)


def in_its_own_time(monkeypatch: pytest.MonkeyPatch, bounds: FleetBounds | None = None) -> FleetWorld:
    monkeypatch.setattr(clock, "time_ns", lambda: NOON_NS)
    world = FleetWorld(bounds)
    monkeypatch.setattr(clock, "time_ns", lambda: world.wall_ns)
    return world


def two_servers(world: FleetWorld) -> tuple[Server, Server]:
    """Each with two games, in the fifth minute."""
    a, b = world.server("a"), world.server("b")
    for server in (a, b):
        for number in range(2):
            server.start(f"{server.instance}{number}")
            server.move(f"{server.instance}{number}", "preparation")
    world.run(300)
    return a, b


def busy(servers: list[Server], seed: int = 1) -> Any:
    """What to do each second: games start, move and end at random."""
    chance = random.Random(seed)  # noqa: S311 - no secret

    def play() -> None:
        for server in servers:
            if not server.running:
                continue
            if chance.random() < 0.3:
                server.start(f"{server.instance}-{server.started}")
            for game in list(server.live):
                dice = chance.random()
                if dice < 0.05:
                    server.end(game, abandoned=dice < 0.01)
                elif dice < 0.3:
                    server.move(game, chance.choice(["preparation", "turn", "scoring"]))
                elif dice < 0.5:
                    server.turn(game)

    return play


# --- a server that is killed ----------------------------------------------------------------------------------------


def test_a_killed_server_is_lost_after_three_heartbeats_and_not_before(world: FleetWorld) -> None:
    a, b = two_servers(world)
    assert world.complete
    last_heard = world.now
    a.kill()
    while not world.found("producer.lost"):
        world.run(1)
        assert world.now <= last_heard + 15
        assert world.complete is not bool(world.found("producer.lost"))
    assert world.now == last_heard + 15
    (lost,) = world.found("producer.lost")
    assert lost.data == {"producer": "a-0000000a", "epoch": "0000000a", "last_sequence": a.number, "live_games": 2}
    assert [(game.game_id, game.room_id, game.data) for game in world.found("game.lost")] == [
        (game, game, {"producer": "a-0000000a", "state": "preparation"}) for game in ("a0", "a1")
    ]
    assert world.reasons() == {"a-0000000a": ["lost"]}
    world.check_live(b)
    assert set(world.ledger.rooms) == {"b0", "b1"}
    world.run(600)
    assert len(world.found("producer.lost")) == 1
    assert (world.ledger.completed, world.ledger.abandoned, world.ledger.started) == (0, 0, 4)
    world.run(301)
    assert world.complete, "after a quarter of an hour nobody waits for it any more"
    world.check_totals(ends_unseen=2)


def test_the_answer_says_since_when_it_holds(world: FleetWorld) -> None:
    a, _ = two_servers(world)
    before = world.fleet.completeness()
    assert (before.complete, before.since < datetime.fromtimestamp(world.wall_ns / NS, UTC)) == (True, True)
    a.kill()
    world.run(15)
    since = world.fleet.completeness().since
    assert since == datetime.fromtimestamp(world.wall_ns / NS, UTC)
    world.run(100)
    assert world.fleet.completeness().since == since
    a.heartbeat()
    world.run(1)
    after = world.fleet.completeness()
    assert (after.complete, after.since) == (True, datetime.fromtimestamp(world.wall_ns / NS, UTC))


def test_what_the_hub_finds_is_declared(world: FleetWorld) -> None:
    a, b = two_servers(world)
    a.kill()
    world.run(20)
    a.running = True
    b.lose = lambda event: event.event_type == "turn.completed"
    b.turn("b0")
    world.run(20)
    declared = {event.name: event for event in EVENTS}
    names = {"producer.lost", "producer.returned", "game.lost", "game.returned", "stream.gap"}
    found = [event for event in world.told if event.event_type in names]
    assert {event.event_type for event in found} == names
    for event in found:
        assert event.data.keys() <= {attribute.data_key for attribute in declared[event.event_type].attributes}
        assert event.severity is declared[event.event_type].severity
        assert event.metadata["instance"] in ("a", "b")
    assert len({event.event_id for event in found}) == len(found)


def test_a_server_that_was_only_silent_returns_with_the_games_it_still_has(world: FleetWorld) -> None:
    a, b = two_servers(world)
    a.kill()
    world.run(20)
    assert len(world.found("producer.lost")) == 1
    a.end("a0")
    a.running = True
    world.run(2)
    (returned,) = world.found("producer.returned")
    assert returned.data["producer"] == "a-0000000a"
    assert [event.game_id for event in world.found("game.returned")] == ["a1"], "the other one has ended"
    world.run(35)
    assert world.complete
    world.check_live(a, b)
    world.check_totals()


def test_late_events_do_not_bring_a_server_back(world: FleetWorld) -> None:
    a, b = two_servers(world)
    a.lose = lambda event: event.event_type == "turn.completed"
    a.turn("a0")
    missing = a.number
    a.lose = lambda event: False
    world.run(40)
    a.kill()
    world.run(20)
    a.number = missing - 1
    a.live["a0"]["turns"] -= 1
    a.turn("a0")
    world.run(1)
    assert world.told[-1].event_type == "stream.gap.filled"
    assert world.found("producer.returned") == []
    world.check_live(b)


def test_a_server_that_stops_is_not_lost(world: FleetWorld) -> None:
    a, b = two_servers(world)
    a.end("a0")
    a.stop()
    world.run(1_000)
    assert world.found("producer.lost") == world.found("game.lost") == []
    assert world.complete
    world.check_live(b)
    world.check_totals(ends_unseen=1)
    assert world.fleet.states() == {"live": 1, "lost": 0, "stopped": 0}


def test_each_server_is_judged_by_its_own_heartbeat(world: FleetWorld) -> None:
    slow, fast = world.server("slow", heartbeat=20.0), world.server("fast", heartbeat=2.0)
    world.run(100)
    slow.kill()
    fast.kill()
    lost: dict[str, int] = {}
    for second in range(1, 70):
        world.run(1)
        for event in world.found("producer.lost"):
            lost.setdefault(event.data["producer"], second)
    assert lost == {fast.name: 6, slow.name: 60}


def test_a_heartbeat_of_no_time_at_all_does_not_make_a_server_flap(world: FleetWorld) -> None:
    world.server("hasty", heartbeat=0.001, snapshot=5.0)
    world.run(10)
    world.out = {"hasty"}
    world.run(2)
    world.out = set()
    world.run(10)
    assert world.found("producer.lost") == []


@pytest.mark.parametrize("jump", [-3_600, 3_600])
def test_a_jump_of_the_hubs_clock_makes_nobody_silent(world: FleetWorld, jump: int) -> None:
    two_servers(world)
    world.wall_ns += jump * NS
    for server in world.servers:
        server.skew = -jump
    world.run(100)
    assert world.found("producer.lost") == []


def test_servers_whose_clocks_are_wrong_are_judged_right(world: FleetWorld) -> None:
    ahead, behind, right = (world.server(name, skew=skew) for name, skew in (("a", 600), ("b", -600), ("c", 0)))
    for server in world.servers:
        server.start(server.instance)
        server.move(server.instance, "turn")
    world.run(100)
    assert world.complete
    world.check_live(ahead, behind, right)
    quiet = {game["game_id"]: game["quiet_seconds"] for game in get_view("player_activity", world.ledger)["games"]}
    assert quiet == {"a": pytest.approx(100, abs=5), "b": pytest.approx(100, abs=5), "c": pytest.approx(100, abs=5)}
    assert {room["health"] for room in get_view("room_status", world.ledger)["rooms"]} == {"healthy"}
    ahead.kill()
    world.run(14)
    assert world.found("producer.lost") == []
    world.run(1)
    assert [event.data["producer"] for event in world.found("producer.lost")] == [ahead.name]
    behind.kill()
    world.run(15)
    assert [event.data["producer"] for event in world.found("producer.lost")] == [ahead.name, behind.name]


# --- a Collector that is out ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("outage", [300, 1_500], ids=["5 minutes", "longer than lost ones are remembered"])
@pytest.mark.parametrize("at_a_time", [15, 1_000_000])
def test_after_an_outage_of_the_collector_everything_is_as_if_there_had_been_none(
    world: FleetWorld, outage: int, at_a_time: int
) -> None:
    servers = [world.server(name) for name in "abc"]
    play = busy(servers)
    world.run(120, play)
    world.out = set("abc")
    world.run(outage, play)
    before = len(world.found("producer.lost"))
    world.at_a_time = at_a_time
    # One queue after the other comes back, and for a while only old events arrive.
    for name in "abc":
        world.out.discard(name)
        world.run(5, play)
    while any(server.queue for server in servers):
        world.run(1, play)
    assert len(world.found("producer.lost")) == before <= 3, "nobody is lost while the backlog comes in"
    world.run(40)
    assert world.complete
    assert world.fleet.states() == {"live": 3, "lost": 0, "stopped": 0}
    assert len(world.found("producer.returned")) == before
    world.check_live(*servers)
    world.check_totals()
    assert world.ledger.starts_unseen == 0
    assert sum(report["missing"] for report in world.accounts.report().values()) == 0


def test_while_one_server_sends_what_is_old_the_silence_of_another_says_nothing(world: FleetWorld) -> None:
    a, b = two_servers(world)
    world.out = {"a"}
    world.run(100)
    b.kill()
    a.queue.extend(a.tell("room.created", room=f"r{number}") for number in range(100))
    world.out, world.at_a_time = set(), 2
    while len(a.queue) > 10:
        world.run(1)
    assert [event.data["producer"] for event in world.found("producer.lost")] == [a.name], "of the outage itself"
    world.at_a_time = 1_000_000
    world.run(21)
    assert [event.data["producer"] for event in world.found("producer.lost")] == [a.name, b.name]


def test_while_a_backlog_comes_in_nothing_is_complete(world: FleetWorld) -> None:
    """A server that is heard of again tells first of what was long ago."""
    a, _ = two_servers(world)
    world.out = {"a"}
    world.run(100)
    world.out, world.at_a_time = set(), 3
    world.run(1)
    while len(a.queue) > 3:
        assert not world.complete
        assert "behind" in world.reasons()[a.name]
        world.run(1)
    world.at_a_time = 1_000_000
    world.run(40)
    assert world.complete


def test_a_hub_that_starts_waits_three_heartbeats_before_it_judges(world: FleetWorld) -> None:
    a, b = two_servers(world)
    a.kill()
    world.restart_hub(200)
    assert world.reasons() == {a.name: ["unheard"], b.name: ["unheard"]}
    assert not world.complete
    world.check_live(a, b)
    world.tick()
    world.run(14)
    assert world.found("producer.lost") == []
    assert world.reasons() == {a.name: ["unheard"]}
    world.run(1)
    assert [event.data["producer"] for event in world.found("producer.lost")] == [a.name]


def test_a_hub_that_starts_into_a_backlog_judges_nobody_while_it_comes_in(world: FleetWorld) -> None:
    """It has never seen these servers punctual: that what arrives becomes less and less late says so."""
    a, b = two_servers(world)
    world.restart_hub(400)
    world.tick()
    world.out, world.at_a_time = {"b"}, 3  # in a second, as many as a server tells in ten
    seconds = 0
    while len(a.queue) > 3:
        world.run(1)
        seconds += 1
        assert world.found("producer.lost") == []
    assert seconds > 20
    world.out, world.at_a_time = set(), 1_000_000
    world.run(10)
    assert world.found("producer.lost") == []
    world.check_live(a, b)


def test_a_server_whose_clock_is_set_back_is_no_backlog_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    world = in_its_own_time(monkeypatch, FleetBounds(lag_window=120.0))
    a, b = two_servers(world)
    a.skew = -600
    world.run(300)
    b.kill()
    world.run(15)
    assert [event.data["producer"] for event in world.found("producer.lost")] == [b.name]


# --- what was lost on the way ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["game.ended", "game.started", "state.transition.complete", "turn.completed"])
def test_what_was_lost_is_put_right_by_snapshots_and_until_then_not_complete(world: FleetWorld, what: str) -> None:
    a, b = two_servers(world)
    a.lose = lambda event: event.event_type in (what, "game.snapshot")
    a.start("new")
    a.move("new", "turn")
    a.turn("a1")
    a.end("a0")
    a.lose = lambda event: False
    world.run(1)
    assert world.reasons()[a.name] == ["awaited"]
    assert not world.complete
    world.run(5)
    assert "gap" in world.reasons()[a.name]
    assert not world.complete
    incomplete = 0
    while not world.complete:
        world.run(1)
        incomplete += 1
        assert incomplete < 100
    world.check_live(a, b)
    ledger = world.ledger
    assert (ledger.started, ledger.abandoned) == (5, 0)
    assert ledger.starts_unseen == (what == "game.started")
    assert (ledger.completed, ledger.ends_unseen) == ((0, 1) if what == "game.ended" else (1, 0))


def test_a_gap_that_is_filled_leaves_nothing_behind(world: FleetWorld) -> None:
    a, b = two_servers(world)
    kept = a.keep()
    a.start("new")
    a.end("a0")
    a.lose = lambda event: False
    world.run(10)
    assert world.reasons()[a.name][0] == "gap"
    a.queue.extend(kept)
    world.run(40)
    assert world.complete
    world.check_live(a, b)
    world.check_totals()
    assert world.ledger.starts_unseen == 0


def test_a_hub_that_comes_later_than_the_servers_knows_everything_after_one_round(world: FleetWorld) -> None:
    a, b = two_servers(world)
    world.log.clear()
    world.open()
    world.run(7)
    assert [event.data["reason"] for event in world.found("stream.gap")] == ["before", "before"]
    assert set(world.reasons()) == {a.name, b.name}
    world.run(35)
    assert world.complete
    world.check_live(a, b)
    assert (world.ledger.started, world.ledger.starts_unseen) == (4, 4)


def test_a_count_of_games_that_differs_is_not_complete(world: FleetWorld) -> None:
    a, _ = two_servers(world)
    a.live["unknown"] = {"state": "turn", "room": "u", "ordinal": 0, "began": 0, "turns": 0}
    world.run(5)
    assert world.reasons() == {a.name: ["count"]}
    world.run(30)
    assert world.complete


@pytest.mark.parametrize("seed", range(6))
def test_after_any_losses_what_is_live_is_right_again(world: FleetWorld, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secret
    servers = [world.server(name, skew=chance.uniform(-900, 900)) for name in "ab"]
    play = busy(servers, seed)
    for server in servers:
        server.lose = lambda _: chance.random() < 0.2
    world.run(200, play)
    for server in servers:
        server.lose = lambda _: False
    world.run(100, play)
    assert world.complete
    world.check_live(*servers)
    ledger = world.ledger
    assert ledger.started == len(ledger.games) + ledger.completed + ledger.abandoned + ledger.ends_unseen
    for report in world.accounts.report().values():
        assert report["emitted"] == report["delivered"] + report["missing"]
    lost = sum(report["missing"] for report in world.accounts.report().values())
    assert lost > 0
    played = sum(server.started for server in servers)
    assert played - lost <= ledger.started <= played


# --- many servers as one --------------------------------------------------------------------------------------------


def test_two_servers_with_a_room_and_a_game_of_the_same_id_have_two(world: FleetWorld) -> None:
    a, b = world.server("a"), world.server("b")
    for server in (a, b):
        server.start("game1", "room1")
    b.move("game1", "turn")
    world.run(10)
    ledger = world.ledger
    assert {name: (game.room_id, game.state) for name, game in ledger.games.items()} == {
        "game1": ("room1", "waiting"),
        "game1@b-0000000a": ("room1@b-0000000a", "turn"),
    }
    assert {name: (room.game_id, room.state) for name, room in ledger.rooms.items()} == {
        "room1": ("game1", "waiting"),
        "room1@b-0000000a": ("game1@b-0000000a", "turn"),
    }
    rows = get_view("room_status", world.ledger)["rooms"]
    assert sorted(room["room_id"] for room in rows) == ["room1", "room1@b-0000000a"]
    b.end("game1")
    world.run(1)
    assert set(world.ledger.games) == set(world.ledger.rooms) - {"game1", "room1"} | {"game1"}
    world.check_totals()


def test_a_hostile_room_cannot_take_the_name_that_another_would_get(world: FleetWorld) -> None:
    a, b = world.server("a"), world.server("b")
    a.start("g", "room1@b-0000000a")
    a.start("h", "room1")
    b.start("i", "room1")
    world.run(5)
    assert len(world.ledger.rooms) == 3


def test_the_views_speak_of_all_servers(world: FleetWorld) -> None:
    servers = [world.server(name) for name in "abc"]
    world.run(200, busy(servers))
    for server in servers:
        server.tell("error.occurred", error_type="ValueError", error_message="no")
        server.tell("phase.completed", phase="turn", duration_seconds=float(ord(server.instance)))
    world.run(1)
    ledger = world.ledger
    world.check_live(*servers)
    world.check_totals()
    moves = sum(sum(server.moves.values()) for server in servers)
    performance = get_view("performance", ledger)["aggregates"]
    assert (performance["total_requests"], performance["avg_response_time_ms"]) == (moves, 4.0)
    assert get_view("errors", ledger)["data"][0]["count"] == 3
    assert reports.phase_metrics(ledger)["turn"] == {
        "avg_seconds": 98.0, "min_seconds": 97.0, "max_seconds": 99.0, "p95_seconds": 99.0,
    }  # fmt: skip
    (hour,) = reports.hourly_metrics(ledger, now_ns=world.wall_ns).values()
    assert hour["games_started"] == sum(server.started for server in servers)
    assert (
        reports.player_metrics(ledger)["total_players"]
        == 2 * (ledger.completed + ledger.abandoned) - 2 * ledger.abandoned
    )
    times = [sample.timestamp_ns for sample in ledger.performance]
    assert times == sorted(times)
    assert len(times) == min(moves, 1_000)


def test_sockets_are_those_of_all_live_servers(world: FleetWorld) -> None:
    a, b = two_servers(world)
    for server in (a, b):
        server.tell("connection.opened", connection="c1")
    world.run(1)
    assert reports.connections_active(world.ledger) == 2
    a.kill()
    world.run(20)
    assert reports.connections_active(world.ledger) == 1


def test_a_view_costs_what_it_shows(world: FleetWorld) -> None:
    two_servers(world)
    ledger = world.ledger
    get_view("state_diagram", ledger)
    assert not {"games", "rooms", "players", "performance"} & vars(ledger).keys()


def test_reading_changes_nothing_and_what_was_read_does_not_change(world: FleetWorld) -> None:
    a, b = two_servers(world)
    world.run(1)
    first = world.ledger
    games, started = first.games, first.started
    a.start("another")
    world.run(1)
    assert (first.games, first.started) == (games, started)
    assert len(games) == 4
    world.check_live(a, b)


# --- epochs that end, and go on -------------------------------------------------------------------------------------


def test_games_that_outlive_an_epoch_go_on_in_the_next_and_are_the_same_games(world: FleetWorld) -> None:
    """As after a second ``configure()``: a new epoch under a new instance id, and the games go on."""
    a, b = two_servers(world)
    a.turn("a0")
    a.stop()
    world.run(3)
    next_life = world.server("a-anew", "0000000b")
    next_life.live, a.live = a.live, {}
    next_life.ordinal = a.ordinal
    next_life.heartbeat()
    world.run(1)
    assert world.reasons() == {next_life.name: ["count"]}
    next_life.end("a0")
    world.run(35)
    assert world.complete
    world.check_live(next_life, b)
    world.check_totals()
    assert world.ledger.starts_unseen == 0


def test_what_comes_late_of_an_epoch_that_stopped_still_counts(world: FleetWorld) -> None:
    a, b = two_servers(world)
    kept = a.keep()
    a.end("a0")
    a.lose = lambda event: False
    a.stop()
    world.run(10)
    world.check_live(b)
    a.queue.extend(kept)
    world.run(1)
    world.check_totals(ends_unseen=1)
    assert world.fleet.states()["stopped"] == 1


def test_a_server_that_is_forgotten_frees_its_ledger_and_keeps_its_sums(world: FleetWorld) -> None:
    servers = [world.server(name) for name in "ab"]
    world.run(100, busy(servers))
    a, b = servers
    a.kill()
    world.run(15 + 901)
    assert set(world.fleet._producers) == {b.name}
    world.check_live(b)
    world.check_totals(ends_unseen=len(a.live))
    assert world.fleet.report(world.now).keys() == {b.name}
    a.running = True
    world.run(40)
    assert [event.data["live_games"] for event in world.found("producer.returned")] == [len(a.live)]
    assert {event.game_id for event in world.found("game.returned")} == set(a.live)
    assert world.complete
    world.check_live(a, b)
    world.check_totals()


def test_past_the_bound_of_ledgers_finished_ones_go_first_then_the_longest_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = in_its_own_time(monkeypatch, FleetBounds(max_ledgers=3))
    a, b, c = (world.server(name) for name in "abc")
    for server in (a, b, c):
        server.start(server.instance)
    world.run(10)
    b.stop()
    world.run(1)
    d = world.server("d")
    d.start("d")
    world.run(1)
    assert set(world.fleet._producers) == {a.name, c.name, d.name}
    a.kill()
    world.run(7)
    e = world.server("e")
    e.start("e")
    world.run(1)
    assert set(world.fleet._producers) == {c.name, d.name, e.name}
    world.check_totals(ends_unseen=2)
    assert world.found("producer.lost") == []


def test_past_the_bound_of_unfinished_games_the_oldest_have_ended_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    world = in_its_own_time(monkeypatch, FleetBounds(max_unfinished_games=1))
    a = world.server("a")
    a.start("first")
    a.start("second")
    a.stop()
    world.run(3)
    world.check_totals(ends_unseen=2)
    b = world.server("b", "0000000b")
    b.live = a.live
    for game in list(b.live):
        b.snapshot(game)
    world.run(3)
    assert (world.ledger.started, world.ledger.starts_unseen, world.ledger.ends_unseen) == (3, 1, 1)


def test_a_server_that_sends_snapshots_decides_itself_how_long_a_game_may_be_quiet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = in_its_own_time(monkeypatch, FleetBounds(ledger=Bounds(game_idle_timeout=100.0)))
    a = world.server("a")
    a.start("chess by mail")
    world.run(400)
    world.check_live(a)
    world.check_totals()


# --- events of others -----------------------------------------------------------------------------------------------


def test_events_that_no_producer_numbered_count_by_their_instance_and_promise_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = in_its_own_time(monkeypatch, FleetBounds(ledger=Bounds(game_idle_timeout=600.0)))
    plain = world.server("plain")
    plain.kill()
    plain.name = "no-epoch"
    plain.start("g")
    world.run(500)
    assert world.complete
    assert world.found("producer.lost") == []
    world.check_live(plain)
    world.restart_hub()
    assert world.reasons() == {"plain": ["unheard"]}
    world.tick()
    world.run(601)
    world.check_live()
    world.check_totals(ends_unseen=1)


def test_an_event_that_a_ledger_fails_on_is_counted_and_the_others_go_on(
    world: FleetWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = two_servers(world)
    producer = world.fleet._producers[a.name]
    with monkeypatch.context() as broken:
        broken.setattr(producer.ledger, "apply", lambda event: 1 / 0)
        a.heartbeat()
        world.run(1)
    assert world.fleet.faults == 1
    world.run(5)
    world.check_live(a, b)


# --- restarts of the hub --------------------------------------------------------------------------------------------


def picture(fleet: Fleet) -> dict[str, Any]:
    """Everything that is shown, but for what depends on when it is looked at."""
    ledger = fleet.ledger()
    names = ("started", "completed", "abandoned", "starts_unseen", "ends_unseen", "rooms_created", "games_by_state")
    return {
        **{name: getattr(ledger, name) for name in names},
        "games": ledger.games,
        "rooms": ledger.rooms,
        "edges": ledger.edges,
        "players": ledger.players,
        "states": fleet.states(),
        "flow": get_view("flow", ledger, now_ns=NOON_NS),
    }


@pytest.mark.parametrize("seed", range(4))
def test_whoever_reads_the_log_again_comes_to_the_same(world: FleetWorld, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secret
    servers = [world.server(name) for name in "abcd"]
    for server in servers:
        server.lose = lambda _: chance.random() < 0.05
    play = busy(servers, seed)
    world.run(60, play)
    servers[0].kill()
    world.run(30, play)
    servers[1].stop()
    world.out = {"c"}
    world.run(40, play)
    world.out = set()
    world.run(3, play)
    again = Fleet()
    world.replay(again)
    assert picture(again) == picture(world.fleet)
    world.restart_hub(10)
    world.run(40)
    world.check_live(*servers[2:])
    assert world.fleet.states() == {"live": 2, "lost": 1, "stopped": 1}


def test_games_that_were_lost_before_a_restart_return_after_it(world: FleetWorld) -> None:
    a, b = two_servers(world)
    world.out = {"a"}
    world.run(20)
    world.restart_hub()
    assert world.reasons()[a.name] == ["lost"]
    assert world.found("producer.returned") == []
    world.out = set()
    world.run(2)
    assert [event.game_id for event in world.found("game.returned")] == ["a0", "a1"]
    world.run(5)
    world.check_live(a, b)
    assert world.complete


def test_a_finding_that_is_shown_after_what_disproves_it_changes_nothing(world: FleetWorld) -> None:
    """The writer may have found a server lost while an event of it was being written."""
    a, b = two_servers(world)
    a.kill()
    world.run(14)
    world.now += 1
    (lost, *games) = world.fleet.due(world.now)
    a.heartbeat()
    world.deliver(a.queue)
    a.queue.clear()
    for event in (lost, *games):
        world.fleet.apply(event, world.now)
    world.check_live(a, b)
    assert next(event.event_type for event in world.fleet.due(world.now)) == "producer.returned"
    assert world.complete
