"""Sockets under a real server, asked by a real client: spans, counts, close codes."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

import pytest
import websockets
from fastapi import FastAPI, WebSocket
from opentelemetry import trace
from opentelemetry.sdk.metrics import Counter as SdkCounter
from opentelemetry.sdk.metrics import Histogram as SdkHistogram
from opentelemetry.sdk.metrics import UpDownCounter as SdkUpDownCounter
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocketDisconnect
from websockets.exceptions import ConnectionClosed, InvalidStatus

import otel_setup
from otel_setup import correlation
from otel_setup.asgi import ObservabilityMiddleware, create_detached_task, message_span, totals
from otel_setup.testing import Recorded
from tests.otel_setup.asgi.support import (
    CONSUMER,
    HOSTILE_TRACEPARENTS,
    INTERNAL,
    PARENT,
    SERVER,
    TRACE,
    TRACEPARENT,
    Exported,
    attributes_of,
    identity,
    linked,
    serving,
    until,
)

WS = "liap_tui_websocket_server"


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    while True:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            return
        await websocket.send({"type": "websocket.send", "text": message.get("text"), "bytes": message.get("bytes")})


async def refuse(websocket: WebSocket) -> None:
    await websocket.close(4001)


async def fail(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.receive_text()
    raise LookupError("no such piece")


async def leave(websocket: WebSocket) -> None:
    await websocket.accept()


async def close(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.close(4000)


async def read_until_gone(websocket: WebSocket) -> None:
    await websocket.accept()
    while True:
        await websocket.receive_text()


ENDPOINTS = {
    "/echo/{room_id}": echo,
    "/refuse": refuse,
    "/fail": fail,
    "/leave": leave,
    "/close": close,
    "/read": read_until_gone,
}


def starlette() -> Any:
    return Starlette(routes=[WebSocketRoute(path, endpoint) for path, endpoint in ENDPOINTS.items()])


def fastapi() -> FastAPI:
    app = FastAPI()
    for path, endpoint in ENDPOINTS.items():
        app.websocket(path)(endpoint)
    return app


def added() -> Any:
    app = fastapi()
    app.add_middleware(ObservabilityMiddleware)
    return app


def value(telemetry: Recorded, name: str, **labels: str) -> float | None:
    return telemetry.value(f"{WS}_{name}", labels)


async def test_short_spans_at_both_ends_of_a_socket(exported: Exported) -> None:
    app = ObservabilityMiddleware(starlette())
    async with serving(app) as address:
        headers = {"traceparent": TRACEPARENT, "X-Correlation-ID": "from-client"}
        async with websockets.connect(f"ws://{address}/echo/r1", additional_headers=headers) as client:
            assert client.response is not None
            assert client.response.headers["x-correlation-id"] == "from-client"
            (connect,) = exported.spans()  # over before the first message
            for _ in range(3):
                await client.send("hello")
                await client.recv()
    (close,) = exported.named("websocket.close")
    assert (connect.name, connect.kind, connect.trace_id.hex(), connect.parent_span_id.hex()) == (
        "websocket.connect",
        SERVER,
        TRACE,
        PARENT,
    )
    told = attributes_of(connect)
    assert told["http.response.status_code"] == 101
    assert (told["http.route"], told["url.path"], told["url.scheme"]) == ("/echo/{room_id}", "/echo/r1", "ws")
    assert (close.kind, close.parent_span_id, linked(close)) == (INTERNAL, b"", [identity(connect)])
    assert close.trace_id != connect.trace_id
    ended = attributes_of(close)
    assert (ended["connection.id"], ended["correlation.id"]) == (told["connection.id"], "from-client")
    assert (ended["connection.close_code"], ended["websocket.messages.received"]) == (1000, 3)
    assert (close.status.code, connect.status.code) == (0, 0)


async def test_a_malformed_traceparent_starts_anew(exported: Exported) -> None:
    async with serving(ObservabilityMiddleware(starlette())) as address:
        for traceparent in HOSTILE_TRACEPARENTS:
            async with websockets.connect(f"ws://{address}/close", additional_headers={"traceparent": traceparent}):
                pass
    connects = exported.named("websocket.connect")
    assert len(connects) == len(HOSTILE_TRACEPARENTS)
    assert {connect.parent_span_id for connect in connects} == {b""}
    assert TRACE not in {connect.trace_id.hex() for connect in connects}


@pytest.mark.parametrize("arrangement", [lambda: ObservabilityMiddleware(fastapi()), added], ids=["around", "added"])
async def test_fastapi_s_own_telemetry_adds_no_second_server_span(exported: Exported, arrangement: Any) -> None:
    async with serving(arrangement()) as address:
        for _ in range(4):
            async with websockets.connect(f"ws://{address}/echo/r1") as client:
                await client.send("x")
                await client.recv()
    assert len(exported.spans(SERVER)) == 4
    assert len(exported.named("websocket.connect")) == 4
    assert len(exported.named("websocket.close")) == 4


@pytest.mark.parametrize("outside", [True, False])
async def test_no_span_is_current_in_a_handler(exported: Exported, telemetry: Recorded, outside: bool) -> None:
    current: list[bool] = []
    app = FastAPI(telemetry={"operation_spans": False})

    @app.websocket("/ws")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        current.append(trace.get_current_span().get_span_context().is_valid)
        async with telemetry.monitor.monitor_action_processing("g", "declare", "ann"):
            pass
        await websocket.close()

    if not outside:
        app.add_middleware(ObservabilityMiddleware)
    served = ObservabilityMiddleware(app) if outside else app
    async with serving(served) as address, websockets.connect(f"ws://{address}/ws") as client:
        with pytest.raises(ConnectionClosed):
            await client.recv()
    assert current == [False]
    (action,) = exported.named("action.declare")
    assert action.parent_span_id == b""


async def test_messages_and_bytes_are_exact_at_any_scrape(exported: Exported, telemetry: Recorded) -> None:
    sent: list[str | bytes] = ["a", "é" * 7, "x" * 5000, b"\x00\xff\xfe", b""]
    sizes = [len(m.encode()) if isinstance(m, str) else len(m) for m in sent]
    async with serving(ObservabilityMiddleware(starlette())) as address:
        async with (
            websockets.connect(f"ws://{address}/echo/1") as one,
            websockets.connect(f"ws://{address}/echo/2") as two,
        ):
            for count, (message, _) in enumerate(zip(sent, sizes, strict=True), start=1):
                for client in (one, two):
                    await client.send(message)
                    assert await client.recv() == message
                assert value(telemetry, "messages_total", direction="receive") == 2 * count
                assert value(telemetry, "io_bytes_total", direction="receive") == 2 * sum(sizes[:count])
            await until(lambda: value(telemetry, "messages_total", direction="transmit") == 2 * len(sent))
            assert value(telemetry, "connections_active") == 2
            assert value(telemetry, "sends_pending") == 0
        await until(lambda: value(telemetry, "connections_active") == 0)
    assert value(telemetry, "io_bytes_total", direction="transmit") == 2 * sum(sizes)
    assert value(telemetry, "handshakes_total", outcome="accepted") == 2
    assert value(telemetry, "closes_total", code="1000") == 2
    # the game reports no sockets here, and nobody else speaks in its name
    assert telemetry.value("liap_tui_websocket_connections_opened_total") == 0


async def _client_closes(client: Any) -> None:
    await client.close(1001)


async def _client_says_nothing(client: Any) -> None:
    client.protocol.send_close()  # a close frame without a code
    for data in client.protocol.data_to_send():
        client.transport.write(data)
    await client.wait_closed()


async def _client_is_cut_off(client: Any) -> None:
    client.transport.abort()
    await client.wait_closed()


async def _client_uses_its_own_code(client: Any) -> None:
    await client.close(4321)


async def _client_waits(client: Any) -> None:
    await client.wait_closed()


async def _client_speaks(client: Any) -> None:
    await client.send("x")
    await client.wait_closed()


@pytest.mark.parametrize("protocol", ["websockets", "websockets-sansio"])
@pytest.mark.parametrize(
    ("path", "act", "code", "label", "error"),
    [
        ("/echo/1", _client_closes, 1001, "1001", None),
        ("/echo/1", _client_says_nothing, 1005, "1005", None),
        ("/echo/1", _client_is_cut_off, 1006, "1006", None),
        ("/echo/1", _client_uses_its_own_code, 4321, "other", None),
        ("/read", _client_closes, 1001, "1001", None),  # Starlette tells the handler by an exception
        ("/close", _client_waits, 4000, "other", None),
        ("/fail", _client_speaks, 1006, "1006", "LookupError"),
        ("/leave", _client_waits, 1006, "1006", None),
    ],
)
async def test_closes_by_code(
    exported: Exported,
    telemetry: Recorded,
    protocol: str,
    path: str,
    act: Any,
    code: int,
    label: str,
    error: str | None,
) -> None:
    async with serving(ObservabilityMiddleware(starlette()), ws=protocol) as address:
        client = await websockets.connect(f"ws://{address}{path}")
        await act(client)
        if path in ("/fail", "/leave"):
            assert client.close_code == code  # what the client saw
        await until(lambda: value(telemetry, "closes_total", code=label) == 1)
    (close,) = exported.named("websocket.close")
    told = attributes_of(close)
    assert (told["connection.close_code"], told.get("error.type")) == (code, error)
    assert close.status.code == (2 if error else 0)


async def test_a_refused_handshake_is_no_connection(exported: Exported, telemetry: Recorded) -> None:
    async with serving(ObservabilityMiddleware(starlette())) as address:
        with pytest.raises(InvalidStatus) as refused:
            await websockets.connect(f"ws://{address}/refuse")
    assert refused.value.response.status_code == 403
    (connect,) = exported.spans()
    assert attributes_of(connect)["http.response.status_code"] == 403
    assert value(telemetry, "handshakes_total", outcome="refused") == 1
    assert value(telemetry, "handshakes_total", outcome="accepted") == 0
    assert value(telemetry, "connections_active") == 0


async def test_handling_time_is_the_time_between_two_reads(exported: Exported, telemetry: Recorded) -> None:
    hold = asyncio.Event()
    loop = asyncio.get_running_loop()
    times: list[float] = []

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive_text()
        times.append(loop.time())
        await hold.wait()
        times.append(loop.time())
        await websocket.receive()

    app = ObservabilityMiddleware(Starlette(routes=[WebSocketRoute("/ws", handler)]))
    async with serving(app) as address, websockets.connect(f"ws://{address}/ws") as client:
        await client.send("x")
        await until(lambda: times)
        loop.call_later(0.2, hold.set)
        await until(lambda: value(telemetry, "handling_time_seconds_total") != 0)
    handled = value(telemetry, "handling_time_seconds_total")
    assert handled is not None
    assert times[1] - times[0] <= handled < times[1] - times[0] + 5  # the wait before the message is not handling


async def test_sends_that_wait_for_a_slow_client_are_seen(exported: Exported, telemetry: Recorded) -> None:
    async def flood(websocket: WebSocket) -> None:
        await websocket.accept()
        await asyncio.gather(*(websocket.send_bytes(b"x" * 1_000_000) for _ in range(20)))
        await websocket.close()

    app = ObservabilityMiddleware(Starlette(routes=[WebSocketRoute("/ws", flood)]))
    async with serving(app) as address, websockets.connect(f"ws://{address}/ws", compression=None) as client:
        await until(lambda: (value(telemetry, "sends_pending") or 0) > 0)
        received = [message async for message in client]
    assert len(received) == 20
    assert value(telemetry, "sends_pending") == 0
    assert value(telemetry, "io_bytes_total", direction="transmit") == 20_000_000


def event_of(payload: str | bytes) -> str:
    event: str = json.loads(payload)["event"]
    return event


async def test_messages_are_counted_by_type_where_the_game_says_how(exported: Exported, telemetry: Recorded) -> None:
    messages = ['{"event": "play"}'] * 3 + ['{"event": "ping"}', '{"event": "hack\u202e"}', "nonsense", "[" * 100_000]
    app = ObservabilityMiddleware(starlette(), message_type=event_of)
    async with serving(app) as address, websockets.connect(f"ws://{address}/echo/1") as client:
        for message in messages:
            await client.send(message)
            await client.recv()
        counted = {"play": 3, "ping": 1, "other": 3}
        for message_type, count in counted.items():
            labels = {"direction": "receive", "message_type": message_type}
            name = "liap_tui_websocket_messages_total"
            await until(lambda n=name, want=labels, c=count: telemetry.value(n, want) == c)
        size = telemetry.value("liap_tui_websocket_io_bytes_total", {"direction": "receive", "message_type": "play"})
        assert size == 3 * len('{"event": "play"}')


async def test_without_being_told_types_the_game_s_message_metrics_stay_the_game_s(
    exported: Exported, telemetry: Recorded
) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        text = await websocket.receive_text()
        await telemetry.monitor.record_socket_message("c", "receive", "play", len(text))
        await websocket.close()

    app = ObservabilityMiddleware(Starlette(routes=[WebSocketRoute("/ws", handler)]))
    async with serving(app) as address, websockets.connect(f"ws://{address}/ws") as client:
        await client.send("12345")
        await client.wait_closed()
    labels = {"direction": "receive", "message_type": "play"}
    assert telemetry.value("liap_tui_websocket_messages_total", labels) == 1
    assert value(telemetry, "messages_total", direction="receive") == 1


async def test_a_new_configuration_counts_from_zero(exported: Exported, telemetry: Recorded) -> None:
    app = ObservabilityMiddleware(starlette())
    async with serving(app) as address, websockets.connect(f"ws://{address}/echo/1") as client:
        for _ in range(5):
            await client.send("x")
            await client.recv()
        assert value(telemetry, "messages_total", direction="receive") == 5
        otel_setup.configure(service="another", collector=exported.receiver.url)
        assert value(telemetry, "messages_total", direction="receive") == 0
        assert value(telemetry, "connections_active") == 1
        await client.send("x")
        await client.recv()
        assert value(telemetry, "messages_total", direction="receive") == 1


@pytest.mark.parametrize("options", [{"traces": False}, {"disabled": True}, None], ids=["untraced", "disabled", "none"])
async def test_sockets_are_measured_whatever_is_configured(telemetry: Recorded, options: Any) -> None:
    if options is not None:
        otel_setup.configure(collector="http://127.0.0.1:9", shutdown_timeout=0.1, **options)
    app = ObservabilityMiddleware(fastapi(), message_type=event_of)
    async with serving(app) as address:
        async with websockets.connect(f"ws://{address}/echo/1") as client:
            for _ in range(3):
                await client.send('{"event": "play"}')
                await client.recv()
            assert value(telemetry, "connections_active") == 1
            await client.close(4321)
        with pytest.raises(InvalidStatus):
            await websockets.connect(f"ws://{address}/refuse")
        await until(lambda: value(telemetry, "connections_active") == 0)
    size = 3 * len('{"event": "play"}')
    for direction in ("receive", "transmit"):
        assert value(telemetry, "messages_total", direction=direction) == 3
        assert value(telemetry, "io_bytes_total", direction=direction) == size
        labels = {"direction": direction, "message_type": "play"}
        assert telemetry.value("liap_tui_websocket_messages_total", labels) == 3
    assert value(telemetry, "handshakes_total", outcome="accepted") == 1
    assert value(telemetry, "handshakes_total", outcome="refused") == 1
    assert value(telemetry, "closes_total", code="other") == 1
    assert (value(telemetry, "handling_time_seconds_total") or 0) > 0
    assert value(telemetry, "sends_pending") == 0
    assert telemetry.value("otel_setup_labels_replaced_total") == 0, "a code of the application is no irregularity"


@pytest.mark.parametrize(("code", "label", "irregular"), [(4321, "other", 0), (3000, "other", 0), (2999, "other", 1)])
async def test_a_code_of_the_application_that_the_game_reports_is_no_irregularity(
    telemetry: Recorded, code: int, label: str, irregular: int
) -> None:
    """RFC 6455, 7.4.2: 3000 to 4999 are of libraries, frameworks, applications; below is the protocol."""
    await telemetry.monitor.record_websocket_event("c", "connect", "r")
    await telemetry.monitor.record_websocket_event("c", "disconnect", "r", {"code": code})
    assert telemetry.value("liap_tui_websocket_closes_total", {"code": label}) == 1
    assert telemetry.value("otel_setup_labels_replaced_total") == irregular


async def test_messages_are_accumulated_and_not_a_call_each(
    telemetry: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted at the SDK's own instruments: nothing is called until a scrape, or until the types are told together."""
    calls: Counter[str] = Counter()

    def counted(kind: Any, method: str) -> None:
        real = getattr(kind, method)

        def call(self: Any, amount: float, attributes: Any = None, context: Any = None) -> None:
            if ".websocket." in self.name and amount:
                calls[self.name] += 1
            real(self, amount, attributes, context)

        monkeypatch.setattr(kind, method, call)

    for kind, method in ((SdkCounter, "add"), (SdkUpDownCounter, "add"), (SdkHistogram, "record")):
        counted(kind, method)
    monkeypatch.setattr(totals, "FLUSH_SECONDS", 3600.0)
    otel_setup.configure(collector=False)
    messages = 500
    for message_type, expected in (
        (None, {}),
        (event_of, dict.fromkeys(("liap_tui.websocket.messages", "liap_tui.websocket.io"), 2)),
    ):
        calls.clear()
        before = value(telemetry, "messages_total", direction="receive") or 0
        async with (
            serving(ObservabilityMiddleware(starlette(), message_type=message_type)) as address,
            websockets.connect(f"ws://{address}/echo/1") as client,
        ):
            for _ in range(messages):
                await client.send('{"event": "play"}')
                await client.recv()
            assert not calls
        assert value(telemetry, "messages_total", direction="receive") == before + messages
        assert dict(calls) == expected  # one for each direction, when the socket was closed


