"""The state diagram, and its Mermaid form."""

from __future__ import annotations

from typing import Any

import pytest

from otel_setup.catalogue import EventType
from otel_setup.game_model import GameModel
from otel_setup.views import mermaid, state_diagram
from tests.otel_setup.ledger.builder import World, as_json

# The rules of the game, as its description draws them.
LEGAL = {
    ("waiting", "preparation"),
    ("preparation", "round_start"),
    ("round_start", "declaration"),
    ("declaration", "turn"),
    ("turn", "turn_results"),
    ("turn_results", "turn"),
    ("turn_results", "scoring"),
    ("scoring", "preparation"),
    ("scoring", "game_over"),
}
PHASES = ["waiting", "preparation", "round_start", "declaration", "turn", "turn_results", "scoring", "game_over"]


def _shown(world: World) -> dict[str, Any]:
    diagram = state_diagram(world.ledger, world.now_ns)
    assert as_json(diagram) == diagram
    return diagram


def _node(diagram: dict[str, Any], name: str) -> dict[str, Any]:
    return next(node for node in diagram["nodes"] if node["name"] == name)


def _edge(diagram: dict[str, Any], left: str, entered: str) -> dict[str, Any]:
    return next(edge for edge in diagram["edges"] if (edge["from"], edge["to"]) == (left, entered))


def test_before_anything_has_happened_all_phases_and_legal_edges_are_there() -> None:
    diagram = _shown(World())
    assert diagram["type"] == "state_diagram"
    assert diagram["timestamp"] == "2026-03-01T12:00:00+00:00"
    assert [node["name"] for node in diagram["nodes"]] == PHASES
    assert {(edge["from"], edge["to"]) for edge in diagram["edges"]} == LEGAL
    assert all(edge["legal"] for edge in diagram["edges"])
    assert [node["name"] for node in diagram["nodes"] if node["metadata"]["initial"]] == ["waiting"]
    assert [node["name"] for node in diagram["nodes"] if node["metadata"]["terminal"]] == ["game_over"]
    assert _node(diagram, "turn") == {
        "name": "turn",
        "active_games": 0,
        "avg_duration_seconds": 0.0,
        "error_count": 0,
        "transitions_in": 0,
        "transitions_out": 0,
        "metadata": {"initial": False, "terminal": False, "durations": 0},
    }
    assert _edge(diagram, "scoring", "game_over") == {
        "from": "scoring",
        "to": "game_over",
        "count": 0,
        "avg_duration_ms": 0.0,
        "error_rate": 0.0,
        "last_transition": None,
        "failures": 0,
        "legal": True,
        "illegal_attempts": 0,
    }


def test_a_transition_moves_one_game_and_counts_its_edge() -> None:
    world = World()
    world.start("a")
    world.start("b")
    world.wait(1.5)
    world.moved("waiting", "preparation", 1, game="a", ms=2000)
    world.wait(1.5)
    world.moved("waiting", "preparation", 2, game="b", ms=1000)
    world.failed("preparation", "round_start", 3, game="b")
    diagram = _shown(world)
    assert (_node(diagram, "waiting")["active_games"], _node(diagram, "preparation")["active_games"]) == (0, 2)
    assert (_node(diagram, "waiting")["transitions_out"], _node(diagram, "preparation")["transitions_in"]) == (2, 2)
    assert _node(diagram, "round_start")["transitions_in"] == 0
    assert _node(diagram, "preparation")["error_count"] == 1
    edge = _edge(diagram, "waiting", "preparation")
    assert (edge["count"], edge["avg_duration_ms"], edge["error_rate"]) == (2, 1500.0, 0.0)
    assert edge["last_transition"] == "2026-03-01T12:00:03+00:00"
    assert _edge(diagram, "preparation", "round_start")["error_rate"] == 1.0


def test_the_error_rate_is_of_all_attempts() -> None:
    world = World()
    world.start()
    for ordinal in range(1, 5):
        world.moved("turn", "turn_results", ordinal)
    world.failed("turn", "turn_results", 5)
    edge = _edge(_shown(world), "turn", "turn_results")
    assert (edge["count"], edge["failures"], edge["error_rate"]) == (4, 1, 0.2)


