"""Connectors: metrics made of traces and of events, and the way from one pipeline into the next."""

from __future__ import annotations

from deploy.collector.graph import Component
from deploy.collector.processors import EVENT_NAME
from deploy.duration import duration
from otel_setup.catalogue import Catalogue, M
from otel_setup.catalogue import attributes as a
from settings import Settings

SPAN_METRICS = "traces.spanmetrics"
"""Namespace of what is counted of spans; Grafana's tables of services look for it."""
EVENTS_COUNTED = "events"
"""Name, behind the game's prefix, of the counter of events."""


def forward(name: str) -> Component:
    """Hands what ends in one pipeline to another one."""
    return Component("connectors", f"forward/{name}", {})


def span_metrics(settings: Settings, catalogue: Catalogue) -> Component:
    """How often, how long and with what result, of every span and not only of those kept."""
    buckets = catalogue[M.ACTION_DURATION].declared.buckets
    return Component(
        "connectors",
        "span_metrics",
        {
            "namespace": SPAN_METRICS,
            "histogram": {"unit": "s", "explicit": {"buckets": [duration(bound) for bound in buckets]}},
            "exemplars": {"enabled": False},
            "dimensions": [{"name": attribute.name} for attribute in (a.ACTION_OUTCOME, a.ERROR_TYPE)],
            "aggregation_cardinality_limit": settings.traces.span_metrics_series,
            "metrics_flush_interval": duration(settings.metrics.export_interval_seconds),
            "metrics_expiration": f"{settings.traces.expiry_minutes}m",
            "resource_metrics_key_attributes": ["service.name", "service.namespace", "service.instance.id"],
        },
        why="Before the sampling, so that every span counts. No exemplars: they would point to traces that are not "
        "kept; the servers' own metrics have some that do. collector.instance.id, which it adds, tells apart what two "
        "gateways count.",
    )


def service_graph(settings: Settings) -> Component:
    """Who calls whom: of pairs of a client's and a server's span."""
    return Component(
        "connectors",
        "service_graph",
        {
            "store": {"ttl": duration(settings.traces.decision_seconds), "max_items": settings.traces.traces_in_memory},
            "metrics_flush_interval": duration(settings.metrics.export_interval_seconds),
        },
        why="Draws an edge where one service called another one; a lone game server has none.",
    )


def event_counts(catalogue: Catalogue) -> Component:
    """Counts events by their names."""
    return Component(
        "connectors",
        "count/events",
        {
            "logs": {
                f"{catalogue.prefix}.{EVENTS_COUNTED}": {
                    "description": "Events that this Collector received, by name.",
                    "attributes": [{"key": EVENT_NAME}],
                }
            }
        },
        why="As received: a request that a sender repeats is counted again, which the hub notices by the events' ids.",
    )
