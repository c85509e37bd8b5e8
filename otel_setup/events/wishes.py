"""How a reader wants its events, besides which."""

from __future__ import annotations

from dataclasses import dataclass

from otel_setup.events.boxes import CoalesceKey, Policy
from otel_setup.events.record import SystemEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a reader may ask for.

    Parameters:
        live: whether it goes on with what is published after the past it asked for; without, it ends there.
        speed: gives the past at the speed at which it happened (1.0), or so many times as fast. None: at once.
        policy: what happens when it is slow (:class:`Policy`).
        coalesce_key: for the policy ``coalesce``: of events with the same key only the latest waits. Without it,
            events are told apart by name, game and room.
        queue_size: how many events may wait for it.
        max_bytes: what those that wait may weigh, in bytes, about.
        gaps: whether lost events are told by ``stream.gap`` in their place; they are counted either way.
        bookmark_seconds: where nothing it wants has happened for so long, it gets a ``stream.bookmark`` with the
            cursor to go on from. None: it gets none.

    Raises:
        ValueError: a number makes no sense, or there is no such policy.
    """

    live: bool = True
    speed: float | None = None
    policy: Policy | str = Policy.DROP_OLDEST
    coalesce_key: CoalesceKey | None = None
    queue_size: int
    max_bytes: int
    gaps: bool = True
    bookmark_seconds: float | None = None

    def __post_init__(self) -> None:
        if self.queue_size < 1 or self.max_bytes < 1:
            raise ValueError(f"queue_size={self.queue_size}, max_bytes={self.max_bytes}: both are at least 1")
        if self.bookmark_seconds is not None and not self.bookmark_seconds > 0:
            raise ValueError(f"bookmark_seconds is {self.bookmark_seconds}; it is above 0, or None for no bookmarks")
        if self.policy not in list(Policy):
            raise ValueError(f"policy is {self.policy!r:.80}; it is one of {', '.join(Policy)}")
        object.__setattr__(self, "policy", Policy(self.policy))
        if self.policy is not Policy.COALESCE and self.coalesce_key is not None:
            raise ValueError(f"coalesce_key is for the policy {Policy.COALESCE}; this one is {self.policy}")
        if self.policy is Policy.COALESCE and self.coalesce_key is None:
            object.__setattr__(self, "coalesce_key", _same_place)


def _same_place(event: SystemEvent) -> tuple[str, str | None, str | None]:
    return event.event_type, event.game_id, event.room_id
