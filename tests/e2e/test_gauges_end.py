"""After a clean stop Prometheus shows no live games of a server that is gone, through the real Collector."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import otel_setup
from otel_setup.testing import fresh_telemetry
from tests.support.peers import running_stack

pytestmark = [pytest.mark.peer("otelcol"), pytest.mark.peer("prometheus")]


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_live_games_end_with_their_server_and_counted_games_stay(tmp_path: Path, protocol: str) -> None:
    with running_stack(tmp_path) as stack, fresh_telemetry() as recorded:
        collector = stack.collector.otlp_grpc if protocol == "grpc" else stack.collector.otlp_http
        telemetry = otel_setup.configure(collector=collector, protocol=protocol, metric_interval=0.5)
        asyncio.run(recorded.monitor.record_game_start("game1", "room1", player_count=4, bot_count=1))
        [(labels, value)] = stack.prometheus.wait_for("liap_tui_games_active", lambda found: found and found[0][1])
        assert value == 1
        assert telemetry.shutdown(10)
        # Without an end Prometheus would go on showing it for three export intervals, here 30 seconds.
        stack.prometheus.wait_for("liap_tui_games_active", lambda found: not found, timeout=10)
        [(_, started)] = stack.prometheus.query("liap_tui_games_started_total")
        assert started == 1
        assert labels["instance"] == telemetry.settings.instance_id
