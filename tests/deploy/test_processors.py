"""What happens to data on its way through the role `standalone`: the real program, its stores replaced by files."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import Status, StatusCode

from deploy import native, otlp_json
from deploy.collector import exporters
from deploy.collector.graph import Component, Pipeline, Role
from deploy.collector.roles import standalone
from deploy.process import wait_until
from examples.arena.model import ARENA
from otel_setup.catalogue import Catalogue, build
from settings import Settings, parse
from tests.support.peers import free_settings, require

SECOND = 1_000_000_000
STORES = {"otlp_grpc/jaeger": "traces", "otlp_http/loki": "logs", "otlp_http/hub": "events"}
INSTANCE = "arena-server-1"


def into_files(settings: Settings, catalogue: Catalogue) -> Role:
    """The role as it is, but each store is a file; metrics go to files by their pipelines."""

    def stored(pipeline: Pipeline, part: Component) -> Component:
        if part.kind != "exporters":
            return part
        name = STORES.get(part.id) or pipeline.id.replace("/", "_")
        return exporters.json_lines(settings, name)

    role = standalone(settings, catalogue)
    pipelines = tuple(
        replace(pipeline, exporters=tuple(stored(pipeline, part) for part in pipeline.exporters))
        for pipeline in role.pipelines
    )
    return replace(role, pipelines=pipelines)


class Server:
    """A game server by hand, on OpenTelemetry's SDK."""

    def __init__(self, endpoint: str) -> None:
        resource = Resource({"service.name": "arena", "service.instance.id": INSTANCE})
        self.tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"{endpoint}/v1/traces")))
        self.loggers = LoggerProvider(resource, shutdown_on_exit=False)
        self.loggers.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(f"{endpoint}/v1/logs")))
        reader = PeriodicExportingMetricReader(OTLPMetricExporter(f"{endpoint}/v1/metrics"), 600_000)
        self.meters = MeterProvider([reader], resource, shutdown_on_exit=False)

    def span(self, name: str, *, seconds: float = 0.001, failed: bool = False, **attributes: Any) -> None:
        """A trace of one span."""
        began = time.time_ns()
        named = {key.replace("__", "."): value for key, value in attributes.items()}
        span = self.tracers.get_tracer("test").start_span(name, start_time=began, attributes=named)
        if failed:
            span.set_status(Status(StatusCode.ERROR))
        span.end(began + round(seconds * SECOND))

    def log(self, body: str, event_name: str | None = None, **attributes: Any) -> None:
        """A log record."""
        self.loggers.get_logger("test").emit(
            severity_number=SeverityNumber.INFO, body=body, event_name=event_name, attributes=attributes
        )

    def close(self) -> None:
        """Sends what is left."""
        for provider in (self.tracers, self.loggers, self.meters):
            provider.shutdown()


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[native.Collector]:
    """The role with a decision after a second, a budget of nearly nothing, and short values."""
    require("otelcol")
    settings = parse(
        {
            "traces": {"decision_seconds": 1, "budget_spans_per_second": 1, "span_metrics_series": 20},
            "collector": {"attribute_characters": 64, "labels": {"deployment.environment.name": "testing"}},
            "metrics": {"export_interval_seconds": 0.5},
        }
    )
    folder = tmp_path_factory.mktemp("standalone")
    with native.running_collector(free_settings(settings), folder, role=into_files, catalogue=build(ARENA)) as running:
        yield running


@pytest.fixture
def server(collector: native.Collector) -> Iterator[Server]:
    """A game server that reports to it."""
    made = Server(collector.otlp_http)
    yield made
    made.close()


def file(collector: native.Collector, name: str) -> Path:
    """What a store, or a pipeline of metrics, has got."""
    return collector.data_dir / f"{name}.jsonl"


def logs(collector: native.Collector, body: str, store: str = "logs") -> list[otlp_json.Item]:
    """The records in a store whose body begins so."""
    records = otlp_json.log_records(file(collector, store)) if file(collector, store).exists() else []
    return [record for record in records if record.data.get("body", {}).get("stringValue", "").startswith(body)]


def test_secrets_and_mail_addresses_are_hidden_wherever_they_are(collector: native.Collector, server: Server) -> None:
    planted = {
        "auth.token": "s3cr3t-value",
        "password": "hunter2-hunter2",
        "note": "write to ada.b@mail.example now",
        "header": "Bearer abcdefgh12345678",
    }
    kept = {"token_count": 7, "recipient_count": 3, "secretary": "yes"}
    server.log("hide", **planted, **kept)
    server.log("hide body: mail eve@mail.example, Bearer abcdefgh12345678")
    server.span("hide", failed=True, **{key.replace(".", "__"): value for key, value in (planted | kept).items()})
    records = wait_until(lambda: logs(collector, "hide"), lambda found: len(found) == 2, 30, "both records came")
    spans = wait_until(
        lambda: [span for span in _spans(collector) if span.data["name"] == "hide"], bool, 30, "the span came"
    )
    for item in (records[0], spans[0]):
        assert {key: item.attributes[key] for key in kept} == kept
        assert set(planted) <= set(item.attributes)
    everything = file(collector, "logs").read_text() + file(collector, "traces").read_text()
    for secret in ("s3cr3t-value", "hunter2", "ada.b@", "eve@", "abcdefgh12345678"):
        assert secret not in everything, secret


def test_what_is_too_long_is_cut_and_the_rest_of_the_request_arrives(
    collector: native.Collector, server: Server
) -> None:
    server.log("long " + "b" * 5_000_000, text="a" * 5_000_000, short="whole")
    server.span("long", failed=True, text="a" * 5_000_000)
    (record,) = wait_until(lambda: logs(collector, "long"), bool, 30, "the record came")
    assert record.data["body"]["stringValue"] == "long " + "b" * 59
    assert (record.attributes["text"], record.attributes["short"]) == ("a" * 64, "whole")
    (span,) = wait_until(
        lambda: [span for span in _spans(collector) if span.data["name"] == "long"], bool, 30, "the span came"
    )
    assert span.attributes["text"] == "a" * 64


