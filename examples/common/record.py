"""The game's own plain record: what truly happened, written by the game where it happens.

It is the oracle that every other account (``/metrics``, Prometheus, the event stream) is compared with, so it knows
nothing of the monitoring: no module of the recording side imports ``otel_setup``, and the names below are typed here
on purpose instead of coming from its catalogue.

A record is JSON lines, one fact a line with ``t`` (seconds since the record began), plus totals in memory. The totals
have a bounded number of entries: their labels are closed sets, never an id or a name.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar, NamedTuple, Self

Series = tuple[str, frozenset[tuple[str, str]]]
"""A family's name without the game's prefix, and its label items."""

Value = str | int | float | bool


class Count(NamedTuple):
    """How a fact counts: the family it adds to, the fields that are labels, and the field that is the amount."""

    family: str
    labels: tuple[str, ...] = ()
    amount: str | None = None


class Record:
    """Facts that every room game has.

    Parameters:
        path: file to write the facts to as JSON lines, or None to keep only the totals.

    Raises:
        OSError: if the file cannot be written.
    """

    counts: ClassVar[Mapping[str, tuple[Count, ...]]] = {
        "room_created": (Count("rooms_created_total"),),
        "room_closed": (Count("rooms_closed_total"),),
        "player_joined": (Count("players_joined_total", ("actor",)),),
        "player_left": (Count("players_left_total", ("actor",)),),
        "player_disconnected": (Count("players_disconnected_total"),),
        "player_reconnected": (Count("players_reconnected_total"),),
        "game_started": (Count("games_started_total"),),
        "game_completed": (Count("games_completed_total"),),
        "game_abandoned": (Count("games_abandoned_total"),),
        "seat_completed": (Count("seats_total", ("type",)),),
        "win": (Count("player_wins_total", ("type",)),),
        "transition": (Count("state_transitions_total", ("from", "to")),),
        "illegal_transition": (Count("state_illegal_transitions_total", ("from", "to")),),
        "state_error": (Count("state_errors_total", ("state",)),),
        "phase_left": (Count("phase_duration_seconds_count", ("phase",)),),
        "action": (Count("actions_total", ("action_type", "outcome", "actor")),),
        "socket_opened": (Count("websocket_connections_opened_total"),),
        "socket_closed": (
            Count("websocket_connections_closed_total"),
            Count("websocket_closes_total", ("code",)),
        ),
        "socket_message": (
            Count("websocket_messages_total", ("direction", "message_type")),
            Count("websocket_io_bytes_total", ("direction", "message_type"), amount="bytes"),
        ),
        "broadcast": (
            Count("websocket_broadcasts_total", ("outcome",)),
            Count("websocket_broadcast_recipients_total", amount="recipients"),
        ),
    }

    def __init__(self, path: Path | None = None) -> None:
        self.totals: Counter[Series] = Counter()
        self._file = path.open("w", encoding="utf-8") if path else None
        self._began = time.monotonic()

    # --- rooms and players -------------------------------------------------------------------------------------------
    def room_created(self, room: str) -> None:
        self.note("room_created", room=room)

    def room_closed(self, room: str, reason: str) -> None:
        self.note("room_closed", room=room, reason=reason)

    def player_joined(self, room: str, player: str, is_bot: bool) -> None:
        self.note("player_joined", room=room, player=player, actor=_type(is_bot))

    def player_left(self, room: str, player: str, is_bot: bool) -> None:
        self.note("player_left", room=room, player=player, actor=_type(is_bot))

    def player_disconnected(self, room: str, player: str) -> None:
        self.note("player_disconnected", room=room, player=player)

    def player_reconnected(self, room: str, player: str) -> None:
        self.note("player_reconnected", room=room, player=player)

    # --- games -------------------------------------------------------------------------------------------------------
    def game_started(self, room: str, humans: int, bots: int) -> None:
        self.note("game_started", room=room, humans=humans, bots=bots)

    def game_completed(self, room: str, seats: Mapping[str, bool], winners: Iterable[str]) -> None:
        """A decided game: who sat in it when it started (name → is a bot) and who won."""
        self.note("game_completed", room=room)
        for player, is_bot in seats.items():
            self.note("seat_completed", room=room, player=player, type=_type(is_bot))
        for player in winners:
            self.note("win", room=room, player=player, type=_type(seats[player]))

    def game_abandoned(self, room: str, reason: str) -> None:
        self.note("game_abandoned", room=room, reason=reason)

    def transition(self, room: str, left: str, entered: str) -> None:
        self.note("transition", room=room, **{"from": left.lower(), "to": entered.lower()})

    def illegal_transition(self, room: str, left: str, attempted: str) -> None:
        self.note("illegal_transition", room=room, **{"from": left.lower(), "to": attempted.lower()})

    def phase_left(self, room: str, phase: str, seconds: float) -> None:
        self.note("phase_left", room=room, phase=phase.lower(), seconds=seconds)

    def action(self, room: str, action_type: str, outcome: str, played_by_bot: bool) -> None:
        self.note("action", room=room, action_type=action_type, outcome=outcome, actor=_type(played_by_bot))

    # --- sockets -----------------------------------------------------------------------------------------------------
    def socket_opened(self, path: str) -> None:
        self.note("socket_opened", path=path)

    def socket_closed(self, path: str, code: int) -> None:
        self.note("socket_closed", path=path, code=code)

    def socket_message(self, path: str, direction: str, message_type: str, size: int) -> None:
        self.note("socket_message", path=path, direction=direction, message_type=message_type, bytes=size)

    def broadcast(self, room: str, recipients: int, success: bool) -> None:
        self.note("broadcast", room=room, recipients=recipients, outcome="success" if success else "failure")

    # --- the record itself -------------------------------------------------------------------------------------------
    def note(self, fact: str, **fields: Value) -> None:
        """Write one fact and add it to the totals.

        Parameters:
            fact: a key of ``counts``.
            fields: what the fact says; those its ``Count`` names are labels and amounts.

        Raises:
            KeyError: if the fact is unknown or lacks a field that it is counted by.
        """
        for count in self.counts[fact]:
            labels = frozenset((label, str(fields[label])) for label in count.labels)
            self.totals[count.family, labels] += int(fields[count.amount]) if count.amount else 1
        if self._file:
            seconds = round(time.monotonic() - self._began, 6)
            self._file.write(json.dumps({"t": seconds, "fact": fact, **fields}, separators=(",", ":")) + "\n")

    def total(self, family: str, **labels: str) -> int:
        """What a family's series with these labels, whatever their others, add up to."""
        wanted = set(labels.items())
        return sum(total for (name, items), total in self.totals.items() if name == family and wanted <= items)

    def socket_lines(self) -> dict[str, str]:
        """What a summary says of sockets and their traffic."""
        total = self.total
        codes = sorted(dict(labels)["code"] for family, labels in self.totals if family == "websocket_closes_total")
        closes = ", ".join(f"{code}: {total('websocket_closes_total', code=code)}" for code in codes)
        return {
            "sockets": f"{total('websocket_connections_opened_total')} opened,"
            f" {total('websocket_connections_closed_total')} closed ({closes})",
            "traffic": f"{total('websocket_messages_total')} messages,"
            f" {total('websocket_io_bytes_total') / 1e6:.1f} MB, {total('websocket_broadcasts_total')} broadcasts",
        }

    def close(self) -> None:
        """Write out what is buffered and close the file. Totals stay readable."""
        if self._file:
            self._file.close()
            self._file = None

    @classmethod
    def load(cls, path: Path) -> Self:
        """The totals of a record written earlier.

        Raises:
            OSError, ValueError: if the file cannot be read or holds something other than facts.
        """
        record = cls()
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                fields = json.loads(line)
                del fields["t"]
                record.note(fields.pop("fact"), **fields)
        return record


def expected(record: Record) -> dict[Series, float]:
    """What every compared Prometheus series must read, if nothing was lost and nothing was invented.

    A family of which nothing happened has one entry without labels, 0, so that a source which shows something there
    is found out.
    """
    values: dict[Series, float] = {series: float(total) for series, total in record.totals.items()}
    happened = {family for family, _ in values}
    for family in sorted({count.family for counts in record.counts.values() for count in counts} - happened):
        values[family, frozenset()] = 0.0
    return values


def _type(is_bot: bool) -> str:
    return "bot" if is_bot else "human"
