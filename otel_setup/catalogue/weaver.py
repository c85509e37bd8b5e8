"""A catalogue as an OpenTelemetry Weaver registry: YAML files in the semantic-convention group format.

Source of the format: "Semantic Convention Definition Language" and "Define your own telemetry schema" in the
documentation of OpenTelemetry Weaver. The format gives each attribute one definition, while here the same label may
have different value sets on different metrics (``outcome`` of games and of actions). Its definition in the registry
is their union; where a metric, span or event takes fewer, its reference says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from otel_setup.catalogue.build import BuiltMetric, Catalogue
from otel_setup.catalogue.render import prometheus_type, prose, values_with_other
from otel_setup.catalogue.types import Attribute, AttributeType, Event, Kind, Span
from otel_setup.game_model import OTHER

VERSION = "0.1.0"
"""Version of the registry, the last part of its schema URL; it rises when a name changes or goes away."""

_SCHEMA_URL = "https://otel-setup.example/schemas/{prefix}/{version}"
"""Identifies the registry; Weaver does not fetch it. The host is reserved for examples (RFC 2606 §2)."""

_INSTRUMENTS = {
    Kind.COUNTER: "counter",
    Kind.OBSERVABLE_COUNTER: "counter",
    Kind.OBSERVABLE_UP_DOWN_COUNTER: "updowncounter",
    Kind.GAUGE: "gauge",
    Kind.OBSERVABLE_GAUGE: "gauge",
    Kind.HISTOGRAM: "histogram",
}
_BRACES = re.compile(r"[{}]")
_STABILITY = "development"

Data = dict[str, Any]


def files(catalogue: Catalogue) -> dict[str, str]:
    """The registry's files, as ``{file name: YAML text}``.

    Raises:
        ImportError: where PyYAML is missing; it names the extra that brings it.
    """
    registry = _Registry(catalogue)
    groups = {
        "attributes.yaml": [registry.definitions()],
        "metrics.yaml": [registry.metric(metric) for metric in catalogue.metrics],
        "spans.yaml": [registry.span(span) for span in catalogue.spans],
        "events.yaml": [registry.event(event) for event in catalogue.events],
    }
    texts = {"manifest.yaml": _yaml(_manifest(catalogue))}
    return texts | {name: _yaml({"groups": content}) for name, content in groups.items()}


def _manifest(catalogue: Catalogue) -> Data:
    return {
        "schema_url": _SCHEMA_URL.format(prefix=catalogue.prefix, version=VERSION),
        "description": f"What a game server of {catalogue.model.title} exports.",
    }


class _Registry:
    """The attributes by name, and the groups that refer to them."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._model = catalogue.model
        self._on_metrics = {label for metric in catalogue.metrics for label in metric.declared.attributes}
        self._variants: dict[str, list[Attribute]] = {}
        for attribute in catalogue.attributes():
            self._variants.setdefault(attribute.name, []).append(attribute)

    def definitions(self) -> Data:
        """The group that defines every attribute."""
        return {
            "id": f"registry.{self._catalogue.prefix}",
            "type": "attribute_group",
            "brief": f"Every attribute of {self._model.title}'s metrics, spans and events.",
            "attributes": [self._definition(name) for name in self._variants],
        }

    def metric(self, metric: BuiltMetric) -> Data:
        """The group of a metric."""
        declared = metric.declared
        exported: Data = {"family": metric.prometheus, "type": prometheus_type(declared.kind)}
        group: Data = {
            "id": f"metric.{metric.name}",
            "type": "metric",
            "metric_name": metric.name,
            "instrument": _INSTRUMENTS[declared.kind],
            "unit": declared.unit,
            "stability": _STABILITY,
            "brief": prose(declared.description),
            "note": prose(declared.moves),
            "annotations": {"prometheus": exported},
        }
        if declared.buckets:
            group["annotations"]["buckets"] = list(declared.buckets)
        if declared.deprecated:
            since, successor = declared.deprecated.since, declared.deprecated.replaced_by
            group["deprecated"] = {"reason": "renamed", "renamed_to": successor, "note": f"Since {since}."}
        return group | self._references(declared.attributes, requirement="required")

    def span(self, span: Span) -> Data:
        """The group of a kind of span. Names with placeholders are told in the note: the format has no patterns."""
        return {
            "id": f"span.{_BRACES.sub('', span.name)}",
            "type": "span",
            "span_kind": span.kind.value,
            "stability": _STABILITY,
            "brief": prose(span.description),
            "note": f"The span's name is `{span.name}`.",
        } | self._references(span.attributes, requirement="recommended")

    def event(self, event: Event) -> Data:
        """The group of a kind of event."""
        return {
            "id": f"event.{event.name}",
            "type": "event",
            "name": str(event.name),
            "stability": _STABILITY,
            "brief": prose(event.description),
            "annotations": {"severity_number": event.severity.value},
        } | self._references(event.attributes, requirement="recommended")

    def _references(self, attributes: Sequence[Attribute], requirement: str) -> Data:
        references = [self._reference(attribute, requirement) for attribute in attributes]
        return {"attributes": references} if references else {}

    def _reference(self, attribute: Attribute, requirement: str) -> Data:
        reference: Data = {"ref": attribute.name, "requirement_level": requirement}
        if len(self._variants[attribute.name]) > 1:
            reference["brief"] = prose(attribute.description)
            if values := self._values(attribute):
                reference["note"] = "Here one of: " + ", ".join(f"`{value}`" for value in values) + "."
        return reference

    def _definition(self, name: str) -> Data:
        variants = self._variants[name]
        definition: Data = {
            "id": name,
            "type": self._type(variants),
            "stability": _STABILITY,
            "brief": " Or: ".join(dict.fromkeys(prose(variant.description) for variant in variants)),
        }
        if isinstance(definition["type"], str) and (examples := self._examples(variants)):
            definition["examples"] = examples
        return definition

    def _type(self, variants: Sequence[Attribute]) -> str | Data:
        sets = [self._values(variant) for variant in variants]
        if any(values is None for values in sets):
            return variants[0].type.value
        union = dict.fromkeys(value for values in sets for value in values or ())
        return {"members": [_member(value) for value in sorted(union, key=OTHER.__eq__)]}

    def _values(self, attribute: Attribute) -> tuple[str, ...] | None:
        return values_with_other(attribute, self._model, on_metric=attribute in self._on_metrics)

    def _examples(self, variants: Iterable[Attribute]) -> list[str | int | float | bool]:
        """Examples from the declarations; else values of a closed set. Weaver demands one of each text attribute."""
        found: list[str | int | float | bool] = []
        for variant in variants:
            if variant.type is not AttributeType.MAP:
                found += variant.examples or (self._values(variant) or ())[:2]
        return list(dict.fromkeys(found))


def _member(value: str) -> Data:
    # Ids become identifiers in generated code, which must not begin with a digit.
    identifier = value if value[0].isalpha() else f"value_{value}"
    member = {"id": identifier, "value": value, "stability": _STABILITY}
    return member | {"brief": "Anything outside the set."} if value == OTHER else member


def _yaml(data: Data) -> str:
    try:
        import yaml
    except ImportError as missing:
        raise ImportError("a Weaver registry is YAML: pip install 'otel-setup[generate]'") from missing
    text: str = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120)
    return text
