"""Finds every option's value: keyword over config mapping over environment over default. ``None`` means not given."""

from __future__ import annotations

import math
import os
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from otel_setup.catalogue import CatalogueError, build
from otel_setup.catalogue.build import BuiltMetric
from otel_setup.config.destinations import destinations
from otel_setup.config.errors import ConfigError
from otel_setup.config.finding import ENVIRONMENT, checked, from_environment
from otel_setup.config.options import OPTIONS, PROMETHEUS_PORT, Option
from otel_setup.config.settings import Options, Resolved, Settings
from otel_setup.config.unused import unused
from otel_setup.game_model import GameModel
from otel_setup.sdk.propagation import make_propagator

CONFIG_FILE = "OTEL_CONFIG_FILE"


def resolve(
    options: Options,
    config: Options | None = None,
    environ: Mapping[str, str] | None = None,
) -> Resolved:
    """Finds every option's value.

    Parameters:
        options: the keywords of ``configure()``.
        config: a mapping of the same options; keywords win over it.
        environ: the environment; the process's own where not given. Never changed.

    Raises:
        ConfigError: naming everything that is wrong, with its value, what is expected and where it came from.
    """
    environ = os.environ if environ is None else environ
    given: list[tuple[str, Mapping[str, Any]]] = [("keyword", options), ("config", config or {})]
    problems = [
        f"{source} {name}: there is no such option; options are {', '.join(option.name for option in OPTIONS)}"
        for source, mapping in given
        for name in mapping
        if name not in {option.name for option in OPTIONS}
    ]
    values: dict[str, Any] = {"destinations": {}}
    sources: dict[str, str] = {}
    for option in OPTIONS:
        value, source = _find(option, given, environ, problems)
        values[option.name], sources[option.name] = checked(option, source, value, problems), source
    if not problems:  # what follows needs sound values
        _derive(values, sources)
        values["destinations"], of_signals = destinations(values, sources, environ, problems)
        sources |= of_signals
        problems += _together(values, environ)
    if problems:
        raise ConfigError(problems)
    return Resolved(Settings(**values), sources, unused(environ, sources))


def _find(
    option: Option, given: list[tuple[str, Mapping[str, Any]]], environ: Mapping[str, str], problems: list[str]
) -> tuple[Any, str]:
    candidates = [(mapping[option.name], source) for source, mapping in given if mapping.get(option.name) is not None]
    if option.merged or not candidates:
        candidates += from_environment(option, option.environment, environ, problems)
    if not candidates:
        return option.default, "default"
    if option.merged and len(candidates) > 1 and all(isinstance(value, Mapping) for value, _ in candidates):
        merged: dict[str, Any] = {}
        for value, _ in reversed(candidates):
            merged.update(value)
        return merged, " and ".join(source for _, source in candidates)
    return candidates[0]


def _derive(values: dict[str, Any], sources: Mapping[str, str]) -> None:
    """Defaults that follow from other values."""
    model: GameModel = values["model"]
    resource = values["resource"]
    values["service"] = values["service"] or resource.get("service.name") or model.name.replace("_", "-")
    values["instance_id"] = values["instance_id"] or resource.get("service.instance.id") or str(uuid.uuid4())
    values["prefix"] = model.name if values["prefix"] is None else values["prefix"]
    values["bounds"] = replace(values["bounds"], retention_hours=values["retention_hours"])
    if values["collector"] is None:
        values["collector"] = "http://localhost:4317" if values["protocol"] == "grpc" else "http://localhost:4318"
    for name in ("batch_delay", "batch_size", "queue_size"):
        if values[f"span_{name}"] is None:
            values[f"span_{name}"] = values[name]
    if values["console"]:
        for signal in ("traces", "logs"):
            values[signal] = tuple(dict.fromkeys((*values[signal], "console"))) if values[signal] else ()
    if "prometheus" in values["metrics"] and sources["metrics_port"] == "default":
        values["metrics_port"] = PROMETHEUS_PORT


def _together(values: Mapping[str, Any], environ: Mapping[str, str]) -> list[str]:
    """What is wrong though each value by itself is right."""
    problems = []
    if environ.get(CONFIG_FILE, "").strip() and not values["adopt"]:
        problems.append(
            f"{ENVIRONMENT} {CONFIG_FILE} is set, and configure() reads no configuration file: unset it; or let "
            "opentelemetry-configuration set the providers up from it, and call configure(adopt=True), or no "
            "configure() at all"
        )
    try:
        make_propagator(values["propagators"])
    except ImportError as missing:
        problems.append(f"propagators are {', '.join(values['propagators'])}; {missing}")
    try:
        catalogue = build(values["model"], values["prefix"], values["business_metrics"])
    except CatalogueError as unsound:
        name = values["model"].name
        return problems + [f"the catalogue of {name}: {problem}" for problem in unsound.problems]
    largest = max(catalogue.metrics, key=_label_sets)
    if _label_sets(largest) > values["cardinality_limit"]:
        problems.append(
            f"cardinality_limit is {values['cardinality_limit']}; {largest.name} has {_label_sets(largest)} label sets "
            "by declaration: set the limit to that or more"
        )
    return problems


def _label_sets(metric: BuiltMetric) -> int:
    """How many there can be: each label takes a value of its set, or ``other``."""
    return math.prod(len(values) + 1 for values in metric.labels.values())
