"""The role ``gateway``: samples and counts the traces that agents send."""

from __future__ import annotations

from deploy.collector import connectors, exporters, receivers
from deploy.collector.graph import Pipeline, Role
from deploy.collector.roles import common
from deploy.collector.roles.standalone import counted, kept
from otel_setup.catalogue import Catalogue
from settings import Settings


def gateway(settings: Settings, catalogue: Catalogue) -> Role:
    """Traces from agents, whole, to be sampled; spans by their service, to be counted."""
    graph, spans = connectors.service_graph(settings), connectors.span_metrics(settings, catalogue)
    sampling = connectors.forward("sampling")
    taken_in = common.taken_in(settings, "traces", machine=False)
    return common.role(
        settings,
        "gateway",
        "One of several Collectors to which agents send traces: it keeps those that somebody will look for, and counts "
        "all spans. What it counts carries its own id, so that Prometheus sees one writer of each series.",
        [
            Pipeline("traces", (receivers.otlp(settings),), taken_in, (graph, sampling)),
            kept(settings, catalogue, sampling),
            Pipeline("traces/services", (receivers.otlp_services(settings),), taken_in[:1], (spans,)),
            *counted(settings, spans, graph),
        ],
        own_log_to=exporters.loki(settings),
    )
