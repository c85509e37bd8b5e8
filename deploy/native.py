"""The Collector, Prometheus and Kafka as ordinary processes of this machine, with the generated configurations."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

from deploy import kafka, otlp_json, prometheus, tools
from deploy.collector import distribution
from deploy.collector import variables as v
from deploy.collector.check import check
from deploy.collector.roles import MakeRole, files
from deploy.process import Command, Process, ProcessError, QueryError, http_get, running, wait_until
from otel_setup.catalogue import Catalogue, build
from otel_setup.game_model import LIAP_TUI
from settings import CollectorSettings, KafkaSettings, Settings

Sample = tuple[dict[str, str], float]
"""One series of a query's result: its labels and its value."""

NOWHERE = "http://127.0.0.1:9"
"""The discard port: nothing answers there, so metrics for it wait in the queue."""


@dataclass(frozen=True)
class Collector:
    """A running Collector."""

    process: Process
    data_dir: Path
    settings: CollectorSettings
    token: str = ""
    """What who sends has to know; empty where it asks for none."""

    @property
    def headers(self) -> dict[str, str]:
        """What who sends puts into the head of each request."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    @property
    def otlp_http(self) -> str:
        """Where to send OTLP over HTTP (``OTEL_EXPORTER_OTLP_ENDPOINT``)."""
        return f"http://{v.LOOPBACK}:{self.settings.otlp_http_port}"

    @property
    def otlp_grpc(self) -> str:
        """Where to send OTLP over gRPC."""
        return f"http://{v.LOOPBACK}:{self.settings.otlp_grpc_port}"

    @property
    def telemetry_url(self) -> str:
        """The Collector's metrics on itself, in Prometheus's text format."""
        return f"http://{v.LOOPBACK}:{self.settings.telemetry_port}/metrics"

    @property
    def metrics_file(self) -> Path:
        """Metrics as OTLP JSON; only where ``collector.metrics_file`` is set."""
        return self.data_dir / "metrics.jsonl"

    @property
    def traces_file(self) -> Path:
        """Traces as OTLP JSON."""
        return self.data_dir / "traces.jsonl"

    @property
    def logs_file(self) -> Path:
        """Logs as OTLP JSON."""
        return self.data_dir / "logs.jsonl"

    def points(self) -> list[otlp_json.Item]:
        """Every metric point in the metrics file so far."""
        return otlp_json.points(self.metrics_file)

    def spans(self) -> list[otlp_json.Item]:
        """Every span in the traces file so far."""
        return otlp_json.spans(self.traces_file)

    def log_records(self) -> list[otlp_json.Item]:
        """Every log record in the logs file so far."""
        return otlp_json.log_records(self.logs_file)


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus."""

    process: Process
    settings: Settings

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{v.LOOPBACK}:{self.settings.prometheus.port}"

    def query(self, promql: str) -> list[Sample]:
        """The present value of every series that an expression yields.

        :raises QueryError: where Prometheus refuses the expression
        :raises OSError: where it does not answer
        """
        _, body = http_get(f"{self.url}/api/v1/query?{urlencode({'query': promql})}")
        answer = json.loads(body)
        if answer["status"] != "success":
            raise QueryError(f"{promql}: {answer['error']}")
        data = answer["data"]
        if data["resultType"] == "scalar":
            return [({}, float(data["result"][1]))]
        return [(series["metric"], float(series["value"][1])) for series in data["result"]]

    def wait_for(
        self, promql: str, accept: Callable[[list[Sample]], object] = bool, timeout: float = 30.0
    ) -> list[Sample]:
        """Ask until ``accept`` says yes to the result (by default: until there is one), and return it.

        :param timeout: seconds to go on asking
        :raises TimeoutError: with the last result
        """
        return wait_until(lambda: self.query(promql), accept, timeout, f"Prometheus has what was asked by {promql}")


@dataclass(frozen=True)
class Stack:
    """A Collector that sends to a Prometheus."""

    collector: Collector
    prometheus: Prometheus

    def server_environment(self) -> dict[str, str]:
        """Environment variables by which a game server on this machine reports to this stack."""
        return server_environment(self.prometheus.settings, self.collector)


def server_environment(settings: Settings, collector: Collector) -> dict[str, str]:
    """Environment variables by which a game server on this machine reports to a Collector."""
    # In this variable a value is written as in a URL (OpenTelemetry specification, "Protocol Exporter").
    headers = ",".join(f"{name}={quote(value)}" for name, value in collector.headers.items())
    return {
        **settings.server_environment(),
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.otlp_http,
        **({"OTEL_EXPORTER_OTLP_HEADERS": headers} if headers else {}),
    }


@dataclass(frozen=True)
class Kafka:
    """A running broker."""

    process: Process
    settings: KafkaSettings

    @property
    def brokers(self) -> str:
        """Where clients begin (``bootstrap.servers``)."""
        return f"{v.LOOPBACK}:{self.settings.port}"


