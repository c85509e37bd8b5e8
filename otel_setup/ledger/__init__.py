"""What is true now: live games, rooms, connections and outcomes, folded from events in bounded memory."""

from otel_setup.ledger.bounds import Bounds
from otel_setup.ledger.fold import Ledger
from otel_setup.ledger.state import Facts, Seat

__all__ = ["Bounds", "Facts", "Ledger", "Seat"]
