"""Whether what the process tells arrives, in one glance."""

from __future__ import annotations

import asyncio

import otel_setup
from otel_setup.testing import Recorded
from tests.otel_setup.receiver import receiving


def test_a_collector_that_takes_everything(telemetry: Recorded) -> None:
    with receiving() as receiver:
        handle = otel_setup.configure(collector=receiver.url)
        asyncio.run(telemetry.monitor.record_room_created("room1"))
        handle.flush(10)
        health = handle.health()
        assert (health.status, health.ok) == ("ok", True)
        assert {name: signal.status for name, signal in health.signals.items()} == {
            "traces": "waiting",  # there was no span yet
            "metrics": "ok",
            "logs": "ok",
        }
        logs = health.signals["logs"]
        assert (logs.accepted, logs.failed) == (1, 0)
        assert logs.seconds_since_accepted is not None
        assert logs.seconds_since_accepted < 30
        assert handle.shutdown(10)
        assert handle.health().status == "stopped"


def test_no_collector_and_then_one(telemetry: Recorded) -> None:
    with receiving() as receiver:
        port = receiver.url.rsplit(":", 1)[1]
    handle = otel_setup.configure(
        collector=f"http://127.0.0.1:{port}", metrics=False, traces=False, export_timeout=0.2, log_level=False
    )
    asyncio.run(telemetry.monitor.record_room_created("room1"))
    handle.flush(5)
    health = handle.health()
    assert (health.status, health.ok) == ("failing", False)
    assert health.signals["logs"].failing_seconds > 0
    assert health.signals["logs"].seconds_since_accepted is None
    assert list(health.signals) == ["logs"], "signals that are off are not judged"


def test_exporting_nothing_is_no_illness(telemetry: Recorded) -> None:
    health = otel_setup.configure(collector=False).health()
    assert (health.status, health.ok, dict(health.signals)) == ("off", True, {})
    assert set(health.faults.values()) == {0}
