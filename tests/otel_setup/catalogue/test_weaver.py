"""The Weaver registry, against the documented group format and by following its references."""

from __future__ import annotations

from collections import Counter
from typing import Any

import jsonschema
import pytest
import yaml

from otel_setup.catalogue import Attribute, Catalogue, Kind, Metric, build, weaver
from otel_setup.catalogue.types import Deprecation

from .arena import ARENA, ARENA_WITH_SHOTS

STABILITY = {"enum": ["stable", "development", "alpha", "beta", "release_candidate"]}
ENUM = {
    "type": "object",
    "additionalProperties": False,
    "required": ["members"],
    "properties": {
        "members": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["id", "value", "stability"],
                "properties": {
                    "id": {"type": "string", "pattern": "^[a-z][a-z0-9_]*$"},
                    "value": {"type": ["string", "integer"]},
                    "brief": {"type": "string"},
                    "stability": STABILITY,
                },
            },
        }
    },
}
DEFINITION = {
    "type": "object",
    "additionalProperties": False,
    "required": ["id", "type", "brief", "stability"],
    "properties": {
        "id": {"type": "string"},
        "type": {"oneOf": [{"enum": ["string", "int", "double", "boolean", "any"]}, ENUM]},
        "brief": {"type": "string", "minLength": 1},
        "stability": STABILITY,
        "examples": {"type": "array", "minItems": 1, "items": {"type": ["string", "number", "boolean"]}},
    },
    # "examples ... are required only for string and string array attributes"
    "if": {"properties": {"type": {"const": "string"}}},
    "then": {"required": ["examples"]},
}
REFERENCE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["ref"],
    "properties": {
        "ref": {"type": "string"},
        "brief": {"type": "string"},
        "note": {"type": "string"},
        "requirement_level": {"enum": ["required", "recommended", "opt_in"]},
    },
}
DEPRECATED = {
    "type": "object",
    "additionalProperties": False,
    "required": ["reason", "renamed_to"],
    "properties": {"reason": {"const": "renamed"}, "renamed_to": {"type": "string"}, "note": {"type": "string"}},
}


def _group(kind: str, required: list[str], attributes: dict[str, Any], **own: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["id", "type", "brief", *required],
        "properties": {
            "id": {"type": "string"},
            "type": {"const": kind},
            "brief": {"type": "string", "minLength": 1},
            "note": {"type": "string"},
            "stability": STABILITY,
            "deprecated": DEPRECATED,
            "annotations": {"type": "object"},
            "attributes": {"type": "array", "minItems": 1, "items": attributes},
            **own,
        },
    }


GROUPS = {
    "attributes.yaml": _group("attribute_group", ["attributes"], DEFINITION),
    "metrics.yaml": _group(
        "metric",
        ["stability", "metric_name", "instrument", "unit"],
        REFERENCE,
        metric_name={"type": "string"},
        instrument={"enum": ["counter", "gauge", "histogram", "updowncounter"]},
        unit={"type": "string"},
    ),
    "spans.yaml": _group(
        "span",
        ["stability", "span_kind", "attributes"],
        REFERENCE,
        span_kind={"enum": ["client", "server", "producer", "consumer", "internal"]},
    ),
    "events.yaml": _group("event", ["stability", "name"], REFERENCE, name={"type": "string"}),
}
"""The format's documentation ("Semantic Convention Definition Language"), as far as the registry uses it."""

MANIFEST = {
    "type": "object",
    "additionalProperties": False,
    "required": ["schema_url"],
    # OTel schema URL: http[s]://server[:port]/path/<version>
    "properties": {"schema_url": {"pattern": r"^https?://[^/]+/.+/[0-9.]+$"}, "description": {"type": "string"}},
}

CATALOGUES = {"default": build(), "arena": ARENA_WITH_SHOTS}
each_game = pytest.mark.parametrize("catalogue", list(CATALOGUES.values()), ids=list(CATALOGUES))


def groups(catalogue: Catalogue, *names: str) -> list[dict[str, Any]]:
    """The groups of the registry's files, parsed."""
    files = weaver.files(catalogue)
    return [group for name in names or GROUPS for group in yaml.safe_load(files[name])["groups"]]


@each_game
def test_the_registry_holds_a_manifest_and_four_files_of_groups(catalogue: Catalogue) -> None:
    files = weaver.files(catalogue)
    assert set(files) == {"manifest.yaml", *GROUPS}
    jsonschema.validate(yaml.safe_load(files["manifest.yaml"]), MANIFEST)