# --- messages --------------------------------------------------------------------------------------------------------
def handled_by(framework: str, handler: Any) -> Any:
    """An application of which ``/ws`` is this handler."""
    if framework == "starlette":
        return ObservabilityMiddleware(Starlette(routes=[WebSocketRoute("/ws", handler)]))
    app = FastAPI()  # which instruments itself
    app.websocket("/ws")(handler)
    if framework == "fastapi":
        return ObservabilityMiddleware(app)
    app.add_middleware(ObservabilityMiddleware)
    return app


@pytest.mark.parametrize("framework", ["starlette", "fastapi", "fastapi outside"])
async def test_a_hundred_actions_are_a_hundred_traces_linked_to_their_connection(
    exported: Exported, telemetry: Recorded, framework: str
) -> None:
    correlations: list[str | None] = []
    queue: asyncio.Queue[Any] = asyncio.Queue()

    async def play() -> None:
        while (token := await queue.get()) is not None:
            async with telemetry.monitor.monitor_action_processing("g1", "play", "ann", token=token):
                correlations.append(otel_setup.get_correlation_id())

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        game = create_detached_task(play())
        async for text in websocket.iter_text():
            with message_span(websocket, json.loads(text)["event"]):
                queue.put_nowait(telemetry.monitor.capture())
        queue.put_nowait(None)
        await game

    async with serving(handled_by(framework, handler)) as address:
        for times in (100, 7):
            async with websockets.connect(f"ws://{address}/ws") as client:
                for _ in range(times):
                    await client.send('{"event": "play"}')
    actions = exported.named("action.play_pieces")
    messages = {identity(span): span for span in exported.named("websocket.message.play")}
    connections = {identity(span): 0 for span in exported.named("websocket.connect")}
    assert (len(actions), len(messages), len(connections)) == (107, 107, 2)
    assert len({action.trace_id for action in actions}) == 107
    for action in actions:
        message = messages[action.trace_id, action.parent_span_id]
        assert (message.kind, message.parent_span_id) == (CONSUMER, b"")
        (connection,) = linked(message)
        connections[connection] += 1
    assert list(connections.values()) == [100, 7]
    assert len(set(correlations)) == 107


