"""Where rooms, games and phases lead to: nodes and links with counts, as a Sankey diagram needs them."""

from __future__ import annotations

from typing import Any

from otel_setup.ledger import Ledger
from otel_setup.views.copying import iso, or_now
from otel_setup.views.states import state_diagram

ROOMS, GAMES, PHASES = "rooms", "games", "phases"
_FUNNELS = {
    ROOMS: ("rooms_created", ("rooms_waiting", "rooms_played", "rooms_closed_unplayed")),
    GAMES: ("games_started", ("games_active", "games_completed", "games_abandoned", "games_given_up")),
}


def flow_diagram(ledger: Ledger, now_ns: int | None = None) -> dict[str, Any]:
    """Three flows, told apart by ``group``.

    ``rooms``: announced rooms, and whether a game was ever started in them. ``games``: started games, and what became
    of them; given up are those whose end nobody told. ``phases``: transitions that succeeded; those that lead back to
    the same or an earlier phase have ``back`` True, for layouts that allow no cycles. What enters a node of the first
    two leaves it, so each adds up.
    """
    now_ns = or_now(now_ns)
    with ledger.lock:
        given_up = ledger.ends_unseen + sum(
            ledger.dropped.get(bound, 0) for bound in ("max_live_games", "game_idle_timeout")
        )
        counts = {
            "rooms_created": ledger.rooms_created,
            "rooms_waiting": ledger.rooms_created - ledger.rooms_played - ledger.rooms_unplayed,
            "rooms_played": ledger.rooms_played,
            "rooms_closed_unplayed": ledger.rooms_unplayed,
            "games_started": ledger.started,
            "games_active": len(ledger.games),
            "games_completed": ledger.completed,
            "games_abandoned": ledger.abandoned,
            "games_given_up": given_up,
        }
        diagram = state_diagram(ledger, now_ns)
    nodes, links = [], []
    for group, (source, targets) in _FUNNELS.items():
        nodes += [{"id": name, "group": group, "value": counts[name]} for name in (source, *targets)]
        links += [_link(source, name, counts[name], group) for name in targets]
    phases = [node["name"] for node in diagram["nodes"]]
    nodes += [{"id": node["name"], "group": PHASES, "value": node["transitions_in"]} for node in diagram["nodes"]]
    links += [
        _link(edge["from"], edge["to"], edge["count"], PHASES)
        | {"back": phases.index(edge["to"]) <= phases.index(edge["from"])}
        for edge in diagram["edges"]
    ]
    return {"type": "flow_diagram", "nodes": nodes, "links": links, "timestamp": iso(now_ns)}


def _link(source: str, target: str, value: int, group: str) -> dict[str, Any]:
    return {"source": source, "target": target, "value": value, "group": group, "back": False}
