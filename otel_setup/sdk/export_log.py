"""What is said about exports: one line when they begin to fail, with what to do, and one when they work again.

The exporters of the SDK log every attempt. What they say is heard here instead of in the application's log, and the
last of it becomes the reason in our one line; nothing is lost by it but repetition.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator, Sequence

from otel_setup.diagnosis.problems import REMEDIES, one_line, problem_of, shown_url

_logger = logging.getLogger("otel_setup.export")
_SDK_LOGGERS = (
    "opentelemetry.exporter.otlp.common.http",
    "opentelemetry.exporter.otlp.proto.grpc.exporter",
    "opentelemetry.exporter.otlp.proto.http._log_exporter",
    "opentelemetry.exporter.otlp.proto.http.metric_exporter",
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
)
_TELLING = ("Transient error", "reason:", "error details:")


def reason_in(heard: Sequence[str]) -> str:
    """Of what an exporter said during one export, what tells most: the error behind a retry before the giving up."""
    telling = [said for said in heard if any(sign in said for sign in _TELLING)]
    return (telling or list(heard) or ["the exporter gave none"])[-1]


class ExportLog:
    """Says each change of state once, by signal."""

    def __init__(self) -> None:
        self._failing: dict[str, int] = {}
        self._lock = threading.Lock()

    @property
    def failing(self) -> dict[str, int]:
        """Signals whose last export failed, with the items lost since the last that arrived."""
        with self._lock:
            return dict(self._failing)

    def note(self, endpoint: str, signal: str, items: int, reason: str | None) -> None:
        """Takes the outcome of one export in.

        Parameters:
            endpoint: where it went.
            signal: traces, metrics or logs.
            items: spans, points or records in it.
            reason: what the exporter said about its failure; None where it succeeded.
        """
        with self._lock:
            before = self._failing.get(signal)
            if reason is not None:
                self._failing[signal] = (before or 0) + items
            elif before is not None:
                del self._failing[signal]
        if reason is not None and before is None:
            _logger.warning(
                "%s do not reach %s: %s. Reason: %s. Said once; the game goes on, losses are counted in "
                "otel_setup.export.failures. To look closer: python -m otel_setup check",
                signal,
                shown_url(endpoint),
                REMEDIES[problem_of(reason)],
                one_line(reason).rstrip("."),
            )
        elif reason is None and before is not None:
            _logger.warning("%s reach %s again; %d items were lost meanwhile.", signal, shown_url(endpoint), before)


class _Ears(logging.Filter):
    """Takes what the SDK's exporters say in a thread that listens; other threads' records pass."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        heard: list[str] | None = getattr(self._thread, "heard", None)
        if heard is None:
            return True
        heard.append(record.getMessage())
        return False

    def hear(self, said: str) -> None:
        """Takes in what else was said in this thread, if it listens."""
        heard: list[str] | None = getattr(self._thread, "heard", None)
        if heard is not None:
            heard.append(said)

    @contextlib.contextmanager
    def listening(self) -> Iterator[list[str]]:
        """What is said in this thread during the block, oldest first."""
        heard: list[str] = []
        self._thread.heard = heard
        try:
            yield heard
        finally:
            self._thread.heard = None


_ears = _Ears()
for _name in _SDK_LOGGERS:
    # First, before the SDK's own filter for duplicates, which would keep a repeated reason from us.
    logging.getLogger(_name).filters.insert(0, _ears)

listening = _ears.listening
hear = _ears.hear
