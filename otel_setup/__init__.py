"""Observability for multiplayer game servers, centred on the OpenTelemetry Collector.

import otel_setup

otel_setup.configure(service="liap-tui", collector="http://localhost:4318")
monitor = otel_setup.get_enterprise_monitor()

async with monitor.monitor_state_transition("game123", "PREPARATION", "DECLARATION"):
    ...
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from otel_setup.asgi import (
    ObservabilityMiddleware,
    create_detached_task,
    detached_context,
    inject_context,
    message_span,
    socket_connection,
)
from otel_setup.catalogue import Attribute, Catalogue, EventType, Kind, Metric, build
from otel_setup.compat import GameMetricsCollector, GameMetricType, GameStats, MetricsCollector
from otel_setup.config import ConfigError, Options
from otel_setup.config.sampling import SampleRule
from otel_setup.correlation import (
    CorrelatedLogger,
    CorrelationContext,
    CorrelationMiddleware,
    add_correlation_metadata,
    clear_correlation,
    correlated,
    extract_correlation_header,
    get_correlation_id,
    inject_correlation_header,
    propagate_correlation_to_task,
    propagate_correlation_to_thread,
    set_correlation_id,
    with_correlation,
)
from otel_setup.events.cursor import Cursor
from otel_setup.events.filter import EventFilter
from otel_setup.events.logger import EventLogger
from otel_setup.events.record import SystemEvent
from otel_setup.events.stream import (
    EventReader,
    EventStream,
    EventSubscriber,
    Policy,
    SlowSubscriber,
    StreamClosed,
    SubscriberExistsError,
    SubscriberLimitError,
)
from otel_setup.game_model import LIAP_TUI, GameModel
from otel_setup.health import Health, SignalHealth
from otel_setup.ledger import Bounds, Seat
from otel_setup.metric_config import MetricConfig, MetricTag, configure_metrics
from otel_setup.monitor import (
    EnterpriseMonitor,
    configure_enterprise_monitoring,
    configure_event_stream,
    configure_tracing,
    get_enterprise_monitor,
    get_event_stream,
    get_tracer,
)
from otel_setup.prometheus import PrometheusExporter, start_metrics_server
from otel_setup.queue_tokens import QueueToken
from otel_setup.runtime import SystemMetricsCollector
from otel_setup.telemetry import Telemetry, configure, current_telemetry
from otel_setup.tracing import SpanKind, StateTracer, TraceContext
from otel_setup.views import VisualizationType
from otel_setup.visualization import StateVisualizationProvider

if TYPE_CHECKING:
    from fastapi import APIRouter

    prometheus_router: APIRouter

__all__ = [
    "LIAP_TUI",
    "Attribute",
    "Bounds",
    "Catalogue",
    "ConfigError",
    "CorrelatedLogger",
    "CorrelationContext",
    "CorrelationMiddleware",
    "Cursor",
    "EnterpriseMonitor",
    "EventFilter",
    "EventLogger",
    "EventReader",
    "EventStream",
    "EventSubscriber",
    "EventType",
    "GameMetricType",
    "GameMetricsCollector",
    "GameModel",
    "GameStats",
    "Health",
    "Kind",
    "Metric",
    "MetricConfig",
    "MetricTag",
    "MetricsCollector",
    "ObservabilityMiddleware",
    "Options",
    "Policy",
    "PrometheusExporter",
    "QueueToken",
    "SampleRule",
    "Seat",
    "SignalHealth",
    "SlowSubscriber",
    "SpanKind",
    "StateTracer",
    "StateVisualizationProvider",
    "StreamClosed",
    "SubscriberExistsError",
    "SubscriberLimitError",
    "SystemEvent",
    "SystemMetricsCollector",
    "Telemetry",
    "TraceContext",
    "VisualizationType",
    "add_correlation_metadata",
    "build",
    "clear_correlation",
    "configure",
    "configure_enterprise_monitoring",
    "configure_event_stream",
    "configure_metrics",
    "configure_tracing",
    "correlated",
    "create_detached_task",
    "current_telemetry",
    "detached_context",
    "extract_correlation_header",
    "get_correlation_id",
    "get_enterprise_monitor",
    "get_event_stream",
    "get_tracer",
    "inject_context",
    "inject_correlation_header",
    "message_span",
    "prometheus_router",
    "propagate_correlation_to_task",
    "propagate_correlation_to_thread",
    "set_correlation_id",
    "socket_connection",
    "start_metrics_server",
    "with_correlation",
]


_GENERATORS = {"create_alert_rules": "alerts.groups"}
"""What runs from a checkout of the project alone: the wheel holds the runtime."""


def _from_a_checkout(name: str) -> Any:
    module = _GENERATORS[name]
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as missing:
        package = module.partition(".")[0]
        if (missing.name or "").partition(".")[0] == package:
            raise ImportError(
                f"{name}() belongs to the generators, which an installed package does not hold: "
                f"run it from a checkout of the project, in its top folder"
            ) from missing
        raise ImportError(f"{name}() needs {missing.name}: pip install 'otel-setup[generate]'") from missing


def __getattr__(name: str) -> Any:
    if name == "prometheus_router":  # needs FastAPI, which only those who mount it must have
        from otel_setup import prometheus

        return prometheus.prometheus_router
    if name in _GENERATORS:
        return _from_a_checkout(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
