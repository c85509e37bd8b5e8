"""Loki: its configuration, how it is run, and its API for queries."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlencode

from deploy import tools
from deploy.collector.variables import LOOPBACK
from deploy.process import Command, Process, QueryError, http_get, running, wait_until
from deploy.yaml_text import document
from settings import LokiSettings, Settings

PROGRAM = "loki"
BIND, DATA_DIR = "LOKI_BIND", "LOKI_DATA_DIR"
"""Environment variables: the address it listens on, and the folder that it keeps logs in."""

MESSAGE_BYTES = 64 * 1024 * 1024
"""The largest message between Loki's own parts, which are one process here: more than any request to it holds."""

INDEX_LABELS = ("service.name", "service.namespace", "deployment.environment.name")
"""Resource attributes by which logs are laid out in streams. Each of their values makes more streams, so what changes
with every start, service.instance.id first, is kept with each line and not here."""


def config(settings: Settings) -> str:
    """The text of ``loki.yaml``."""
    loki = settings.loki
    bind = f"${{{BIND}:-{LOOPBACK}}}"
    folder = f"${{{DATA_DIR}:-/var/lib/loki}}"
    tree = {
        "auth_enabled": False,
        "server": {
            "http_listen_address": bind,
            "http_listen_port": loki.port,
            "grpc_listen_address": LOOPBACK,
            "grpc_listen_port": loki.grpc_port,
            "grpc_server_max_recv_msg_size": MESSAGE_BYTES,
            "grpc_server_max_send_msg_size": MESSAGE_BYTES,
            "log_level": "info",
        },
        "common": {
            "instance_addr": LOOPBACK,
            "path_prefix": folder,
            "storage": {
                "filesystem": {"chunks_directory": f"{folder}/chunks", "rules_directory": f"{folder}/rules"},
            },
            "replication_factor": 1,
            "ring": {"kvstore": {"store": "inmemory"}},
        },
        "schema_config": {
            "configs": [
                {
                    "from": "2024-01-01",
                    "store": "tsdb",
                    "object_store": "filesystem",
                    "schema": "v13",
                    "index": {"prefix": "index_", "period": "24h"},
                }
            ]
        },
        "ingester": {
            "wal": {"enabled": True, "dir": f"{folder}/wal"},
            "max_chunk_age": f"{2 * loki.backlog_hours}h",
            "lifecycler": {"min_ready_duration": "0s", "final_sleep": "0s"},
        },
        "ingester_client": {
            "grpc_client_config": {"max_recv_msg_size": MESSAGE_BYTES, "max_send_msg_size": MESSAGE_BYTES}
        },
        "querier": {"query_ingesters_within": "0s"},
        "compactor": {
            "working_directory": f"{folder}/compactor",
            "retention_enabled": True,
            "delete_request_store": "filesystem",
        },
        "limits_config": {
            "allow_structured_metadata": True,
            "max_structured_metadata_size": f"{loki.metadata_kibibytes}KB",
            "max_structured_metadata_entries_count": loki.metadata_entries,
            "max_line_size": f"{loki.line_kibibytes}KB",
            "max_line_size_truncate": True,
            "reject_old_samples": False,
            "retention_period": f"{loki.retention_hours}h",
            "ingestion_rate_mb": loki.ingest_mebibytes_per_second,
            "ingestion_burst_size_mb": 2 * loki.ingest_mebibytes_per_second,
            "per_stream_rate_limit": f"{loki.ingest_mebibytes_per_second}MB",
            "per_stream_rate_limit_burst": f"{2 * loki.ingest_mebibytes_per_second}MB",
            "max_global_streams_per_user": loki.max_streams,
            "otlp_config": {
                "resource_attributes": {
                    "ignore_defaults": True,
                    "attributes_config": [{"action": "index_label", "attributes": list(INDEX_LABELS)}],
                }
            },
        },
        "analytics": {"reporting_enabled": False},
    }
    comments = {
        ("ingester", "max_chunk_age"): "A stream takes a line that is older than its newest by half of this: so long "
        "may a server have been cut off whose stream others went on writing to.",
        ("querier",): "Lines that came late are in memory whatever their age.",
        ("limits_config", "reject_old_samples"): "What waited in a Collector's queue is old when it comes.",
        ("limits_config", "ingestion_rate_mb"): "The backlog of an outage comes at once; beyond, Loki answers 429 and "
        "the Collector tries again.",
        ("limits_config", "otlp_config"): "Everything else is kept with each line, as structured metadata.",
    }
    return document(tree, "Loki in one process, fed by the Collector over OTLP.", comments)


