"""Hostile names, and what an exporter sends of records that are full of them."""

from __future__ import annotations

import json
import traceback
from typing import Any
from urllib.parse import quote

from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, Status, StatusCode

KEY = b"a key for tests, and for nothing else"

SHAPES = (
    "Ada{n}",
    "Max {n} Mustermann",
    "O'Neil-{n}",
    '"quoted{n}"',
    "back\\slash{n}",
    "小明{n}号",
    "{n}🎮🎮",
    "ünïcödé{n}",
    "a.b{n}.c",
    "<script>x{n}</script>",
    "new\nline{n}",
    "nul\x00byte{n}",
    "bidi\u202eover{n}",
    "p_0123456789abcd{n:02x}",
    "user{n}@mail.example",
    "$(rm -rf {n})",
    "((({n}|.*)+)+)",
    "%41percent{n}",
    "tab\tbed {n}",
    "long{n} " + "x y" * 3000,
)
NAMES = tuple(SHAPES[n % len(SHAPES)].format(n=n + 100) for n in range(100))
"""A hundred names as players may choose them: quotes, control characters, scripts, look-alikes, 9 kB."""


def forms(name: str) -> set[bytes]:
    """How a name may look in what is sent: as it is, and as ``repr``, JSON and URLs write it."""
    texts = {name, repr(name)[1:-1], json.dumps(name)[1:-1], quote(name, safe="")}
    return {text.encode("utf-8", "replace") for text in texts}


def spans_about(name: str) -> list[ReadableSpan]:
    """Spans as the SDK ends them, with a name in every place that takes text."""
    memory = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": "game"}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    link = Link(SpanContext(1, 2, is_remote=False), {"about": f"seat of {name}"})
    span = provider.get_tracer("the game's own").start_span(
        f"kick {name}",
        links=[link],
        attributes={"player.id": name, "note": f"({name})", "others": [name, "x"], f"score.{name}": 1},
    )
    span.add_event(f"{name} left", {"who": name, "url.path": f"/players/{quote(name, safe='')}"})
    span.record_exception(_error(name))
    span.set_status(Status(StatusCode.ERROR, f"{name!r} is gone"))
    span.end()
    return list(memory.get_finished_spans())


def logs_about(name: str) -> list[ReadableLogRecord]:
    """Log records as the SDK makes them, with a name in every place that takes text."""
    memory = InMemoryLogRecordExporter()
    provider = LoggerProvider(resource=Resource({"service.name": "game"}), shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(memory))
    error = _error(name)
    attributes: dict[str, Any] = {
        "game.id": "game123",
        "player.id": name,
        "game.winner_id": [name, name],
        "game.final_scores": {name: 12},
        "game.seats": [{"player": name, "is_bot": False}],
        "round.starter": name,
        "turn.winner": name,
        "error.message": f"seat of {name}: not there",
        "exception.stacktrace": "".join(traceback.format_exception(error)),
        "event.data": {name: 1, "text": f"{name}, {name}!", "deep": [{"list": [name, {name: name}]}]},
    }
    logger = provider.get_logger("game")
    logger.emit(event_name="game.ended", severity_number=SeverityNumber.INFO, attributes=attributes)
    logger.emit(body=f"{name!r} left; {json.dumps({'player': name})}", attributes={"player_id": name})
    logger.emit(body={"who": name, name: [name.encode("utf-8", "replace")]})
    return [item for item in memory.get_finished_logs() if isinstance(item, ReadableLogRecord)]


def sent_spans(spans: list[ReadableSpan]) -> bytes:
    """The bytes of an OTLP export."""
    return encode_spans(spans).SerializeToString()


def sent_logs(logs: list[ReadableLogRecord]) -> bytes:
    """The bytes of an OTLP export."""
    return encode_logs(logs).SerializeToString()


def _error(name: str) -> Exception:
    try:
        _seat(name)
    except ValueError as error:
        return error
    raise AssertionError


def _seat(name: str) -> None:
    raise ValueError(f"no seat for {name}", name)