def test_a_nodes_duration_is_of_the_phases_that_were_left() -> None:
    world = World()
    for seconds in (100.0, 110.0):
        world.tell(EventType.PHASE_COMPLETED, phase="TURN", duration_seconds=seconds)
    node = _node(_shown(world), "turn")
    assert (node["avg_duration_seconds"], node["metadata"]["durations"]) == (105.0, 2)


def test_illegal_transitions_are_shown_and_flagged() -> None:
    world = World()
    world.start()
    world.moved("waiting", "scoring", 1)
    world.tell(EventType.STATE_TRANSITION_ILLEGAL, "g", from_state="scoring", to_state="waiting")
    diagram = _shown(world)
    illegal = [edge for edge in diagram["edges"] if not edge["legal"]]
    assert [(e["from"], e["to"], e["count"], e["illegal_attempts"]) for e in illegal] == [
        ("waiting", "scoring", 1, 0),
        ("scoring", "waiting", 0, 1),
    ]
    assert illegal[1]["last_transition"] is None
    assert len(diagram["edges"]) == len(LEGAL) + 2


def test_phases_outside_the_model_are_one_node() -> None:
    world = World()
    world.start()
    world.moved("waiting", "<script>", 1)
    diagram = _shown(world)
    assert [node["name"] for node in diagram["nodes"]] == [*PHASES, "other"]
    assert _node(diagram, "other")["active_games"] == 1
    assert not _edge(diagram, "waiting", "other")["legal"]


def test_another_game_has_its_own_diagram() -> None:
    arena = GameModel(
        name="arena",
        title="Arena",
        phases=("lobby", "fight"),
        initial="lobby",
        terminal=frozenset({"fight"}),
        transitions=frozenset({("lobby", "fight")}),
        action_types=("strike",),
    )
    world = World(arena)
    world.start()
    diagram = _shown(world)
    assert [(node["name"], node["active_games"]) for node in diagram["nodes"]] == [("lobby", 1), ("fight", 0)]
    assert [(edge["from"], edge["to"]) for edge in diagram["edges"]] == [("lobby", "fight")]


# --- Mermaid --------------------------------------------------------------------------------------------------------


def test_mermaid_draws_every_node_and_edge() -> None:
    world = World()
    world.start()
    world.moved("waiting", "preparation", 1)
    world.tell(EventType.STATE_TRANSITION_ILLEGAL, "g", from_state="preparation", to_state="game_over")
    lines = mermaid(state_diagram(world.ledger)).splitlines()
    assert lines[0] == "stateDiagram-v2"
    assert '    state "preparation (1)" as s1' in [line.replace("#40;", "(").replace("#41;", ")") for line in lines]
    assert "    s0 --> s1 : 1" in lines
    assert "    s1 --> s7 : 0 illegal" in lines
    assert "    [*] --> s0" in lines
    assert "    s7 --> [*]" in lines
    assert len(lines) == 1 + 8 + 1 + 10 + 1


@pytest.mark.parametrize("name", ['x" as y', "a\nb --> c", "%%{init: {}}%%", "end", "<img src=x>", "#quot;", "\u202e"])
def test_mermaid_lets_no_name_out_of_its_quotes(name: str) -> None:
    diagram = as_json(state_diagram(World().ledger))
    plain = mermaid(diagram)
    diagram["nodes"][3]["name"] = name
    for edge in diagram["edges"]:
        for side in ("from", "to"):
            edge[side] = name if edge[side] == "declaration" else edge[side]
    lines, expected = mermaid(diagram).splitlines(), plain.splitlines()
    changed = [line for line, before in zip(lines, expected, strict=True) if line != before]
    assert len(changed) == 1
    start, label, end = changed[0].split('"')
    assert (start, end) == ("    state ", " as s3")
    assert label.isascii()
    assert not set(label) & set("<>{}%\n[]:")
