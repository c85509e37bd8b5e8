"""What becomes of exports, counted once each, through the official exporters and a receiver that fails as told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, LogRecordExportResult, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics.export import MetricExportResult

from otel_setup.config.settings import Destination
from otel_setup.sdk import repeating
from otel_setup.sdk.account import ExportCounts
from otel_setup.sdk.exporters import CountedLogs
from otel_setup.sdk.repeating import RepeatingAccount, may_succeed_later
from tests.support.faulty_collector import HANGING, LOGS, OK, Answer, FaultyCollector, faulty_collector

OVERLOADED = Answer(503)
PATIENCE = 60.0


@pytest.fixture
def collector() -> Iterator[FaultyCollector]:
    with faulty_collector() as running:
        yield running


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeating, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(repeating, "LONGEST_PAUSE_SECONDS", 0.02)


def three_records() -> list[ReadableLogRecord]:
    kept = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(kept))
    for body in ("one", "two", "three"):
        provider.get_logger("test").emit(body=body)
    return list(kept.get_finished_logs())


def exporter_to(url: str, counts: ExportCounts, *, timeout: float = 0.5) -> CountedLogs:
    """Its timeout is shorter than the SDK's first pause, so that the SDK gives up at once."""
    destination = Destination(
        endpoint=f"{url}{LOGS}",
        protocol="http/protobuf",
        headers={},
        compression="none",
        timeout=timeout,
        certificate_file="",
        client_certificate_file="",
        client_key_file="",
    )
    return CountedLogs(destination, counts)


def in_a_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_may_be_repeated_is_repeated_until_it_arrives(collector: FaultyCollector, status: int) -> None:
    """OTLP 1.9, "Failures": these four say that the client may try again."""
    counts = ExportCounts()
    collector.answer = Answer(status)
    results: list[LogRecordExportResult] = []
    exporter = exporter_to(collector.url, counts)
    thread = in_a_thread(lambda: results.append(exporter.export(three_records())))
    collector.wait_for(lambda: collector.seen[LOGS] >= 3)
    assert (counts.accepted["logs"], counts.failed["logs"]) == (0, 0)
    assert set(counts.failing_since) == {"logs"}
    collector.answer = OK
    thread.join(PATIENCE)
    assert results == [LogRecordExportResult.SUCCESS]
    assert (counts.accepted["logs"], counts.failed["logs"]) == (3, 0)
    assert [record.body.string_value for record in collector.log_records()] == ["one", "two", "three"]
    assert not counts.failing_since


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 500, 501])
def test_what_would_be_refused_again_is_sent_once(collector: FaultyCollector, status: int) -> None:
    counts = ExportCounts()
    collector.answer = Answer(status)
    assert exporter_to(collector.url, counts).export(three_records()) is LogRecordExportResult.FAILURE
    assert collector.seen[LOGS] == 1
    assert (counts.accepted["logs"], counts.failed["logs"]) == (0, 3)


def test_a_collector_that_comes_back_gets_what_waited(collector: FaultyCollector) -> None:
    counts = ExportCounts()
    exporter = exporter_to(collector.url, counts)
    collector.stop()
    thread = in_a_thread(lambda: exporter.export(three_records()))
    collector.wait_for(lambda: counts.failing_since)
    assert thread.is_alive()
    collector.start()
    thread.join(PATIENCE)
    assert (counts.accepted["logs"], counts.failed["logs"]) == (3, 0)
    assert len(collector.log_records()) == 3


def test_a_collector_that_hangs_is_asked_again(collector: FaultyCollector) -> None:
    counts = ExportCounts()
    collector.answer = HANGING
    exporter = exporter_to(collector.url, counts, timeout=0.1)
    thread = in_a_thread(lambda: exporter.export(three_records()))
    collector.wait_for(lambda: collector.seen[LOGS] >= 2)
    collector.answer = OK
    thread.join(PATIENCE)
    assert (counts.accepted["logs"], counts.failed["logs"]) == (3, 0)


