"""The one place where names live.

``build(model, prefix, extra)`` gives the :class:`Catalogue` of a game: every metric, span, event and attribute with
its meaning. Instruments, Collector pipelines, rules, dashboards and the reference are derived from it.
"""

from otel_setup.catalogue.build import BuiltMetric, Catalogue, CatalogueError, build
from otel_setup.catalogue.events import EVENTS, EventType
from otel_setup.catalogue.metrics import METRICS, M
from otel_setup.catalogue.prometheus_names import prometheus_name
from otel_setup.catalogue.spans import SPANS
from otel_setup.catalogue.types import Attribute, AttributeType, Event, Kind, Metric, Severity, Span

__all__ = [
    "EVENTS",
    "METRICS",
    "SPANS",
    "Attribute",
    "AttributeType",
    "BuiltMetric",
    "Catalogue",
    "CatalogueError",
    "Event",
    "EventType",
    "Kind",
    "M",
    "Metric",
    "Severity",
    "Span",
    "build",
    "prometheus_name",
]
