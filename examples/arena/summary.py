"""What a record says, in a few lines for a person."""

from __future__ import annotations

from examples.arena.record import ArenaRecord
from examples.arena.world import WEAPONS


def summary(record: ArenaRecord) -> str:
    """The record's totals, one subject a line."""
    total = record.total
    shots = ", ".join(
        f"{weapon} {total('shots_fired_total', weapon=weapon)} fired {total('hit_damage_count', weapon=weapon)} hit"
        for weapon in WEAPONS
    )
    actions = ", ".join(f"{total('actions_total', outcome=o)} {o}" for o in ("accepted", "rejected", "invalid"))
    lines = {
        "matches": f"{total('rooms_created_total')} opened, {total('games_started_total')} started,"
        f" {total('games_completed_total')} completed, {total('games_abandoned_total')} abandoned",
        "fighters": f"{total('players_joined_total')} joined, {total('players_disconnected_total')} disconnected,"
        f" {total('players_reconnected_total')} came back; {total('player_wins_total')} wins",
        "shots": shots,
        "actions": actions,
        "states": f"{total('state_transitions_total')} transitions,"
        f" {total('state_illegal_transitions_total')} illegal ones attempted",
        **record.socket_lines(),
    }
    return "\n".join(f"  {subject:<9} {text}" for subject, text in lines.items())
