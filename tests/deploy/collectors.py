"""Collectors for the tests of their configurations: the real program, its page on itself, and requests made by hand."""

from __future__ import annotations

import http.client
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from ssl import SSLContext
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import LogsServiceStub
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import MetricsServiceStub
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from deploy import native, ports
from deploy.collector.graph import Role
from deploy.collector.roles import ROLES, MakeRole, files
from deploy.process import http_get
from otel_setup.catalogue import build
from otel_setup.game_model import LIAP_TUI
from settings import Settings
from tests.support.peers import require

CATALOGUE = build(LIAP_TUI)
RUN_HERE: dict[str, MakeRole] = {
    role.name: make for make in ROLES if not (role := make(Settings(), CATALOGUE)).untested
}
"""The roles whose every component the project's own distribution holds, by name."""

OWN_LOG = ("standalone", "agent", "gateway")
"""Roles that send their own log where all logs go."""
SIGNALS = ("traces", "metrics", "logs")
ITEMS = {"traces": "spans", "metrics": "metric_points", "logs": "log_records"}
"""What the Collector's own metrics call what it received."""


def made(name: str, settings: Settings | None = None) -> Role:
    """A role of this name."""
    return RUN_HERE[name](settings or Settings(), CATALOGUE)


def run(*command: object, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program to its end.

    :param environment: all of it, where given
    """
    return subprocess.run(
        [str(part) for part in command],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        env=dict(os.environ if environment is None else environment),
    )


def otelcol(
    command: str, config: Path, folder: Path, *options: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Let the real program look at a configuration, in an environment that holds a token and nothing unexpected."""
    token = folder / "token"
    token.write_text("a-token")
    given = {"OTLP_TOKEN_FILE": str(token), **environment}
    return run(require("otelcol"), command, f"--config={config}", *options, environment=given)


@contextmanager
def running(
    folder: Path,
    role: MakeRole = files,
    settings: Settings | None = None,
    config: Path | None = None,
    **environment: str,
) -> Iterator[native.Collector]:
    """A Collector in a role, on free ports."""
    require("otelcol")
    chosen = settings or ports.free_settings()
    with native.running_collector(chosen, folder, config=config, role=role, environment=environment) as collector:
        try:
            yield collector
        finally:
            print(f"--- the end of {collector.process.log}\n{collector.process.log_tail()}")


def own_metrics(collector: native.Collector) -> dict[str, float]:
    """What a Collector says of itself: its metrics' names, each with the sum of its series."""
    sums: dict[str, float] = {}
    for line in http_get(collector.telemetry_url)[1].decode().splitlines():
        if not line.startswith("#"):
            series, value = line.rsplit(" ", 1)
            name = series.partition("{")[0]
            sums[name] = sums.get(name, 0.0) + float(value)
    return sums


@contextmanager
def disk(folder: Path, mebibytes: int) -> Iterator[None]:
    """A file system of this size in a new folder; skips where nobody may mount one."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("mounting a file system is not allowed here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


# --- requests


def request(signal: str, text: str = "one", **resource: str) -> Any:
    """An OTLP request with one span, point or log record that holds a text, of a server ``smoke``."""
    attributes = [_text(key.replace("__", "."), value) for key, value in {"service__name": "smoke", **resource}.items()]
    of = Resource(attributes=attributes)
    if signal == "traces":
        span = Span(trace_id=b"0123456789abcdef", span_id=b"01234567", name=text, start_time_unix_nano=1)
        return ExportTraceServiceRequest(
            resource_spans=[ResourceSpans(resource=of, scope_spans=[ScopeSpans(spans=[span])])]
        )
    if signal == "metrics":
        gauge = Gauge(data_points=[NumberDataPoint(as_int=1, time_unix_nano=1)])
        metric = Metric(name="smoke.size", description=text, gauge=gauge)
        return ExportMetricsServiceRequest(
            resource_metrics=[ResourceMetrics(resource=of, scope_metrics=[ScopeMetrics(metrics=[metric])])]
        )
    record = LogRecord(time_unix_nano=1, event_name="smoke.happened", body=AnyValue(string_value=text))
    return ExportLogsServiceRequest(
        resource_logs=[ResourceLogs(resource=of, scope_logs=[ScopeLogs(log_records=[record])])]
    )


def post(
    port: int,
    signal: str,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    tls: SSLContext | None = None,
) -> int:
    """Send a request over HTTP; returns the status.

    :raises OSError: where there is no answer
    """
    if tls:
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=tls)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        sent = request(signal).SerializeToString() if body is None else body
        connection.request("POST", f"/v1/{signal}", sent, {"Content-Type": "application/x-protobuf", **(headers or {})})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


_STUBS = {"traces": TraceServiceStub, "metrics": MetricsServiceStub, "logs": LogsServiceStub}


def call(
    port: int,
    signal: str,
    headers: Mapping[str, str] | None = None,
    message: Any = None,
    tls: grpc.ChannelCredentials | None = None,
) -> grpc.StatusCode:
    """Send a request over gRPC; returns the status."""
    address = f"127.0.0.1:{port}"
    with grpc.secure_channel(address, tls) if tls else grpc.insecure_channel(address) as channel:
        metadata = [(name.lower(), value) for name, value in (headers or {}).items()]
        try:
            _STUBS[signal](channel).Export(message or request(signal), metadata=metadata, timeout=30)
        except grpc.RpcError as refused:
            return refused.code()
    return grpc.StatusCode.OK


def _text(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))
