"""``python -m otel_setup check`` against the real Collector: plain, TLS, mutual TLS, a bearer token, swapped ports."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from deploy.native import Collector
from deploy.process import wait_until
from tests.otel_setup.diagnosis.certificates import Authority, Pair
from tests.otel_setup.diagnosis.servers import hangs, talking
from tests.support.peers import running_collector

SIGNALS = ("traces", "metrics", "logs")
TOKEN = "a-token-of-tests"  # noqa: S105
COMMAND = [sys.executable, "-m", "otel_setup", "check"]
CONFIG = """\
extensions:
  health_check: {{endpoint: "127.0.0.1:${{env:OTELCOL_HEALTH_PORT}}"}}
  bearertokenauth: {{token: {token}}}
receivers:
  otlp:
    protocols:
      grpc: {{endpoint: "127.0.0.1:${{env:OTLP_GRPC_PORT}}", {server}}}
      http: {{endpoint: "127.0.0.1:${{env:OTLP_HTTP_PORT}}", {server}}}
exporters:
  file/traces: {{path: "${{env:OTELCOL_DATA_DIR}}/traces.jsonl"}}
  file/metrics: {{path: "${{env:OTELCOL_DATA_DIR}}/metrics.jsonl"}}
  file/logs: {{path: "${{env:OTELCOL_DATA_DIR}}/logs.jsonl"}}
service:
  telemetry: {{metrics: {{level: none}}}}
  extensions: [health_check, bearertokenauth]
  pipelines:
    traces: {{receivers: [otlp], exporters: [file/traces]}}
    metrics: {{receivers: [otlp], exporters: [file/metrics]}}
    logs: {{receivers: [otlp], exporters: [file/logs]}}
"""

pytestmark = [pytest.mark.slow, pytest.mark.peer("otelcol")]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def local(authority: Authority) -> Pair:
    return authority.issue("local", "DNS:localhost,IP:127.0.0.1")


@contextmanager
def collector_with(tmp_path: Path, server: str = "") -> Iterator[Collector]:
    """A Collector whose receivers have settings of a test, and which writes everything to files."""
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.format(server=server, token=TOKEN))
    with running_collector(tmp_path, config=config) as collector:
        yield collector


def tls(pair: Pair, client_authority: str = "") -> str:
    wanted = f", client_ca_file: {client_authority}" if client_authority else ""
    return f"tls: {{cert_file: {pair.certificate}, key_file: {pair.key}{wanted}}}"


def check(*arguments: str, **environment: str) -> tuple[int, dict[str, Any]]:
    """Exit code, and the steps by their names."""
    done = subprocess.run(
        [*COMMAND, *arguments, "--format", "json"],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        env=clean_environment() | environment,
    )
    assert done.stderr == ""
    assert TOKEN not in done.stdout
    return done.returncode, {step["step"]: step for step in json.loads(done.stdout)["steps"]}


def clean_environment() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("OTEL_") and not name.lower().endswith("_proxy")
    }


def problems(steps: dict[str, Any]) -> set[str | None]:
    return {steps[name]["problem"] for name in SIGNALS}


def arrived(collector: Collector) -> list[Any]:
    """Everything in the Collector's files, once there is some of each signal."""
    read = (collector.spans, collector.points, collector.log_records)
    return wait_until(lambda: [items() for items in read], all, 30.0, "one of each signal is in the files")


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_one_of_each_arrives(tmp_path: Path, protocol: str, compression: str) -> None:
    with collector_with(tmp_path) as collector:
        url = collector.otlp_grpc if protocol == "grpc" else collector.otlp_http
        code, steps = check("--collector", url, "--protocol", protocol, "--compression", compression)
        assert (code, problems(steps)) == (0, {None})
        assert steps["clock"]["result"] == ("not tried" if protocol == "grpc" else "ok")
        for (item, *others), name in zip(arrived(collector), ("name", None, "eventName"), strict=True):
            assert others == []
            assert item.resource["otel_setup.check"] is True
            if name:
                assert item.data[name] == "otel_setup.check"


