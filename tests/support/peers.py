"""The real programs for tests: started on free ports with the generated configurations, stopped at the end.

A thin layer on :mod:`deploy.native`. Their logs' ends are printed when they stop, which pytest shows for failing tests.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from deploy import native, ports, prometheus, tools
from deploy.ports import free_ports
from deploy.process import Process
from settings import HubSettings, Settings

__all__ = ["free_ports", "free_settings", "require", "running_collector", "running_prometheus", "running_stack"]


def free_settings(settings: Settings | None = None) -> Settings:
    """Settings on free ports, without a hub where none are given; without tokens, which have tests of their own."""
    chosen = ports.free_settings(settings or Settings(hub=HubSettings(enabled=False)))
    return replace(chosen, collector=replace(chosen.collector, tokens=False))


def require(program: str) -> Path:
    """The path of a built program (``otelcol``, ``prometheus``, ``promtool``, ``kafka``).

    Where it is not built the test is skipped, and fails where ``CI=true``.
    """
    if path := tools.find(program):
        return path
    reason = f"{program} is not built: python -m deploy tools {tools.PROGRAMS[program].name}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def running_collector(
    tmp_path: Path, prometheus_url: str | None = None, settings: Settings | None = None, config: Path | None = None
) -> Iterator[native.Collector]:
    """A Collector with its data in ``tmp_path/collector``.

    :param prometheus_url: where metrics go; without one they wait in the queue (and are in the metrics file)
    :param settings: as from :func:`free_settings`; the same ones and the same folder continue an earlier run
    :param config: a configuration instead of the generated one
    """
    require("otelcol")
    chosen = settings or free_settings()
    with (
        native.running_collector(chosen, tmp_path / "collector", prometheus_url, config) as collector,
        _log_shown(collector.process),
    ):
        yield collector


@contextmanager
def running_prometheus(
    tmp_path: Path,
    extra_flags: Sequence[str] = (),
    features: Sequence[str] = prometheus.FEATURES,
    settings: Settings | None = None,
) -> Iterator[native.Prometheus]:
    """A Prometheus with its data in ``tmp_path/prometheus``.

    As in production a value is current for three export intervals (30 s); ask ``last_over_time(...)`` for older ones.

    :param features: what ``--enable-feature`` switches on
    :param settings: as from :func:`free_settings`; it scrapes the Collector that runs with the same ones
    """
    require("prometheus")
    chosen = settings or free_settings()
    with (
        native.running_prometheus(chosen, tmp_path / "prometheus", extra_flags, features) as store,
        _log_shown(store.process),
    ):
        yield store


@contextmanager
def running_stack(tmp_path: Path, settings: Settings | None = None) -> Iterator[native.Stack]:
    """A Prometheus and a Collector that sends to it."""
    chosen = settings or free_settings()
    with (
        running_prometheus(tmp_path, settings=chosen) as store,
        running_collector(tmp_path, store.url, chosen) as collector,
    ):
        yield native.Stack(collector, store)


@contextmanager
def _log_shown(process: Process) -> Iterator[None]:
    try:
        yield
    finally:
        print(f"--- the end of {process.log}\n{process.log_tail()}")
