"""``/metrics``: this process's metrics for those who scrape.

A scrape costs the game nothing it could feel: the metrics are collected in a worker thread, once for everybody who
asks at the same time, and never on the event loop. The answer speaks for one process and says for which.

``prometheus_router`` is made on first access, because FastAPI belongs to the extra ``web``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry

from otel_setup.prometheus.default import PrometheusExporter, default_exposition, set_default_exposition
from otel_setup.prometheus.exposition import Exposition, ScrapeError
from otel_setup.prometheus.http import asgi_app
from otel_setup.prometheus.server import MetricsServer, start_metrics_server

if TYPE_CHECKING:
    from otel_setup.prometheus.router import prometheus_router

__all__ = [
    "CollectorRegistry",
    "Exposition",
    "MetricsServer",
    "PrometheusExporter",
    "ScrapeError",
    "asgi_app",
    "default_exposition",
    "prometheus_router",
    "set_default_exposition",
    "start_metrics_server",
]


def __getattr__(name: str) -> Any:
    if name != "prometheus_router":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return importlib.import_module("otel_setup.prometheus.router").prometheus_router
    except ModuleNotFoundError as missing:
        if missing.name != "fastapi":
            raise
        raise ImportError("prometheus_router needs FastAPI: pip install 'otel-setup[web]'", name="fastapi") from missing
