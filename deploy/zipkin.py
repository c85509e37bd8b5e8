"""Zipkin: how it is run, and its API for queries. It keeps traces in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

from deploy import tools
from deploy.collector.variables import LOOPBACK
from deploy.process import Command, Process, QueryError, http_get, running, wait_until
from settings import Settings, ZipkinSettings

PROGRAM = "zipkin"

Span = dict[str, Any]
"""A span in Zipkin's own format: https://zipkin.io/zipkin-api/#/default/get_trace__traceId_"""


def start_command(program: Path, settings: ZipkinSettings) -> Command:
    """The command that runs it, on the loopback address alone."""
    return [
        program,
        f"-Xmx{settings.heap_mebibytes}m",
        "-XX:TieredStopAtLevel=1",  # the quick compiler alone: there is little to compute, and it starts sooner
        f"-Darmeria.ports[0].ip={LOOPBACK}",
        f"-Darmeria.ports[0].port={settings.port}",
        "-Darmeria.ports[0].protocols[0]=http",
        "-Dzipkin.storage.type=mem",
        f"-Dzipkin.storage.mem.max-spans={settings.max_spans}",
    ]


@dataclass(frozen=True)
class Zipkin:
    """A running Zipkin."""

    process: Process
    settings: ZipkinSettings

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{LOOPBACK}:{self.settings.port}"

    @property
    def spans_url(self) -> str:
        """Where it takes spans."""
        return f"{self.url}/api/v2/spans"

    def trace(self, trace_id: str) -> list[Span]:
        """The spans of a trace, which is named by its 32 hexadecimal digits; none where it is not there.

        :raises QueryError: where Zipkin refuses the question
        :raises OSError: where it does not answer
        """
        spans: list[Span] = self._get(f"/api/v2/trace/{quote(trace_id, safe='')}")
        return spans

    def services(self) -> list[str]:
        """The names of the services it has spans of, sorted; Zipkin writes them in small letters."""
        return sorted(self._get("/api/v2/services"))

    def wait_for(
        self, trace_id: str, accept: Callable[[list[Span]], object] = bool, timeout: float = 30.0
    ) -> list[Span]:
        """Ask for a trace until ``accept`` says yes to its spans (by default: until there are any), and return them.

        :param timeout: seconds to go on asking
        :raises TimeoutError: with the last spans
        """
        return wait_until(lambda: self.trace(trace_id), accept, timeout, f"Zipkin has the trace {trace_id}")

    def _get(self, path: str) -> Any:
        status, body = http_get(f"{self.url}{path}")
        if status == HTTPStatus.NOT_FOUND:
            return []
        if status != HTTPStatus.OK:
            raise QueryError(f"{path}: {status} {body.decode(errors='replace')}")
        return json.loads(body)


@contextmanager
def running_zipkin(settings: Settings, data_dir: Path) -> Iterator[Zipkin]:
    """Run Zipkin on the settings' port.

    :param data_dir: holds its log
    :raises ProcessError: where it does not start
    """
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    argv = start_command(tools.ensure(PROGRAM), settings.zipkin)
    ready = f"http://{LOOPBACK}:{settings.zipkin.port}/health"
    with running("Zipkin", argv, data_dir / "zipkin.log", ready) as process:
        yield Zipkin(process, settings.zipkin)
