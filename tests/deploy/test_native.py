"""The real Collector and Prometheus with the generated configurations, fed by the stock OpenTelemetry SDK."""

from __future__ import annotations

import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from deploy.native import QueryError, Stack
from deploy.process import http_get, wait_until
from settings import parse
from tests.support.peers import free_settings, require, running_collector, running_prometheus, running_stack

INSTANCE = str(uuid.uuid4())
RESOURCE = Resource.create(
    {
        "service.name": "smoke",
        "service.namespace": "games",
        "service.instance.id": INSTANCE,
        "service.version": "1.2.3",
        "deployment.environment.name": "test",
    }
)


@dataclass
class Sdk:
    """The stock SDK's three providers, sending to a Collector."""

    meters: MeterProvider
    tracers: TracerProvider
    loggers: LoggerProvider

    def flush(self) -> None:
        """Send everything now."""
        for provider in (self.meters, self.tracers, self.loggers):
            assert provider.force_flush(), f"{provider} could not send"


@contextmanager
def sdk(endpoint: str) -> Iterator[Sdk]:
    """The SDK for one test; it shuts down before the Collector does."""
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(f"{endpoint}/v1/metrics"))
    meters = MeterProvider([reader], RESOURCE, shutdown_on_exit=False)
    tracers = TracerProvider(resource=RESOURCE, shutdown_on_exit=False)
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{endpoint}/v1/traces")))
    loggers = LoggerProvider(RESOURCE, shutdown_on_exit=False)
    loggers.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(f"{endpoint}/v1/logs")))
    try:
        yield Sdk(meters, tracers, loggers)
    finally:
        meters.shutdown()
        tracers.shutdown()
        loggers.shutdown()


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with running_stack(tmp_path) as running:
        yield running


def test_every_signal_arrives_under_its_name(stack: Stack) -> None:
    with sdk(stack.collector.otlp_http) as server:
        meter = server.meters.get_meter("smoke")
        meter.create_counter("smoke.games.completed", unit="{game}").add(3, {"outcome": "won"})
        meter.create_histogram("smoke.phase.duration", unit="s").record(0.2)
        meter.create_gauge("smoke.cpu.usage", unit="%").set(12.5)
        with server.tracers.get_tracer("smoke").start_as_current_span("transition", attributes={"to": "turn"}) as span:
            server.loggers.get_logger("smoke").emit(
                event_name="game.started", attributes={"seats": 4, "players": ["Ada", "Bot 2"]}
            )
        server.flush()

    collector = stack.collector
    (event,) = wait_until(collector.log_records, bool, 30, "the log record is in the file")
    assert event.data["eventName"] == "game.started"
    assert event.attributes == {"seats": 4, "players": ["Ada", "Bot 2"]}
    assert event.resource["service.instance.id"] == INSTANCE
    (received,) = wait_until(collector.spans, bool, 30, "the span is in the file")
    assert (received.data["name"], received.attributes) == ("transition", {"to": "turn"})
    assert received.data["traceId"] == event.data["traceId"] == f"{span.get_span_context().trace_id:032x}"

    points = wait_until(collector.points, bool, 30, "metrics are in the file")
    assert {(point.metric["name"], point.value) for point in points} >= {
        ("smoke.games.completed", 3.0),
        ("smoke.phase.duration", 1.0),
        ("smoke.cpu.usage", 12.5),
    }

    # The names and labels that Prometheus gives:
    # https://prometheus.io/docs/guides/opentelemetry/ and https://opentelemetry.io/docs/specs/otel/compatibility/.
    ((labels, value),) = stack.prometheus.wait_for("smoke_games_completed_total")
    assert value == 3
    assert labels == {
        "__name__": "smoke_games_completed_total",
        "job": "games/smoke",
        "instance": INSTANCE,
        "outcome": "won",
        "service_name": "smoke",
        "service_namespace": "games",
        "service_instance_id": INSTANCE,
        "service_version": "1.2.3",
        "deployment_environment_name": "test",
    }
    assert [value for _, value in stack.prometheus.query("smoke_phase_duration_seconds_count")] == [1]
    assert [value for _, value in stack.prometheus.query("smoke_cpu_usage_percent")] == [12.5]


