"""What clients write into headers, byte by byte: it begins anew or is cleaned, and never comes back as it was."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from fastapi import FastAPI, WebSocket

from otel_setup import EventType
from otel_setup.asgi import ObservabilityMiddleware
from otel_setup.testing import Recorded
from tests.otel_setup.asgi.support import PARENT, SERVER, TRACE, TRACEPARENT, Exported, asked, attributes_of, serving

MARK = b"smuggled"
GENERATED = re.compile(rb"corr_[0-9a-f]{16}")
CORRELATION_LINES = [
    b"X-Correlation-ID: a\r\n Set-Cookie: smuggled=1",  # a folded line (RFC 9112, 5.2)
    b"X-Correlation-ID: a\nSet-Cookie: smuggled=1",
    b"X-Correlation-ID: a\rSet-Cookie: smuggled=1",
    b"X-Correlation-ID: a%0d%0aSet-Cookie: smuggled=1",
    b"X-Correlation-ID: a\\r\\nSet-Cookie: smuggled=1",
    b"X-Correlation-ID: smuggled\x00",
    b"X-Correlation-ID: \x1b[31msmuggled\x07",
    b"X-Correlation-ID: \xe2\x80\xaesmuggled",
    b"X-Correlation-ID: \xffsmuggled",
    b"X-Correlation-ID: " + MARK * 1_250,
    b"X-Correlation-ID: " + MARK * 600,
    b"X-Correlation-ID: smuggled smuggled",
    b"X-Correlation-ID: smuggled,smuggled",
    b"X-Correlation-ID: <smuggled>\r\nX-Correlation-ID: \xe2\x80\xaesmuggled",
]
TRACE_LINES = [
    b"traceparent: " + MARK,
    b"traceparent: " + b"0" * 10_000,
    b"traceparent: \x00\r\ntracestate: \xff",
    b"traceparent: " + TRACEPARENT.encode() + b"\r\ntraceparent: " + TRACEPARENT.encode(),
    b"tracestate: " + b"a=1," * 2_500,
    b"tracestate: " + b"a=1," * 1_000,
    b"baggage: " + b"a=%0d%0aSet-Cookie:smuggled=1," * 400,
    b"baggage: " + b"a=%0d%0aSet-Cookie:smuggled=1," * 100,
]
HANDSHAKE = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


def app(*, instruments_itself: bool = True) -> Any:
    app = FastAPI(telemetry={"operation_spans": False, "tracing": instruments_itself})

    @app.get("/")
    async def root() -> str:
        return "fine"

    @app.websocket("/")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close()

    return ObservabilityMiddleware(app)


async def answer_to(address: str, *lines: bytes, socket: bool = False) -> bytes:
    """The head of the server's answer to a request of exactly these bytes."""
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        head = b"\r\n".join([b"GET / HTTP/1.1", b"Host: game.test", *lines, b""])
        writer.write(head + (HANDSHAKE if socket else b"Connection: close\r\n") + b"\r\n")
        async with asyncio.timeout(20):
            return await reader.readuntil(b"\r\n\r\n")
    finally:
        writer.close()
        await writer.wait_closed()


def bytes_for(lines: list[bytes], *, socket: bool) -> list[bytes]:
    """Those to which a server answers: uvicorn's handshakes leave control characters and lines of 8 kB unanswered."""
    return [line for line in lines if not socket or (len(line) < 8192 and b"\x07" not in line)]


@pytest.mark.parametrize("socket", [False, True], ids=["http", "websocket"])
async def test_a_hostile_correlation_id_never_comes_back(exported: Exported, socket: bool) -> None:
    lines = bytes_for(CORRELATION_LINES, socket=socket)
    served = 0
    async with serving(app(), http="h11") as address:
        for line in lines:
            answer = await answer_to(address, line, socket=socket)
            assert MARK not in answer, line
            status = answer.split(b" ", 2)[1]
            if status == b"400":  # the server refuses the bytes, and they never get here
                continue
            served += 1
            assert status in (b"200", b"101"), line
            (answered,) = re.findall(rb"(?im)^x-correlation-id: (.*?)\r$", answer)
            assert GENERATED.fullmatch(answered) or (answered, line[:19]) == (b"a", b"X-Correlation-ID: a"), line
    assert served >= len(lines) - 2
    spans = exported.spans()
    assert len(spans) >= served
    assert not [span for span in spans if MARK.decode() in str(span)]


@pytest.mark.parametrize("instruments_itself", [True, False], ids=["by fastapi", "by us"])
@pytest.mark.parametrize("socket", [False, True], ids=["http", "websocket"])
async def test_a_hostile_trace_begins_anew_and_breaks_nothing(
    exported: Exported, socket: bool, instruments_itself: bool
) -> None:
    lines = bytes_for(TRACE_LINES, socket=socket)
    async with serving(app(instruments_itself=instruments_itself), http="h11") as address:
        answers = [await answer_to(address, line, socket=socket) for line in lines]
    served = [answer for answer in answers if answer.split(b" ", 2)[1] in (b"200", b"101")]
    assert len(served) == len(lines) - 1, "a NUL is refused by the server"
    assert not [answer for answer in answers if MARK in answer]
    spans = exported.spans(SERVER)
    assert len(spans) == len(served)
    assert {span.parent_span_id for span in spans} == {b""}
    assert TRACE not in {span.trace_id.hex() for span in spans}
    assert exported.handle.core.faults.counts["tracing"] == 0


@pytest.mark.parametrize(
    "tracestate", ["=", "a=1,a=2", "\x7f=1", "a=" + "x" * 10_000, ",".join(f"k{number}=1" for number in range(100))]
)
async def test_a_hostile_tracestate_leaves_its_traceparent_valid(exported: Exported, tracestate: str) -> None:
    """W3C Trace Context, 3.3: a vendor that cannot parse tracestate discards it, and not the trace."""
    async with asked(ObservabilityMiddleware(FastAPI(telemetry={"tracing": False, "metrics": False}))) as client:
        await client.get("/", headers=[(b"traceparent", TRACEPARENT.encode()), (b"tracestate", tracestate.encode())])
    (span,) = exported.spans(SERVER)
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert len(span.trace_state) <= 512


@pytest.mark.parametrize("instruments_itself", [True, False])
async def test_a_caller_that_does_not_sample_is_obeyed(
    exported: Exported, telemetry: Recorded, instruments_itself: bool
) -> None:
    inner = FastAPI(telemetry={"operation_spans": False, "tracing": instruments_itself})

    @inner.post("/play")
    async def play() -> None:
        async with telemetry.monitor.monitor_action_processing("g", "declare", "ann"):
            pass

    async with asked(ObservabilityMiddleware(inner)) as client:
        for flags in ("00", "01"):
            headers = {"traceparent": TRACEPARENT[:-2] + flags, "X-Correlation-ID": f"flags-{flags}"}
            await client.post("/play", headers=headers)
    assert {attributes_of(span)["correlation.id"] for span in exported.named("action.declare")} == {"flags-01"}
    assert len(exported.spans(SERVER)) == 1
    told = {(event.correlation_id, event.trace_id) for event in telemetry.events(EventType.ACTION_COMPLETED)}
    assert told == {("flags-00", TRACE), ("flags-01", TRACE)}
    assert sum(point.count for point in exported.durations()) == 2, "measured all the same"