async def test_a_message_that_fails_passes_its_exception_on_and_says_so(exported: Exported) -> None:
    error = LookupError("no such piece")
    with pytest.raises(LookupError) as raised, message_span({}, "play"):
        raise error
    assert raised.value is error
    (span,) = exported.spans()
    assert (span.status.code, attributes_of(span)["error.type"], linked(span)) == (2, "LookupError", [])


async def test_an_unknown_message_type_is_other(exported: Exported) -> None:
    for message_type in ("hack\u202e" * 1000, "phase", None, 7, ["play"]):
        with message_span(object(), message_type):  # type: ignore[arg-type]
            pass
    assert {span.name for span in exported.spans()} == {"websocket.message.other"}


HOSTILE_CARRIERS: list[object] = [
    None,
    {},
    "text",
    7,
    ["traceparent"],
    {"traceparent": 7, "X-Correlation-ID": {"a": 1}},
    {"traceparent": ["x"], 3: 4, None: None},
    *({"traceparent": value, "X-Correlation-ID": "a\nb"} for value in HOSTILE_TRACEPARENTS),
    {"traceparent": TRACEPARENT[:-1], "tracestate": "=" * 9000, "baggage": "\x00=\u202e" * 9000},
]


async def test_a_hostile_carrier_starts_anew(exported: Exported) -> None:
    for carrier in HOSTILE_CARRIERS:
        with message_span({}, "play", carrier):
            made = otel_setup.get_correlation_id()
        assert made is not None
        assert made.startswith("corr_")
        assert otel_setup.get_correlation_id() is None
        span = exported.spans()[-1]
        assert (span.parent_span_id, attributes_of(span)["correlation.id"]) == (b"", made)
    assert exported.handle.core.faults.counts["tracing"] == 0


