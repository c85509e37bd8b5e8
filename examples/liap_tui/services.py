"""What every room works with, handed down from the application."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from examples.common.pace import Pace
from examples.common.sockets import Broadcaster
from examples.liap_tui.record import LiapTuiRecord
from examples.liap_tui.rules import TARGET

if TYPE_CHECKING:
    from otel_setup import EnterpriseMonitor


@dataclass(frozen=True)
class Settings:
    """How the server plays.

    Parameters:
        speed: how many times faster than real time.
        seed: for deals, room ids and bots.
        target: points that end a game.
        illegal: share of rounds, 0 to 1, in which the server attempts a transition that the rules forbid.
    """

    speed: float = 1.0
    seed: int = 0
    target: int = TARGET
    illegal: float = 0.0


@dataclass(frozen=True)
class Services:
    """The monitor, the record, and what rests on them. ``failures`` collects what broke inside rooms."""

    settings: Settings
    monitor: EnterpriseMonitor
    record: LiapTuiRecord
    pace: Pace
    broadcaster: Broadcaster
    failures: list[Exception] = field(default_factory=list)

    @classmethod
    def make(cls, monitor: EnterpriseMonitor, record: LiapTuiRecord, settings: Settings) -> Services:
        return cls(settings, monitor, record, Pace(settings.speed), Broadcaster(record, monitor))
