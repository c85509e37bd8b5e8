"""Helps with testing a game server that is monitored.

As a pytest plugin (``pytest_plugins = ["otel_setup.testing"]``) it gives the fixture ``telemetry``: monitoring as in a
process that has just started, exporting nothing, forgotten afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest
from prometheus_client.parser import text_string_to_metric_families

from otel_setup.correlation import clear_correlation
from otel_setup.events.record import SystemEvent
from otel_setup.monitor import EnterpriseMonitor, get_enterprise_monitor
from otel_setup.prometheus import default_exposition
from otel_setup.telemetry import reset

Sample = tuple[str, frozenset[tuple[str, str]]]


class Recorded:
    """What a test asks about."""

    @property
    def monitor(self) -> EnterpriseMonitor:
        """The monitor the game uses."""
        return get_enterprise_monitor()

    def events(self, event_type: str | None = None) -> list[SystemEvent]:
        """Everything published so far, or the events of one type, oldest first."""
        published = self.monitor.event_stream.get_history()
        return [event for event in published if event_type in (None, event.event_type)]

    def samples(self) -> dict[Sample, float]:
        """Every sample of /metrics, by name and labels."""
        exposition = default_exposition()
        exposition.ttl = 0
        body, _ = exposition.scrape_sync()
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(body.decode())
            for sample in family.samples
        }

    def value(self, name: str, labels: Mapping[str, str] | None = None) -> float | None:
        """One sample's value; None where there is no such series."""
        return self.samples().get((name, frozenset((labels or {}).items())))


@contextmanager
def fresh_telemetry() -> Iterator[Recorded]:
    """Monitoring as in a process that has just started; forgotten at the end of the block."""
    reset()
    clear_correlation()
    try:
        yield Recorded()
    finally:
        reset()
        clear_correlation()


@pytest.fixture
def telemetry() -> Iterator[Recorded]:
    """Monitoring as in a process that has just started."""
    with fresh_telemetry() as recorded:
        yield recorded
