"""Standard metrics, against the semantic conventions as OpenTelemetry's own package has them."""

from __future__ import annotations

import importlib
import inspect
from enum import Enum
from types import ModuleType
from typing import Any
from unittest.mock import Mock

import pytest
from opentelemetry.semconv._incubating.attributes import (
    cpu_attributes,
    cpython_attributes,
    process_attributes,
    system_attributes,
)
from opentelemetry.semconv._incubating.metrics import cpython_metrics, process_metrics
from opentelemetry.semconv.metrics import http_metrics

from otel_setup.catalogue import M, Metric, build
from otel_setup.catalogue.metrics import METRICS
from otel_setup.catalogue.metrics.standard import CONTEXT_SWITCH, CPU_MODE, GC_GENERATION, PAGING_FAULT
from otel_setup.catalogue.types import Attribute
from otel_setup.game_model import LIAP_TUI

OURS = {
    "cpython.gc.pause.duration",
    "asyncio.event_loop.lag",
    "asyncio.event_loop.max_lag",
    "asyncio.event_loop.slow_callbacks",
    "asyncio.task.count",
}
"""What the conventions have no name for."""

UNPREFIXED = [metric for metric in METRICS if metric.unprefixed]
HTTP_HISTOGRAM = {"http.server.request.duration": ("histogram", "s")}
"""The conventions' package has names of HTTP metrics, without their units: "HTTP metrics" of the documentation does."""


def conventions() -> dict[str, tuple[str, str]]:
    """Instrument and unit of every metric of processes and of CPython, as their creating functions ask for them."""
    found = {}
    for module in (process_metrics, cpython_metrics):
        for name, create in inspect.getmembers(module, inspect.isfunction):
            if name.startswith("create_"):
                meter = Mock()
                create(*[meter, None][: len(inspect.signature(create).parameters)])
                ((called, _, asked),) = meter.method_calls
                found[asked["name"]] = (
                    called.removeprefix("create_").removeprefix("observable_"),
                    asked["unit"],
                )
    return found


@pytest.mark.parametrize("metric", UNPREFIXED, ids=lambda metric: metric.name)
def test_a_standard_metric_is_as_the_conventions_say(metric: Metric) -> None:
    if metric.name in OURS:
        assert metric.name not in conventions(), "the conventions have it now: follow them"
        return
    expected = (conventions() | HTTP_HISTOGRAM)[metric.name]
    assert (metric.kind.value.removeprefix("observable_"), metric.unit) == expected


def test_http_has_the_stable_name() -> None:
    assert M.HTTP_SERVER_DURATION.name == http_metrics.HTTP_SERVER_REQUEST_DURATION


@pytest.mark.parametrize(
    ("attribute", "module", "constant", "values"),
    [
        (CPU_MODE, cpu_attributes, "CPU_MODE", "CpuModeValues"),
        (CONTEXT_SWITCH, process_attributes, "PROCESS_CONTEXT_SWITCH_TYPE", "ProcessContextSwitchTypeValues"),
        (PAGING_FAULT, system_attributes, "SYSTEM_PAGING_FAULT_TYPE", "SystemPagingFaultTypeValues"),
        (GC_GENERATION, cpython_attributes, "CPYTHON_GC_GENERATION", "CPythonGCGenerationValues"),
    ],
    ids=lambda value: value.name if isinstance(value, Attribute) else "",
)
def test_its_attributes_are_the_conventions(
    attribute: Attribute, module: ModuleType, constant: str, values: str
) -> None:
    assert attribute.name == getattr(module, constant)
    known: type[Enum] = getattr(module, values)
    assert isinstance(attribute.values, tuple)
    assert set(attribute.values) <= {str(member.value) for member in known}


def test_the_labels_of_http_are_the_conventions() -> None:
    names = {attribute.name for attribute in M.HTTP_SERVER_DURATION.attributes}
    stable: set[Any] = set()
    for group in ("http", "url", "network", "error"):
        module = importlib.import_module(f"opentelemetry.semconv.attributes.{group}_attributes")
        stable |= {value for key, value in vars(module).items() if key.isupper()}
    assert names <= stable


def test_only_standard_metrics_have_the_same_name_in_every_game() -> None:
    alike = {metric.name for metric in build(prefix="one").metrics} & {m.name for m in build(prefix="two").metrics}
    assert alike == {m.name for m in UNPREFIXED} | {f"otel_setup.{m.name}" for m in METRICS if m.own}


def test_a_label_without_a_list_of_values_says_what_bounds_it() -> None:
    for built in build(LIAP_TUI).metrics:
        for label in built.declared.attributes:
            assert (label.values is None) == bool(label.bounded_by), f"{label.name} of {built.name}"
