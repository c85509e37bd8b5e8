"""What never reached an exporter is counted, by the bound that was reached."""

from __future__ import annotations

import asyncio

import otel_setup
from otel_setup.testing import Recorded
from tests.otel_setup.receiver import receiving


def test_a_full_queue_and_a_deadline_are_told_on_metrics(telemetry: Recorded) -> None:
    handle = otel_setup.configure(
        collector="http://127.0.0.1:9", queue_size=10, batch_delay=3600, traces=False, metrics=False, log_level=False
    )
    before = handle.core.stream.total_events

    async def rooms() -> None:
        for number in range(25):
            await telemetry.monitor.record_room_created(f"room{number}")

    asyncio.run(rooms())
    published = handle.core.stream.total_events - before
    assert published == 25
    dropped = {"signal": "logs", "bound": "queue_size"}
    waiting = telemetry.value("otel_setup_export_waiting", {"signal": "logs"})
    lost = telemetry.value("otel_setup_export_dropped_total", dropped)
    assert waiting is not None
    assert lost is not None
    assert (lost + waiting, waiting <= 20) == (25, True), "ten wait, and at most a batch of ten is under way"
    assert handle.health().signals["logs"].dropped == lost
    handle.shutdown(0.3)
    counts = handle.core.exports
    left = counts.dropped["logs", "queue_size"] + counts.dropped["logs", "shutdown_timeout"] + counts.failed["logs"]
    assert left == 26, "and the end of the epoch"


def test_nothing_is_dropped_while_a_collector_takes_it(telemetry: Recorded) -> None:
    with receiving() as receiver:
        handle = otel_setup.configure(collector=receiver.url)
        asyncio.run(telemetry.monitor.record_room_created("room1"))
        handle.flush(10)
        samples = telemetry.samples()
        handle.shutdown(10)
    dropped = {labels: value for (name, labels), value in samples.items() if name == "otel_setup_export_dropped_total"}
    assert len(dropped) == 4
    assert set(dropped.values()) == {0}
