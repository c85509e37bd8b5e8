"""Jaeger: its configuration, how it is run, and its API for queries."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from deploy import otlp_json, tools
from deploy.collector.variables import LOOPBACK
from deploy.process import Command, Process, QueryError, http_get, running, wait_until
from deploy.yaml_text import Comments, document
from settings import JaegerSettings, Settings

PROGRAM = "jaeger"
BIND, DATA_DIR = "JAEGER_BIND", "JAEGER_DATA_DIR"
"""Environment variables: the address it listens on, and the folder that it keeps traces in."""

STORE = "traces"
LOOK_BACK = timedelta(days=365)


def config(settings: Settings) -> str:
    """The text of ``jaeger.yaml``."""
    jaeger = settings.jaeger
    bind = f"${{env:{BIND}:-{LOOPBACK}}}"
    folder = f"${{env:{DATA_DIR}:-/var/lib/jaeger}}"
    tree = {
        "extensions": {
            "healthcheckv2": {"use_v2": True, "http": {"endpoint": f"{bind}:{jaeger.health_port}"}},
            "jaeger_storage": {
                "backends": {
                    STORE: {
                        "badger": {
                            "ephemeral": False,
                            "directories": {"keys": f"{folder}/keys", "values": f"{folder}/values"},
                            "ttl": {"spans": f"{jaeger.retention_hours}h"},
                            "maintenance_interval": "5m",
                        }
                    }
                }
            },
            "jaeger_query": {
                "storage": {"traces": STORE},
                "http": {"endpoint": f"{bind}:{jaeger.query_port}"},
                "grpc": {"endpoint": f"{bind}:{jaeger.query_grpc_port}"},
            },
        },
        "receivers": {
            "otlp": {
                "protocols": {
                    "grpc": {
                        "endpoint": f"{bind}:{jaeger.otlp_grpc_port}",
                        "max_recv_msg_size_mib": jaeger.request_mebibytes,
                    },
                    "http": {
                        "endpoint": f"{bind}:{jaeger.otlp_http_port}",
                        "max_request_body_size": jaeger.request_mebibytes * 1024 * 1024,
                    },
                }
            }
        },
        "exporters": {
            "jaeger_storage_exporter": {"trace_storage": STORE, "queue": {"enabled": False}},
        },
        "service": {
            "extensions": ["healthcheckv2", "jaeger_storage", "jaeger_query"],
            "pipelines": {
                "traces": {"receivers": ["otlp"], "processors": [], "exporters": ["jaeger_storage_exporter"]}
            },
            "telemetry": {"metrics": {"level": "none"}, "logs": {"level": "info"}},
        },
    }
    comments: Comments = {
        ("extensions", "jaeger_storage"): "On disk: what was acknowledged outlives the process.",
        ("exporters", "jaeger_storage_exporter"): "A request is answered once it is stored. The Collector that sent it "
        "batches, waits and tries again; here nothing may wait in memory.",
    }
    return document(tree, "Jaeger, fed by the Collector over OTLP.", comments)


@dataclass(frozen=True)
class Jaeger:
    """A running Jaeger."""

    process: Process
    settings: JaegerSettings

    @property
    def otlp_grpc(self) -> str:
        """Where it takes OTLP over gRPC."""
        return f"http://{LOOPBACK}:{self.settings.otlp_grpc_port}"

    @property
    def otlp_http(self) -> str:
        """Where it takes OTLP over HTTP; ``/v1/traces`` follows."""
        return f"http://{LOOPBACK}:{self.settings.otlp_http_port}"

    @property
    def url(self) -> str:
        """Its address for queries. API: https://www.jaegertracing.io/docs/2.13/architecture/apis/"""
        return f"http://{LOOPBACK}:{self.settings.query_port}"

    def trace(self, trace_id: str) -> list[otlp_json.Item]:
        """The spans of a trace, which is named by its 32 hexadecimal digits; none where it is not there.

        :raises QueryError: where Jaeger refuses the question
        :raises OSError: where it does not answer
        """
        return self._spans(f"/api/v3/traces/{quote(trace_id, safe='')}", {})

    def services(self) -> list[str]:
        """The names of the services it has spans of, sorted."""
        return sorted(self._get("/api/v3/services", {}).get("services", []))

    def traces(self, service: str, limit: int = 20, **more: str) -> list[otlp_json.Item]:
        """The spans of the latest traces that a service takes part in.

        :param limit: how many traces at most
        :param more: further parameters of the search, such as ``operation_name`` and ``duration_min``
        """
        now = datetime.now(UTC)
        parameters = {
            "service_name": service,
            "start_time_min": _moment(now - LOOK_BACK),
            "start_time_max": _moment(now + timedelta(hours=1)),
            "num_traces": str(limit),
            **more,
        }
        return self._spans("/api/v3/traces", {f"query.{name}": value for name, value in parameters.items()})

    def wait_for(
        self, trace_id: str, accept: Callable[[list[otlp_json.Item]], object] = bool, timeout: float = 30.0
    ) -> list[otlp_json.Item]:
        """Ask for a trace until ``accept`` says yes to its spans (by default: until there are any), and return them.

        :param timeout: seconds to go on asking
        :raises TimeoutError: with the last spans
        """
        return wait_until(lambda: self.trace(trace_id), accept, timeout, f"Jaeger has the trace {trace_id}")

    def _spans(self, path: str, parameters: dict[str, str]) -> list[otlp_json.Item]:
        return otlp_json.spans_of(self._get(path, parameters).get("result", {}))

    def _get(self, path: str, parameters: dict[str, str]) -> Any:
        status, body = http_get(f"{self.url}{path}?{urlencode(parameters)}")
        if status == HTTPStatus.NOT_FOUND:
            return {}
        if status != HTTPStatus.OK:
            raise QueryError(f"{path} {parameters}: {status} {body.decode(errors='replace')}")
        return json.loads(body)


def _moment(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


@contextmanager
def running_jaeger(settings: Settings, data_dir: Path) -> Iterator[Jaeger]:
    """Run Jaeger on the settings' ports.

    :param data_dir: holds its traces, its configuration and its log; the same one continues an earlier run
    :raises ProcessError: where it does not start
    """
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = data_dir / "jaeger.yaml"
    file.write_text(config(settings))
    argv: Command = [tools.ensure(PROGRAM), f"--config={file}"]
    environment = {BIND: LOOPBACK, DATA_DIR: str(data_dir / "data")}
    ready = f"http://{LOOPBACK}:{settings.jaeger.health_port}/status"
    with running("Jaeger", argv, data_dir / "jaeger.log", ready, environment) as process:
        yield Jaeger(process, settings.jaeger)
