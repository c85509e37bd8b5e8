"""What a record says, in a few lines for a person."""

from __future__ import annotations

from examples.liap_tui.record import LiapTuiRecord


def summary(record: LiapTuiRecord) -> str:
    """The record's totals, one subject a line."""
    total = record.total
    actions = ", ".join(f"{total('actions_total', outcome=o)} {o}" for o in ("accepted", "rejected", "invalid"))
    redeals = ", ".join(
        f"{total('redeals_total', outcome=o)} {o.replace('_', ' ')}"
        for o in ("requested", "accepted", "declined", "timed_out")
    )
    declarations = ", ".join(
        f"{total('declarations_total', outcome=o)} {o.replace('_', ' ')}" for o in ("hit", "zero_kept", "missed")
    )
    lines = {
        "games": f"{total('games_started_total')} started, {total('games_completed_total')} completed,"
        f" {total('games_abandoned_total')} abandoned; {total('rounds_total')} rounds, {total('turns_total')} turns",
        "wins": f"{total('player_wins_total', type='human')} by humans,"
        f" {total('player_wins_total', type='bot')} by bots",
        "seats": f"{total('players_joined_total', actor='human')} humans, {total('players_joined_total', actor='bot')}"
        f" bots; {total('players_disconnected_total')} disconnected, {total('players_reconnected_total')} came back",
        "redeals": redeals,
        "declared": declarations,
        "actions": actions,
        "states": f"{total('state_transitions_total')} transitions,"
        f" {total('state_illegal_transitions_total')} illegal ones attempted",
        **record.socket_lines(),
    }
    return "\n".join(f"  {subject:<9} {text}" for subject, text in lines.items())
