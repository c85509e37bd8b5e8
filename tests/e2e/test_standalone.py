"""The role `standalone` with every real store behind it: one game, looked for in each of them.

What is expected comes from the game, and of events from what the hub streams; the stores are asked by their own APIs.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

import otel_setup
from deploy import native, ports
from deploy.collector.roles import standalone
from deploy.jaeger import Jaeger
from deploy.loki import Loki
from deploy.process import http_get, wait_until
from otel_setup.testing import fresh_telemetry
from settings import Settings, parse
from tests.e2e.play import play_everything
from tests.e2e.test_hub import hub_process
from tests.support.backends import running_jaeger, running_loki
from tests.support.peers import require, running_prometheus

GAME, ROOM, SERVICE = "game1", "room1", "liap-tui"
SOON = 60.0


@dataclass(frozen=True)
class Deployment:
    """What stands behind the game, after it was played."""

    settings: Settings
    prometheus: native.Prometheus
    jaeger: Jaeger
    loki: Loki

    def events(self) -> list[dict[str, Any]]:
        """What the hub has, oldest first."""
        page = http_get(f"http://127.0.0.1:{self.settings.hub.port}/events?since=oldest&limit=10000")[1]
        events: list[dict[str, Any]] = json.loads(page)["events"]
        return events

    def exemplars(self) -> dict[str, str]:
        """Every trace that a measurement of the game in Prometheus points to, with the metric's name."""
        asked = urlencode({"query": '{__name__=~"liap_tui_.*"}', "start": 0, "end": 4_102_444_800})
        data = json.loads(http_get(f"{self.prometheus.url}/api/v1/query_exemplars?{asked}")[1])["data"]
        return {
            exemplar["labels"]["trace_id"]: series["seriesLabels"]["__name__"]
            for series in data
            for exemplar in series["exemplars"]
        }


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Everything runs; a game was played and its server has ended."""
    require("otelcol")
    folder: Path = tmp_path_factory.mktemp("standalone")
    settings = ports.free_settings(
        parse({"metrics": {"export_interval_seconds": 1}, "traces": {"decision_seconds": 1}})
    )
    with (
        running_prometheus(folder, settings=settings) as prometheus,
        running_jaeger(folder, settings) as jaeger,
        running_loki(folder, settings) as loki,
        hub_process(settings, folder),
        native.running_collector(settings, folder / "collector", prometheus.url, role=standalone) as collector,
        fresh_telemetry(),
    ):
        telemetry = otel_setup.configure(
            service=SERVICE,
            collector=collector.otlp_http,
            headers=collector.headers,
            metric_interval=1.0,
            pseudonyms=False,
            exemplar_ratio=0.05,
        )
        try:
            asyncio.run(play_everything(otel_setup.get_enterprise_monitor(), GAME, ROOM))
        finally:
            telemetry.shutdown()
        yield Deployment(settings, prometheus, jaeger, loki)


def test_metrics_are_in_prometheus(played: Deployment) -> None:
    played.prometheus.wait_for("liap_tui_games_completed_total == 1", timeout=SOON)
    played.prometheus.wait_for('system_memory_usage_bytes{job="host"}', timeout=SOON)
    played.prometheus.wait_for('up{job="otelcol"} == 1', timeout=SOON)


def test_events_are_in_the_hub_and_in_loki_and_counted_alike(played: Deployment) -> None:
    """The producer's last event says that it ends, so all are there once it is."""
    ended = [event["event_type"] for event in played.events()]
    wait_until(
        lambda: [e["event_type"] for e in played.events()], lambda seen: "producer.stopped" in seen, SOON, "all came"
    )
    streamed = Counter(
        event["event_type"] for event in played.events() if not event["event_type"].startswith("stream.")
    )
    assert streamed["game.started"] == 2, ended
    assert streamed["state.transition.illegal"] == 1

    def counted() -> dict[str, float]:
        return {labels["event_name"]: value for labels, value in played.prometheus.query("liap_tui_events_total")}

    wait_until(counted, lambda found: found == streamed, SOON, "Prometheus counts what the hub streams")
    lines = played.loki.wait_for(
        f'{{service_name="{SERVICE}"}}', lambda found: len(found) >= streamed.total(), timeout=SOON
    )
    kept = Counter(line.metadata["event_name"] for line in lines if "event_name" in line.metadata)
    assert kept == streamed


def test_loki_keeps_ids_beside_the_lines_and_few_labels(played: Deployment) -> None:
    lines = played.loki.wait_for(f'{{service_name="{SERVICE}"}} | game_id="{GAME}"', timeout=SOON)
    assert {line.metadata["game_id"] for line in lines} == {GAME}
    assert all(line.metadata["correlation_id"] for line in lines if "correlation_id" in line.metadata)
    traced = [line for line in lines if line.metadata.get("trace_id")]
    assert traced
    assert all(len(line.metadata["trace_id"]) == 32 for line in traced)
    assert set(played.loki.labels()) <= {"service_name", "service_namespace", "deployment_environment_name"}


def test_what_failed_is_in_jaeger_and_every_span_is_counted(played: Deployment) -> None:
    (failed,) = [event for event in played.events() if event["event_type"] == "action.failed"]
    spans = played.jaeger.wait_for(failed["trace_id"], timeout=SOON)
    assert "action.declare" in {span.data["name"] for span in spans}
    assert {span.resource["service.name"] for span in spans} == {SERVICE}
    calls = played.prometheus.wait_for('traces_spanmetrics_calls_total{span_name="action.play_pieces"}', timeout=SOON)
    assert [value for _, value in calls] == [1], "whether its trace is kept or not"


def test_every_exemplar_leads_to_a_trace(played: Deployment) -> None:
    exemplars = wait_until(played.exemplars, bool, SOON, "Prometheus has exemplars")
    for trace_id, metric in exemplars.items():
        assert played.jaeger.wait_for(trace_id, timeout=SOON), metric


def test_the_collectors_own_log_is_in_loki(played: Deployment) -> None:
    lines = played.loki.wait_for('{service_name="otelcol"}', timeout=SOON)
    assert any("Everything is ready" in line.text for line in lines)