def test_the_collector_reports_on_itself_under_the_names_that_rules_will_use(stack: Stack) -> None:
    with sdk(stack.collector.otlp_http) as server:
        server.loggers.get_logger("smoke").emit(event_name="one")
        server.loggers.get_logger("smoke").emit(event_name="two")
        server.flush()
    accepted = 'otelcol_receiver_accepted_log_records_total{job="otelcol"}'
    samples = stack.prometheus.wait_for(accepted, lambda seen: sum(value for _, value in seen) == 2)
    ((labels, _),) = samples
    assert labels["receiver"] == "otlp"
    assert not [name for name in labels if name.startswith("otel_scope")]
    assert stack.prometheus.query("otelcol_process_memory_rss_bytes")[0][1] > 0
    assert stack.prometheus.query('otelcol_exporter_queue_capacity{exporter="otlp_http/prometheus"}')[0][1] == 200_000
    assert stack.prometheus.query('up{job="otelcol"}')[0][1] == 1
    # Prometheus asks for OpenMetrics, which demands _total; the plain page must not differ.
    assert b"\notelcol_receiver_accepted_log_records_total{" in http_get(stack.collector.telemetry_url)[1]


def test_files_are_rotated_and_read_whole(tmp_path: Path) -> None:
    settings = free_settings(parse({"collector": {"file_megabytes": 1}}))
    sent = [f"{number} {'x' * 1000}" for number in range(1500)]
    with running_collector(tmp_path, settings=settings) as collector:
        with sdk(collector.otlp_http) as server:
            logger = server.loggers.get_logger("smoke")
            for start in range(0, len(sent), 500):  # less than the SDK's own queue at a time
                for body in sent[start : start + 500]:
                    logger.emit(body=body)
                server.flush()
        records = wait_until(collector.log_records, lambda seen: len(seen) >= len(sent), 30, "all records are there")
    assert [record.data["body"]["stringValue"] for record in records] == sent
    assert len(list(collector.data_dir.glob("logs-*.jsonl"))) >= 2


def test_metrics_outlive_an_outage_of_the_store_and_a_crash_of_the_collector(tmp_path: Path) -> None:
    settings = free_settings()
    store_url = f"http://127.0.0.1:{settings.prometheus.port}"
    with running_collector(tmp_path, store_url, settings) as collector:
        with sdk(collector.otlp_http) as server:
            server.meters.get_meter("smoke").create_counter("smoke.rounds").add(7)
            server.flush()
        assert {point.value for point in collector.points()} == {7.0}
        collector.process.kill()
    with (
        running_prometheus(tmp_path, settings=settings) as store,
        running_collector(tmp_path, store_url, settings),
    ):
        assert [value for _, value in store.wait_for("last_over_time(smoke_rounds_total[10m])")] == [7]


def increment_once(server: Sdk) -> None:
    """Count one illegal move and export it once, some milliseconds later: Prometheus tells times by milliseconds."""
    server.meters.get_meter("smoke").create_counter("smoke.illegal").add(1)
    counted = time.monotonic()
    wait_until(time.monotonic, lambda now: now > counted + 0.2, 10, "the export's time differs from the start's")
    server.meters.force_flush()


def test_a_first_increment_is_visible_to_increase(stack: Stack) -> None:
    with sdk(stack.collector.otlp_http) as server:
        increment_once(server)
        stack.prometheus.wait_for("smoke_illegal_total")
        increase = stack.prometheus.query("increase(smoke_illegal_total[5m])")
    assert [value >= 1 for _, value in increase] == [True], "without its zero at the start, the increase is empty"


def test_without_the_feature_the_first_increment_is_lost(tmp_path: Path) -> None:
    settings = free_settings()
    with (
        running_prometheus(tmp_path, features=("exemplar-storage",), settings=settings) as store,
        running_collector(tmp_path, store.url, settings) as collector,
        sdk(collector.otlp_http) as server,
    ):
        increment_once(server)
        store.wait_for("smoke_illegal_total")
        assert store.query("increase(smoke_illegal_total[5m])") == []


def test_a_query_that_prometheus_refuses_is_an_error(tmp_path: Path) -> None:
    with running_prometheus(tmp_path) as store, pytest.raises(QueryError, match="parse error"):
        store.query("rate(")


def test_promtool_judges_a_scrape_page(tmp_path: Path) -> None:
    promtool = require("promtool")
    good = "# HELP games_total Games.\n# TYPE games_total counter\ngames_total 1\n"
    for page, code in ((good, 0), (good.replace("games_total 1", "games_total one"), 1)):
        done = subprocess.run([promtool, "check", "metrics"], check=False, input=page, text=True, capture_output=True)
        assert done.returncode == code, done.stderr


def test_the_collector_writes_nothing_to_the_terminal_about_old_names(tmp_path: Path) -> None:
    with running_collector(tmp_path) as collector:
        assert http_get(collector.telemetry_url)[0] == 200
        log = collector.process.log.read_text()
    assert "Everything is ready" in log
    assert "deprecated" not in log


def test_server_environment_points_at_the_stack(stack: Stack) -> None:
    assert stack.server_environment() == {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{stack.collector.settings.otlp_http_port}",
        "OTEL_METRIC_EXPORT_INTERVAL": "10000",
        "OTEL_BLRP_SCHEDULE_DELAY": "100",
        "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE": "128",
    }
