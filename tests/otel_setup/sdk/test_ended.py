"""The clean end: which series end, and that a Collector hears of it."""

from __future__ import annotations

import asyncio

from opentelemetry.proto.metrics.v1.metrics_pb2 import DataPointFlags

import otel_setup
from otel_setup.testing import Recorded
from tests.otel_setup.receiver import Receiver, receiving

NO_VALUE = DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK


def last_points(receiver: Receiver) -> dict[str, list[int]]:
    """The flags of the points in the last request, by metric."""
    found: dict[str, list[int]] = {}
    for resource in receiver.requests["/v1/metrics"][-1].resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                points = getattr(metric, metric.WhichOneof("data")).data_points
                found[metric.name] = [point.flags for point in points]
    return found


def test_what_is_now_ends_with_the_process_and_what_was_counted_stays(telemetry: Recorded) -> None:
    with receiving() as receiver:
        handle = otel_setup.configure(collector=receiver.url, metric_interval=3600)
        asyncio.run(telemetry.monitor.record_game_start("game1", "room1", player_count=4, bot_count=0))
        assert handle.shutdown(10)
        flags = last_points(receiver)
        instances = {
            attribute.value.string_value
            for resource in receiver.requests["/v1/metrics"][-1].resource_metrics
            for attribute in resource.resource.attributes
            if attribute.key == "service.instance.id"
        }
    assert set(flags["liap_tui.games.active"]) == {NO_VALUE}
    assert {flag for of_metric in flags.values() for flag in of_metric} == {NO_VALUE}
    assert "liap_tui.games.started" not in flags
    assert instances == {handle.settings.instance_id}


def test_there_is_no_end_where_the_collector_did_not_answer_last(telemetry: Recorded) -> None:
    handle = otel_setup.configure(collector="http://127.0.0.1:9", export_timeout=0.2, log_level=False)
    with receiving() as receiver:
        assert handle.shutdown(10)
    assert receiver.metrics() == []
