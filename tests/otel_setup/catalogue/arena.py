"""A real-time game that shares nothing with the default one: other phases, no seats, its own business metric."""

from __future__ import annotations

from otel_setup.catalogue import Attribute, Kind, Metric, build
from otel_setup.game_model import GameModel

ARENA = GameModel(
    name="arena",
    title="Arena",
    phases=("lobby", "fight", "storm", "podium"),
    initial="lobby",
    terminal=frozenset({"podium"}),
    transitions=frozenset({("lobby", "fight"), ("fight", "storm"), ("storm", "podium"), ("fight", "podium")}),
    action_types=("move", "shoot"),
    messages_in=("input",),
    messages_out=("world", "input"),
)

WEAPON = Attribute(name="weapon", values=("bow", "staff"), description="What was fired.")
SHOTS = Metric(
    name="shots.fired",
    kind=Kind.COUNTER,
    unit="{shot}",
    description="Shots fired.",
    moves="Follows the fights.",
    attributes=(WEAPON,),
)
ARENA_WITH_SHOTS = build(ARENA, extra=[SHOTS])

NEITHER = {"name": "arena"}
