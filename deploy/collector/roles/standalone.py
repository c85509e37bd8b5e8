"""The role ``standalone``: one Collector for a whole deployment on one machine."""

from __future__ import annotations

from deploy.collector import connectors, exporters, processors, receivers
from deploy.collector.graph import Component, Pipeline, Role
from deploy.collector.roles import common
from otel_setup.catalogue import Catalogue
from settings import Settings


def standalone(settings: Settings, catalogue: Catalogue) -> Role:
    """All signals, to Prometheus, Jaeger, Loki and the events' hub."""
    loki = exporters.loki(settings)
    pipelines = [
        *metrics(settings),
        *traces(settings, catalogue),
        *logs(settings, catalogue),
    ]
    about = "One Collector for a whole deployment on one machine: metrics go to Prometheus, traces to Jaeger, logs to "
    about += "Loki" + (", events also to the hub." if settings.hub.enabled else ".")
    return common.role(settings, "standalone", about, pipelines, own_log_to=loki)


def metrics(settings: Settings) -> list[Pipeline]:
    """The servers' metrics, and the machine's."""
    store = exporters.prometheus(settings)
    return [
        Pipeline(
            "metrics",
            (receivers.otlp(settings),),
            common.taken_in(settings, "metrics"),
            common.sent(settings, "metrics", store),
        ),
        common.machine_metrics(settings, store),
    ]


def traces(settings: Settings, catalogue: Catalogue) -> list[Pipeline]:
    """Every span is counted; which traces are kept is decided after that."""
    spans, graph = connectors.span_metrics(settings, catalogue), connectors.service_graph(settings)
    sampling = connectors.forward("sampling")
    return [
        Pipeline("traces", (receivers.otlp(settings),), common.taken_in(settings, "traces"), (spans, graph, sampling)),
        kept(settings, catalogue, sampling),
        *counted(settings, spans, graph),
    ]


def counted(settings: Settings, spans: Component, graph: Component) -> list[Pipeline]:
    """What is counted of spans; who calls whom is signed by this Collector, since it is no one server's."""
    store = (exporters.prometheus(settings),)
    return [
        Pipeline("metrics/spans", (spans,), (), store),
        Pipeline("metrics/graph", (graph,), (processors.own_name(),), store),
    ]


def kept(settings: Settings, catalogue: Catalogue, source: Component) -> Pipeline:
    """The traces that are kept."""
    return Pipeline(
        "traces/kept",
        (source,),
        (processors.tail_sampling(settings, catalogue), processors.gathered(settings)),
        common.sent(settings, "traces", exporters.jaeger(settings)),
    )


def logs(settings: Settings, catalogue: Catalogue) -> list[Pipeline]:
    """All log records; those that are events go to the hub, and are counted, as well."""
    taken_in, counts = connectors.forward("logs"), connectors.event_counts(catalogue)
    pipelines = [
        Pipeline(
            "logs",
            (receivers.otlp(settings),),
            common.taken_in(settings, "logs"),
            common.sent(settings, "logs", taken_in),
        ),
        Pipeline("logs/stored", (taken_in,), (processors.event_names(),), (exporters.loki(settings),)),
        Pipeline("logs/counted", (taken_in,), (processors.only_events(), processors.event_names()), (counts,)),
        Pipeline("metrics/events", (counts,), (processors.cumulative(settings),), (exporters.prometheus(settings),)),
    ]
    if settings.hub.enabled:
        pipelines.append(Pipeline("logs/events", (taken_in,), (processors.only_events(),), (exporters.hub(settings),)))
    return pipelines
