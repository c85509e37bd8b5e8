"""Servers to ask, and what they exported."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import uvicorn
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_setup import Telemetry
from tests.otel_setup.receiver import Receiver

SERVER, CONSUMER, INTERNAL = Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CONSUMER, Span.SPAN_KIND_INTERNAL
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
HOSTILE_TRACEPARENTS = [
    "",
    "nonsense",
    f"00-{'0' * 32}-{PARENT}-01",
    f"00-{TRACE}-{'0' * 16}-01",
    f"ff-{TRACE}-{PARENT}-01",
    f"00-{TRACE}-{PARENT}",
    f"00-{TRACE[:-1]}g-{PARENT}-01",
    f"00-{TRACE}-{PARENT}-01-extra",
    TRACEPARENT + "\t; DROP TABLE spans",
    "0" * 5_000,
]
HOSTILE_CORRELATION_IDS = ["a b", "<script>", "${jndi:ldap://example.test}", "é", "a" * 129, "a" * 5_000, "%s%s"]


@asynccontextmanager
async def serving(app: Any, **settings: Any) -> AsyncIterator[str]:
    """The application under uvicorn on a free port while the block runs; yields ``host:port``."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=5, **settings)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await until(lambda: server.started or task.done())
        assert server.started, "the server did not start"
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


@asynccontextmanager
async def asked(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application, which is served while the block runs."""
    async with serving(app) as address, httpx.AsyncClient(base_url=f"http://{address}") as client:
        yield client


async def until(condition: Any, timeout: float = 20.0) -> None:
    """Waits for a condition."""
    async with asyncio.timeout(timeout):
        while not condition():
            await asyncio.sleep(0.005)


class Exported:
    """What arrived at the receiver."""

    def __init__(self, handle: Telemetry, receiver: Receiver) -> None:
        self.handle = handle
        self.receiver = receiver

    def spans(self, kind: int | None = None) -> list[Any]:
        """The spans so far, in the order in which they ended."""
        assert self.handle.flush(10)
        return [span for span in self.receiver.spans() if kind in (None, span.kind)]

    def named(self, name: str) -> list[Any]:
        return [span for span in self.spans() if span.name == name]

    def durations(self) -> list[Any]:
        """The last exported points of the HTTP requests' duration, of every scope that records them."""
        assert self.handle.flush(10)
        points: dict[str, Any] = {}
        for request in self.receiver.requests["/v1/metrics"]:
            for scoped in (scope for resource in request.resource_metrics for scope in resource.scope_metrics):
                for metric in scoped.metrics:
                    if metric.name == "http.server.request.duration":
                        for point in metric.histogram.data_points:
                            points[f"{scoped.scope.name} {sorted(attributes_of(point).items())}"] = point
        return list(points.values())

    def scopes(self, kind: int) -> set[str]:
        """The scopes that the spans of a kind come from."""
        assert self.handle.flush(10)
        return {
            scope.scope.name
            for request in self.receiver.requests["/v1/traces"]
            for resource in request.resource_spans
            for scope in resource.scope_spans
            if kind in {span.kind for span in scope.spans}
        }


def attributes_of(thing: Any) -> dict[str, Any]:
    return {item.key: getattr(item.value, item.value.WhichOneof("value")) for item in thing.attributes}


def linked(span: Any) -> list[tuple[bytes, bytes]]:
    return [(link.trace_id, link.span_id) for link in span.links]


def identity(span: Any) -> tuple[bytes, bytes]:
    return (span.trace_id, span.span_id)
