"""The Collector and Prometheus as ordinary processes of this machine, with the generated configurations."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from deploy import otlp_json, prometheus, tools
from deploy.collector import blocks, distribution
from deploy.collector.standalone import standalone
from deploy.process import Command, Process, http_get, running, wait_until
from settings import CollectorSettings, Settings

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

    @property
    def otlp_http(self) -> str:
        """Where to send OTLP over HTTP (``OTEL_EXPORTER_OTLP_ENDPOINT``)."""
        return f"http://{blocks.LOOPBACK}:{self.settings.otlp_http_port}"

    @property
    def otlp_grpc(self) -> str:
        """Where to send OTLP over gRPC."""
        return f"http://{blocks.LOOPBACK}:{self.settings.otlp_grpc_port}"

    @property
    def telemetry_url(self) -> str:
        """The Collector's metrics on itself, in Prometheus's text format."""
        return f"http://{blocks.LOOPBACK}:{self.settings.telemetry_port}/metrics"

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


class QueryError(RuntimeError):
    """Prometheus refused a query."""


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus."""

    process: Process
    settings: Settings

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{blocks.LOOPBACK}:{self.settings.prometheus.port}"

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
        settings = self.prometheus.settings
        return settings.server_environment() | {"OTEL_EXPORTER_OTLP_ENDPOINT": self.collector.otlp_http}


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
    settings: Settings, data_dir: Path, prometheus_url: str | None = None, config: Path | None = None
) -> Iterator[Collector]:
    """Run the Collector on the settings' ports.

    :param data_dir: holds its queue, its files, its configuration and its log
    :param prometheus_url: where metrics go; without one they wait in the queue
    :param config: a configuration to use instead of the one generated from the settings
    """
    ports = settings.collector
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    if config is None:
        config = data_dir / "standalone.yaml"
        config.write_text(standalone(settings).render())
    environment = {
        blocks.BIND: blocks.LOOPBACK,
        blocks.GRPC_PORT: str(ports.otlp_grpc_port),
        blocks.HTTP_PORT: str(ports.otlp_http_port),
        blocks.HEALTH_PORT: str(ports.health_port),
        blocks.TELEMETRY_PORT: str(ports.telemetry_port),
        blocks.DATA_DIR: str(data_dir),
        blocks.PROMETHEUS_URL: prometheus_url or NOWHERE,
    }
    argv: Command = [tools.ensure(distribution.BINARY), f"--config={config}"]
    ready = f"http://{blocks.LOOPBACK}:{ports.health_port}/"
    with running("the Collector", argv, data_dir / "otelcol.log", ready, environment) as process:
        yield Collector(process, data_dir, ports)


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
    ready = f"http://{blocks.LOOPBACK}:{settings.prometheus.port}/-/ready"
    argv: Command = [tools.ensure("prometheus"), *flags, *extra_flags]
    with running("Prometheus", argv, data_dir / "prometheus.log", ready) as process:
        yield Prometheus(process, settings)
