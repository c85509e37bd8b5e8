"""The OpenTelemetry logger that feeds the local stream, with and without a configuration."""

from __future__ import annotations

import pytest
from opentelemetry._logs import LogRecord, SeverityNumber

import otel_setup
from otel_setup.catalogue import Severity
from otel_setup.testing import Recorded


@pytest.mark.parametrize("options", [None, {"collector": False}, {"collector": False, "logs": False}])
def test_a_record_is_an_event_of_the_stream_in_every_mode(telemetry: Recorded, options: dict[str, bool] | None) -> None:
    if options is not None:
        otel_setup.configure(**options)  # type: ignore[arg-type]
    telemetry.monitor.logger.emit(
        event_name="storm.closing",
        severity_number=SeverityNumber.WARN2,
        attributes={"game.id": "g1", "storm.radius": 40},
        timestamp=1_700_000_000_000_000_001,
    )
    (event,) = telemetry.events("storm.closing")
    assert (event.game_id, event.data["storm.radius"]) == ("g1", 40)
    assert event.severity is Severity.WARN
    assert event.timestamp_ns == 1_700_000_000_000_000_001


def test_a_whole_record_with_body_and_exception_keeps_both(telemetry: Recorded) -> None:
    telemetry.monitor.logger.emit(LogRecord(body="the storm closes", exception=ValueError("no storm")))
    (event,) = telemetry.events("log.message")
    assert event.data["body"] == "the storm closes"
    assert (event.data["error.type"], event.data["error.message"]) == ("ValueError", "no storm")
    assert event.timestamp_ns > 0


def test_a_declared_event_moves_its_metric(telemetry: Recorded) -> None:
    telemetry.monitor.logger.emit(event_name="game.started", attributes={"game.id": "g1", "game.player_count": 4})
    assert telemetry.value("liap_tui_games_started_total") == 1
    assert telemetry.value("liap_tui_games_active") == 1
