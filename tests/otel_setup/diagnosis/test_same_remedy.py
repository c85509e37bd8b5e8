"""The line that a running process logs says the same remedy as ``check``, and says it once."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

import otel_setup
from otel_setup import get_enterprise_monitor
from otel_setup.cli import check
from otel_setup.testing import fresh_telemetry
from tests.otel_setup.diagnosis.servers import answering, closes, garbage, hangs, silent_port, talking


@contextmanager
def nobody() -> Iterator[str]:
    yield f"http://127.0.0.1:{silent_port()}"


@contextmanager
def a_plain_server_for_tls() -> Iterator[str]:
    with answering(200) as url:
        yield url.replace("http:", "https:")


@contextmanager
def speaking(talk: Callable[..., None]) -> Iterator[str]:
    with talking(talk) as port:
        yield f"http://127.0.0.1:{port}"


SERVERS: dict[str, Callable[[], AbstractContextManager[str]]] = {
    "301": lambda: answering(301, {"Location": "https://elsewhere.example/"}),
    "401": lambda: answering(401),
    "404": lambda: answering(404),
    "413": lambda: answering(413),
    "500": lambda: answering(500),
    "503": lambda: answering(503),
    "503, later": lambda: answering(503, {"Retry-After": "30"}),
    "closes": lambda: speaking(closes),
    "garbage": lambda: speaking(garbage),
    "hangs": lambda: speaking(hangs),
    "nobody": nobody,
    "plain for TLS": a_plain_server_for_tls,
}
ONLY_HTTP = {"301", "401", "404", "413", "500", "503", "503, later"}
CASES = [
    (name, protocol)
    for name in SERVERS
    for protocol in ("http/protobuf", "grpc")
    if protocol != "grpc" or name not in ONLY_HTTP
]


@pytest.mark.parametrize(("name", "protocol"), CASES)
async def test_the_log_and_the_check_agree(
    name: str, protocol: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO, "otel_setup.export")
    with SERVERS[name]() as url:
        assert check.main(["--collector", url, "--protocol", protocol, "--format", "json", "--timeout", "4"]) == 1
        remedy = next(step["remedy"] for step in json.loads(capsys.readouterr().out)["steps"] if step["remedy"])
        with fresh_telemetry():
            telemetry = otel_setup.configure(
                collector=url, protocol=protocol, traces=False, metrics=False, export_timeout=4, control_socket=False
            )
            for room in range(3):
                await get_enterprise_monitor().record_room_created(f"r{room}")
            deadline = time.monotonic() + 30
            while not caplog.messages and time.monotonic() < deadline:
                time.sleep(0.02)
            telemetry.shutdown(0.1)
    (said,) = caplog.messages
    assert remedy in said
