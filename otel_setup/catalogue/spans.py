"""Every span, declared once."""

from __future__ import annotations

from otel_setup.catalogue import attributes as a
from otel_setup.catalogue.types import Span

TRANSITION_SPAN = Span(
    name="state_transition.{from}_to_{to}",
    description="A game's move from one phase to the next.",
    attributes=(a.GAME_ID, a.CORRELATION_ID, a.STATE_FROM, a.STATE_TO, a.STATE_LEGAL, a.ERROR_TYPE),
)
ACTION_SPAN = Span(
    name="action.{type}",
    description="The execution of one action.",
    attributes=(
        a.GAME_ID,
        a.CORRELATION_ID,
        a.PLAYER_ID,
        a.ACTION_TYPE,
        a.ACTION_OUTCOME,
        a.ACTION_ACTOR,
        a.QUEUE_WAIT_MS,
        a.ERROR_TYPE,
    ),
)
PHASE_SPAN = Span(
    name="phase.{phase}",
    description="One phase of a game.",
    attributes=(a.GAME_ID, a.CORRELATION_ID, a.PHASE_NAME, a.ERROR_TYPE),
)
OPERATION_SPAN = Span(
    name="{operation}",
    description="An operation the game names itself, by ``trace_async_operation``.",
    attributes=(a.CORRELATION_ID, a.ERROR_TYPE),
)
SPANS = (TRANSITION_SPAN, ACTION_SPAN, PHASE_SPAN, OPERATION_SPAN)