async def test_the_block_restores_what_was_current(exported: Exported) -> None:
    correlation.set_correlation_id("outer")
    before = trace.get_current_span()
    with message_span({}, "play") as span:
        assert trace.get_current_span() is span
        assert otel_setup.get_correlation_id() != "outer"
    assert trace.get_current_span() is before
    assert otel_setup.get_correlation_id() == "outer"
    correlation.clear_correlation()


async def test_starlette_s_goodbye_is_an_exception_of_the_application_all_the_same(exported: Exported) -> None:
    raised: list[BaseException] = []
    inner = starlette()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await ObservabilityMiddleware(inner)(scope, receive, send)
        except BaseException as error:
            raised.append(error)
            raise

    async with serving(app) as address, websockets.connect(f"ws://{address}/read") as client:
        await client.close(1001)
        await until(lambda: raised)
    assert isinstance(raised[0], WebSocketDisconnect)


async def test_the_first_word_about_the_end_stands(exported: Exported) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 4000})
        await receive()

    async def answered() -> Any:
        return {"type": "websocket.disconnect", "code": 1000, "reason": ""}

    async def send(_: Any) -> None:
        return None

    await ObservabilityMiddleware(app)({"type": "websocket", "path": "/", "headers": []}, answered, send)
    (close,) = exported.named("websocket.close")
    assert attributes_of(close)["connection.close_code"] == 4000
