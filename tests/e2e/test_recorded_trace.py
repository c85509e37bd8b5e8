"""The calls of two real games, replayed: what arrives is what the recording holds, counted here from its lines."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import otel_setup
from deploy.native import Stack
from examples import replay
from examples.common.record import Series
from examples.reconcile import Reconciliation
from otel_setup.ledger import reports
from otel_setup.testing import Recorded, fresh_telemetry
from tests.e2e.support import METRIC_INTERVAL, SETTLE_SECONDS, in_process_accounts, series, settled
from tests.support.peers import running_stack

TRACE = Path(__file__).parents[1] / "data" / "liap_tui_trace.jsonl.gz"
EARLY = 2.19
"""Seconds: a transition that was entered at 0.17 has just ended, after one entered and ended inside it."""

Line = dict[str, Any]


def read() -> list[Line]:
    with gzip.open(TRACE, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


LINES = read()


def of(call: str, **fields: Any) -> list[Line]:
    return [line for line in LINES if line["call"] == call and all(line[key] == fields[key] for key in fields)]


def broadcasts() -> list[Line]:
    return [line["data"] for line in of("websocket", event_type="broadcast")]


def expected_counters() -> dict[Series, float]:
    """Every counter that the recorded calls move, by the meaning the calls have, and some that none may move."""
    totals: Counter[Series] = Counter()
    for line in of("state_transition"):
        totals[series("state_transitions_total", from_=line["from_state"].lower(), to=line["to_state"].lower())] += 1
    for line in of("action"):  # four humans a game and no bots, so whoever acted was human
        labels = {"action_type": line["action_type"], "outcome": "accepted", "actor": "human"}
        totals[series("actions_total", **labels)] += 1
    for line in of("phase_duration"):
        totals[series("phase_duration_seconds_count", phase=line["phase"].lower())] += 1
    started = {line["game_id"]: line for line in of("game_start")}
    decided = of("game_end", abandoned=False)
    seats = sum(started[line["game_id"]]["player_count"] for line in decided)
    bots = sum(started[line["game_id"]]["bot_count"] for line in decided)
    counts = {
        series("games_started_total"): len(started),
        series("games_completed_total"): len(decided),
        series("games_abandoned_total"): len(of("game_end", abandoned=True)),
        series("seats_total", type="human"): seats - bots,
        series("seats_total", type="bot"): bots,
        series("player_wins_total", type="human"): len(decided),
        series("websocket_connections_opened_total"): len(of("websocket", event_type="connect")),
        series("websocket_connections_closed_total"): len(of("websocket", event_type="disconnect")),
        # The recorded calls say no close codes.
        series("websocket_closes_total", code="other"): len(of("websocket", event_type="disconnect")),
        series("websocket_broadcasts_total", outcome="success"): sum(line["success"] for line in broadcasts()),
        series("websocket_broadcasts_total", outcome="failure"): sum(not line["success"] for line in broadcasts()),
        series("websocket_broadcast_recipients_total"): sum(line["recipient_count"] for line in broadcasts()),
        series("websocket_broadcast_time_count"): len(broadcasts()),
        series("state_illegal_transitions_total"): 0,
        series("state_errors_total"): len([line for line in LINES if line.get("error")]),
        series("rooms_created_total"): 0,
        series("websocket_messages_total"): 0,
    }
    return {counted: float(total) for counted, total in {**totals, **counts}.items()}


def expected_gauges() -> dict[Series, float]:
    opened, closed = (len(of("websocket", event_type=kind)) for kind in ("connect", "disconnect"))
    return {
        series("games_active"): float(len(of("game_start")) - len(of("game_end"))),
        series("state_active_games"): 0.0,
        series("websocket_connections_active"): float(opened - closed),
    }


def expected_sums() -> dict[Series, float]:
    """Sums of the histograms whose values the recording holds."""
    sums: Counter[Series] = Counter()
    for line in of("phase_duration"):
        sums[series("phase_duration_seconds_sum", phase=line["phase"].lower())] += line["duration_seconds"]
    sums[series("websocket_broadcast_time_sum")] = sum(line["broadcast_time_ms"] for line in broadcasts())
    return dict(sums)


def games() -> list[str]:
    return [line["game_id"] for line in of("game_start")]


def state_after(seconds: float, game: str) -> str:
    """Where a game is by then: in the phase whose transition was entered last, whichever ended last."""
    moves = [line for line in of("state_transition", game_id=game) if line["t"] <= seconds]
    return str(max(moves, key=lambda line: line["t"] - line["seconds"])["to_state"]).lower()


@dataclass
class Replayed:
    """The replay's witnesses: still there to be asked, and what was compared after the early part and after all."""

    stack: Stack
    monitor: otel_setup.EnterpriseMonitor
    recorded: Recorded
    early_states: dict[str, str | None]
    early: Reconciliation
    whole: Reconciliation


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replayed]:
    calls = replay.load(TRACE)
    early = [call for call in calls if call.ended <= EARLY * 1e6]
    with running_stack(tmp_path_factory.mktemp("trace")) as stack, fresh_telemetry() as recorded:
        telemetry = otel_setup.configure(collector=stack.collector.otlp_http, metric_interval=METRIC_INTERVAL)

        def compared(expected: Mapping[Series, float]) -> Reconciliation:
            return settled(expected, lambda: in_process_accounts(stack, telemetry.core.catalogue))

        asyncio.run(replay.replay(early, recorded.monitor, speed=0))
        early_states = {game: telemetry.core.ledger.state_of(game) for game in games()}
        states = Counter(state_after(EARLY, game) for game in games())
        early_expected = {series("state_active_games", state=state): float(n) for state, n in states.items()}
        early_comparison = compared(early_expected)
        asyncio.run(replay.replay(calls[len(early) :], recorded.monitor, speed=0))
        assert telemetry.flush(SETTLE_SECONDS)
        whole = compared(expected_counters() | expected_gauges())
        yield Replayed(stack, recorded.monitor, recorded, early_states, early_comparison, whole)