@contextmanager
def running_stack(settings: Settings, data_dir: Path) -> Iterator[Stack]:
    """Run both on the settings' ports. The Collector is stopped first, so that it can still hand over what it has.

    :param data_dir: where both keep their data, configurations and logs
    """
    with (
        running_prometheus(settings, data_dir / "prometheus") as store,
        running_collector(settings, data_dir / "collector", store.url) as collector,
    ):
        yield Stack(collector, store)


@contextmanager
def running_collector(
    settings: Settings,
    data_dir: Path,
    prometheus_url: str | None = None,
    config: Path | None = None,
    role: MakeRole = files,
    environment: Mapping[str, str] | None = None,
    catalogue: Catalogue | None = None,
) -> Iterator[Collector]:
    """Run a Collector on the settings' ports, with a token of its own where the settings ask for one.

    :param data_dir: holds its queue, its files, its configuration and its log
    :param prometheus_url: where metrics go; without one they wait in the queue
    :param config: a configuration to use instead of the one generated from the settings
    :param role: what it is there for
    :param environment: more that the configuration reads from it
    :param catalogue: of the game; Liap Tui's where not given
    :raises ConfigurationError: where the settings make a role that cannot work
    :raises ProcessError: where it does not start, or the environment lacks a secret
    """
    ports = settings.collector
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    if config is None:
        chosen = role(settings, catalogue or build(LIAP_TUI))
        check(chosen, settings.collector.secrets)
        given = os.environ | (environment or {})
        if missing := [name for name in chosen.secrets if not given.get(name)]:
            raise ProcessError(f"the Collector needs {', '.join(missing)} in its environment: secrets of the settings")
        config = data_dir / f"{chosen.name}.yaml"
        config.write_text(chosen.render())
    tokens, own_token = data_dir / "tokens", data_dir / "token"
    variables = {
        v.BIND: v.LOOPBACK,
        v.GRPC_PORT: str(ports.otlp_grpc_port),
        v.HTTP_PORT: str(ports.otlp_http_port),
        v.SERVICES_PORT: str(settings.gateway.services_port),
        v.OWN_LOGS_PORT: str(ports.own_logs_port),
        v.HEALTH_PORT: str(ports.health_port),
        v.PAGES_PORT: str(ports.pages_port),
        v.TELEMETRY_PORT: str(ports.telemetry_port),
        v.DATA_DIR: str(data_dir),
        v.PROMETHEUS_URL: prometheus_url or NOWHERE,
        v.TOKENS_FILE: str(tokens),
        v.OWN_TOKEN_FILE: str(own_token),
        **(environment or {}),
    }
    token = _token(Path(variables[v.TOKENS_FILE])) if ports.tokens else ""
    own_token.touch(mode=0o600)
    own_token.write_text(token)  # as it is: a line break at its end would go into the head of each request
    argv: Command = [tools.ensure(distribution.BINARY), f"--config={config}"]
    ready = f"http://{v.LOOPBACK}:{ports.health_port}/"
    with running("the Collector", argv, data_dir / "otelcol.log", ready, variables) as process:
        yield Collector(process, data_dir, ports, token)


def _token(file: Path) -> str:
    """The first token of a file, which is written where it is not there."""
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(24) + "\n")
    return file.read_text().split()[0]


@contextmanager
def running_prometheus(
    settings: Settings,
    data_dir: Path,
    extra_flags: Sequence[str] = (),
    features: Sequence[str] = prometheus.FEATURES,
) -> Iterator[Prometheus]:
    """Run Prometheus on the settings' port.

    :param data_dir: holds its series, its configuration and its log
    :param extra_flags: more command line flags
    :param features: what ``--enable-feature`` switches on
    """
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    config = data_dir / "prometheus.yml"
    config.write_text(prometheus.config(settings))
    flags = prometheus.arguments(settings, config, data_dir / "data", features)
    ready = f"http://{v.LOOPBACK}:{settings.prometheus.port}/-/ready"
    argv: Command = [tools.ensure("prometheus"), *flags, *extra_flags]
    with running("Prometheus", argv, data_dir / "prometheus.log", ready) as process:
        yield Prometheus(process, settings)


@contextmanager
def running_kafka(settings: Settings, data_dir: Path) -> Iterator[Kafka]:
    """Run one Kafka broker on the settings' ports.

    :param data_dir: holds its topics, its configuration and its log; the same one continues an earlier run
    :raises ProcessError: where its folder cannot be prepared, or it does not start
    """
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    config, logging = data_dir / "server.properties", data_dir / "log4j2.properties"
    config.write_text(kafka.server_properties(settings.kafka, data_dir / "data"))
    logging.write_text(kafka.LOGGING)
    program = tools.ensure("kafka")
    prepared = subprocess.run(  # noqa: S603 - the program that this project fetched
        kafka.format_command(program, config), check=False, capture_output=True, text=True
    )
    if prepared.returncode:
        raise ProcessError(f"Kafka's folder {data_dir} could not be prepared:\n{prepared.stdout}{prepared.stderr}")
    argv = kafka.start_command(program, settings.kafka, config, logging)
    with running("Kafka", argv, data_dir / "kafka.log", lambda: kafka.answers(settings.kafka.port)) as process:
        yield Kafka(process, settings.kafka)
