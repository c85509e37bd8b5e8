"""A game that reports to a Collector, and what its server itself knows of the spans that it ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import format_trace_id

import otel_setup
from otel_setup.config import Resolved, Settings
from otel_setup.sdk.providers import Additions
from otel_setup.telemetry import diverted
from otel_setup.testing import fresh_telemetry
from tests.e2e.play import play_everything
from tests.e2e.support import METRIC_INTERVAL, SETTLE_SECONDS

LAST_WORD = "the game is over"
"""What the game itself logs when it has ended."""


class _Witness:
    """Keeps the spans beside their export, and leaves everything else as it is."""

    def __init__(self) -> None:
        self.spans = InMemorySpanExporter()

    def adapted(self, resolved: Resolved) -> Resolved:
        return resolved

    def additions(self, _settings: Settings) -> Additions:
        return Additions(span_processors=(SimpleSpanProcessor(self.spans),))


def play_witnessed(
    collector: str, headers: Mapping[str, str], game: str = "game1", room: str = "room1", **options: Any
) -> list[ReadableSpan]:
    """A game of which everything was sent, by a server that has ended since; the spans that it ended.

    :param collector: where it sends
    :param headers: what it sends with each request
    :param options: further ones of ``configure()``
    """
    witness = _Witness()
    with fresh_telemetry(), diverted(witness):
        telemetry = otel_setup.configure(
            collector=collector,
            headers=headers,
            metric_interval=METRIC_INTERVAL,
            pseudonyms=False,
            **options,
        )
        asyncio.run(play_everything(otel_setup.get_enterprise_monitor(), game, room))
        logging.getLogger("game").warning(LAST_WORD)
        assert telemetry.shutdown(SETTLE_SECONDS)
    return list(witness.spans.get_finished_spans())


def trace_id(span: ReadableSpan) -> str:
    """Its trace's id, as stores write it."""
    return format_trace_id(span.get_span_context().trace_id)
