"""Whether what the process tells arrives, in one glance."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from otel_setup.config import Settings
from otel_setup.core import Core


@dataclass(frozen=True)
class SignalHealth:
    """One signal on its way to the Collector.

    Attributes:
        status: ``ok``; ``waiting`` before the first export; ``failing`` since the last one failed.
        accepted, failed: items so far.
        dropped: items that never reached an exporter: the queue was full, or time was up at a shutdown.
        waiting: items that wait for their export or are under way.
        seconds_since_accepted: since the Collector took something; None where it never has.
        failing_seconds: since exports began to fail; 0 where they do not.
    """

    status: str
    accepted: int
    failed: int
    dropped: int
    waiting: int
    seconds_since_accepted: float | None
    failing_seconds: float


@dataclass(frozen=True)
class Health:
    """How telemetry is. The game is not: it goes on whatever telemetry does.

    Attributes:
        status: ``ok``, or ``failing`` where a signal is; ``off`` where nothing is exported; ``stopped`` after shutdown.
        signals: every signal that is exported.
        faults: inside monitoring so far, by component; all are 0 in a healthy process.
    """

    status: str
    signals: Mapping[str, SignalHealth]
    faults: Mapping[str, int]

    @property
    def ok(self) -> bool:
        """Whether nothing is known to be lost. Not a reason to stop a game server: at most to call somebody."""
        return self.status in ("ok", "off")


def health_of(core: Core, settings: Settings, *, running: bool) -> Health:
    """The health of a configuration that ``core`` is connected to."""
    exported = {"traces": settings.traces, "metrics": settings.metrics, "logs": settings.logs}
    signals = {
        signal: _signal(core, signal)
        for signal, exporters in exported.items()
        if "otlp" in exporters and signal in settings.destinations and not settings.disabled
    }
    if not running:
        status = "stopped"
    elif not signals:
        status = "off"
    else:
        status = "failing" if any(signal.status == "failing" for signal in signals.values()) else "ok"
    return Health(status, signals, core.fault_counts())


def _signal(core: Core, signal: str) -> SignalHealth:
    now = time.monotonic()
    counts = core.exports
    taken, failing_since = counts.accepted_at.get(signal), counts.failing_since.get(signal)
    return SignalHealth(
        status="failing" if failing_since is not None else "waiting" if taken is None else "ok",
        accepted=counts.accepted[signal],
        failed=counts.failed[signal],
        dropped=sum(items for (of, _), items in counts.dropped.items() if of == signal),
        waiting=counts.waiting[signal]() if signal in counts.waiting else 0,
        seconds_since_accepted=None if taken is None else now - taken,
        failing_seconds=0.0 if failing_since is None else now - failing_since,
    )
