"""What a game is, as far as its monitoring is concerned: phases, legal moves between them, actions, messages.

Everything that has a closed set of values (metric labels, span names, the state diagram, rules, dashboards) takes
the set from here. ``LIAP_TUI`` is the default; a game declares its own ``GameModel`` and passes it to ``configure()``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

OTHER = "other"
"""The label value that stands for everything outside a closed set, so that hostile input cannot add series."""

_LONGEST_NAME = 64
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, kw_only=True)
class GameModel:
    """A room game's vocabulary. Names are lower case with underscores; lookups accept any case.

    Parameters:
        name: prefix of the game's metrics (``liap_tui`` gives ``liap_tui_games_active``).
        title: the name people read.
        phases: every phase, in the order a diagram shows them.
        initial: the phase a game is in when it starts.
        terminal: phases that nothing follows.
        transitions: the legal ``(from, to)`` pairs. Any other pair is counted as illegal.
        action_types: every action a player can take.
        action_aliases: other spellings of actions, as ``{alias: action_type}``.
        slow_action_seconds: seconds from which an action of a type is slow; other types use ``slow_default_seconds``.
        slow_transition_seconds: seconds from which a transition is slow.
        seats: number of seats at a table, or None where the game has no seats.
        messages_in: types of socket messages the server receives.
        messages_out: types of socket messages the server sends.

    Raises:
        ValueError: naming every inconsistency at once.
    """

    name: str
    title: str
    phases: tuple[str, ...]
    initial: str
    terminal: frozenset[str]
    transitions: frozenset[tuple[str, str]]
    action_types: tuple[str, ...]
    action_aliases: Mapping[str, str] = field(default_factory=dict)
    slow_action_seconds: Mapping[str, float] = field(default_factory=dict)
    slow_default_seconds: float = 0.25
    slow_transition_seconds: float = 1.0
    seats: int | None = None
    messages_in: tuple[str, ...] = ()
    messages_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        # Games like to declare phases as enumerations; as labels those would not equal their own values' text.
        for name in ("phases", "action_types", "messages_in", "messages_out"):
            object.__setattr__(self, name, tuple(map(_plain, getattr(self, name))))
        object.__setattr__(self, "initial", _plain(self.initial))
        object.__setattr__(self, "terminal", frozenset(map(_plain, self.terminal)))
        edges = frozenset((_plain(left), _plain(entered)) for left, entered in self.transitions)
        object.__setattr__(self, "transitions", edges)
        problems = list(self._problems())
        if problems:
            raise ValueError(f"GameModel {self.name!r}: " + "; ".join(problems))

    def _problems(self) -> list[str]:
        found: list[str] = []
        words = {"name": (self.name,), "phase": self.phases, "action type": self.action_types}
        words |= {"message type": self.messages_in + self.messages_out}
        for what, names in words.items():
            found += [f"{what} {n!r} is not lower_case_with_underscores" for n in names if not _NAME.fullmatch(n)]
            found += [f"{what} {OTHER!r} is reserved for values outside the set" for n in names if n == OTHER]
        for what, names in {"phase": self.phases, "action type": self.action_types}.items():
            found += [f"{what} {n!r} is named twice" for n in sorted({n for n in names if names.count(n) > 1})]
        used = {"initial": {self.initial}, "terminal": set(self.terminal)}
        used["transitions"] = {phase for pair in self.transitions for phase in pair}
        for where, named in used.items():
            found += [f"{where} names the unknown phase {phase!r}" for phase in sorted(named - set(self.phases))]
        found += [
            f"the terminal phase {a!r} has a way out, to {b!r}"
            for a, b in sorted(self.transitions)
            if a in self.terminal
        ]
        targets = {**self.action_aliases, **{action: action for action in self.slow_action_seconds}}
        found += [f"unknown action type {t!r}" for t in sorted(set(targets.values()) - set(self.action_types))]
        if self.seats is not None and self.seats < 1:
            found.append(f"seats is {self.seats}; use None where the game has no seats")
        return found

    def phase(self, name: object) -> str:
        """The canonical form of a phase name (``"PREPARATION"`` gives ``"preparation"``), or ``"other"``."""
        key = _key(name)
        return key if key in self.phases else OTHER

    def action(self, name: object) -> str:
        """The canonical form of an action type, aliases resolved, or ``"other"``."""
        key = _key(name)
        key = self.action_aliases.get(key, key)
        return key if key in self.action_types else OTHER

    def is_legal(self, from_state: str, to_state: str) -> bool:
        """Whether the rules allow the transition; both names in canonical form."""
        return (from_state, to_state) in self.transitions

    def slow_seconds(self, action_type: str) -> float:
        """Seconds from which an action of this type counts as slow."""
        return self.slow_action_seconds.get(action_type, self.slow_default_seconds)


def _plain(name: str) -> str:
    return str(name.value) if isinstance(name, Enum) else name


def _key(name: object) -> str:
    """Lower case of a short text; anything else can be no phase or action."""
    return name.strip().lower() if isinstance(name, str) and len(name) <= _LONGEST_NAME else ""


LIAP_TUI = GameModel(
    name="liap_tui",
    title="Liap Tui",
    phases=(
        "waiting",
        "preparation",
        "round_start",
        "declaration",
        "turn",
        "turn_results",
        "scoring",
        "game_over",
    ),
    initial="waiting",
    terminal=frozenset({"game_over"}),
    transitions=frozenset(
        {
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
    ),
    action_types=(
        "redeal_request",
        "redeal_response",
        "declare",
        "play_pieces",
        "player_disconnect",
        "player_reconnect",
        "timeout",
        "phase_transition",
        "game_state_update",
        "view_scores",
        "continue_round",
    ),
    action_aliases={"play_piece": "play_pieces", "play": "play_pieces"},
    # The play that ends a turn pauses 5 or 12 s on purpose, so only more than that is slow.
    slow_action_seconds={"play_pieces": 13.0},
    # waiting→preparation takes 2 s in a healthy game.
    slow_transition_seconds=3.0,
    seats=4,
    messages_in=(
        "ping",
        "request_room_list",
        "client_ready",
        "create_room",
        "join_room",
        "add_bot",
        "remove_player",
        "leave_room",
        "start_game",
        "declare",
        "play",
        "request_redeal",
        "accept_redeal",
        "decline_redeal",
        "leave_game",
        "ack",
        "sync_request",
    ),
    messages_out=(
        "phase_change",
        "room_created",
        "room_joined",
        "room_update",
        "room_list_update",
        "room_closed",
        "game_started",
        "game_ended",
        "turn_complete",
        "player_disconnected",
        "player_reconnected",
        "host_changed",
        "play_rejected",
        "error",
        "pong",
    ),
)
"""The game this product opens with: four seats, 32 pieces, first to 50 points."""
