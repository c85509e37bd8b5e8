"""Counts what no honest player does: ``python -m examples.subscribers.anti_cheat``.

It looks at when people acted, not at when the server came to it: the time an action waited and took is taken off. So a
replay gives the same result, and a busy server makes nobody a suspect. What it says is a reason to look, not a verdict.
"""

from __future__ import annotations

import bisect
import json
import sys
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from examples.subscribers.source import Source, hub_events, make_parser, run
from otel_setup import EventFilter, EventType, SystemEvent

WANTED = EventFilter(
    event_types={EventType.ACTION_COMPLETED, EventType.ACTION_FAILED, EventType.STREAM_GAP, EventType.STREAM_RESET}
)
TOO_FAST, TOO_MANY, ILLEGAL = "too_fast", "too_many", "illegal"
_BOT, _INVALID = "bot", "invalid"
_NS, _MS = 1e9, 1e3


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What is still taken for honest.

    Parameters:
        window: seconds in which is counted.
        fastest: seconds between two actions below which no human acts.
        fast: so many such pairs in a window are too many.
        actions: more actions than these in a window are too many.
        illegal: more moves that are never allowed than these in a window are too many; a move out of turn is none.
        quiet: seconds between two reports of the same about the same player.
        players: players remembered; the one that has not acted for longest is forgotten.

    Raises:
        ValueError: a number is not above 0.
    """

    window: float = 10.0
    fastest: float = 0.08
    fast: int = 3
    actions: int = 40
    illegal: int = 5
    quiet: float = 60.0
    players: int = 10_000

    def __post_init__(self) -> None:
        wrong = [name for name, value in asdict(self).items() if not value > 0]
        if wrong:
            raise ValueError(f"{', '.join(wrong)}: all limits are above 0")


@dataclass(frozen=True)
class Suspicion:
    """A reason to look at a player.

    Attributes:
        count: what was counted in the window that ends at ``time``, in seconds since 1970.
        missing: events that were lost so far. Where it is not 0, counts may be too low, never too high.
    """

    rule: str
    player: str
    game: str | None
    room: str | None
    time: float
    count: int
    window: float
    missing: int


@dataclass
class _Player:
    """When somebody acted, and made illegal moves, within the window; and when that was reported last."""

    acted: list[float] = field(default_factory=list)
    illegal: list[float] = field(default_factory=list)
    reported: dict[str, float] = field(default_factory=dict)


class AntiCheat:
    """Takes events and says whom to look at. What it holds has bounds: players, and times of each.

    Attributes:
        missing: events that were lost so far.
        forgotten: players that had to make room for others.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.missing = self.forgotten = 0
        self._players: OrderedDict[str, _Player] = OrderedDict()
        # What a rule can count to, and one more: older times change nothing any more.
        self._most = max(self.limits.actions, self.limits.illegal, self.limits.fast) + 1

    def take(self, event: SystemEvent) -> list[Suspicion]:
        """What an event gives reason for; mostly nothing."""
        if event.event_type == EventType.STREAM_GAP:
            count = event.data.get("count")
            self.missing += count if isinstance(count, int) else 1
            return []
        if event.event_type == EventType.STREAM_RESET:
            self.missing += 1  # nobody knows how many
            return []
        if not event.player_id or event.data.get("actor") == _BOT or event.event_type not in _ACTIONS:
            return []
        player = self._player(event.player_id)
        time = _acted_at(event)
        self._note(player.acted, time)
        if event.data.get("outcome") == _INVALID:
            self._note(player.illegal, time)
        pairs = zip(player.acted, player.acted[1:], strict=False)
        counts = {
            TOO_FAST: (sum(later - earlier < self.limits.fastest for earlier, later in pairs), self.limits.fast),
            TOO_MANY: (len(player.acted), self.limits.actions + 1),
            ILLEGAL: (len(player.illegal), self.limits.illegal + 1),
        }
        return [
            Suspicion(
                rule, event.player_id, event.game_id, event.room_id, time, count, self.limits.window, self.missing
            )
            for rule, (count, enough) in counts.items()
            if count >= enough and self._may_report(player, rule, time)
        ]

    def _player(self, player_id: str) -> _Player:
        player = self._players.get(player_id)
        if player is None:
            player = self._players[player_id] = _Player()
            if len(self._players) > self.limits.players:
                self._players.popitem(last=False)
                self.forgotten += 1
        self._players.move_to_end(player_id)
        return player

    def _note(self, times: list[float], time: float) -> None:
        """Puts a time in its place: what one server queued first may end after what came later."""
        bisect.insort(times, time)
        del times[: bisect.bisect_left(times, times[-1] - self.limits.window)]
        del times[: -self._most]

    def _may_report(self, player: _Player, rule: str, time: float) -> bool:
        last = player.reported.get(rule)
        if last is not None and time - last < self.limits.quiet:
            return False
        player.reported[rule] = time
        return True


_ACTIONS = (EventType.ACTION_COMPLETED, EventType.ACTION_FAILED)


def _acted_at(event: SystemEvent) -> float:
    """Seconds since 1970 when the player acted: before the action waited in the queue and was executed."""
    spent = [event.data.get(key) for key in ("duration_ms", "queue_wait_ms")]
    return event.timestamp_ns / _NS - sum(value for value in spent if isinstance(value, int | float)) / _MS


async def watch(source: Source, counter: AntiCheat) -> None:
    """Prints each suspicion as a line of JSON, in ASCII, since names may hold what terminals obey."""
    async for event in source:
        for suspicion in counter.take(event):
            print(json.dumps(asdict(suspicion)), flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs until Ctrl-C."""
    parser = make_parser("examples.subscribers.anti_cheat", "Says, a line of JSON each, whom to look at more closely.")
    defaults = Limits()
    for name, about in (
        ("window", "seconds in which is counted"),
        ("fastest", "seconds between two actions below which no human acts"),
        ("fast", "so many such pairs are too many"),
        ("actions", "more actions than these are too many"),
        ("illegal", "more illegal moves than these are too many"),
        ("quiet", "seconds between two reports of the same"),
        ("players", "players remembered"),
    ):
        default = getattr(defaults, name)
        parser.add_argument(f"--{name}", type=type(default), default=default, help=f"{about} (default: %(default)s)")
    options = parser.parse_args(arguments)

    async def work() -> None:
        counter = AntiCheat(Limits(**{name: getattr(options, name) for name in asdict(defaults)}))
        async with hub_events(options, WANTED, None) as events:
            await watch(events, counter)

    return run(work)


if __name__ == "__main__":
    sys.exit(main())
