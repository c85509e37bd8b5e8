"""Metrics of games, their states and the actions in them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

from otel_setup.catalogue import attributes as a
from otel_setup.catalogue.types import Attribute, Kind, LabelSet, Metric
from otel_setup.game_model import OTHER, GameModel

ACTION_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 7.5, 10.0, 15.0)
PHASE_SECONDS = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
GAME_SECONDS = (60.0, 300.0, 600.0, 900.0, 1200.0, 1800.0, 2700.0, 3600.0, 5400.0, 7200.0)


def _legal_edges(model: GameModel) -> Iterable[LabelSet]:
    return ({"from": left, "to": entered} for left, entered in sorted(model.transitions))


def _illegal_edges(model: GameModel) -> Iterable[LabelSet]:
    phases = (*model.phases, OTHER)
    return (
        {"from": left, "to": entered} for left, entered in product(phases, phases) if not model.is_legal(left, entered)
    )


class Games:
    """Games, states, actions."""

    # --- games ---------------------------------------------------------------------------------------------------
    GAMES_ACTIVE = Metric(
        name="games.active",
        kind=Kind.OBSERVABLE_UP_DOWN_COUNTER,
        unit="{game}",
        description="Games being played now.",
        moves="Falls to 0 at night; falling within minutes by day, players are being thrown out.",
    )
    GAMES_STARTED = Metric(
        name="games.started",
        kind=Kind.COUNTER,
        unit="{game}",
        description="Games begun.",
        moves="Flat while rooms are full: games cannot start.",
    )
    GAMES_COMPLETED = Metric(
        name="games.completed",
        kind=Kind.COUNTER,
        unit="{game}",
        description="Games played to their decision; abandoned ones are not among them.",
        moves="Lags the started ones by a game's length; a growing lag means stuck games.",
    )
    GAMES_ABANDONED = Metric(
        name="games.abandoned",
        kind=Kind.COUNTER,
        unit="{game}",
        description="Games that ended undecided.",
        moves="Rising against completed ones: players leave, look at disconnections and phase durations.",
    )
    GAMES_PER_HOUR = Metric(
        name="games.per_hour",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="{game}",
        description="Games completed in the trailing 60 minutes, by this process.",
        moves="Follows the players' day.",
    )
    GAME_DURATION = Metric(
        name="game.duration",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="min",
        description="Mean duration of the games this process completed in the retention window. Absent without any.",
        moves="Shorter with slow servers means abandonment in disguise; longer means stalled turns.",
    )
    GAME_LIFETIME = Metric(
        name="game.lifetime",
        kind=Kind.HISTOGRAM,
        unit="s",
        description="Duration of ended games; the fleet's averages and quantiles come from here.",
        moves="As game.duration, for the whole fleet.",
        attributes=(Attribute(name="outcome", values=("completed", "abandoned"), description="How the game ended."),),
        buckets=GAME_SECONDS,
    )
    ROUNDS = Metric(
        name="rounds",
        kind=Kind.COUNTER,
        unit="{round}",
        description="Rounds scored.",
        moves="Flat while games are active: games are stuck inside a round.",
    )
    TURNS = Metric(
        name="turns",
        kind=Kind.COUNTER,
        unit="{turn}",
        description="Turns won.",
        moves="The finest sign that games move on.",
    )
    REDEALS = Metric(
        name="redeals",
        kind=Kind.COUNTER,
        unit="{redeal}",
        description="Redeals requested, and what became of them.",
        moves="Many timed out: players are away from their screens or do not see the question.",
        attributes=(a.REDEAL_OUTCOME,),
    )
    DECLARATIONS = Metric(
        name="declarations",
        kind=Kind.COUNTER,
        unit="{declaration}",
        description="Declarations held against the piles won.",
        moves="A sudden change of the share hit points at a change of rules or at bots gone wrong.",
        attributes=(a.DECLARATION_OUTCOME,),
    )

    # --- states --------------------------------------------------------------------------------------------------
    STATE_ACTIVE_GAMES = Metric(
        name="state.active_games",
        kind=Kind.OBSERVABLE_UP_DOWN_COUNTER,
        unit="{game}",
        description="Games in each phase now.",
        moves="Piling up in one phase: that phase is stuck.",
        attributes=(a.STATE,),
    )
    STATE_TRANSITIONS = Metric(
        name="state.transitions",
        kind=Kind.COUNTER,
        unit="{transition}",
        description="Transitions that succeeded.",
        moves="An edge going quiet while its neighbours move: games do not get past it.",
        attributes=(a.FROM, a.TO),
        zeros=_legal_edges,
    )
    STATE_TRANSITION_DURATION = Metric(
        name="state.transition.duration",
        kind=Kind.HISTOGRAM,
        unit="s",
        description="Time a transition took.",
        moves="Slow transitions freeze every player of the game.",
        attributes=(a.FROM, a.TO, a.TRANSITION_OUTCOME),
        buckets=ACTION_SECONDS,
    )
    STATE_ILLEGAL_TRANSITIONS = Metric(
        name="state.illegal_transitions",
        kind=Kind.COUNTER,
        unit="{transition}",
        description="Transitions attempted that the rules do not allow.",
        moves="Anything above 0 is a bug of the game server.",
        attributes=(a.FROM, a.TO),
        zeros=_illegal_edges,
    )
    STATE_ERRORS = Metric(
        name="state.errors",
        kind=Kind.COUNTER,
        unit="{error}",
        description="Errors by the phase they happened in; ``other`` where no game was concerned.",
        moves="Anything above 0 deserves a look at the error heat map.",
        attributes=(a.STATE,),
        zeros=lambda model: ({"state": state} for state in (*model.phases, OTHER)),
        seed_name="state_errors",
    )
    PHASE_DURATION = Metric(
        name="phase.duration",
        kind=Kind.HISTOGRAM,
        unit="s",
        description="Time games spent in each phase.",
        moves="A phase longer than its own norm: players wait for somebody or something.",
        attributes=(a.PHASE,),
        buckets=PHASE_SECONDS,
    )

    # --- actions -------------------------------------------------------------------------------------------------
    ACTIONS = Metric(
        name="actions",
        kind=Kind.COUNTER,
        unit="{action}",
        description="Actions executed.",
        moves="Rejected and invalid ones are players' mistakes; failed ones are the server's.",
        attributes=(a.ACTION, a.OUTCOME, a.ACTOR),
    )
    ACTION_DURATION = Metric(
        name="action.duration",
        kind=Kind.HISTOGRAM,
        unit="s",
        description="Time an action's execution took, deliberate pauses of the game included.",
        moves="Judge it per type: the play that ends a turn pauses on purpose.",
        attributes=(a.ACTION, a.OUTCOME),
        buckets=ACTION_SECONDS,
    )
    ACTION_QUEUE_WAIT = Metric(
        name="action.queue.wait",
        kind=Kind.HISTOGRAM,
        unit="s",
        description="Time between an action's capture and its execution.",
        moves="Rising: the game loop is busy or blocked.",
        attributes=(a.ACTION,),
        buckets=ACTION_SECONDS,
    )
    ACTION_QUEUE_DEPTH = Metric(
        name="action.queue.depth",
        kind=Kind.OBSERVABLE_UP_DOWN_COUNTER,
        unit="{action}",
        description="Actions captured and not yet executed.",
        moves="Rising steadily: a game loop has died.",
    )
    ACTION_TIMEOUTS = Metric(
        name="action.timeouts",
        kind=Kind.COUNTER,
        unit="{timeout}",
        description="Times the game acted for a player who did not.",
        moves="Many: players are away, or do not see that it is their turn.",
        attributes=(a.ACTION,),
    )
