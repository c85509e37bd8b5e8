"""The reference of a game's telemetry, as Markdown pages for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from otel_setup.catalogue import BuiltMetric, Catalogue, M
from otel_setup.catalogue.render import (
    carriers,
    grouped,
    prometheus_type,
    prose,
    recording_rule_alias,
)
from otel_setup.catalogue.types import Attribute, Event, FromModel, Kind
from otel_setup.cli import options_page
from otel_setup.game_model import OTHER

_GENERATED = "<!-- Made by `python -m otel_setup catalogue --format markdown`: change the catalogue, not this file. -->"
_PAGES = {
    "metrics.md": "Metrics",
    "events.md": "Events",
    "spans.md": "Spans",
    "attributes.md": "Attributes",
    "seed-names.md": "Seed names",
}
_FROM_MODEL = {
    FromModel.PHASES: ("a phase", "Phases"),
    FromModel.ACTION_TYPES: ("an action", "Action types"),
    FromModel.MESSAGES: ("a message", "Message types"),
    FromModel.SEATS: ("a seat", "Seats"),
}
_VALUES_OF_THE_GAME = "Values of the game"


def files(catalogue: Catalogue) -> dict[str, str]:
    """The pages, as ``{file name: text}``."""
    bodies = {
        "metrics.md": _metrics(catalogue),
        "events.md": _events(catalogue),
        "spans.md": _spans(catalogue),
        "attributes.md": _attributes(catalogue),
        "seed-names.md": _seed_names(catalogue),
    }
    pages = {name: _page(name, catalogue, body) for name, body in bodies.items()}
    options = "\n\n".join([_GENERATED, "# Options of `configure()`", *options_page.body()]) + "\n"
    return pages | {"options.md": options}


def _page(name: str, catalogue: Catalogue, body: Iterable[str]) -> str:
    links = [title if page == name else f"[{title}]({page})" for page, title in _PAGES.items()]
    head = [_GENERATED, f"# {_PAGES[name]} of {catalogue.model.title}", " · ".join(links)]
    return "\n\n".join([*head, *body]) + "\n"


# --- metrics ----------------------------------------------------------------------------------------------------------
def _metrics(catalogue: Catalogue) -> list[str]:
    groups = list(grouped(catalogue.metrics))
    contents = ", ".join(f"[{group.title}](#{_anchor(group.title)})" for group, _ in groups)
    replaced = catalogue[M.LABELS_REPLACED].prometheus
    body = [
        f"{len(catalogue.metrics)} metrics: {contents}. Histograms have their [buckets](#buckets) at the end.",
        "- The first name is the one in Prometheus, by OTLP as by a scrape of `/metrics`; the second is "
        "OpenTelemetry's. A histogram's samples end in `_bucket`, `_sum` and `_count`. Dots in a label's name are "
        "underscores in Prometheus.\n"
        f"- A label takes the values given here and `{OTHER}`, which stands for everything else and is counted in "
        f"`{replaced}`. So the number of series does not depend on players, rooms or traffic.\n"
        "- A counter *from 0* exports that many series as 0 before anything has happened: `increase()` then sees the "
        "very first time.",
    ]
    for group, members in groups:
        rows = [_metric_row(metric) for metric in members]
        body += [f"## {group.title}", group.about, _table(("Metric", "Labels", "What it says", "When it moves"), rows)]
    histograms = [metric for metric in catalogue.metrics if metric.declared.kind is Kind.HISTOGRAM]
    bounds = [
        (_code(metric.prometheus), " · ".join(f"{bound:g}" for bound in metric.declared.buckets))
        for metric in histograms
    ]
    return [*body, "## Buckets", "Upper bounds, in the metric's unit; `+Inf` follows.", _table(("Metric", "≤"), bounds)]


def _metric_row(metric: BuiltMetric) -> Sequence[str]:
    declared = metric.declared
    facts = [prometheus_type(declared.kind), *([_code(declared.unit)] if declared.unit else [])]
    if metric.zeros:
        facts.append("1 series from 0" if len(metric.zeros) == 1 else f"{len(metric.zeros)} series from 0")
    says = prose(declared.description)
    if declared.seed_name:
        says += f" [Seed name](seed-names.md): {_code(declared.seed_name)}."
    if declared.deprecated:
        says += f" **Deprecated** since {declared.deprecated.since}: use {_code(declared.deprecated.replaced_by)}."
    labels = "<br>".join(f"{_code(label.name)}: {_values(label)}" for label in declared.attributes)
    name = f"{_code(metric.prometheus)}<br>{_code(metric.name)}<br>{' · '.join(facts)}"
    return name, labels, says, prose(declared.moves)


def _values(label: Attribute) -> str:
    if isinstance(label.values, FromModel):
        return f"[{_FROM_MODEL[label.values][0]}](attributes.md#{_anchor(_VALUES_OF_THE_GAME)})"
    return prose(label.bounded_by) or ", ".join(map(_code, label.values or ()))


# --- events -----------------------------------------------------------------------------------------------------------
def _events(catalogue: Catalogue) -> list[str]:
    body = [
        f"{len(catalogue.events)} events. Each is an OpenTelemetry log record with this name as its `event_name`; in "
        "the process it is a `SystemEvent`. The words below are the event's ids and the keys of its `data`; "
        "[Attributes](attributes.md) has the names under which the log record carries them.",
    ]
    for group, members in grouped(catalogue.events):
        rows = [_event_row(event) for event in members]
        body += [f"## {group.title}", _table(("Event", "What happened", "Ids", "Data"), rows)]
    return body


def _event_row(event: Event) -> Sequence[str]:
    ids = ", ".join(_code(a.data_key) for a in event.attributes if a.identifies)
    data = ", ".join(_code(a.data_key) for a in event.attributes if not a.identifies)
    return f"{_code(event.name)}<br>{event.severity.name}", prose(event.description), ids, data


# --- spans ------------------------------------------------------------------------------------------------------------
def _spans(catalogue: Catalogue) -> list[str]:
    body = [
        f"{len(catalogue.spans)} kinds of spans. What stands in braces takes its values from closed sets (phases, "
        "action types, names in the game's code), never from what a player wrote.",
    ]
    for span in catalogue.spans:
        rows = [(_code(a.name), a.type.value, _what(a)) for a in span.attributes]
        body += [f"## `{span.name}`", prose(span.description), _table(("Attribute", "Type", "What it is"), rows)]
    return body


# --- attributes -------------------------------------------------------------------------------------------------------
def _attributes(catalogue: Catalogue) -> list[str]:
    everything = list(catalogue.attributes())
    labels = [a for a in everything if carriers(catalogue, a)["metrics"]]
    ids = [a for a in everything if a.identifies]
    payload = [a for a in everything if a not in labels and a not in ids]
    return [
        f"{len({a.name for a in everything})} names. A name can have other values on another metric, span or event.",
        "## Who and where",
        "On spans and events, never on a metric: their number grows with traffic.",
        _table(("Attribute", "Key", "What it is"), [(_code(a.name), _code(a.data_key), _what(a)) for a in ids]),
        "## Labels of metrics",
        f"Besides its values each label takes `{OTHER}`.",
        _table(("Label", "Values", "What it is", "On"), [_label_row(a, catalogue) for a in labels]),
        f"## {_VALUES_OF_THE_GAME}",
        "These sets are the game model's.",
        _table(("Set", "Values"), [_set_row(source, catalogue) for source in FromModel]),
        "## On spans and events",
        "What they carry beside the ids. The key is the one in an event's `data`.",
        _table(
            ("Attribute", "Key", "Type", "What it is"),
            [(_code(a.name), _code(a.data_key), a.type.value, _what(a)) for a in payload],
        ),
    ]


def _label_row(label: Attribute, catalogue: Catalogue) -> Sequence[str]:
    names = [_code(m.prometheus) for m in catalogue.metrics if label in m.declared.attributes]
    return _code(label.name), _values(label), prose(label.description), "<br>".join(names)


def _set_row(source: FromModel, catalogue: Catalogue) -> Sequence[str]:
    values = source.values(catalogue.model)
    return _FROM_MODEL[source][1], ", ".join(map(_code, values)) or "none in this game"


def _what(attribute: Attribute) -> str:
    told = prose(attribute.description)
    if attribute.values is not None:
        told += f" One of {_values(attribute)}."
    elif attribute.examples:
        told += f" For example {', '.join(_code(str(example)) for example in attribute.examples)}."
    if attribute.personal and "pseudonym" not in told:
        told += " Names of players in it leave the process as pseudonyms."
    return told


# --- seed names -------------------------------------------------------------------------------------------------------
def _seed_names(catalogue: Catalogue) -> list[str]:
    rows = [
        (
            _code(f"{catalogue.prefix}_{metric.declared.seed_name}"),
            _code(metric.name),
            "<br>".join(map(_code, metric.series)),
            _code(recording_rule_alias(metric, catalogue.prefix) or ""),
        )
        for metric in catalogue.metrics
        if metric.declared.seed_name
    ]
    return [
        "The product began with a document, its seed, that named the metrics. Every name of it is exported as written, "
        "except these: counters end in `_total`, and a dot has no place in Prometheus's classic names. The alias is "
        "the seed's name as near as Prometheus can carry it, for a recording rule over the exported series.",
        _table(("Seed name", "OpenTelemetry", "Prometheus", "Recording-rule alias"), rows),
    ]


# --- Markdown ---------------------------------------------------------------------------------------------------------
def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _code(text: str) -> str:
    return f"`{text}`"


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")
