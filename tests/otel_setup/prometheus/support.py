"""Processes with metrics, and what the tests ask of them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.view import View
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from otel_setup.prometheus import Exposition
from otel_setup.prometheus.reader import make_reader

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
# What Prometheus 3 sends: https://prometheus.io/docs/instrumenting/content_negotiation/
PROMETHEUS_ACCEPT = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PARSERS = {None: parse_text, OPENMETRICS: parse_openmetrics}
IDENTITY = {"service": "arena", "instance": "arena-7"}

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Process:
    """A process with metrics: a meter provider whose reader is behind an exposition."""

    def __init__(
        self,
        attributes: Mapping[str, str] | None = None,
        constant_labels: Iterable[str] = (),
        views: Iterable[View] = (),
    ) -> None:
        self.reader, self.registry = make_reader(tuple(constant_labels))
        resource = Resource({"service.name": "arena", "service.instance.id": "arena-7", **(attributes or {})})
        self.provider = MeterProvider([self.reader], resource=resource, views=tuple(views), shutdown_on_exit=False)
        self.exposition = self.expose(ttl=0.0)

    def expose(self, **options: Any) -> Exposition:
        return Exposition(lambda: self.registry, lambda: IDENTITY, **options)

    def meter(self, library: str = "game") -> Any:
        return self.provider.get_meter(library)

    def families(self, accept: str | None = None) -> list[Metric]:
        body, _ = self.exposition.scrape_sync(accept)
        return list(PARSERS[accept](body.decode()))

    def series(self, accept: str | None = None) -> Series:
        """Every series but target_info, by name and labels. Fails where one is there twice."""
        found: Series = {}
        for family in self.families(accept):
            for sample in family.samples:
                key = (sample.name, frozenset(sample.labels.items()))
                assert key not in found, key
                if sample.name != "target_info":
                    found[key] = sample.value
        return found


def one(name: str, /, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


class Source:
    """A registry that counts its collections, and waits or fails on demand."""

    def __init__(self) -> None:
        self.collections = 0
        self.at_once = 0
        self.most_at_once = 0
        self.failing: BaseException | None = None
        self.entered = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def collect(self) -> Iterable[Metric]:
        self.collections += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.entered.set()
        try:
            assert self.go_on.wait(30)
            if self.failing is not None:
                raise self.failing
        finally:
            self.at_once -= 1
        return [CounterMetricFamily("collections", "Made so far.", value=self.collections)]

    def expose(self, **options: Any) -> Exposition:
        return Exposition(lambda: self.registry, lambda: IDENTITY, **options)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Collections wait until the block ends."""
        self.entered.clear()
        self.go_on.clear()
        try:
            yield
        finally:
            self.go_on.set()


def shown(body: bytes) -> float:
    """The number of collections that a body was made after."""
    parse = parse_openmetrics if body.endswith(b"# EOF\n") else parse_text
    ((value,),) = [[sample.value for sample in family.samples] for family in parse(body.decode())]
    return value


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