@each_game
@pytest.mark.parametrize("name", GROUPS)
def test_every_group_is_of_the_documented_form(catalogue: Catalogue, name: str) -> None:
    tree = yaml.safe_load(weaver.files(catalogue)[name])
    assert list(tree) == ["groups"]
    jsonschema.validate(tree["groups"], {"type": "array", "minItems": 1, "items": GROUPS[name]})


@each_game
def test_ids_are_unique(catalogue: Catalogue) -> None:
    everything = groups(catalogue)
    [definitions] = groups(catalogue, "attributes.yaml")
    for ids in ([group["id"] for group in everything], [found["id"] for found in definitions["attributes"]]):
        assert [name for name, count in Counter(ids).items() if count > 1] == []
    for definition in definitions["attributes"]:
        if isinstance(definition["type"], dict):
            members = [member["id"] for member in definition["type"]["members"]]
            assert len(set(members)) == len(members), definition["id"]


@each_game
def test_every_reference_leads_to_a_definition_and_stands_once(catalogue: Catalogue) -> None:
    [definitions] = groups(catalogue, "attributes.yaml")
    defined = {definition["id"] for definition in definitions["attributes"]}
    for group in groups(catalogue, "metrics.yaml", "spans.yaml", "events.yaml"):
        references = [reference["ref"] for reference in group.get("attributes", [])]
        assert set(references) <= defined, group["id"]
        assert len(set(references)) == len(references), group["id"]


def test_one_metric_as_the_format_wants_it() -> None:
    [group] = [g for g in groups(build(), "metrics.yaml") if g["id"] == "metric.liap_tui.phase.duration"]
    assert group["metric_name"] == "liap_tui.phase.duration"
    assert (group["instrument"], group["unit"]) == ("histogram", "s")
    assert group["attributes"] == [{"ref": "phase", "requirement_level": "required"}]
    assert group["annotations"]["prometheus"] == {"family": "liap_tui_phase_duration_seconds", "type": "histogram"}
    # The measured phases last 0.5 s to 10 min.
    assert (group["annotations"]["buckets"][0], group["annotations"]["buckets"][-1]) == (0.5, 600)


def test_each_synchronous_name_stands_for_its_observable_instrument_too() -> None:
    instruments = {g["metric_name"]: g["instrument"] for g in groups(build(), "metrics.yaml")}
    assert instruments["liap_tui.games.started"] == "counter"
    assert instruments["liap_tui.gc.collections"] == "counter"
    assert instruments["liap_tui.games.active"] == "updowncounter"
    assert instruments["liap_tui.cpu.usage"] == "gauge"


def test_labels_that_share_a_name_share_a_definition_and_keep_their_own_values() -> None:
    def counter(name: str, *values: str) -> Metric:
        label = Attribute(name="weather", values=values, description=f"Of the {name}.")
        return Metric(name=name, kind=Kind.COUNTER, unit="", description="-", moves="-", attributes=(label,))

    catalogue = build(ARENA, extra=[counter("morning", "fog", "sun"), counter("evening", "sun", "rain")])
    [definitions] = groups(catalogue, "attributes.yaml")
    [weather] = [found for found in definitions["attributes"] if found["id"] == "weather"]
    assert [member["value"] for member in weather["type"]["members"]] == ["fog", "sun", "rain", "other"]
    notes = {
        group["id"]: group["attributes"][0]["note"]
        for group in groups(catalogue, "metrics.yaml")
        if group["id"] in ("metric.arena.morning", "metric.arena.evening")
    }
    assert notes == {
        "metric.arena.morning": "Here one of: `fog`, `sun`, `other`.",
        "metric.arena.evening": "Here one of: `sun`, `rain`, `other`.",
    }


def test_a_deprecated_metric_names_its_successor() -> None:
    old = Metric(
        name="shots",
        kind=Kind.COUNTER,
        unit="",
        description="-",
        moves="-",
        deprecated=Deprecation(since="0.2", replaced_by="arena.shots.fired"),
    )
    [group] = [g for g in groups(build(ARENA, extra=[old]), "metrics.yaml") if g["id"] == "metric.arena.shots"]
    jsonschema.validate(group, GROUPS["metrics.yaml"])
    assert group["deprecated"]["renamed_to"] == "arena.shots.fired"
