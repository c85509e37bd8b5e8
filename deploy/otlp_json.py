"""Reads the files of OTLP JSON that the Collector's file exporter writes: one request a line.

Format: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

POINT_KINDS = ("sum", "gauge", "histogram", "exponentialHistogram", "summary")


@dataclass(frozen=True)
class Item:
    """One span, log record or metric point.

    :param resource: the resource's attributes
    :param scope: the instrumentation scope's name
    :param attributes: the item's attributes
    :param data: the item's own fields, spelled and encoded as OTLP JSON has them (64-bit integers are strings)
    :param metric: for a point the fields of its metric: ``name``, ``unit``, ``kind``, ``isMonotonic`` and so on
    """

    resource: dict[str, Any]
    scope: str
    attributes: dict[str, Any]
    data: dict[str, Any]
    metric: dict[str, Any]

    @property
    def value(self) -> float:
        """A point's number; of a histogram, how many measurements it holds."""
        for key in ("asInt", "asDouble", "count"):
            if key in self.data:
                return float(self.data[key])
        return 0.0  # protobuf's JSON may leave out a zero


def spans(path: Path) -> list[Item]:
    """The spans in a file and in those it was rotated to, in the order of arrival."""
    return [span for request in _lines(path) for span in spans_of(request)]


def spans_of(request: dict[str, Any]) -> list[Item]:
    """The spans of one request, or of an answer that has its form."""
    return [
        Item(resource, scope, attributes(span), span, {})
        for resource, scope, body in _scopes(request, "resourceSpans", "scopeSpans")
        for span in body.get("spans", [])
    ]


def log_records(path: Path) -> list[Item]:
    """The log records in a file and in those it was rotated to, in the order of arrival."""
    return [
        Item(resource, scope, attributes(record), record, {})
        for request in _lines(path)
        for resource, scope, body in _scopes(request, "resourceLogs", "scopeLogs")
        for record in body.get("logRecords", [])
    ]


def points(path: Path) -> list[Item]:
    """The metric points in a file and in those it was rotated to, in the order of arrival."""
    return [
        Item(resource, scope, attributes(point), point, head)
        for request in _lines(path)
        for resource, scope, body in _scopes(request, "resourceMetrics", "scopeMetrics")
        for metric in body.get("metrics", [])
        for head, points in (_points(metric),)
        for point in points
    ]


def _points(metric: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    kind = next(kind for kind in POINT_KINDS if kind in metric)
    head = {"kind": kind, "name": metric["name"], "unit": metric.get("unit", "")}
    head |= {key: value for key, value in metric[kind].items() if key != "dataPoints"}
    return head, metric[kind].get("dataPoints", [])


def attributes(body: dict[str, Any]) -> dict[str, Any]:
    """The ``attributes`` list of any OTLP JSON object, as a dictionary of plain values."""
    return {entry["key"]: value(entry.get("value", {})) for entry in body.get("attributes", [])}


def value(encoded: dict[str, Any]) -> Any:
    """An OTLP ``AnyValue`` as a plain value; an empty one is None."""
    for kind, content in encoded.items():
        match kind:
            case "intValue":
                return int(content)
            case "arrayValue":
                return [value(item) for item in content.get("values", [])]
            case "kvlistValue":
                return {entry["key"]: value(entry.get("value", {})) for entry in content.get("values", [])}
            case _:
                return content
    return None


def _scopes(
    request: dict[str, Any], resources: str, scopes: str
) -> Iterator[tuple[dict[str, Any], str, dict[str, Any]]]:
    for resource in request.get(resources, []):
        for scope in resource.get(scopes, []):
            yield attributes(resource.get("resource", {})), scope.get("scope", {}).get("name", ""), scope


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    # A rotated file carries the time of its rotation between stem and suffix, so names sort by age.
    for file in (*sorted(path.parent.glob(f"{path.stem}-*{path.suffix}")), path):
        if not file.exists():
            continue
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                if line.endswith("\n"):  # else it is still being written
                    yield json.loads(line)
