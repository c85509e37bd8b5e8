"""Mutates export requests and gives them to the hub's decoder, for a while: `python -m tests.drills.receiver_fuzz`.

Runs add up: bodies that led to an answer of a new kind are kept and mutated further, counts go on from the last run. A
body that ends the process is found in the file `current` by the next run.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import random
import re
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from otel_setup.hub.otlp import JSON, PROTOBUF, Decoded, Limits, Refused, decode

SECONDS_A_BODY = 2.0
"""Of the processor."""
MEGABYTES = 400
"""How much the process may grow."""
MAX_BODY = 64 * 1024
MAX_KEPT = 2000
KINDS = {".pb": PROTOBUF, ".json": JSON}
LIMITS = Limits()
SMALL = Limits(
    max_decoded_bytes=2000, max_records=3, max_values=60, max_attributes=3, max_depth=2, max_record_bytes=300
)

Body = tuple[bytes, str]


class Fuzz:
    """One run.

    Parameters:
        corpus: a folder of bodies to begin with, by the suffixes of KINDS.
        state: a folder for what is kept from run to run.
    """

    def __init__(self, corpus: Path, state: Path) -> None:
        self.state = state
        self.kept = state / "kept"
        self.kept.mkdir(parents=True, exist_ok=True)
        self.account: dict[str, Any] = {"runs": 0, "executions": 0, "seconds": 0.0, "seen": [], "findings": []}
        if (state / "account.json").exists():
            self.account |= json.loads((state / "account.json").read_text())
        self.seen = set(self.account["seen"])
        self.random = random.Random(self.account["runs"])  # noqa: S311 - that a run can be repeated
        paths = sorted(corpus.iterdir()) + sorted(self.kept.iterdir())
        self.bodies: list[Body] = [(path.read_bytes(), KINDS[path.suffix]) for path in paths]
        self.slowest = 0.0
        self._current = os.open(state / "current", os.O_RDWR | os.O_CREAT, 0o600)

    def run(self, seconds: float) -> None:
        """Goes on for so long, or until the first ten findings."""
        self._died_last_time()
        begun, executions = time.monotonic(), 0
        grown = _resident()
        for body, content_type in self.bodies:
            self._try(body, content_type, "", LIMITS)
        while time.monotonic() < begun + seconds and len(self.account["findings"]) < 10:
            body, content_type = self._mutated()
            executions += 1
            limits = SMALL if executions % 8 == 0 else LIMITS
            self._try(body, content_type, self._encoding(), limits)
            if executions % 256 == 0 and _resident() > grown + MEGABYTES:
                self._found("memory", body, content_type, f"{_resident() - grown} MB")
                grown = _resident()
        os.ftruncate(self._current, 0)
        self.account["runs"] += 1
        self.account["executions"] += executions
        self.account["seconds"] = round(self.account["seconds"] + time.monotonic() - begun, 1)
        self.account["seen"] = sorted(self.seen)
        self.account["last"] = {
            "executions": executions,
            "slowest_ms": round(self.slowest * 1000, 1),
            "grown_mb": _resident() - grown,
            "bodies": len(self.bodies),
        }
        (self.state / "account.json").write_text(json.dumps(self.account, indent=1))

    # --- one body ---------------------------------------------------------------------------------------------------

    def _try(self, body: bytes, content_type: str, encoding: str, limits: Limits) -> None:
        os.pwrite(self._current, body, 0)
        os.ftruncate(self._current, len(body))
        sent = self._packed(body) if encoding == "gzip" else body
        begun = time.process_time()  # what it costs, whatever else the machine does
        try:
            decoded = decode(sent, content_type, encoding, limits)
        except Refused as refused:
            answer = f"{refused.status} {refused.message}"
            if limits is LIMITS and sent is body and self._is_request(body, content_type) and "wire type" not in answer:
                self._found("refused", body, content_type, answer)
        except BaseException as error:
            self._found("crash", body, content_type, f"{type(error).__name__}: {error}")
            return
        else:
            answer = self._judged(decoded, body, content_type, whole=sent is body and limits is LIMITS)
        took = time.process_time() - begun
        if took > self.slowest:
            self.slowest = took
            (self.state / "slowest").write_bytes(sent)
        if took > SECONDS_A_BODY:
            self._found("slow", body, content_type, f"{took:.1f} s")
        self._keep(answer, body, content_type)

    def _judged(self, decoded: Decoded, body: bytes, content_type: str, *, whole: bool) -> str:
        """The kind of an answer; what is wrong with it is a finding."""
        try:
            for event in decoded.events:
                json.dumps(event.to_dict(), allow_nan=False).encode()
                if not 2000 <= event.timestamp.year < 2100 or (event.event_id and not event.event_id.isprintable()):
                    self._found("event", body, content_type, repr(event)[:500])
        except Exception as error:
            self._found("event", body, content_type, f"{type(error).__name__}: {error}")
        count = len(decoded.events) + decoded.rejected + decoded.ignored
        if whole and content_type == PROTOBUF and (request := _request(body)) is not None:
            expected = sum(len(scope.log_records) for logs in request.resource_logs for scope in logs.scope_logs)
            if count != expected:
                self._found("count", body, content_type, f"{count} records of {expected}")
        shapes = sorted({_shape(event.data) for event in decoded.events[:3]})
        numbers = min(len(decoded.events), 3), min(decoded.rejected, 2), min(decoded.ignored, 2)
        return f"200 {numbers} {decoded.attributes_dropped > 0} {decoded.reason} {shapes}"

    def _is_request(self, body: bytes, content_type: str) -> bool:
        return content_type == PROTOBUF and _request(body) is not None

    def _keep(self, answer: str, body: bytes, content_type: str) -> None:
        kind = re.sub(r"\d+", "0", f"{content_type} {answer}")[:300]
        digest = hashlib.sha256(kind.encode("utf-8", "replace")).hexdigest()[:16]
        if digest in self.seen or len(self.bodies) >= MAX_KEPT:
            return
        self.seen.add(digest)
        self.bodies.append((body, content_type))
        suffix = next(suffix for suffix, known in KINDS.items() if known == content_type)
        (self.kept / f"{digest}{suffix}").write_bytes(body)

    def _found(self, what: str, body: bytes, content_type: str, detail: str) -> None:
        digest = hashlib.sha256(body).hexdigest()[:16]
        (self.state / f"finding-{what}-{digest}").write_bytes(body)
        self.account["findings"].append({"what": what, "body": digest, "type": content_type, "detail": detail[:500]})

    def _died_last_time(self) -> None:
        if left := os.pread(self._current, MAX_BODY * 4, 0):
            self._found("death", left, "?", "the last run ended while it decoded this, or was ended from outside")

    # --- mutations --------------------------------------------------------------------------------------------------

    def _mutated(self) -> Body:
        body, content_type = self.random.choice(self.bodies)
        if content_type == JSON and self.random.random() < 0.6:
            body = self._other_json(body)
        for _ in range(self.random.choice((1, 1, 1, 2, 4, 16))):
            body = self.random.choice(self._mutations)(self, body)
        return body[:MAX_BODY], content_type

    def _flip(self, body: bytes) -> bytes:
        at = self.random.randrange(len(body) + 1)
        return body[:at] + bytes([self.random.randrange(256)]) + body[at + 1 :]

    def _insert(self, body: bytes) -> bytes:
        at = self.random.randrange(len(body) + 1)
        return body[:at] + self.random.choice(_INTERESTING) + body[at:]

    def _remove(self, body: bytes) -> bytes:
        start, end = self._span(body)
        return body[:start] + body[end:]

    def _repeat(self, body: bytes) -> bytes:
        start, end = self._span(body)
        return body[:end] + body[start:end] * self.random.choice((1, 2, 50)) + body[end:]

    def _cut(self, body: bytes) -> bytes:
        return body[: self.random.randrange(len(body) + 1)]

    def _splice(self, body: bytes) -> bytes:
        other = self.random.choice(self.bodies)[0]
        start, end = self._span(other)
        at = self.random.randrange(len(body) + 1)
        return body[:at] + other[start:end] + body[at:]

    def _whole_field(self, body: bytes) -> bytes:
        """Replaces what stands behind a length in protobuf, and corrects that length (and not those around it)."""
        at = self.random.randrange(len(body) + 1)
        content = self.random.choice(_INTERESTING) * self.random.choice((1, 1, 20))
        return body[:at] + b"\x0a" + bytes([len(content) & 0x7F]) + content + body[at:]

    def _span(self, body: bytes) -> tuple[int, int]:
        start = self.random.randrange(len(body) + 1)
        return start, min(len(body), start + self.random.choice((1, 2, 8, 64, 500)))

    def _other_json(self, body: bytes) -> bytes:
        """The same with one value or key exchanged, where it is JSON."""
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            return body
        holder = {"all": value}
        places: list[tuple[Any, Any]] = [(holder, "all")]
        for container, key in places:
            inner = container[key]
            if isinstance(inner, dict | list) and len(places) < 2000:
                places += [(inner, name) for name in (inner if isinstance(inner, dict) else range(len(inner)))]
        container, key = self.random.choice(places)
        if isinstance(container, dict) and container is not holder and self.random.random() < 0.3:
            container[self.random.choice(_NAMES)] = container.pop(key)
        elif self.random.random() < 0.2:
            for _ in range(self.random.choice((1, 5, 40, 200))):
                container[key] = {"arrayValue": {"values": [container[key]]}}
        else:
            container[key] = self.random.choice(_VALUES)
        try:
            return json.dumps(holder["all"]).encode()
        except (ValueError, RecursionError):
            return body

    _mutations: tuple[Callable[[Fuzz, bytes], bytes], ...] = (
        _flip,
        _flip,
        _insert,
        _remove,
        _repeat,
        _cut,
        _splice,
        _whole_field,
    )

    def _encoding(self) -> str:
        return "gzip" if self.random.random() < 0.2 else ""

    def _packed(self, body: bytes) -> bytes:
        packed = gzip.compress(body, 1)
        return packed if self.random.random() < 0.5 else self.random.choice(self._mutations)(self, packed)


_INTERESTING = (
    *(bytes([byte]) for byte in (0, 1, 0x7F, 0x80, 0xFF, 0x0A, 0x12, 0x1A, 0x32, 0x2A, 0x22, 0x5B, 0x7B)),
    b"\xff" * 9 + b"\x01",
    b"\xff" * 9 + b"\x7f",
    b"\x80" * 9 + b"\x02",
    b"\xff\xff\xff\xff\x0f",
    b"\x0a\x00" * 40,
    b"\x2a\x02" * 40,
    b"\xed\xa0\x80",
    b"\xe2\x80\xae",
    b"\xf0\x9f\x98\x80",
    b"\\ud800",
    b"\\u0000",
    b"NaN",
    b"1e999",
    b"9" * 400,
    b"-0",
    b"null",
    b"[" * 300,
    b'{"":' * 300,
    b"\x01" * 3000,
    b"log.record.uid",
    b"event.data",
    b"game.final_scores",
)
_NAMES = (
    *("resourceLogs", "scopeLogs", "logRecords", "log_records", "attributes", "resource", "eventName", "event_name"),
    *("key", "value", "values", "arrayValue", "kvlistValue", "stringValue", "intValue", "doubleValue", "bytesValue"),
    *("boolValue", "timeUnixNano", "severityNumber", "traceId", "spanId", "body", "", "x"),
)
_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 2**53, 2**63, -(2**63), 2**64, 10**30, 10**400, 1e308, float("nan"), float("inf")),
    *("", "x", "\ud800", "\x00", "\u202e", "x" * 10_000, "\x01" * 3000, "0", "-1", "1e3", "0x1", "NaN", "Infinity"),
    *("9" * 5000, "ff" * 16, "0" * 32, "ü" * 600, "game.ended", "log.record.uid", "a-b-1"),
    *([], {}, [[]], [{}], {"": {}}, [None], {"values": 7}, {"stringValue": "x"}, {"intValue": "x"}, [0] * 500),
    {f"k{number}": {} for number in range(300)},
)


def _request(body: bytes) -> ExportLogsServiceRequest | None:
    try:
        return ExportLogsServiceRequest.FromString(body)
    except DecodeError:
        return None


def _shape(value: Any, depth: int = 2) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(sorted({_shape(item, depth - 1) for item in value.values()})) + "}" if depth else "{"
    if isinstance(value, list):
        return "[" + ",".join(sorted({_shape(item, depth - 1) for item in value})) + "]" if depth else "["
    return type(value).__name__


def _resident() -> int:
    """The most that this process ever held, megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> int:
    """Runs it; 1 where something was found, in this run or before."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("state", type=Path)
    parser.add_argument("seconds", type=float)
    options = parser.parse_args()
    os.nice(10)
    fuzz = Fuzz(options.corpus, options.state)
    fuzz.run(options.seconds)
    print(json.dumps({key: value for key, value in fuzz.account.items() if key != "seen"}, indent=1))
    return 1 if fuzz.account["findings"] else 0


if __name__ == "__main__":
    sys.exit(main())