@dataclass(frozen=True)
class Line:
    """One log record as Loki keeps it.

    :param time: nanoseconds since 1970
    :param text: its body
    :param labels: those of its stream
    :param metadata: everything else, by names whose dots have become underscores
    """

    time: int
    text: str
    labels: dict[str, str]
    metadata: dict[str, str]


@dataclass(frozen=True)
class Loki:
    """A running Loki."""

    process: Process
    settings: LokiSettings

    @property
    def url(self) -> str:
        """Its address. API: https://grafana.com/docs/loki/latest/reference/loki-http-api/"""
        return f"http://{LOOPBACK}:{self.settings.port}"

    @property
    def otlp_http(self) -> str:
        """Where it takes OTLP over HTTP; ``/v1/logs`` follows."""
        return f"{self.url}/otlp"

    def query(self, logql: str, hours: float = 24.0, limit: int = 1000) -> list[Line]:
        """The lines that an expression selects, the oldest first.

        :param hours: how far back to look
        :param limit: how many lines at most, the latest
        :raises QueryError: where Loki refuses the expression
        :raises OSError: where it does not answer
        """
        now = time.time_ns()
        # A line's moment is the sender's, whose clock may be a little ahead; the end itself is not part of the range.
        span = {"start": now - int(hours * 3600e9), "end": now + 60_000_000_000}
        parameters = urlencode({"query": logql, "limit": limit, "direction": "backward", **span})
        status, body = http_get(
            f"{self.url}/loki/api/v1/query_range?{parameters}",
            {"X-Loki-Response-Encoding-Flags": "categorize-labels"},  # tells a stream's labels from a line's metadata
        )
        if status != HTTPStatus.OK:
            raise QueryError(f"{logql}: {status} {body.decode(errors='replace')}")
        data = json.loads(body)["data"]
        if data["resultType"] != "streams":
            raise QueryError(f"{logql}: it yields {data['resultType']}, not lines")
        lines = [
            Line(int(moment), text, stream["stream"], kinds.get("structuredMetadata", {}))
            for stream in data["result"]
            for moment, text, kinds in stream["values"]
        ]
        return sorted(lines, key=lambda line: line.time)

    def labels(self) -> list[str]:
        """The labels that streams have, sorted."""
        _, body = http_get(f"{self.url}/loki/api/v1/labels")
        return sorted(json.loads(body).get("data", []))

    def wait_for(
        self, logql: str, accept: Callable[[list[Line]], object] = bool, timeout: float = 30.0, hours: float = 24.0
    ) -> list[Line]:
        """Ask until ``accept`` says yes to the lines (by default: until there are any), and return them.

        :param timeout: seconds to go on asking
        :raises TimeoutError: with the last lines
        """
        return wait_until(lambda: self.query(logql, hours), accept, timeout, f"Loki has what was asked by {logql}")


@contextmanager
def running_loki(settings: Settings, data_dir: Path) -> Iterator[Loki]:
    """Run Loki on the settings' ports.

    :param data_dir: holds its logs, its configuration and its own log; the same one continues an earlier run
    :raises ProcessError: where it does not start
    """
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = data_dir / "loki.yaml"
    file.write_text(config(settings))
    argv: Command = [tools.ensure(PROGRAM), f"-config.file={file}", "-config.expand-env=true"]
    environment = {BIND: LOOPBACK, DATA_DIR: str(data_dir / "data")}
    ready = f"http://{LOOPBACK}:{settings.loki.port}/ready"
    with running("Loki", argv, data_dir / "loki.log", ready, environment) as process:
        yield Loki(process, settings.loki)
