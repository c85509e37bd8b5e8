"""Reading the Collector's files; the records are written by hand after the OTLP specification's JSON encoding."""

from __future__ import annotations

import json
from pathlib import Path

from deploy import otlp_json

RESOURCE = {"attributes": [{"key": "service.name", "value": {"stringValue": "arena"}}]}
SCOPE = {"name": "monitor"}


def write(path: Path, *requests: object, tail: str = "") -> Path:
    path.write_text("".join(json.dumps(request) + "\n" for request in requests) + tail)
    return path


def logs(*names: str) -> dict[str, object]:
    records = [{"eventName": name} for name in names]
    return {"resourceLogs": [{"resource": RESOURCE, "scopeLogs": [{"scope": SCOPE, "logRecords": records}]}]}


def names(path: Path) -> list[str]:
    return [record.data["eventName"] for record in otlp_json.log_records(path)]


def test_attributes_of_every_type_become_plain_values() -> None:
    encoded = [
        {"key": "text", "value": {"stringValue": "a"}},
        {"key": "integer", "value": {"intValue": "9007199254740993"}},
        {"key": "double", "value": {"doubleValue": 0.5}},
        {"key": "flag", "value": {"boolValue": False}},
        {"key": "list", "value": {"arrayValue": {"values": [{"intValue": "1"}, {"stringValue": "b"}]}}},
        {"key": "map", "value": {"kvlistValue": {"values": [{"key": "score", "value": {"intValue": "51"}}]}}},
        {"key": "empty list", "value": {"arrayValue": {}}},
        {"key": "nothing", "value": {}},
    ]
    assert otlp_json.attributes({"attributes": encoded}) == {
        "text": "a",
        "integer": 9007199254740993,
        "double": 0.5,
        "flag": False,
        "list": [1, "b"],
        "map": {"score": 51},
        "empty list": [],
        "nothing": None,
    }


def test_points_of_every_kind_carry_their_metric_and_value(tmp_path: Path) -> None:
    metrics = [
        {"name": "a", "unit": "{game}", "sum": {"isMonotonic": True, "dataPoints": [{"asInt": "3"}]}},
        {"name": "b", "gauge": {"dataPoints": [{"asDouble": 1.5}, {}]}},
        {"name": "c", "unit": "s", "histogram": {"dataPoints": [{"count": "4", "sum": 2.0}]}},
        {"name": "d", "exponentialHistogram": {"dataPoints": [{"count": "5"}]}},
    ]
    body = {"resourceMetrics": [{"resource": RESOURCE, "scopeMetrics": [{"scope": SCOPE, "metrics": metrics}]}]}
    points = otlp_json.points(write(tmp_path / "metrics.jsonl", body))
    assert [(point.metric["name"], point.metric["kind"], point.value) for point in points] == [
        ("a", "sum", 3.0),
        ("b", "gauge", 1.5),
        ("b", "gauge", 0.0),
        ("c", "histogram", 4.0),
        ("d", "exponentialHistogram", 5.0),
    ]
    assert points[0].metric["isMonotonic"] is True
    assert points[0].metric["unit"] == "{game}"
    assert (points[0].resource, points[0].scope) == ({"service.name": "arena"}, "monitor")


def test_a_line_still_being_written_is_left_for_later(tmp_path: Path) -> None:
    path = write(tmp_path / "logs.jsonl", logs("first"), tail=json.dumps(logs("second"))[:-1])
    assert names(path) == ["first"]


def test_rotated_files_are_read_first_and_in_order(tmp_path: Path) -> None:
    write(tmp_path / "logs-2026-11-02T00-00-00.000-size.jsonl", logs("two"))
    write(tmp_path / "logs-2026-11-01T00-00-00.000-size.jsonl", logs("one"))
    assert names(write(tmp_path / "logs.jsonl", logs("three"))) == ["one", "two", "three"]


def test_no_file_yet_means_nothing_yet(tmp_path: Path) -> None:
    assert otlp_json.spans(tmp_path / "traces.jsonl") == []
