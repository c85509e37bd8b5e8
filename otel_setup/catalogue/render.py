"""A catalogue as plain data, in the order and the groups in which people read it.

``document()`` is the JSON form. The groups, the values of a label and the carriers of an attribute are here because
the terminal table, the reference pages and the Weaver registry say the same about them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from otel_setup.catalogue.build import BuiltMetric, Catalogue, values_of
from otel_setup.catalogue.prometheus_names import prometheus_label
from otel_setup.catalogue.types import Attribute, Event, FromModel, Kind, Span
from otel_setup.game_model import OTHER, GameModel

FORMAT = 1
"""Version of the JSON form: it rises when a key changes its meaning or goes away, not when one is added."""

KINDS = ("metrics", "spans", "events", "attributes")
"""What a catalogue holds, in reading order."""

_NOT_IN_PROMETHEUS = re.compile(r"[^a-zA-Z0-9_]")


@dataclass(frozen=True)
class Group:
    """Metrics or events that are read together; ``words`` are the first words of their names."""

    title: str
    about: str
    words: tuple[str, ...] = ()


GAMES = Group(
    "Games",
    "Whether games begin, move on and reach their decision.",
    ("game", "games", "round", "rounds", "turn", "turns", "redeal", "redeals", "declaration", "declarations"),
)
STATES = Group("States", "Where games are, and how they get from one phase to the next.", ("state", "phase"))
ACTIONS = Group("Actions", "What players ask for, and what becomes of it.", ("action", "actions"))
PLAYERS = Group(
    "Players", "Who plays, who wins, who leaves and who comes back.", ("player", "players", "seat", "seats", "bot")
)
ROOMS = Group("Rooms", "Where games are played.", ("room", "rooms"))
SOCKETS = Group("Sockets", "What holds players and server together.", ("websocket", "connection", "broadcast"))
PROCESS = Group(
    "Process",
    "The server process underneath: memory, CPU, threads, tasks.",
    ("memory", "cpu", "gc", "threads", "asyncio", "event_loop", "file_descriptors", "process", "cpython"),
)
HTTP = Group("HTTP", "Requests to the server, beside its sockets.", ("http",))
ERRORS = Group("Errors", "What went wrong outside the groups above.", ("error",))
BUSINESS = Group("Business", "What this game declares for itself.", ("business",))
OWN = Group("Own health", "Whether monitoring itself works, and exactly what it lost.", ("producer", "debug", "stream"))
UNGROUPED = Group("More", "What belongs to none of the groups above.")
GROUPS = (GAMES, STATES, ACTIONS, PLAYERS, ROOMS, SOCKETS, HTTP, PROCESS, ERRORS, BUSINESS, OWN, UNGROUPED)

_Grouped = TypeVar("_Grouped", BuiltMetric, Event)


def group_of(thing: BuiltMetric | Event) -> Group:
    """The group a metric or an event is read in."""
    if isinstance(thing, BuiltMetric):
        if thing.business:
            return BUSINESS
        if thing.declared.own:
            return OWN
    name = thing.name if isinstance(thing, Event) else thing.declared.name
    word = name.split(".")[0]
    return next((group for group in GROUPS if word in group.words), UNGROUPED)


def grouped(things: Iterable[_Grouped]) -> Iterator[tuple[Group, list[_Grouped]]]:
    """The groups that have members, in reading order, each with its members in the catalogue's order."""
    members = list(things)
    for group in GROUPS:
        if found := [thing for thing in members if group_of(thing) is group]:
            yield group, found


def prose(text: str) -> str:
    """A declaration's text, whose code is marked as in docstrings, with its code marked as in Markdown."""
    return text.replace("``", "`")


def prometheus_type(kind: Kind) -> str:
    """The ``# TYPE`` of an instrument's family in Prometheus: ``counter``, ``histogram`` or ``gauge``."""
    if kind.is_counter:
        return "counter"
    return "histogram" if kind is Kind.HISTOGRAM else "gauge"


