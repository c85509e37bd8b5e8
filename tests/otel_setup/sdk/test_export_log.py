"""One line when exports begin to fail, with what to do; one when they work again."""

from __future__ import annotations

import logging
import socket
import time

import pytest

import otel_setup
from otel_setup.sdk.export_log import ExportLog, reason_in, remedy_for
from otel_setup.testing import Recorded
from tests.otel_setup.receiver import receiving


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("Failed to establish a new connection: [Errno 111] Connection refused", "is the Collector running"),
        ("Failed to resolve 'colector' ([Errno -2] Name or service not known)", "host's name does not resolve"),
        ("Failed to export logs batch code: 401, reason: Unauthorized", "check the option headers"),
        ("Failed to export logs batch code: 404, reason: Not Found", "4317 is OTLP/gRPC"),
        ("Transient error Service Unavailable code: 503", "overloaded"),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed", "TLS does not come about"),
        ("Read timed out. (read timeout=10)", "does not answer in time"),
        ("something else", "see the reason"),
    ],
)
def test_the_remedy_follows_from_the_reason(reason: str, remedy: str) -> None:
    assert remedy in remedy_for(reason)


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


@pytest.fixture
def silent_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


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
