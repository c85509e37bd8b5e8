"""The stores behind the Collector: their generated configurations, and the real programs with them."""

from __future__ import annotations

import json
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from deploy import alertmanager, build, jaeger, loki, zipkin
from deploy.generating import ROOT
from deploy.process import QueryError, wait_until
from settings import Settings, parse
from tests.support.backends import running_alertmanager, running_jaeger, running_loki, running_zipkin
from tests.support.peers import free_settings, require

COMMITTED = ROOT / build.BACKENDS_DIR
INSTANCE = str(uuid.uuid4())
RESOURCE = Resource.create(
    {
        "service.name": "arena",
        "service.namespace": "games",
        "service.instance.id": INSTANCE,
        "deployment.environment.name": "test",
    }
)
HOUR = 3600 * 10**9

OTHERS = {
    "jaeger": {"query_port": 26686, "otlp_grpc_port": 24317, "retention_hours": 5, "request_mebibytes": 3},
    "loki": {"port": 23100, "retention_hours": 48, "backlog_hours": 3, "metadata_kibibytes": 7, "line_kibibytes": 9},
    "zipkin": {"port": 29411, "max_spans": 77},
    "alertmanager": {"port": 29093, "retention_hours": 7, "repeat_hours": 9},
}


def ended_well(code: int) -> bool:
    """Whether a program that was asked to end did so of itself: with 0, or as Java does it."""
    return code in (0, 128 + signal.SIGTERM)


# --- configurations


def test_every_generated_file_is_there_and_nothing_else() -> None:
    generated = {name for name in build.generated(Settings()) if name.startswith(f"{build.BACKENDS_DIR}/")}
    assert {f"{build.BACKENDS_DIR}/{path.name}" for path in COMMITTED.iterdir()} == generated


def test_jaeger_follows_its_settings_and_keeps_what_it_acknowledged() -> None:
    tree = yaml.safe_load(jaeger.config(parse(OTHERS)))
    protocols = tree["receivers"]["otlp"]["protocols"]
    assert protocols["grpc"] == {"endpoint": "${env:JAEGER_BIND:-127.0.0.1}:24317", "max_recv_msg_size_mib": 3}
    assert protocols["http"]["max_request_body_size"] == 3 * 1024 * 1024
    assert tree["extensions"]["jaeger_query"]["http"]["endpoint"].endswith(":26686")
    store = tree["extensions"]["jaeger_storage"]["backends"]["traces"]["badger"]
    assert (store["ephemeral"], store["ttl"]) == (False, {"spans": "5h"})
    # Between the answer to a request and the store, nothing holds spans in memory.
    assert tree["service"]["pipelines"]["traces"]["processors"] == []
    assert tree["exporters"]["jaeger_storage_exporter"]["queue"] == {"enabled": False}


def test_loki_follows_its_settings_and_has_few_streams() -> None:
    tree = yaml.safe_load(loki.config(parse(OTHERS)))
    assert tree["server"]["http_listen_port"] == 23100
    limits = tree["limits_config"]
    assert (limits["retention_period"], tree["compactor"]["retention_enabled"]) == ("48h", True)
    assert (limits["max_structured_metadata_size"], limits["max_line_size"]) == ("7KB", "9KB")
    assert limits["reject_old_samples"] is False
    # Loki takes what is older than a stream's newest line by half of this age.
    assert tree["ingester"]["max_chunk_age"] == "6h"
    (index,) = limits["otlp_config"]["resource_attributes"]["attributes_config"]
    assert index == {
        "action": "index_label",
        "attributes": ["service.name", "service.namespace", "deployment.environment.name"],
    }


def test_zipkin_and_alertmanager_follow_their_settings() -> None:
    settings = parse(OTHERS)
    command = zipkin.start_command(Path("zipkin"), settings.zipkin)
    assert {"-Darmeria.ports[0].ip=127.0.0.1", "-Darmeria.ports[0].port=29411"} <= set(command)
    assert "-Dzipkin.storage.mem.max-spans=77" in command
    flags = alertmanager.arguments(settings, Path("file"), Path("data"))
    assert {"--web.listen-address=127.0.0.1:29093", "--data.retention=7h"} <= set(flags)
    assert yaml.safe_load(alertmanager.config(settings))["route"]["repeat_interval"] == "9h"


@pytest.mark.parametrize("other", [{}, OTHERS], ids=["as committed", "other settings"])
def test_amtool_accepts_the_configuration(other: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "alertmanager.yml"
    file.write_text(alertmanager.config(parse(other)))
    command = [require("amtool"), "check-config", file]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
    file.write_text(file.read_text().replace("group_by", "groups_by"))
    assert subprocess.run(command, check=False, capture_output=True).returncode != 0


# --- the real programs


@contextmanager
def tracer(endpoint: str) -> Iterator[TracerProvider]:
    """The stock SDK, sending spans to a store."""
    provider = TracerProvider(resource=RESOURCE, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{endpoint}/v1/traces")))
    yield provider
    provider.shutdown()


def send_trace(endpoint: str) -> str:
    """Send two spans, have them acknowledged, and return their trace's id."""
    with tracer(endpoint) as provider:
        spans = provider.get_tracer("smoke")
        with (
            spans.start_as_current_span("transition", attributes={"game.to": "turn"}) as parent,
            spans.start_as_current_span("move"),
        ):
            pass
        assert provider.force_flush()
    return f"{parent.get_span_context().trace_id:032x}"


def send_lines(endpoint: str, *lines: tuple[str, int]) -> None:
    """Send log records, each with its age in nanoseconds, and have them acknowledged."""
    provider = LoggerProvider(RESOURCE, shutdown_on_exit=False)
    provider.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(f"{endpoint}/v1/logs")))
    now = time.time_ns()
    for text, age in lines:
        provider.get_logger("smoke").emit(
            timestamp=now - age, body=text, event_name="game.started", attributes={"game.id": "g1"}
        )
    assert provider.force_flush()
    provider.shutdown()