def test_after_long_enough_it_has_failed(collector: FaultyCollector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeating, "RETRY_SECONDS", 0.0)
    counts = ExportCounts()
    collector.answer = OVERLOADED
    own = RepeatingAccount("logs", collector.url, counts, retry_seconds=0.2)
    official = exporter_to(collector.url, ExportCounts())._exporter
    kept = own.kept(lambda: official.export(three_records()), 3, LogRecordExportResult)
    assert kept is LogRecordExportResult.FAILURE
    assert collector.seen[LOGS] > 1
    assert (counts.accepted["logs"], counts.failed["logs"]) == (0, 3)


def test_what_is_never_repeated_is_sent_once() -> None:
    """Metrics: the next collection says the same and more."""
    counts, exports = ExportCounts(), []

    def export() -> MetricExportResult:
        exports.append(1)
        return MetricExportResult.FAILURE

    RepeatingAccount("metrics", "http://nowhere", counts, retry_seconds=0).kept(export, 7, MetricExportResult)
    assert exports == [1]
    assert counts.failed["metrics"] == 7


def test_closed_it_repeats_nothing_and_counts_what_was_under_way(collector: FaultyCollector) -> None:
    counts = ExportCounts()
    collector.answer = OVERLOADED
    exporter = exporter_to(collector.url, counts)
    thread = in_a_thread(lambda: exporter.export(three_records()))
    collector.wait_for(lambda: collector.seen[LOGS] >= 2)
    exporter.shutdown()
    assert (counts.accepted["logs"], counts.failed["logs"]) == (0, 3)
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert (counts.accepted["logs"], counts.failed["logs"]) == (0, 3)


def test_closed_in_a_pause_it_ends_at_once(collector: FaultyCollector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeating, "FIRST_PAUSE_SECONDS", 3600.0)
    counts = ExportCounts()
    collector.answer = OVERLOADED
    own = RepeatingAccount("logs", collector.url, counts, retry_seconds=36_000.0)
    official = exporter_to(collector.url, ExportCounts())._exporter
    thread = in_a_thread(lambda: own.kept(lambda: official.export(three_records()), 3, LogRecordExportResult))
    collector.wait_for(lambda: counts.failing_since)
    own.close()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert counts.failed["logs"] == 3


def test_an_answer_after_the_end_changes_the_account_no_more() -> None:
    counts = ExportCounts()
    own = RepeatingAccount("logs", "http://nowhere", counts)
    inside, go_on = threading.Event(), threading.Event()

    def export() -> LogRecordExportResult:
        inside.set()
        assert go_on.wait(PATIENCE)
        return LogRecordExportResult.SUCCESS

    thread = in_a_thread(lambda: own.kept(export, 5, LogRecordExportResult))
    assert inside.wait(PATIENCE)
    own.close()
    assert (counts.accepted["logs"], counts.failed["logs"]) == (0, 5)
    go_on.set()
    thread.join(PATIENCE)
    assert (counts.accepted["logs"], counts.failed["logs"]) == (0, 5)


def test_an_exporter_that_raises_has_failed() -> None:
    counts = ExportCounts()

    def export() -> LogRecordExportResult:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        RepeatingAccount("logs", "http://nowhere", counts).kept(export, 5, LogRecordExportResult)
    assert counts.failed["logs"] == 5


@pytest.mark.parametrize(
    ("said", "later"),
    [
        # What the SDK's exporter for gRPC says; the codes are those of OTLP, "Failures".
        ("Failed to export logs to x:4317, error code: StatusCode.UNAVAILABLE, error details: gone", True),
        ("Failed to export logs to x:4317, error code: StatusCode.DEADLINE_EXCEEDED, error details: late", True),
        ("Failed to export logs to x:4317, error code: StatusCode.UNAUTHENTICATED, error details: no", False),
        ("Failed to export logs to x:4317, error code: StatusCode.INVALID_ARGUMENT, error details: UNAVAILABLE", False),
        ("Exporter already shutdown, ignoring batch", False),
    ],
)
def test_what_an_exporter_says_tells_whether_there_is_hope(said: str, later: bool) -> None:
    assert may_succeed_later(["something before", said]) is later


def test_silence_leaves_no_hope() -> None:
    assert not may_succeed_later([])