def recording_rule_alias(metric: BuiltMetric, prefix: str) -> str | None:
    """The name of the recording rule that gives a metric its seed name back, as far as Prometheus can carry it.

    None where the metric is exported under its seed name anyway.
    """
    if metric.declared.seed_name is None:
        return None
    return _NOT_IN_PROMETHEUS.sub("_", f"{prefix}_{metric.declared.seed_name}")


def values_with_other(attribute: Attribute, model: GameModel, *, on_metric: bool) -> tuple[str, ...] | None:
    """The values an attribute can have; labels also take ``other``, for everything outside their set. None: any."""
    values = values_of(attribute, model)
    if values is None or not on_metric:
        return values
    return (*values, OTHER)


def carriers(catalogue: Catalogue, attribute: Attribute) -> dict[str, list[str]]:
    """The names of the metrics, spans and events that carry an attribute."""
    return {
        "metrics": [metric.name for metric in catalogue.metrics if attribute in metric.declared.attributes],
        "spans": [span.name for span in catalogue.spans if attribute in span.attributes],
        "events": [event.name for event in catalogue.events if attribute in event.attributes],
    }


def document(catalogue: Catalogue, kinds: Iterable[str] = KINDS) -> dict[str, Any]:
    """The catalogue as data that JSON can carry.

    Parameters:
        catalogue: the game's.
        kinds: which of :data:`KINDS` to include.
    """
    parts: dict[str, Any] = {
        "metrics": [_metric(metric, catalogue) for metric in catalogue.metrics],
        "spans": [_span(span) for span in catalogue.spans],
        "events": [_event(event) for event in catalogue.events],
        "attributes": [_attribute(attribute, catalogue) for attribute in catalogue.attributes()],
    }
    head = {
        "format": FORMAT,
        "game": {"name": catalogue.model.name, "title": catalogue.model.title, "prefix": catalogue.prefix},
        "outside_a_closed_set": OTHER,
    }
    wanted = set(kinds)
    return head | {kind: part for kind, part in parts.items() if kind in wanted}


def _metric(metric: BuiltMetric, catalogue: Catalogue) -> dict[str, Any]:
    declared = metric.declared
    deprecated = declared.deprecated
    return {
        "name": metric.name,
        "prometheus": metric.prometheus,
        "series": list(metric.series),
        "type": prometheus_type(declared.kind),
        "instrument": declared.kind.value,
        "unit": declared.unit,
        "group": group_of(metric).title,
        "description": prose(declared.description),
        "moves": prose(declared.moves),
        "labels": [
            {
                "name": label.name,
                "prometheus": prometheus_label(label.name),
                "description": prose(label.description),
                "values": list(metric.labels[label.name]),
                "bounded_by": label.bounded_by or None,
            }
            for label in declared.attributes
        ],
        "buckets": list(declared.buckets),
        "zeros": len(metric.zeros),
        "business": metric.business,
        "own": declared.own,
        "unprefixed": declared.unprefixed,
        "seed_name": declared.seed_name,
        "recording_rule_alias": recording_rule_alias(metric, catalogue.prefix),
        "deprecated": {"since": deprecated.since, "replaced_by": deprecated.replaced_by} if deprecated else None,
    }


def _span(span: Span) -> dict[str, Any]:
    return {
        "name": span.name,
        "kind": span.kind.value,
        "description": prose(span.description),
        "attributes": [attribute.name for attribute in span.attributes],
    }


def _event(event: Event) -> dict[str, Any]:
    return {
        "name": str(event.name),
        "severity": event.severity.name,
        "severity_number": event.severity.value,
        "group": group_of(event).title,
        "description": prose(event.description),
        "attributes": [{"name": attribute.name, "key": attribute.data_key} for attribute in event.attributes],
    }


def _attribute(attribute: Attribute, catalogue: Catalogue) -> dict[str, Any]:
    values = values_of(attribute, catalogue.model)
    return {
        "name": attribute.name,
        "key": attribute.data_key,
        "type": attribute.type.value,
        "description": prose(attribute.description),
        "values": None if values is None else list(values),
        "values_from": attribute.values.value if isinstance(attribute.values, FromModel) else None,
        "identifies": attribute.identifies,
        "personal": attribute.personal,
        "examples": list(attribute.examples),
        "carried_by": carriers(catalogue, attribute),
    }
