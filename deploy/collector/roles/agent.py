"""The role ``agent``: one Collector beside the game servers of each machine, of several machines."""

from __future__ import annotations

from deploy.collector import exporters, receivers
from deploy.collector.graph import Pipeline, Role
from deploy.collector.roles import common
from deploy.collector.roles.standalone import logs, metrics
from otel_setup.catalogue import Catalogue
from settings import Settings


def agent(settings: Settings, catalogue: Catalogue) -> Role:
    """Traces to gateways, twice: by trace to be sampled, by service to be counted. All else goes straight to its store.

    Metrics and events have to stay in order, and one way keeps it.
    """
    traces = Pipeline(
        "traces",
        (receivers.otlp(settings),),
        common.taken_in(settings, "traces"),
        (exporters.by_trace(settings), exporters.by_service(settings)),
    )
    return common.role(
        settings,
        "agent",
        "A Collector beside the game servers of one machine: traces go to gateways, all spans of a trace to one of "
        "them; metrics, logs and events go straight to their stores, which keeps their order.",
        [*metrics(settings), traces, *logs(settings, catalogue)],
        own_log_to=exporters.loki(settings),
    )
