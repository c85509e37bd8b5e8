"""Every metric, declared once.

``M`` groups them, so that code and panels say ``M.GAMES_STARTED`` and a misspelt name is an error of the type checker.
"""

from __future__ import annotations

from otel_setup.catalogue.metrics.games import Games
from otel_setup.catalogue.metrics.own import Own
from otel_setup.catalogue.metrics.players import Players
from otel_setup.catalogue.metrics.process import Process
from otel_setup.catalogue.metrics.sockets import Sockets
from otel_setup.catalogue.metrics.standard import Standard
from otel_setup.catalogue.types import Metric


class M(Games, Players, Sockets, Process, Standard, Own):
    """The metrics every game has. Names are without the game's prefix."""


METRICS: tuple[Metric, ...] = tuple(
    value for subject in M.__bases__ for value in vars(subject).values() if isinstance(value, Metric)
)

HTTP_SERVER_DURATION = M.HTTP_SERVER_DURATION
