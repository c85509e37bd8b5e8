"""What senders get over real sockets: what is taken, what is refused, and how they are told to come again."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

from tests.otel_setup.hub.app_client import PROTOBUF, served, serving
from tests.otel_setup.hub.app_support import BEGIN_NS, request, sent


def talk(port: int, *pieces: bytes) -> bytes:
    """Says this over a socket of its own, and gives everything that is answered until the other side is done."""
    with closing(socket.create_connection(("127.0.0.1", port), 20)) as connection:
        for piece in pieces:
            connection.sendall(piece)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return answer


def head(method: str = "POST", path: str = "/v1/logs", *lines: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *lines, "", ""]).encode()


async def test_what_is_sent_as_protobuf_or_json_plain_or_packed_is_taken() -> None:
    async with served(None) as hub:
        export = request([sent(1)])
        body = export.SerializeToString()
        attributes = [{"key": "log.record.uid", "value": {"stringValue": sent(3).event_id}}]
        record = {"eventName": "game.started", "timeUnixNano": str(BEGIN_NS), "attributes": attributes}
        as_json = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}).encode()
        packed = gzip.compress(request([sent(2)]).SerializeToString())
        for content, headers in (
            (body, {"content-type": PROTOBUF}),
            (packed, {"content-type": PROTOBUF, "content-encoding": "gzip"}),
            (as_json, {"content-type": "application/json"}),
        ):
            answer = await hub.client.post("/v1/logs", content=content, headers=headers)
            assert answer.status_code == 200
            assert answer.headers["content-type"] == headers["content-type"]
        assert [event.event_id[-2:] for event in hub.hub.stream.read(0)] == ["-1", "-2", "-3"]
        assert answer.json() == {}
        first = await hub.client.post("/v1/logs", content=body, headers={"content-type": PROTOBUF})
        assert ExportLogsServiceResponse.FromString(first.content) == ExportLogsServiceResponse()


async def test_a_body_in_chunks_is_taken() -> None:
    body = request([sent(1)]).SerializeToString()

    async def pieces() -> Any:
        yield body[:10]
        yield body[10:]

    async with served(None) as hub:
        answer = await hub.client.post("/v1/logs", content=pieces(), headers={"content-type": PROTOBUF})
        assert answer.status_code == 200
        assert len(hub.hub.stream.read(0)) == 1


@pytest.mark.parametrize(
    ("content", "content_type", "encoding", "status", "reason"),
    [
        (b"\xff\xff", PROTOBUF, "identity", 400, "malformed"),
        (b"{", "application/json", "identity", 400, "malformed"),
        (b"x", PROTOBUF, "gzip", 400, "malformed"),
        (b"", "text/plain", "identity", 415, "media_type"),
        (b"", "", "identity", 415, "media_type"),
        (b"", PROTOBUF, "zstd", 415, "media_type"),
        (b"x" * 2001, PROTOBUF, "identity", 413, "too_large"),
        (gzip.compress(b"\0" * 100_000), PROTOBUF, "gzip", 413, "too_large"),
    ],
)
async def test_what_cannot_be_taken_is_refused_as_otlp_wants_it(
    content: bytes, content_type: str, encoding: str, status: int, reason: str
) -> None:
    async with served(None, max_body_bytes=2000, max_decoded_bytes=4000) as hub:
        answer = await hub.client.post(
            "/v1/logs", content=content, headers={"content-type": content_type, "content-encoding": encoding}
        )
        assert answer.status_code == status
        if content_type == "application/json":
            assert answer.json()["message"]
        else:
            assert answer.headers["content-type"] == PROTOBUF
            assert Status.FromString(answer.content).message
        assert "retry-after" not in answer.headers
        assert hub.hub.counters.refused[reason] == 1
        assert not hub.hub.stream.read(0)


async def test_a_body_that_claims_too_much_is_refused_before_it_is_read() -> None:
    async with served(None, max_body_bytes=2000) as hub:
        asks = head("POST", "/v1/logs", f"Content-Type: {PROTOBUF}", "Content-Length: 2001", "Connection: close")
        assert (await asyncio.to_thread(talk, hub.port, asks)).startswith(b"HTTP/1.1 413 ")


async def test_a_body_without_a_length_is_refused_once_it_is_too_large() -> None:
    """It goes on for ever; the answer comes all the same."""
    asks = head("POST", "/v1/logs", f"Content-Type: {PROTOBUF}", "Transfer-Encoding: chunked", "Connection: close")
    piece = b"400\r\n" + b"x" * 1024 + b"\r\n"
    async with served(None, max_body_bytes=2000) as hub:
        answer = await asyncio.to_thread(talk, hub.port, asks, piece, piece)
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert hub.hub.counters.refused["too_large"] == 1


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    """503 and not 408: a Collector would drop the batch."""
    async with served(None, body_seconds=0.3) as hub:
        asks = head("POST", "/v1/logs", f"Content-Type: {PROTOBUF}", "Content-Length: 100", "Connection: close")
        answer = await asyncio.to_thread(talk, hub.port, asks, b"x" * 10)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1\r\n" in answer
        assert hub.hub.counters.refused["slow_body"] == 1


async def test_a_request_whose_head_does_not_come_is_cut() -> None:
    async with served(None, idle_seconds=0.3) as hub:
        assert await asyncio.to_thread(talk, hub.port, b"GET / HTTP/1.1\r\nHost: 127") == b""


@pytest.mark.parametrize("part", [1.0, 0.5], ids=["whole", "unfinished"])
async def test_a_head_that_is_too_large_is_refused(part: float) -> None:
    asks = head("GET", "/" + "x" * 3000, "Connection: close")
    async with served(None, max_head_bytes=1000) as hub:
        answer = await asyncio.to_thread(talk, hub.port, asks[: round(len(asks) * part)])
        assert answer.startswith(b"HTTP/1.1 431 " if part == 1.0 else b"HTTP/1.1 400 ")
        assert b'{"error"' in answer
        assert sum(hub.hub.counters.refused[reason] for reason in ("head", "malformed")) == 1


async def test_past_the_bound_of_connections_further_ones_are_closed() -> None:
    async with served(None, max_connections=3) as hub, hub.stream(), hub.stream(), hub.stream():
        with pytest.raises(httpx.TransportError):
            await hub.get("/health")
        assert hub.hub.counters.refused["connections"] >= 1


async def test_a_bad_record_among_good_ones_is_told_as_a_partial_success() -> None:
    async with served(None) as hub:
        answer = await hub.send(sent(1), sent(2, producer="x" * 2000 + "-0a1b2c3d"))
        assert answer.status_code == 200
        partial = ExportLogsServiceResponse.FromString(answer.content).partial_success
        assert partial.rejected_log_records == 1
        assert partial.error_message
        assert len(hub.hub.stream.read(0)) == 1
        assert hub.hub.counters.rejected == 1


async def test_while_it_starts_senders_and_readers_are_told_to_come_again() -> None:
    async with serving(None) as hub:
        answers = [
            await hub.send(sent(1)),
            *[
                await hub.get(path)
                for path in ("/events", "/events/stream", "/views/rooms", "/views/rooms/room", "/producers", "/health")
            ],
        ]
        assert [answer.status_code for answer in answers] == [503] * len(answers)
        assert answers[0].headers["retry-after"] == "1"
        assert Status.FromString(answers[0].content).message.startswith("starting")
        assert (await hub.get("/health")).json()["status"] == "starting"
        assert (await hub.get("/metrics")).status_code == 200
        await hub.hub.start()
        assert (await hub.send(sent(1))).status_code == 200
        assert (await hub.get("/health")).json()["status"] == "ok"


async def test_while_it_is_full_senders_are_told_to_come_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gate = threading.Event()
    async with served(tmp_path, intake_batches=1) as hub:
        log = hub.hub.log
        assert log is not None
        append = log.append
        monkeypatch.setattr(log, "append", lambda entries: (gate.wait(20), append(entries)))
        tasks = [asyncio.create_task(hub.send(sent(1)))]
        async with asyncio.timeout(20):
            while not (hub.hub.health()["waiting_bytes"] and not hub.hub.health()["waiting_batches"]):
                await asyncio.sleep(0.005)
            tasks.append(asyncio.create_task(hub.send(sent(2))))
            while hub.hub.status != "full":
                await asyncio.sleep(0.005)
        refused = await hub.send(sent(3))
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        health = await hub.get("/health")
        assert (health.status_code, health.json()["status"]) == (200, "full")
        gate.set()
        assert [answer.status_code for answer in await asyncio.gather(*tasks)] == [200, 200]


async def test_while_the_disk_is_full_senders_are_told_to_come_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with served(tmp_path) as hub:
        log = hub.hub.log
        assert log is not None

        def full(entries: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(log, "append", full)
            refused = await hub.send(sent(1))
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            assert "No space left" in Status.FromString(refused.content).message
            health = await hub.get("/health")
            assert (health.status_code, health.json()["status"]) == (503, "failing")
        answer = await hub.send(sent(1))
        assert answer.status_code == 200
        assert len(hub.hub.stream.read(0)) == 1
