"""The role ``standalone`` with single parts taken out: what each of them costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from benchmarks.collector.measure import Subject
from benchmarks.collector.stores import HUB, JAEGER, LOKI, PROMETHEUS
from deploy.collector import connectors, exporters, processors
from deploy.collector.graph import Component, Pipeline, Role
from deploy.collector.roles import MakeRole, standalone
from otel_setup.catalogue import Catalogue
from settings import Settings

WHOLE = "everything"
EVERY_STORE = {PROMETHEUS: 1, JAEGER: 1, LOKI: 1, HUB: 1}
"""Where everything goes from a Collector of this role."""

Change = Callable[[Settings, Catalogue, Role], Role]


def _changed(change: Change) -> MakeRole:
    def role(settings: Settings, catalogue: Catalogue) -> Role:
        return change(settings, catalogue, standalone(settings, catalogue))

    return role


def _without(*pick: Callable[[Settings, Catalogue], Component]) -> Change:
    """Without processors, or without connectors and what comes out of them."""

    def change(settings: Settings, catalogue: Catalogue, role: Role) -> Role:
        gone = {make(settings, catalogue).id for make in pick}
        pipelines = [
            replace(
                pipeline,
                processors=tuple(each for each in pipeline.processors if each.id not in gone),
                exporters=tuple(each for each in pipeline.exporters if each.id not in gone),
            )
            for pipeline in role.pipelines
            if not any(each.id in gone for each in pipeline.receivers)
        ]
        # What had nowhere else to go has no pipeline either.
        return replace(role, pipelines=tuple(pipeline for pipeline in pipelines if pipeline.exporters))

    return change


def _exporting(change: Callable[[Component], Component]) -> Change:
    """With other exporters."""

    def changed(_settings: Settings, _catalogue: Catalogue, role: Role) -> Role:
        def other(pipeline: Pipeline) -> Pipeline:
            return replace(
                pipeline,
                exporters=tuple(change(each) if each.kind == "exporters" else each for each in pipeline.exporters),
            )

        return replace(role, pipelines=tuple(map(other, role.pipelines)))

    return changed


def _in_memory(exporter: Component) -> Component:
    queue = exporter.config["sending_queue"]
    assert isinstance(queue, dict)  # noqa: S101 - all exporters of this role have one
    waiting = {key: value for key, value in queue.items() if key != "storage"}
    return replace(exporter, config={**exporter.config, "sending_queue": waiting}, uses=())


def _uncompressed(exporter: Component) -> Component:
    return replace(exporter, config={**exporter.config, "compression": "none"})


def _of_collector(**changes: object) -> Callable[[Settings], Settings]:
    """With other settings of the Collector."""
    return lambda settings: replace(settings, collector=replace(settings.collector, **changes))  # type: ignore[arg-type]


def _less(change: Change) -> Subject:
    return Subject(_changed(change), EVERY_STORE, sampled=True)


PARTS = {
    WHOLE: Subject(standalone, EVERY_STORE, sampled=True),
    "tokens": Subject(standalone, EVERY_STORE, sampled=True, change=_of_collector(tokens=False)),
    "redaction": _less(_without(lambda *_: processors.redaction())),
    "cutting what is too long": _less(_without(lambda settings, _: processors.limits(settings))),
    "the machine's name": _less(_without(lambda *_: processors.machine())),
    "metrics of spans": _less(
        _without(connectors.span_metrics, lambda settings, _: connectors.service_graph(settings))
    ),
    "sampling (all traces go to their store)": replace(_less(_without(processors.tail_sampling)), sampled=False),
    "counting events": _less(_without(lambda _, catalogue: connectors.event_counts(catalogue))),
    "the hub": Subject(
        _changed(_without(lambda settings, _: exporters.hub(settings))),
        {door: times for door, times in EVERY_STORE.items() if door != HUB},
        sampled=True,
    ),
    "the queues' files (they are in memory)": _less(_exporting(_in_memory)),
    "compression": _less(_exporting(_uncompressed)),
    "everything between the doors: data is only handed on": replace(
        _less(
            _without(
                lambda settings, _: processors.memory_limiter(settings),
                lambda *_: processors.redaction(),
                lambda *_: processors.machine(),
                lambda settings, _: processors.limits(settings),
                connectors.span_metrics,
                lambda settings, _: connectors.service_graph(settings),
                processors.tail_sampling,
                lambda _, catalogue: connectors.event_counts(catalogue),
            )
        ),
        sampled=False,
    ),
}
"""``standalone`` whole, and without the part that is named."""
