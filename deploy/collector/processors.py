"""Processors: what is refused, cut, hidden, added, left out and chosen on the way."""

from __future__ import annotations

from collections.abc import Iterable

from deploy.collector import variables as v
from deploy.collector.exporters import BATCH_MAX_ITEMS, BATCH_MIN_ITEMS
from deploy.collector.graph import Component
from deploy.collector.own_telemetry import SERVICE
from deploy.duration import duration
from otel_setup.catalogue import Catalogue
from otel_setup.catalogue import attributes as a
from settings import Settings

COMPONENT_ID = "otelcol.component.id"
"""What the Collector's own log records say of whose they are, in their scope."""
EVENT_NAME = "event.name"
"""The attribute under which the name of an event is counted."""

_NANOSECONDS = 1_000_000_000

# Whole names of keys, so that "token" hides "auth.token" and not "token_count". RE2 syntax.
_TELLING_KEYS = r"(?i)^(.*[._-])?(password|passwd|pwd|secret|token|api[._-]?key|authorization|cookie|credential)s?$"
_TELLING_VALUES = (
    r"(?i)bearer\s+[a-z0-9._~+/-]{8,}=*",
    r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",
    r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}\b",
)


def memory_limiter(settings: Settings) -> Component:
    """First in every pipeline that takes data in."""
    return Component(
        "processors",
        "memory_limiter",
        {"check_interval": "1s", "limit_mib": settings.collector.memory_limit_mib},
        why="First wherever data comes in: refuses it before it costs memory, and the senders retry. An absolute "
        "limit, because a percentage means the whole machine's memory wherever there is no container.",
    )


def redaction() -> Component:
    """The second net under the game servers' own pseudonyms: secrets and mail addresses."""
    return Component(
        "processors",
        "redaction/secrets",
        {
            "allow_all_keys": True,
            "blocked_key_patterns": [_TELLING_KEYS],
            "blocked_values": list(_TELLING_VALUES),
            "summary": "silent",
        },
        why="A second net: game servers send pseudonyms for names and no secrets. What looks like one all the same is "
        "replaced by asterisks: attributes of telling names, tokens, mail addresses.",
    )


def machine() -> Component:
    """Says of what comes in which machine it is of."""
    return Component(
        "processors",
        "resource_detection",
        {
            "detectors": ["env", "system"],
            "override": False,
            "timeout": "2s",
            "system": {"hostname_sources": ["os"], "resource_attributes": {"host.name": {"enabled": True}}},
        },
        why="OTEL_RESOURCE_ATTRIBUTES of this Collector, and the machine's name, where senders do not say it.",
    )


def machine_as_service() -> Component:
    """Gives the machine's own metrics a job and an instance."""
    return Component(
        "processors",
        "resource/host",
        {
            "attributes": [
                {"key": "service.name", "value": "host", "action": "upsert"},
                {"key": "service.instance.id", "from_attribute": "host.name", "action": "upsert"},
            ]
        },
        why="In Prometheus these become job and instance, without which two machines' series would be one.",
    )


def own_name() -> Component:
    """Signs what this Collector counts and nobody else owns."""
    instance = v.env(v.INSTANCE, v.env("HOSTNAME", SERVICE))
    return Component(
        "processors",
        "resource/own",
        {
            "attributes": [
                {"key": "service.name", "value": SERVICE, "action": "insert"},
                {"key": "service.instance.id", "value": instance, "action": "insert"},
            ]
        },
        why=f"What several Collectors count is told apart by {v.INSTANCE}, the machine's name where it is not set.",
    )


def labels(settings: Settings) -> tuple[Component, ...]:
    """Puts the deployment's own labels on everything; nothing where it has none."""
    given = settings.collector.labels
    if not given:
        return ()
    attributes = [{"key": key, "value": value, "action": "upsert"} for key, value in given.items()]
    return (Component("processors", "resource/labels", {"attributes": attributes}, why="Labels of this deployment."),)


def promoted(settings: Settings) -> Component:
    """Makes those resource attributes labels of every series that Prometheus makes labels where it gets OTLP."""
    return Component(
        "processors",
        "transform/promoted",
        {
            "error_mode": "ignore",
            "metric_statements": _groups(
                [
                    f'set({point}, resource.attributes["{name}"]) where {point} == nil'
                    for name in settings.prometheus.promoted_attributes
                    for point in [f'datapoint.attributes["{name}"]']
                ]
            ),
        },
        why="Remote write tells of no resource but in target_info. With these, names and labels are those that "
        "Prometheus makes of OTLP, and a query means the same by either way.",
    )


def limits(settings: Settings) -> Component:
    """Cuts what is too long."""
    longest = settings.collector.attribute_characters
    resource, span, spanevent, datapoint, log = (
        f"truncate_all({part}.attributes, {longest})" for part in ("resource", "span", "spanevent", "datapoint", "log")
    )
    body = f"set(log.body, Substring(log.body, 0, {longest})) where IsString(log.body) and Len(log.body) > {longest}"
    return Component(
        "processors",
        "transform/limits",
        {
            "error_mode": "ignore",
            # A group of statements runs for each of what its innermost one is about: in one group with events, spans
            # without any would be left out, and a resource would be looked at again for each of its records.
            "trace_statements": _groups([resource], [span], [spanevent]),
            "metric_statements": _groups([resource], [datapoint]),
            "log_statements": _groups([resource], [log, body]),
        },
        why="A store refuses a whole request for one value that is too long, and the Collector takes that for final.",
    )


