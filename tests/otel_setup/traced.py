"""A configured monitor with a receiver behind it, for tests of its spans."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace

import otel_setup
from otel_setup import EnterpriseMonitor
from otel_setup.testing import Recorded
from tests.otel_setup.receiver import Receiver, receiving

INNER, OUTER = "action.declare", "state_transition.waiting_to_preparation"


class Traced:
    """A configured monitor, and the spans that have reached the receiver."""

    def __init__(self, monitor: EnterpriseMonitor, handle: otel_setup.Telemetry, receiver: Receiver) -> None:
        self.monitor = monitor
        self.app = trace.get_tracer("app")
        self.handle = handle
        self.receiver = receiver

    def spans(self) -> dict[str, Any]:
        assert self.handle.flush(20)
        spans = self.receiver.spans()
        assert len({span.name for span in spans}) == len(spans), "a name is ambiguous in this test"
        return {span.name: span for span in spans}

    async def act(self, **options: Any) -> None:
        async with self.monitor.monitor_action_processing("g", "declare", "ann", **options):
            pass

    def transition(self) -> Any:
        return self.monitor.monitor_state_transition("g", "WAITING", "PREPARATION")


@pytest.fixture(scope="module")
def span_receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


@pytest.fixture
def traced(telemetry: Recorded, span_receiver: Receiver) -> Iterator[Traced]:
    for requests in span_receiver.requests.values():
        requests.clear()
    handle = otel_setup.configure(collector=span_receiver.url, metric_interval=3600)
    yield Traced(telemetry.monitor, handle, span_receiver)
    assert handle.shutdown(20)