def test_the_recording_holds_what_makes_it_worth_replaying() -> None:
    """Else the tests below could pass for want of anything to get wrong."""
    late = of("state_transition", game_id="2D3779", to_state="PREPARATION")
    inside = of("state_transition", game_id="2D3779", to_state="ROUND_START")
    assert late[0]["t"] - late[0]["seconds"] < inside[0]["t"] < late[0]["t"]
    assert not [line for line in LINES if line["t"] - line.get("seconds", 0) < EARLY < line["t"]], (
        "a call is cut in two"
    )
    for game in games():
        (over,), (end,) = of("state_transition", game_id=game, to_state="GAME_OVER"), of("game_end", game_id=game)
        assert over["t"] - over["seconds"] < end["t"] < over["t"]


def test_every_count_arrives_everywhere(replayed: Replayed, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n{replayed.whole.render()}")
    assert replayed.whole.equal, replayed.whole.render()


def test_a_transition_that_ends_late_does_not_move_its_game_back(replayed: Replayed) -> None:
    assert replayed.early_states == {"2D3779": "round_start", "FBDD3F": "round_start"}
    assert replayed.early.equal, replayed.early.render()


def test_sums_of_durations_arrive_everywhere(replayed: Replayed) -> None:
    families = {family for family, _ in expected_sums()}
    accounts = in_process_accounts(replayed.stack, replayed.monitor.core.catalogue)
    for place, values in accounts.items():
        found = {sum_: value for sum_, value in values.items() if sum_[0] in families}
        assert found == pytest.approx(expected_sums()), place


def test_reports_and_views_agree_with_the_recording(replayed: Replayed) -> None:
    analytics = replayed.monitor.game_metrics.get_game_analytics()
    expected = {"total_games": 2, "active_games": 0, "completed_games": 2, "abandoned_games": 0, "avg_players": 4}
    assert expected["total_games"] == len(games())
    assert {key: analytics[key] for key in expected} == expected
    edges = replayed.monitor.get_visualization_data("state_diagram")["edges"]
    drawn = {(edge["from"], edge["to"]): edge["count"] for edge in edges if edge["count"]}
    assert drawn == Counter((line["from_state"].lower(), line["to_state"].lower()) for line in of("state_transition"))
    players = {player: score for line in of("game_end") for player, score in line["final_scores"].items()}
    totals = {player: replayed.monitor.game_metrics.get_player_metrics(player)["total_score"] for player in players}
    assert totals == players
    assert reports.connections_active(replayed.monitor.core.ledger) == 8


def test_every_call_is_a_span_or_an_event_in_the_collector(replayed: Replayed) -> None:
    spans = Counter(span.data["name"] for span in replayed.stack.collector.spans())
    names = [f"state_transition.{line['from_state']}_to_{line['to_state']}".lower() for line in of("state_transition")]
    assert spans == Counter([*names, *(f"action.{line['action_type']}" for line in of("action"))])
    events = Counter(record.data["eventName"] for record in replayed.stack.collector.log_records())
    actions, moves = len(of("action")), len(of("state_transition"))
    assert events == {
        "game.started": len(of("game_start")),
        "game.snapshot": len(of("game_start")),
        "game.ended": len(of("game_end")),
        "phase.completed": len(of("phase_duration")),
        "state.transition.start": moves,
        "state.transition.complete": moves,
        "action.queued": actions,
        "action.processing": actions,
        "action.completed": actions,
        "connection.opened": len(of("websocket", event_type="connect")),
        "connection.closed": len(of("websocket", event_type="disconnect")),
        "broadcast.sent": len(broadcasts()),
    }


def test_nothing_was_odd_about_it(replayed: Replayed) -> None:
    own = {(name, labels): value for (name, labels), value in replayed.recorded.samples().items() if value}
    wrong = [key for key in own if key[0].startswith(("otel_setup_internal", "otel_setup_input", "otel_setup_labels"))]
    assert wrong == []