def _groups(*groups: list[str]) -> list[dict[str, object]]:
    return [{"statements": group} for group in groups]


def only_events() -> Component:
    """Lets log records with an event name pass, and no others."""
    return Component(
        "processors",
        "filter/events",
        {"error_mode": "ignore", "log_conditions": ['log.event_name == ""']},
        why="Drops log records that are no events.",
    )


def event_names() -> Component:
    """Makes the name of an event an attribute, and the text of an event that has none."""
    named = 'log.event_name != ""'
    return Component(
        "processors",
        "transform/event_name",
        {
            "error_mode": "ignore",
            "log_statements": _groups(
                [
                    f'set(log.attributes["{EVENT_NAME}"], log.event_name) where {named}',
                    f"set(log.body, log.event_name) where {named} and log.body == nil",
                ]
            ),
        },
        why="Loki keeps no names of events, and the count connector counts by attributes alone.",
    )


def cumulative(settings: Settings) -> Component:
    """Sums up what is counted, as Prometheus wants it."""
    return Component(
        "processors",
        "delta_to_cumulative",
        {"max_stale": f"{settings.traces.expiry_minutes}m", "max_streams": settings.traces.span_metrics_series},
        why="The count connector tells differences; Prometheus wants sums since the start.",
    )


def no_loop(exporters: Iterable[Component]) -> Component:
    """Leaves out what the exporters of logs say about themselves."""
    ids = " or ".join(f'scope.attributes["{COMPONENT_ID}"] == "{exporter.id}"' for exporter in exporters)
    return Component(
        "processors",
        "filter/no_loop",
        {"error_mode": "ignore", "log_conditions": [ids]},
        why="This Collector's own log comes in here as well. What an exporter of logs says about its failures would "
        "fail in turn, and so on; it stays on standard error.",
    )


def tail_sampling(settings: Settings, catalogue: Catalogue) -> Component:
    """Keeps the traces that somebody will look for, and a budget of the rest."""
    traces = settings.traces
    return Component(
        "processors",
        "tail_sampling",
        {
            "decision_wait": duration(traces.decision_seconds),
            "num_traces": traces.traces_in_memory,
            "decision_cache": {
                "sampled_cache_size": traces.decisions_remembered,
                "non_sampled_cache_size": traces.decisions_remembered,
            },
            "sample_on_first_match": True,
            "policies": [
                {"name": "failed", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}},
                {
                    "name": "marked",
                    "type": "boolean_attribute",
                    "boolean_attribute": {"key": a.TRACE_KEPT.name, "value": True},
                },
                {
                    "name": "illegal",
                    "type": "boolean_attribute",
                    "boolean_attribute": {"key": a.STATE_LEGAL.name, "value": False},
                },
                {
                    "name": "slow",
                    "type": "ottl_condition",
                    "ottl_condition": {"error_mode": "ignore", "span": list(_slow(catalogue))},
                },
                {
                    "name": "budget",
                    "type": "rate_limiting",
                    "rate_limiting": {"spans_per_second": traces.budget_spans_per_second},
                },
            ],
        },
        why="Whole traces: failed, marked by a server (an exemplar points to them), illegal transitions, slow for "
        "their kind; of the rest what fits the budget. How a trace was decided is remembered for spans that come late.",
    )


def gathered(settings: Settings) -> Component:
    """Puts the traces that are kept together again."""
    return Component(
        "processors",
        "batch/kept",
        {
            "timeout": duration(settings.store_batch_seconds),
            "send_batch_size": BATCH_MIN_ITEMS,
            "send_batch_max_size": BATCH_MAX_ITEMS,
        },
        why="Sampling lets go of traces one by one, and each alone would be written to the queue's file by itself, at "
        "more than twice the processor time. Elsewhere the queue makes the batches, so that what was accepted is "
        "safe; these spans wait in memory already.",
    )


def _slow(catalogue: Catalogue) -> Iterable[str]:
    """Conditions under which a span is slow, of its own kind."""
    model = catalogue.model
    by_limit: dict[float, list[str]] = {}
    for action in model.action_types:
        by_limit.setdefault(model.slow_seconds(action), []).append(action)
    for seconds, actions in by_limit.items():
        yield f'IsMatch(span.attributes["{a.ACTION_TYPE.name}"], "^({"|".join(actions)})$") and {_longer(seconds)}'
    yield f'span.attributes["{a.STATE_FROM.name}"] != nil and {_longer(model.slow_transition_seconds)}'


def _longer(seconds: float) -> str:
    return f"span.end_time_unix_nano - span.start_time_unix_nano > {round(seconds * _NANOSECONDS)}"


def added(settings: Settings, signal: str) -> tuple[Component, ...]:
    """What the deployment adds to the pipelines of a signal."""
    return tuple(
        Component("processors", name, extension.config, why="Of this deployment's settings.")
        for name, extension in settings.collector.processors.items()
        if signal in extension.signals
    )
