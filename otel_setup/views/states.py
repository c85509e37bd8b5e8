"""The state diagram: every phase and transition of the game, with what happens in them."""

from __future__ import annotations

from typing import Any

from otel_setup.game_model import OTHER, GameModel
from otel_setup.ledger import Ledger
from otel_setup.ledger.state import EdgeStats
from otel_setup.views.copying import iso, or_now


def state_diagram(ledger: Ledger, now_ns: int | None = None) -> dict[str, Any]:
    """Nodes for all phases and edges for all legal transitions, and for whatever else was observed.

    A node's ``transitions_in`` and ``transitions_out`` and an edge's ``count`` are transitions that succeeded; an
    edge's ``error_rate`` is the share of its attempts that failed or were cancelled. An edge that the rules do not
    allow has ``legal`` False. Phases outside the model are one node, ``other``.
    """
    model = ledger.model
    with ledger.lock:
        games, errors = dict(ledger.games_by_state), dict(ledger.errors_by_state)
        durations = {phase: (stats.total, stats.count) for phase, stats in ledger.phases.items()}
        edges = {pair: _edge(pair, stats, model) for pair, stats in ledger.edges.items()}
    for pair in model.transitions - edges.keys():
        edges[pair] = _edge(pair, EdgeStats(), model)
    foreign = OTHER in games | errors | durations or any(OTHER in pair for pair in edges)
    phases = (*model.phases, OTHER) if foreign else model.phases
    return {
        "type": "state_diagram",
        "nodes": [
            {
                "name": phase,
                "active_games": games.get(phase, 0),
                "avg_duration_seconds": _mean(*durations.get(phase, (0.0, 0))),
                "error_count": errors.get(phase, 0),
                "transitions_in": sum(edge["count"] for (_, entered), edge in edges.items() if entered == phase),
                "transitions_out": sum(edge["count"] for (left, _), edge in edges.items() if left == phase),
                "metadata": {
                    "initial": phase == model.initial,
                    "terminal": phase in model.terminal,
                    "durations": durations.get(phase, (0.0, 0))[1],
                },
            }
            for phase in phases
        ],
        "edges": [edges[pair] for pair in sorted(edges, key=lambda pair: [phases.index(phase) for phase in pair])],
        "timestamp": iso(or_now(now_ns)),
    }


def _edge(pair: tuple[str, str], stats: EdgeStats, model: GameModel) -> dict[str, Any]:
    left, entered = pair
    return {
        "from": left,
        "to": entered,
        "count": stats.count,
        "avg_duration_ms": _mean(stats.total_ms, stats.count),
        "error_rate": _mean(stats.failures, stats.count + stats.failures),
        "last_transition": iso(stats.last_ns) if stats.last_ns else None,
        "failures": stats.failures,
        "legal": model.is_legal(left, entered),
        "illegal_attempts": stats.illegal_attempts,
    }


def _mean(total: float, count: int) -> float:
    """0 of nothing: the count stands beside it."""
    return total / count if count else 0.0
