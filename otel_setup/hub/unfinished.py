"""Games whose server's account is closed while their end is not known: they may go on, there or in its next epoch."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from otel_setup.ledger.state import LiveGame

Owner = tuple[str, str]
"""Who may go on with a game: ``("producer", name)`` or, after a clean end, ``("service", name)``."""


class UnfinishedGames:
    """Games that are neither live nor known to have ended.

    Parameters:
        bound: how many; past it the one that has been here for longest counts as ended for good.
    """

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._games: OrderedDict[tuple[Owner, str], LiveGame] = OrderedDict()
        self._by_owner: dict[Owner, dict[str, None]] = {}
        self.dropped = 0

    @property
    def count(self) -> int:
        """All that came and were not taken up again."""
        return len(self._games) + self.dropped

    def put(self, owner: Owner, games: Iterable[LiveGame]) -> None:
        """Keeps games."""
        for game in games:
            if self.pop(owner, game.game_id) is not None:
                self.dropped += 1  # another game of the same id
            self._games[owner, game.game_id] = game
            self._by_owner.setdefault(owner, {})[game.game_id] = None
            if len(self._games) > self._bound:
                self.pop(*next(iter(self._games)))
                self.dropped += 1

    def pop(self, owner: Owner, game_id: str) -> LiveGame | None:
        """A game that goes on."""
        game = self._games.pop((owner, game_id), None)
        if game is not None:
            owned = self._by_owner[owner]
            del owned[game_id]
            if not owned:
                del self._by_owner[owner]
        return game

    def pop_all(self, owner: Owner) -> list[LiveGame]:
        """All games of an owner that is back."""
        found = [self.pop(owner, game_id) for game_id in list(self._by_owner.get(owner, ()))]
        return [game for game in found if game is not None]
