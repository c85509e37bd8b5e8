"""One request's correlation id on all that it causes, wherever that runs, on all signals; and on nothing else."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, nullcontext
from contextvars import copy_context
from typing import Any

import pytest
from fastapi import BackgroundTasks, FastAPI
from opentelemetry import _logs, trace
from opentelemetry._logs import LogRecord

import otel_setup
from otel_setup import (
    EnterpriseMonitor,
    EventType,
    QueueToken,
    get_correlation_id,
    propagate_correlation_to_task,
    propagate_correlation_to_thread,
    with_correlation,
)
from otel_setup.asgi import ObservabilityMiddleware, message_span
from otel_setup.testing import Recorded
from tests.otel_setup.asgi.support import SERVER, Exported, asked, attributes_of, identity
from tests.otel_setup.receiver import receiving

GIVEN = "from-client"
WAYS = ("call", "task", "to_thread", "executor", "thread", "decorated", "given", "queued", "background", "sync")
ENDED_BEFORE = {"background"}
"""What runs when the answer is out, and the request's span has ended."""
log = logging.getLogger("a.game.of.this.test")


@pytest.fixture
def exported(telemetry: Recorded) -> Iterator[Exported]:
    with receiving() as receiver:
        handle = otel_setup.configure(service="game", collector=receiver.url, exemplar_ratio=1.0, shutdown_timeout=5)
        yield Exported(handle, receiver)
        handle.shutdown()


async def act(monitor: EnterpriseMonitor, way: str, token: QueueToken | None = None) -> None:
    """Says on all signals that it was here. The game's id tells which way led here."""
    async with monitor.monitor_action_processing(way, "declare", "ann", token=token):
        log.warning(way)


def application(monitor: EnterpriseMonitor) -> FastAPI:
    """Whatever can be behind a request, by the request's path."""
    queue: asyncio.Queue[QueueToken] = asyncio.Queue()
    pool = ThreadPoolExecutor(1)

    async def work() -> None:
        while True:
            await act(monitor, "queued", await queue.get())
            queue.task_done()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        worker = asyncio.create_task(work())
        yield
        worker.cancel()
        pool.shutdown()

    app = FastAPI(lifespan=lifespan, telemetry={"operation_spans": False})

    def in_thread(way: str) -> None:
        asyncio.run(act(monitor, way))

    @app.get("/sync")
    def sync() -> None:  # runs in the framework's own threads
        in_thread("sync")

    @app.get("/{way}")
    async def by(way: str, later: BackgroundTasks) -> None:
        match way:
            case "call":
                await act(monitor, way)
            case "task":
                await asyncio.create_task(act(monitor, way))
            case "to_thread":
                await asyncio.to_thread(in_thread, way)
            case "executor":
                await asyncio.get_running_loop().run_in_executor(pool, copy_context().run, in_thread, way)
            case "thread":
                thread = propagate_correlation_to_thread(in_thread, way)
                thread.start()
                await asyncio.to_thread(thread.join)
            case "decorated":
                await with_correlation()(act)(monitor, way)
            case "given":
                await asyncio.create_task(propagate_correlation_to_task(act(monitor, way), get_correlation_id()))
            case "queued":
                queue.put_nowait(monitor.capture())
                await queue.join()
            case "background":
                later.add_task(act, monitor, way)

    return app


async def test_everything_a_request_causes_has_its_id_on_all_signals(exported: Exported, telemetry: Recorded) -> None:
    async with asked(ObservabilityMiddleware(application(telemetry.monitor))) as client:
        for way in WAYS:
            answer = await client.get(f"/{way}", headers={"X-Correlation-ID": f"{GIVEN}-{way}"})
            assert answer.headers["x-correlation-id"] == f"{GIVEN}-{way}"
    assert get_correlation_id() is None

    requests = {attributes_of(span)["url.path"].strip("/"): span for span in exported.spans(SERVER)}
    actions = {attributes_of(span)["game.id"]: span for span in exported.named("action.declare")}
    logged = {r.body.string_value: r for r in exported.receiver.log_records() if r.body.string_value in WAYS}
    events = {event.game_id: event for event in telemetry.events(EventType.ACTION_COMPLETED)}
    for way in WAYS:
        action, record, event = actions[way], logged[way], events[way]
        told = {attributes_of(action)["correlation.id"], attributes_of(record)["correlation.id"], event.correlation_id}
        assert told == {f"{GIVEN}-{way}"}, way
        assert (record.trace_id, record.span_id) == identity(action), way
        assert event.trace_id == action.trace_id.hex(), way
        assert (action.trace_id == requests[way].trace_id) is (way not in ENDED_BEFORE), way