def test_swapped_ports(tmp_path: Path) -> None:
    with collector_with(tmp_path) as collector:
        code, steps = check("--collector", collector.otlp_grpc)
        assert (code, problems(steps)) == (1, {"http_to_grpc"})
        code, steps = check("--collector", collector.otlp_http, "--protocol", "grpc")
        assert (code, problems(steps)) == (1, {"grpc_to_http"})
        code, steps = check("--collector", f"{collector.otlp_http}/base")
        assert (code, problems(steps)) == (1, {"wrong_path"})


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_tls(tmp_path: Path, authority: Authority, local: Pair, protocol: str) -> None:
    trusted = {"OTEL_EXPORTER_OTLP_CERTIFICATE": authority.certificate, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
    with collector_with(tmp_path, tls(local)) as collector:
        plain = collector.otlp_grpc if protocol == "grpc" else collector.otlp_http
        encrypted = plain.replace("http:", "https:")
        code, steps = check("--collector", encrypted, **trusted)
        assert (code, problems(steps), steps["TLS"]["result"]) == (0, {None}, "ok")
        code, steps = check("--collector", encrypted, "--protocol", protocol)
        assert (code, steps["TLS"]["problem"]) == (1, "untrusted")
        code, steps = check("--collector", plain, "--protocol", protocol)
        assert (code, problems(steps)) == (1, {"plain_to_tls"})


def test_tls_and_swapped_ports(tmp_path: Path, authority: Authority, local: Pair) -> None:
    trusted = {"OTEL_EXPORTER_OTLP_CERTIFICATE": authority.certificate}
    with collector_with(tmp_path, tls(local)) as collector:
        grpc, http = (url.replace("http:", "https:") for url in (collector.otlp_grpc, collector.otlp_http))
        code, steps = check("--collector", grpc, **trusted)
        assert (code, problems(steps)) == (1, {"http_to_grpc"})
        code, steps = check("--collector", http, "--protocol", "grpc", **trusted)
        assert (code, problems(steps)) == (1, {"grpc_to_http"})


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_mutual_tls(tmp_path: Path, authority: Authority, local: Pair, protocol: str) -> None:
    client = authority.issue("client", "DNS:client")
    stranger = Authority(tmp_path / "stranger", "another authority").issue("stranger", "DNS:client")
    with collector_with(tmp_path, tls(local, authority.certificate)) as collector:
        plain = collector.otlp_grpc if protocol == "grpc" else collector.otlp_http
        way = ["--collector", plain.replace("http:", "https:"), "--protocol", protocol]
        way += ["--certificate-file", authority.certificate]
        for pair, expected in (
            (client, (0, {None})),
            (None, (1, {"client_certificate"})),
            (stranger, (1, {"client_certificate"})),
        ):
            own = ["--client-certificate-file", pair.certificate, "--client-key-file", pair.key] if pair else []
            code, steps = check(*way, *own)
            assert (code, problems(steps)) == expected


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_bearer_token(tmp_path: Path, protocol: str) -> None:
    with collector_with(tmp_path, "auth: {authenticator: bearertokenauth}") as collector:
        url = collector.otlp_grpc if protocol == "grpc" else collector.otlp_http
        for token, expected in ((f"Bearer%20{TOKEN}", (0, {None})), ("Bearer%20other", (1, {"credentials"}))):
            headers = {"OTEL_EXPORTER_OTLP_HEADERS": f"authorization={token}"}
            code, steps = check("--collector", url, "--protocol", protocol, **headers)
            assert (code, problems(steps)) == expected
        code, steps = check("--collector", url, "--protocol", protocol)
        assert (code, problems(steps)) == (1, {"credentials"})


def test_ctrl_c_ends_it_at_once_and_cleanly() -> None:
    heard = []
    with talking(lambda connection: (heard.append(connection.recv(10)), hangs(connection))[1]) as port:
        running = subprocess.Popen(
            [*COMMAND, "--collector", f"http://127.0.0.1:{port}", "--timeout", "100"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=clean_environment(),
        )
        try:
            wait_until(lambda: any(heard), bool, 60.0, "it sends")
            running.send_signal(signal.SIGINT)
            _, said = running.communicate(timeout=30)
        finally:
            running.kill()
    assert (running.returncode, said) == (130, "interrupted\n")
