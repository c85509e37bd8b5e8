"""Where each signal goes, and what about it would not work or would be ignored in silence."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from otel_setup.config import ConfigError, Destination, report, resolve
from tests.support.certificates import Certificates, make_certificates

OTLP = "OTEL_EXPORTER_OTLP_"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def destinations(environ: dict[str, str] | None = None, **options: Any) -> dict[str, Destination]:
    return dict(resolve(options, environ=environ or {}).settings.destinations)  # type: ignore[arg-type]


def problems(environ: dict[str, str] | None = None, **options: Any) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        resolve(options, environ=environ or {})  # type: ignore[arg-type]
    return list(raised.value.problems)


def test_http_by_default() -> None:
    assert {signal: to.endpoint for signal, to in destinations().items()} == {
        "traces": "http://localhost:4318/v1/traces",
        "metrics": "http://localhost:4318/v1/metrics",
        "logs": "http://localhost:4318/v1/logs",
    }


def test_grpc_has_its_own_port_and_no_path() -> None:
    assert {to.endpoint for to in destinations(protocol="grpc").values()} == {"http://localhost:4317"}


def test_a_path_of_the_collector_stays() -> None:
    assert destinations(collector="https://c.example/otlp/")["logs"].endpoint == "https://c.example/otlp/v1/logs"


def test_false_exports_nothing() -> None:
    assert destinations(collector=False) == {}


def test_a_variable_of_one_signal_wins_over_the_general_one_and_is_named() -> None:
    environ = {
        f"{OTLP}ENDPOINT": "http://general:4318",
        f"{OTLP}TRACES_ENDPOINT": "http://traces:4318/as/it/is",
        f"{OTLP}HEADERS": "a=1",
        f"{OTLP}METRICS_HEADERS": "b=2",
        f"{OTLP}LOGS_TIMEOUT": "2500",
        f"{OTLP}LOGS_COMPRESSION": "gzip",
    }
    found = destinations(environ)
    assert found["traces"].endpoint == "http://traces:4318/as/it/is", "the specification takes it as it is"
    assert found["logs"].endpoint == "http://general:4318/v1/logs"
    assert (found["traces"].headers, found["metrics"].headers) == ({"a": "1"}, {"b": "2"})
    assert (found["logs"].timeout, found["traces"].timeout) == (2.5, 10.0)
    assert (found["logs"].compression, found["traces"].compression) == ("gzip", "none")
    text = report(resolve({}, environ=environ))
    assert f"environment {OTLP}TRACES_ENDPOINT" in text
    assert "b=***" in text
    assert "b=2" not in text


def test_a_keyword_wins_over_variables_of_one_signal() -> None:
    environ = {f"{OTLP}TRACES_ENDPOINT": "http://traces:4318/v1/traces"}
    assert destinations(environ, collector="http://mine:4318")["traces"].endpoint == "http://mine:4318/v1/traces"


def test_one_signal_over_grpc_goes_to_the_grpc_port() -> None:
    found = destinations({f"{OTLP}METRICS_PROTOCOL": "grpc"})
    assert (found["metrics"].endpoint, found["logs"].endpoint) == (
        "http://localhost:4317",
        "http://localhost:4318/v1/logs",
    )


@pytest.mark.parametrize(
    ("environ", "options", "said"),
    [
        ({}, {"collector": "collector:4317"}, "keyword collector is 'collector:4317'; expected a URL with its scheme"),
        ({}, {"collector": "http://u:p@c:4318"}, "'http://***@c:4318'; expected a URL without a password"),
        ({}, {"collector": "http://c:99999"}, "expected a URL with its scheme"),
        ({f"{OTLP}ENDPOINT": "c"}, {}, f"environment {OTLP}ENDPOINT is 'c'; expected a URL with its scheme"),
        ({}, {"protocol": "http/json"}, "expected http/protobuf or grpc"),
        ({}, {"collector": "http://c:4317"}, "the port of http://c:4317 is OTLP's for grpc"),
        ({}, {"protocol": "grpc", "compression": "deflate"}, "OTLP/gRPC does not have: use gzip or none"),
        ({}, {"protocol": "grpc", "collector": "http://c:4317/v1/traces"}, "has a path"),
        ({}, {"compression": "zstd"}, "expected none or gzip or deflate"),
        ({f"{OTLP}TIMEOUT": "10"}, {}, "expected milliseconds, 100 or more"),
        ({f"{OTLP}TRACES_TIMEOUT": "soon"}, {}, f"environment {OTLP}TRACES_TIMEOUT is 'soon'; expected a number"),
        ({f"{OTLP}HEADERS": "nonsense"}, {}, f"environment {OTLP}HEADERS is (a secret); expected key=value pairs"),
        ({}, {"headers": {"a b": "c"}}, "expected names of HTTP headers"),
        ({}, {"headers": {"a": "b\r\nc: d"}}, "expected values of HTTP headers: visible ASCII characters on one line"),
        ({}, {"certificate_file": "/ca.pem"}, "certificate_file is '/ca.pem', which has no effect without TLS"),
        (
            {},
            {"collector": "https://c:4318", "certificate_file": "/no/such.pem"},
            "certificate_file is '/no/such.pem'; expected a PEM file of certificates",
        ),
    ],
)
def test_one_sentence_says_what_is_wrong(environ: dict[str, str], options: dict[str, Any], said: str) -> None:
    [problem] = problems(environ, **options)
    assert said in problem


def test_mutual_tls_needs_certificate_and_key(certificates: Certificates) -> None:
    own = {"client_certificate_file": str(certificates.client), "client_key_file": str(certificates.client_key)}
    for given, missing in (tuple(own), tuple(reversed(own))):
        [problem] = problems(collector="https://c:4318", **{given: own[given]})
        assert problem == f"{given} is given without {missing}: mutual TLS needs both"
    assert destinations(collector="https://c:4318", **own)["logs"].client_key_file == str(certificates.client_key)


def test_a_key_of_another_certificate_is_refused(certificates: Certificates) -> None:
    [problem] = problems(
        collector="https://c:4318",
        client_certificate_file=str(certificates.client),
        client_key_file=str(certificates.server_key),
    )
    assert "expected PEM files of a certificate and its key" in problem


def test_a_file_that_is_no_certificate_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_text("this is no certificate")
    [problem] = problems(collector="https://c:4318", certificate_file=str(path))
    assert "expected a PEM file of certificates" in problem


def test_a_key_with_a_password_is_refused_without_asking_for_it(certificates: Certificates, tmp_path: Path) -> None:
    locked = tmp_path / "locked.key"
    subprocess.run(
        ["openssl", "ec", "-aes256", "-passout", "pass:secret", "-in", certificates.client_key, "-out", locked],
        check=True,
        capture_output=True,
    )
    [problem] = problems(
        collector="https://c:4318",
        client_certificate_file=str(certificates.client),
        client_key_file=str(locked),
    )
    assert "without a password" in problem


def test_what_is_set_and_changes_nothing_is_said() -> None:
    resolved = resolve({"collector": "http://mine:4318"}, environ={
        f"{OTLP}ENDPOINT": "http://general:4318",
        f"{OTLP}INSECURE": "true",
        "OTEL_BSP_EXPORT_TIMEOUT": "5",
        "OTEL_SERVICE_NAME": "used",
        "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "64",
        "OTEL_SETUP_PSEUDONYM": "false",
    })  # fmt: skip
    assert list(resolved.unused) == [
        "OTEL_BSP_EXPORT_TIMEOUT",
        f"{OTLP}ENDPOINT",
        f"{OTLP}INSECURE",
        "OTEL_SETUP_PSEUDONYM",
    ]
    text = report(resolved)
    assert f"{OTLP}INSECURE: the scheme of the address decides" in text
    assert "OTEL_BSP_EXPORT_TIMEOUT: set OTEL_EXPORTER_OTLP_TIMEOUT" in text


def test_a_configuration_file_is_refused_with_the_ways_out() -> None:
    [problem] = problems({"OTEL_CONFIG_FILE": "otel.yaml"})
    assert "unset it" in problem
    assert "configure(adopt=True)" in problem
    assert resolve({"adopt": True}, environ={"OTEL_CONFIG_FILE": "otel.yaml"}).settings.adopt


def test_resource_attributes_of_keyword_and_environment_are_put_together() -> None:
    environ = {"OTEL_RESOURCE_ATTRIBUTES": "k8s.pod.name=p1,team=environment"}
    resolved = resolve({"resource": {"team": "keyword"}}, environ=environ)
    assert resolved.settings.resource == {"k8s.pod.name": "p1", "team": "keyword"}
    assert resolved.sources["resource"] == "keyword and environment OTEL_RESOURCE_ATTRIBUTES"


@pytest.mark.parametrize(
    ("environ", "traces", "metrics", "logs"),
    [
        ({}, ("otlp",), ("otlp",), ("otlp",)),
        ({"OTEL_TRACES_EXPORTER": "none"}, (), ("otlp",), ("otlp",)),
        ({"OTEL_TRACES_EXPORTER": "otlp, console"}, ("otlp", "console"), ("otlp",), ("otlp",)),
        ({"OTEL_METRICS_EXPORTER": "prometheus"}, ("otlp",), ("prometheus",), ("otlp",)),
        ({"OTEL_LOGS_EXPORTER": "console"}, ("otlp",), ("otlp",), ("console",)),
        ({"MONITORING_ENABLE_CONSOLE_EXPORT": "true"}, ("otlp", "console"), ("otlp",), ("otlp", "console")),
    ],
)
def test_the_exporters_of_the_environment(environ: dict[str, str], traces: Any, metrics: Any, logs: Any) -> None:
    settings = resolve({}, environ=environ).settings
    assert (settings.traces, settings.metrics, settings.logs) == (traces, metrics, logs)


def test_an_exporter_that_does_not_exist_is_refused() -> None:
    [problem] = problems({"OTEL_TRACES_EXPORTER": "zipkin"})
    assert problem.startswith("environment OTEL_TRACES_EXPORTER is 'zipkin'; expected some of otlp, console, or none")


def test_prometheus_among_the_exporters_serves_its_standard_port() -> None:
    assert resolve({"metrics": ["otlp", "prometheus"]}, environ={}).settings.metrics_port == 9464
    assert resolve({"metrics": ["prometheus"], "metrics_port": 9000}, environ={}).settings.metrics_port == 9000
    assert resolve({}, environ={}).settings.metrics_port is None


def test_queues_of_spans_are_those_of_events_unless_they_are_given() -> None:
    settings = resolve({"queue_size": 10}, environ={"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "3"}).settings
    assert (settings.queue_size, settings.span_queue_size) == (10, 10)
    assert (settings.batch_size, settings.span_batch_size) == (128, 3)
