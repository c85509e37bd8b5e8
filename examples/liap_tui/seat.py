"""A seat at a table and whoever plays it."""

from __future__ import annotations

from dataclasses import dataclass

from examples.common.sockets import Connection


@dataclass
class Seat:
    """A seat. A bot is known by its flag, never by its name.

    Parameters:
        name: whose seat it is: a name the player chose, or the server gave a bot.
        is_bot: whether it is a bot's seat.
        connection: the human's socket, None while there is none.
        away: a bot plays the seat of a human who was disconnected, until the same name comes back.
    """

    name: str
    is_bot: bool
    connection: Connection | None = None
    away: bool = False

    @property
    def played_by_bot(self) -> bool:
        """Whether a bot decides what this seat does now."""
        return self.is_bot or self.away
