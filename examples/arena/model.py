"""What the arena tells its monitoring about itself: the game model, and the metrics of its own."""

from __future__ import annotations

from examples.arena.protocol import RECEIVED, TRANSMITTED
from examples.arena.world import NEXT, WEAPONS, Phase
from otel_setup.catalogue import Attribute, Catalogue, Kind, Metric, build
from otel_setup.game_model import GameModel

ARENA = GameModel(
    name="arena",
    title="Arena",
    phases=tuple(phase.value for phase in Phase),
    initial=Phase.WARMUP.value,
    terminal=frozenset({Phase.CLOSED.value}),
    transitions=frozenset((left.value, entered.value) for left, after in NEXT.items() for entered in after),
    action_types=("fire", "dash", "respawn", "player_disconnect", "player_reconnect"),
    slow_default_seconds=0.05,
    slow_transition_seconds=0.25,
    messages_in=RECEIVED,
    messages_out=TRANSMITTED,
)

_WEAPON = Attribute(name="weapon", values=tuple(WEAPONS), description="What was fired.")

SHOTS = Metric(
    name="shots.fired",
    kind=Kind.COUNTER,
    unit="{shot}",
    description="Shots fired, hits and misses.",
    moves="A weapon that nobody fires any more is too weak or broken.",
    attributes=(_WEAPON,),
)
DAMAGE = Metric(
    name="hit.damage",
    kind=Kind.HISTOGRAM,
    unit="{point}",
    description="Points of health that a hit took.",
    moves="Falling for one weapon: its hits mostly finish fighters who are nearly down, or its damage was changed.",
    attributes=(_WEAPON,),
    buckets=(5.0, 10.0, 20.0, 30.0, 40.0),
)

BUSINESS_METRICS = (SHOTS, DAMAGE)

CATALOGUE: Catalogue = build(ARENA, extra=BUSINESS_METRICS)
"""Everything that is observed of the arena, for the generators: ``--model examples.arena.model:CATALOGUE``."""
