"""One line when exports begin to fail, with what to do; one when they work again."""

from __future__ import annotations

import logging
import time

import pytest

import otel_setup
from deploy.ports import free_ports
from otel_setup.sdk.export_log import ExportLog, reason_in
from otel_setup.testing import Recorded
from tests.otel_setup.receiver import receiving


def test_the_error_behind_a_retry_tells_more_than_the_giving_up() -> None:
    heard = ["Transient error refused encountered while exporting logs batch, retrying", "Failed, max retries"]
    assert reason_in(heard) == heard[0]
    assert reason_in(["Failed to encode"]) == "Failed to encode"
    assert reason_in([]) == "the exporter gave none"


def test_each_change_of_state_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "otel_setup")
    log = ExportLog()
    for items in (3, 4):
        log.note("http://c/v1/logs", "logs", items, "Connection refused")
    log.note("http://c/v1/traces", "traces", 1, None)
    assert log.failing == {"logs": 7}
    log.note("http://c/v1/logs", "logs", 5, None)
    assert log.failing == {}
    assert [message.split(":")[0] for message in caplog.messages] == [
        "logs do not reach http",
        "logs reach http",
    ]
    assert "7 items were lost meanwhile" in caplog.messages[1]


def test_what_a_server_said_cannot_break_the_line_nor_show_a_password(caplog: pytest.LogCaptureFixture) -> None:
    ExportLog().note(
        "http://user:hush@c/v1/logs?key=hush", "logs", 1, "code: 401, reason: no\x1b[2J\nFAKE" + "x" * 10_000
    )
    (said,) = caplog.messages
    assert "check the option headers" in said
    assert "hush" not in said
    assert "\x1b" not in said
    assert "\n" not in said
    assert len(said) < 1000


@pytest.fixture
def silent_port() -> int:
    return free_ports(1)[0]


async def test_a_dead_collector_is_said_in_one_line_and_the_sdk_repeats_nothing(
    telemetry: Recorded, silent_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    handle = otel_setup.configure(collector=f"http://127.0.0.1:{silent_port}", metrics=False, traces=False)
    for number in range(3):
        await telemetry.monitor.record_game_start(f"g{number}", "r", 4, 0)
    handle.shutdown(0.1)
    deadline = time.monotonic() + 60
    while not handle.core.exports.log.failing and time.monotonic() < deadline:
        time.sleep(0.05)
    said = [record for record in caplog.records if record.name.startswith(("otel_setup.export", "opentelemetry.ex"))]
    assert [record.name for record in said] == ["otel_setup.export"]
    assert "nothing listens there: is the Collector running" in said[0].getMessage()
    assert handle.core.exports.log.failing == {"logs": handle.core.exports.failed["logs"]}


async def test_nothing_is_said_while_all_is_well(telemetry: Recorded, caplog: pytest.LogCaptureFixture) -> None:
    with receiving() as receiver:
        handle = otel_setup.configure(collector=receiver.url)
        await telemetry.monitor.record_game_start("g", "r", 4, 0)
        assert handle.shutdown(10)
    assert [record for record in caplog.records if record.name == "otel_setup.export"] == []