async def test_a_frameworks_own_span_has_the_id_too(exported: Exported, telemetry: Recorded) -> None:
    added = application(telemetry.monitor)
    added.add_middleware(ObservabilityMiddleware)
    for app in (added, ObservabilityMiddleware(application(telemetry.monitor))):
        async with asked(app) as client:
            answer = await client.get("/call")
        span = exported.spans(SERVER)[-1]
        assert attributes_of(span)["correlation.id"] == answer.headers["x-correlation-id"]
    assert exported.scopes(SERVER) == {"fastapi"}


async def test_what_the_application_tells_by_itself_has_the_id_too(exported: Exported) -> None:
    inner = FastAPI(telemetry={"operation_spans": False})

    @inner.get("/")
    async def root() -> None:
        _logs.get_logger("its own").emit(LogRecord(body="a record"))
        trace.get_tracer("its own").start_span("a span").end()

    async with asked(ObservabilityMiddleware(inner)) as client:
        await client.get("/", headers={"X-Correlation-ID": GIVEN})
    (span,) = exported.named("a span")
    (record,) = (r for r in exported.receiver.log_records() if r.body.string_value == "a record")
    assert (attributes_of(span)["correlation.id"], attributes_of(record)["correlation.id"]) == (GIVEN, GIVEN)


async def test_metrics_lead_to_a_request_by_exemplars_and_never_by_a_label(
    exported: Exported, telemetry: Recorded
) -> None:
    inner = FastAPI(telemetry={"tracing": False, "metrics": False})

    @inner.get("/")
    async def root() -> None:
        await act(telemetry.monitor, "call")

    async with asked(ObservabilityMiddleware(inner)) as client:
        await client.get("/", headers={"X-Correlation-ID": GIVEN})
    (request,) = exported.spans(SERVER)
    (action,) = exported.named("action.declare")
    points = [
        (metric.name, point)
        for metric in exported.receiver.metrics()
        for kind in ("sum", "gauge", "histogram", "exponential_histogram")
        if metric.HasField(kind)
        for point in getattr(metric, kind).data_points
    ]

    def led_to(name: str) -> set[Any]:  # an exemplar is in the one export after its measurement
        return {identity(exemplar) for metric, point in points if metric == name for exemplar in point.exemplars}

    assert led_to("http.server.request.duration") == {identity(request)}
    assert led_to("liap_tui.action.duration") == {identity(action)}
    assert GIVEN not in {value for _, point in points for value in attributes_of(point).values()}


@pytest.mark.parametrize("error", [None, LookupError("mine"), asyncio.CancelledError()])
async def test_a_message_leaves_everything_as_it_was_however_it_ends(
    exported: Exported, error: BaseException | None
) -> None:
    otel_setup.set_correlation_id("outer", {"of": "the connection"})
    span = trace.get_current_span()

    async def handle() -> None:
        with message_span({}, "play"):
            otel_setup.set_correlation_id("left-behind")
            await asyncio.sleep(0)
            if error is not None:
                raise error

    with nullcontext() if error is None else pytest.raises(type(error)):
        await handle()
    assert (get_correlation_id(), otel_setup.CorrelationContext.get_request_metadata()) == (
        "outer",
        {"of": "the connection"},
    )
    assert trace.get_current_span() is span
    otel_setup.clear_correlation()


async def test_a_cancelled_handler_leaves_its_loop_nothing(exported: Exported, telemetry: Recorded) -> None:
    """A task that is cancelled in the middle of a message, as a server does when it stops."""
    begun = asyncio.Event()

    async def handle() -> str | None:
        try:
            with message_span({}, "play"):
                begun.set()
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            return get_correlation_id()
        raise AssertionError

    task: asyncio.Task[Any] = asyncio.create_task(handle())
    await begun.wait()
    task.cancel()
    assert await task is None
    (span,) = exported.named("websocket.message.play")
    assert span.status.code == 0, "to be cancelled is no failure"