def test_everything_carries_the_deployments_labels_and_the_machine(collector: native.Collector, server: Server) -> None:
    server.log("labelled")
    (record,) = wait_until(lambda: logs(collector, "labelled"), bool, 30, "the record came")
    assert record.resource["deployment.environment.name"] == "testing"
    assert record.resource["service.instance.id"] == INSTANCE
    assert record.resource["host.name"]
    hosts = wait_until(lambda: _points(collector, "metrics_host"), bool, 60, "the machine's own metrics came")
    assert {point.resource["service.name"] for point in hosts} == {"host"}
    assert {point.resource["service.instance.id"] for point in hosts} == {record.resource["host.name"]}
    assert {"system.cpu.time", "system.memory.usage"} <= {point.metric["name"] for point in hosts}


def test_traces_that_somebody_will_look_for_are_kept_and_of_the_rest_a_budget(
    collector: native.Collector, server: Server
) -> None:
    """By the arena's own limits: an ordinary action is slow from 50 ms on, a transition from 250 ms."""
    for number in range(40):
        server.span("ordinary", number=number)
    server.span("action.fire", seconds=0.049, action__type="fire", kind="quick")
    server.span("failed", failed=True)
    server.span("marked", otel_setup__trace__kept=True)
    server.span("unmarked", otel_setup__trace__kept=False)
    server.span("illegal", state__from="lobby", state__to="lobby", state__legal=False)
    server.span("slow action", seconds=0.051, action__type="fire")
    server.span("slow transition", seconds=0.26, state__from="lobby", state__to="fight", state__legal=True)
    wanted = {"failed", "marked", "illegal", "slow action", "slow transition"}
    wait_until(lambda: {span.data["name"] for span in _spans(collector)}, wanted.issubset, 30, "those were kept")
    # All were decided in one turn: their traces are of the same second.
    names = [span.data["name"] for span in _spans(collector)]
    assert names.count("ordinary") < 20


def test_every_span_is_counted_whether_kept_or_not(collector: native.Collector, server: Server) -> None:
    for number in range(30):
        server.span("counted", action__outcome="accepted", player=f"player-{number}")

    def calls() -> list[otlp_json.Item]:
        return [
            point
            for point in _points(collector, "metrics_spans")
            if point.metric["name"] == "traces.spanmetrics.calls" and point.attributes.get("span.name") == "counted"
        ]

    counted = wait_until(calls, lambda found: found and found[-1].value == 30, 30, "all of them are counted")
    assert counted[-1].resource["service.instance.id"] == INSTANCE
    assert counted[-1].attributes["action.outcome"] == "accepted"
    assert not any("player" in point.attributes for point in counted)
    durations = [p for p in _points(collector, "metrics_spans") if p.metric["name"] == "traces.spanmetrics.duration"]
    assert durations
    assert not any(point.data.get("exemplars") for point in durations)


def test_span_metrics_are_bounded_whatever_spans_are_called(collector: native.Collector, server: Server) -> None:
    for number in range(100):
        server.span(f"hostile-{number}")

    def overflow() -> list[otlp_json.Item]:
        return [
            point
            for point in _points(collector, "metrics_spans")
            if point.metric["name"] == "traces.spanmetrics.calls" and "otel.metric.overflow" in point.attributes
        ]

    wait_until(overflow, bool, 30, "what exceeds the bound is counted together")
    series = {
        frozenset(point.attributes.items())
        for point in _points(collector, "metrics_spans")
        if point.metric["name"] == "traces.spanmetrics.calls"
    }
    assert len(series) <= 21


def test_events_go_to_the_hub_too_and_are_counted_by_name(collector: native.Collector, server: Server) -> None:
    for number in range(5):
        server.log("", "arena.storm.closing", number=number)
    server.log("no event")

    def named(store: str) -> list[otlp_json.Item]:
        records = otlp_json.log_records(file(collector, store)) if file(collector, store).exists() else []
        return [record for record in records if record.data.get("eventName") == "arena.storm.closing"]

    for store in ("events", "logs"):
        records = wait_until(lambda store=store: named(store), lambda found: len(found) == 5, 30, "all came")  # type: ignore[misc]  # mypy knows no defaults of lambdas
        assert [record.attributes["number"] for record in records] == list(range(5))
        named_too = {record.attributes.get("event.name") for record in records}
        assert named_too == {"arena.storm.closing" if store == "logs" else None}, "Loki keeps no other name of events"
    wait_until(lambda: logs(collector, "no event"), bool, 30, "the other record came to the logs")
    assert not logs(collector, "no event", "events")

    def counts() -> list[otlp_json.Item]:
        return [
            p for p in _points(collector, "metrics_events") if p.attributes.get("event.name") == "arena.storm.closing"
        ]

    counted = wait_until(counts, lambda found: found and found[-1].value == 5, 30, "they are counted")
    assert counted[-1].metric["name"] == "arena.events"
    assert counted[-1].metric["isMonotonic"]
    assert counted[-1].resource["service.instance.id"] == INSTANCE


def _spans(collector: native.Collector) -> list[otlp_json.Item]:
    path = file(collector, "traces")
    return otlp_json.spans(path) if path.exists() else []


def _points(collector: native.Collector, pipeline: str) -> list[otlp_json.Item]:
    path = file(collector, pipeline)
    return otlp_json.points(path) if path.exists() else []