@pytest.mark.peer("jaeger")
def test_jaeger_gives_back_what_it_took_after_a_crash_too(tmp_path: Path) -> None:
    settings = free_settings()
    with running_jaeger(tmp_path, settings) as store:
        trace_id = send_trace(store.otlp_http)
        found = store.wait_for(trace_id, lambda spans: len(spans) == 2)
        assert {span.data["name"] for span in found} == {"transition", "move"}
        assert found[0].resource["service.instance.id"] == INSTANCE
        later = send_trace(store.otlp_http)
        store.process.kill()
    with running_jaeger(tmp_path, settings) as store:
        for each in (trace_id, later):
            assert {span.data["name"] for span in store.trace(each)} == {"transition", "move"}
        (transition,) = (span for span in store.trace(later) if span.data["name"] == "transition")
        assert transition.attributes["game.to"] == "turn"
        assert store.services() == ["arena"]
        assert {span.data["traceId"] for span in store.traces("arena")} == {trace_id, later}
        assert len({span.data["traceId"] for span in store.traces("arena", limit=1)}) == 1
        assert store.traces("nobody") == []
        assert store.trace("0" * 31 + "1") == []
        with pytest.raises(QueryError, match="400"):
            store.trace("no trace id")
        assert ended_well(store.process.stop())


@pytest.mark.peer("loki")
def test_loki_gives_back_what_it_took_after_a_crash_too(tmp_path: Path) -> None:
    settings = free_settings()
    selector = '{service_name="arena"}'
    with running_loki(tmp_path, settings) as store:
        send_lines(store.otlp_http, ("now", 0))
        (line,) = store.wait_for(selector)
        assert line.text == "now"
        # What changes with every start makes no stream of its own.
        assert line.labels == {
            "service_name": "arena",
            "service_namespace": "games",
            "deployment_environment_name": "test",
        }
        assert line.metadata["service_instance_id"] == INSTANCE
        assert line.metadata["game_id"] == "g1"
        # A server whose Collector was cut off shares the stream with servers that went on.
        send_lines(store.otlp_http, ("eleven hours ago", 11 * HOUR), ("an hour ago", HOUR))
        store.process.kill()
    with running_loki(tmp_path, settings) as store:
        lines = store.wait_for(selector, lambda seen: len(seen) == 3)
        assert [line.text for line in lines] == ["eleven hours ago", "an hour ago", "now"]
        assert [line.text for line in store.query(f"{selector} | game_id=`g1` |= `hour`", hours=2)] == ["an hour ago"]
        assert [line.text for line in store.query(selector, limit=1)] == ["now"]
        with pytest.raises(QueryError, match="parse error"):
            store.query("{")
        with pytest.raises(QueryError, match="matrix"):
            store.query(f"count_over_time({selector}[1m])")
        assert ended_well(store.process.stop())


@pytest.mark.peer("zipkin")
def test_zipkin_gives_back_what_it_took(tmp_path: Path) -> None:
    trace_id = uuid.uuid4().hex
    span = {
        "traceId": trace_id,
        "id": trace_id[:16],
        "name": "transition",
        "kind": "SERVER",
        "timestamp": time.time_ns() // 1000,
        "duration": 1500,
        "localEndpoint": {"serviceName": "arena"},
        "tags": {"game.to": "turn"},
    }
    with running_zipkin(tmp_path) as store:
        assert store.trace(trace_id) == []
        assert httpx.post(store.spans_url, json=[span], trust_env=False).status_code == HTTPStatus.ACCEPTED
        assert store.wait_for(trace_id) == [span]
        assert store.services() == ["arena"]
        with pytest.raises(QueryError, match="400"):
            store.trace("no trace id")
        assert ended_well(store.process.stop())


@pytest.mark.peer("alertmanager")
def test_alertmanager_holds_an_alert(tmp_path: Path) -> None:
    alert = {"labels": {"alertname": "GamesStuck", "severity": "critical"}, "annotations": {"summary": "stuck"}}
    with running_alertmanager(tmp_path) as store:
        assert store.alerts() == []
        sent = httpx.post(f"{store.url}/api/v2/alerts", content=json.dumps([alert]), trust_env=False,
                          headers={"Content-Type": "application/json"})  # fmt: skip
        assert sent.status_code == HTTPStatus.OK
        (held,) = wait_until(store.alerts, bool, 30, "the alert is held")
        assert (held["labels"], held["annotations"]) == (alert["labels"], alert["annotations"])
        assert [receiver["name"] for receiver in held["receivers"]] == ["page"]
        assert ended_well(store.process.stop())
