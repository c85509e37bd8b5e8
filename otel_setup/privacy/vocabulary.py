"""Which attributes hold names, which hold none, and which words are the product's own.

Everything is derived from the catalogue and from OpenTelemetry's semantic conventions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import product
from types import ModuleType

from opentelemetry.semconv.attributes import (
    client_attributes,
    code_attributes,
    deployment_attributes,
    error_attributes,
    exception_attributes,
    http_attributes,
    network_attributes,
    otel_attributes,
    server_attributes,
    service_attributes,
    telemetry_attributes,
    url_attributes,
    user_agent_attributes,
)

from otel_setup.catalogue import EVENTS, SPANS, Catalogue, Event, Span
from otel_setup.catalogue import attributes as a
from otel_setup.catalogue.build import values_of
from otel_setup.catalogue.spans import ACTION_SPAN, PHASE_SPAN, TRANSITION_SPAN
from otel_setup.catalogue.types import FromModel
from otel_setup.game_model import OTHER

FREE_FORM = a.EXTRA.name
"""The map of what callers passed beyond the declared fields: some of it may be names, most of it is not."""

_CARRIERS: tuple[Span | Event, ...] = (*SPANS, *EVENTS)
_DECLARED = tuple(dict.fromkeys(attribute for carrier in _CARRIERS for attribute in carrier.attributes))
PERSONAL = frozenset(attribute.name for attribute in _DECLARED if attribute.personal)
"""Names of the attributes whose values are players' names."""
DECLARED = frozenset(attribute.name for attribute in _DECLARED)
"""Names of the attributes that the product's own spans and events have."""
PERSONAL_KEYS = frozenset(
    attribute.data_key for attribute in _DECLARED if attribute.personal and attribute.name != FREE_FORM
)
"""Their short names, as callers know them: under these, names come in foreign records and free-form maps."""


def _constants(*modules: ModuleType) -> frozenset[str]:
    return frozenset(
        value for module in modules for name, value in vars(module).items() if name.isupper() and isinstance(value, str)
    )


# Written by programmers, with few values, and relied on by queries: a player's choice of name must not change them.
_FROM_CODE = _constants(
    code_attributes,
    deployment_attributes,
    error_attributes,
    network_attributes,
    otel_attributes,
    server_attributes,
    service_attributes,
    telemetry_attributes,
) | {
    exception_attributes.EXCEPTION_TYPE,
    http_attributes.HTTP_REQUEST_METHOD,
    http_attributes.HTTP_ROUTE,
    url_attributes.URL_SCHEME,
}
UNTOUCHED = _FROM_CODE | frozenset(
    attribute.name
    for attribute in _DECLARED
    if not attribute.personal and (attribute.identifies or isinstance(attribute.values, FromModel))
)
"""Attributes in which no name is looked for: words of the game model, ids of games, rooms and requests, facts of the
code."""
CLOSED = {
    attribute.name: frozenset(attribute.values)
    for attribute in _DECLARED
    if not attribute.personal and isinstance(attribute.values, tuple)
}
"""Values of the attributes that have few; in these no name is looked for, in what a caller says instead it is."""

_CONVENTIONS = _FROM_CODE | _constants(
    client_attributes, exception_attributes, http_attributes, url_attributes, user_agent_attributes
)
_METHODS = frozenset(method.value for method in http_attributes.HttpRequestMethodValues)
# What CPython prints around every stack.
_TRACEBACK = ("Traceback", "most", "recent", "call", "last", "File", "line", "in", "raise", "return", "Error")


def vocabulary(catalogue: Catalogue) -> frozenset[str]:
    """Words that mean something in a game's telemetry. Who takes one as a name is not searched for in text.

    Else a player called like a phase or a field could rename spans, and nobody learns who ``turn`` is anyway. In
    attributes that are declared as names, such a name becomes a pseudonym like any other.
    """
    words: set[str] = {*_METHODS, *_TRACEBACK}
    for attribute in {*catalogue.attributes(), *_DECLARED}:
        words |= {attribute.data_key, *(values_of(attribute, catalogue.model) or ())}
    names = [*_CONVENTIONS, *(str(event.name) for event in catalogue.events), *_span_names(catalogue)]
    names += [attribute.name for attribute in catalogue.attributes()]
    for name in names:
        words |= {name, *_parts(name)}
    return frozenset(words)


def _span_names(catalogue: Catalogue) -> Iterator[str]:
    phases = (*catalogue.model.phases, OTHER)
    yield from (TRANSITION_SPAN.name.format_map({"from": left, "to": to}) for left, to in product(phases, phases))
    yield from (PHASE_SPAN.name.format(phase=phase) for phase in phases)
    yield from (ACTION_SPAN.name.format(type=action) for action in (*catalogue.model.action_types, OTHER))


def _parts(name: str) -> Iterable[str]:
    return re.findall(r"\w+", name)
