"""Log records and spans in the files that the Collector's file exporter writes: OTLP JSON, one request a line.

Format: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATTERNS = ("*.jsonl", "*.jsonl.gz", "*.json", "*.json.gz")
"""Names of the files that are looked into; those that were rotated have such names too."""
MAX_DEPTH = 16
"""Levels of a value that are read; what lies deeper is left out."""

_SHAPES = {
    "log": ("resourceLogs", "scopeLogs", "logRecords"),
    "span": ("resourceSpans", "scopeSpans", "spans"),
}
_NS = 1_000_000_000


@dataclass(frozen=True)
class Item:
    """A log record or a span.

    Parameters:
        kind: ``log`` or ``span``.
        resource: the attributes of who sent it.
        scope: name of the instrumentation scope.
        attributes: its own.
        fields: all its fields as OTLP JSON has them, ``attributes`` included.
    """

    kind: str
    resource: dict[str, Any]
    scope: str
    attributes: dict[str, Any]
    fields: dict[str, Any]

    @property
    def begins(self) -> int:
        """When it happened or began, nanoseconds since 1970."""
        if self.kind == "span":
            return _number(self.fields.get("startTimeUnixNano"))
        return _number(self.fields.get("timeUnixNano")) or _number(self.fields.get("observedTimeUnixNano"))

    @property
    def ends(self) -> int:
        """When it ended."""
        return _number(self.fields.get("endTimeUnixNano")) or self.begins

    @property
    def trace_id(self) -> str:
        """Hexadecimal, or "" where it has none."""
        found = self.fields.get("traceId")
        return found.lower() if isinstance(found, str) and found.strip("0") else ""

    def line(self) -> str:
        """It alone as an export request: what any receiver of OTLP JSON takes. In ASCII."""
        resources, scopes, items = _SHAPES[self.kind]
        scoped = {"scope": {"name": self.scope}, items: [self.fields]}
        request = {resources: [{"resource": {"attributes": encoded(self.resource)}, scopes: [scoped]}]}
        return json.dumps(request, separators=(",", ":"))


class OtlpFiles:
    """The files in a folder, those that were rotated included.

    Parameters:
        folder: where the Collector writes them.

    Attributes:
        files: what is there.
        unreadable: lines that are no OTLP JSON, and compressed files that are cut off.

    Raises:
        OSError: the folder cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        next(folder.iterdir(), None)  # glob() is silent where there is no folder
        self.files = sorted(path for pattern in PATTERNS for path in folder.glob(pattern) if path.is_file())
        self.unreadable = 0

    def items(self) -> Iterator[Item]:
        """Every log record and span."""
        self.unreadable = 0
        for file in self.files:
            for line in self._lines(file):
                try:
                    found = list(_items(json.loads(line)))
                except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
                    self.unreadable += 1
                    continue
                yield from found

    def _lines(self, file: Path) -> Iterator[bytes]:
        with gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb") as lines:
            try:
                # Without its end a line is still being written.
                yield from (line for line in lines if line.endswith(b"\n") and line.strip())
            except (EOFError, zlib.error, gzip.BadGzipFile):
                self.unreadable += 1


def _items(request: Mapping[str, Any]) -> Iterator[Item]:
    for kind, (resources, scopes, items) in _SHAPES.items():
        for resource in request.get(resources, []):
            about = plain_map(resource.get("resource", {}).get("attributes", []))
            for scope in resource.get(scopes, []):
                name = str(scope.get("scope", {}).get("name", ""))
                for fields in scope.get(items, []):
                    yield Item(kind, about, name, plain_map(fields.get("attributes", [])), dict(fields))


def plain_map(entries: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """A list of keys and values as OTLP JSON has it, as a plain map."""
    return {str(entry["key"]): plain(entry.get("value", {})) for entry in entries}


def plain(value: Mapping[str, Any], depth: int = MAX_DEPTH) -> Any:
    """An OTLP ``AnyValue`` as a plain value; an empty one is None."""
    for kind, content in value.items():
        if kind == "intValue":
            return int(content)
        if kind == "arrayValue":
            return [plain(item, depth - 1) for item in content.get("values", [])] if depth else None
        if kind == "kvlistValue":
            entries = content.get("values", []) if depth else []
            return {str(entry["key"]): plain(entry.get("value", {}), depth - 1) for entry in entries}
        return content
    return None


def encoded(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A plain map as OTLP JSON has it."""
    return [{"key": str(key), "value": any_value(value)} for key, value in values.items()]


def any_value(value: Any) -> dict[str, Any]:
    """A plain value as an OTLP ``AnyValue``."""
    match value:
        case None:
            return {}
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case Mapping():
            return {"kvlistValue": {"values": encoded(value)}}
        case list() | tuple():
            return {"arrayValue": {"values": [any_value(item) for item in value]}}
        case _:
            return {"stringValue": str(value)}


def _number(value: Any) -> int:
    return int(value) if isinstance(value, int | str) and str(value).isdecimal() else 0
