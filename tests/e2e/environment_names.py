"""A hundred names as players may choose them, planted wherever a game's text goes; a program of its own.

``python -m tests.e2e.environment_names MODE`` plays with ``own`` providers (those of ``configure()``), ``adopted`` ones
or ``foreign`` ones (the application's, without ``configure()``). What is ours goes to ``OTEL_EXPORTER_OTLP_ENDPOINT``,
what the application exports by itself, with stock exporters of OpenTelemetry, to ``APPLICATION_URL``. With ``--both``
the application plants the names in spans and records of its own as well, with ``--ids`` in the ids of its rooms.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import quote, unquote
from urllib.request import Request, urlopen

from opentelemetry import _logs, baggage, context, metrics, trace
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import otel_setup
from otel_setup import EnterpriseMonitor, EventType, Seat, SystemEvent
from tests.e2e.environment_app import LOBBY
from tests.otel_setup.privacy.helpers import SHAPES as HOSTILE

OWN, ADOPTED, FOREIGN = "own", "adopted", "foreign"
BOTH, IDS = "--both", "--ids"
APPLICATION = "APPLICATION_URL"
SHAPES = (
    *HOSTILE,
    "turn{n}",
    "Player-{n}-id",
    "game.started.{n}",
    "Traceback{n} (most recent call last)",
    "Zarquon{n}" + "q" * 190,
)
"""Those of the unit tests, and some that look like words of the telemetry itself; one has 200 characters."""
NAMES = tuple(SHAPES[n % len(SHAPES)].format(n=n + 100) for n in range(100))
TABLE = 4
BAGGAGE = "Hotblack-99"
"""Another name, which goes nowhere but into the baggage."""


class Refused(Exception):
    """What the game's own code raises."""


def main() -> None:
    mode = sys.argv[1]
    application = install_providers() if mode != OWN else ()
    telemetry = None
    if mode != FOREIGN:
        # The bridge of stdlib logging only comes to an application's own provider where it is asked for.
        telemetry = otel_setup.configure(adopt=mode == ADOPTED, log_level="INFO", metric_interval=60)
    asyncio.run(play(otel_setup.get_enterprise_monitor()))
    if BOTH in sys.argv:
        of_the_applications_own()
    if telemetry is not None:
        assert telemetry.shutdown(20), "the exports took too long"
    for provider in application:
        provider.shutdown()


def install_providers() -> tuple[Any, ...]:
    """Stock providers of the SDK with stock exporters."""
    url = os.environ[APPLICATION]
    tracers, loggers = TracerProvider(), LoggerProvider()
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{url}/v1/traces")))
    loggers.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(f"{url}/v1/logs")))
    meters = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter(f"{url}/v1/metrics"))])
    trace.set_tracer_provider(tracers)
    _logs.set_logger_provider(loggers)
    metrics.set_meter_provider(meters)
    return tracers, loggers, meters


# --- everything that the product's own calls take ---------------------------------------------------------------------


async def play(monitor: EnterpriseMonitor) -> None:
    for table in range(0, len(NAMES), TABLE):
        await play_a_game(monitor, f"game{table}", NAMES[table : table + TABLE])
    if lobby := os.environ.get(LOBBY):
        with carried(BAGGAGE):
            urlopen(Request(lobby, headers=otel_setup.inject_context({}))).close()  # noqa: S310


async def play_a_game(monitor: EnterpriseMonitor, game: str, names: Sequence[str]) -> None:
    room = f"room of {names[0]}" if IDS in sys.argv else f"room of {game}"
    await monitor.record_room_created(room)
    for name in names:
        await monitor.record_player_joined(room, name)
    await monitor.record_game_start(game, room, len(names), 0, players=[Seat(name) for name in names])
    for name in names:
        with carried(name):
            await tell_events(monitor, game, room, name)
            await act(monitor, game, name)
            await trace_operations(monitor, game, name)
            await serve(name)
            log(name)
            await send_nonsense(monitor, game, room, name)
    await monitor.record_game_end(game, winner_id=names, final_scores=dict.fromkeys(names, 50))
    for name in names:
        await monitor.record_player_left(room, name)


@contextmanager
def carried(name: str) -> Iterator[None]:
    """A name in the baggage, and in the metadata of a correlation."""
    token = context.attach(baggage.set_baggage("player", name, baggage.set_baggage(f"seat of {name}", "1")))
    try:
        with otel_setup.correlated(None, {"player": name, name: 1}):
            yield
    finally:
        context.detach(token)


async def tell_events(monitor: EnterpriseMonitor, game: str, room: str, name: str) -> None:
    about = {"player": name, "player_id": name, "said": f"hello, I am {name}!", name: [name, {name: (name,)}]}
    await monitor.record_websocket_event("socket1", "connect", room, about)
    await monitor.record_websocket_event("socket1", "broadcast", room, {**about, "event": f"{name} came"})
    await monitor.record_round_started(game, 1, starter=name)
    await monitor.record_redeal(game, name, "requested")
    await monitor.record_timeout(game, name, "redeal_response")
    await monitor.record_declaration(game, name, declared=2, captured=2)
    await monitor.record_turn_completed(game, winner_id=name)
    await monitor.record_player_disconnected(game, name)
    await monitor.record_bot_takeover(game, name)
    await monitor.record_player_reconnected(game, name)
    await monitor.record_illegal_transition(game, "WAITING", "GAME_OVER", f"{name} has not won")
    await monitor.record_event("debug.message", player_id=name, message=f"{name!r} waits", **about_without_ids(about))
    await monitor.event_logger.log_error("Refused", f"no seat for {name}", game, name, stack_trace=f"in {name}")
    await monitor.event_logger.log_action(game, "play_pieces", name, "on hold", about)
    event = SystemEvent(event_type=EventType("chat.said"), player_id=name, data=about, metadata={name: name})
    await monitor.event_stream.publish_event(event)
    monitor.logger.emit(event_name="chat.written", body=f"by {name}", attributes={"note": name, f"seat.{name}": 1})
    monitor.logger.emit(body={"who": name}, exception=Refused(f"{name} may not"), severity_number=SeverityNumber.WARN)
    await monitor.record_websocket_event("socket1", "disconnect", room, {"code": 1000, "reason": f"{name} left"})


def about_without_ids(about: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in about.items() if key != "player_id"}


async def act(monitor: EnterpriseMonitor, game: str, name: str) -> None:
    await monitor.game_metrics.record_player_action(name, "play_pieces", 3.5, game)
    async with monitor.monitor_action_processing(game, "play_pieces", name, token=monitor.capture()) as action:
        action.set_attribute("note", f"by {name}")
        action.set_attributes({f"seat.{name}": 1, "names": [name]})
        action.add_event(f"{name} thinks", {"who": name})
        action.record_exception(Refused(f"{name} may not"))
        action.update_name(f"action of {name}")
        action.outcome(f"rejected for {name}")
    for work in (
        monitor.monitor_action_processing(game, "declare", name),
        monitor.monitor_state_transition(game, "WAITING", "PREPARATION"),
    ):
        with suppress(Refused):
            async with work:
                refuse(name)


def refuse(name: str) -> None:
    try:
        dict[str, str]()[name]
    except KeyError as missing:
        raise Refused(f"no seat for {name}", name) from missing


async def trace_operations(monitor: EnterpriseMonitor, game: str, name: str) -> None:
    tracer = monitor.tracer
    tracer.start_span(f"duel of {name}").end()
    await tracer.trace_async_operation(f"save {name}", asyncio.sleep(0), who=name, note=f"for {name}")
    told = tracer.create_trace_context()
    with suppress(Refused), tracer.trace_action_processing(game, "play_pieces", name, told):
        refuse(name)
    with suppress(Refused), tracer.trace_phase_execution(game, "PREPARATION"):
        refuse(name)


async def serve(name: str) -> None:
    """A request and a socket message, in the middleware."""
    path = f"/players/{quote(name, errors='replace')}"

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        await receive()
        await send({"type": "websocket.accept"})
        with otel_setup.message_span(scope, name, {"baggage": quote(name, errors="replace")}):
            refuse(name)

    async def send(message: Any) -> None:
        """To nobody."""

    observed = otel_setup.ObservabilityMiddleware(app, user_agent=True)
    for kind, scheme in (("http", "http"), ("websocket", "ws")):
        scope = {
            "type": kind,
            "scheme": scheme,
            "method": "GET",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": f"name={quote(name, errors='replace')}".encode(),
            "headers": [(b"user-agent", f"client of {name}".encode("utf-8", "replace"))],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
            "subprotocols": [],
        }
        messages = iter([{"type": f"{kind}.connect" if kind == "websocket" else "http.request"}])

        async def receive(messages: Any = messages) -> Any:
            return next(messages)

        with suppress(Refused):
            await observed(scope, receive, send)


def log(name: str) -> None:
    logger = logging.getLogger("game.table")
    logger.warning("%s left; %r, %s", name, name, {"player": name})
    logger.error("lost", extra={"player_id": name, "detail": {"list": [name]}, f"seat.{name}": name})
    try:
        refuse(name)
    except Refused:
        logger.exception("no luck for %s", name, stack_info=True)


async def send_nonsense(monitor: EnterpriseMonitor, game: str, room: str, name: str) -> None:
    """A name where something else belongs."""
    await monitor.record_phase_duration(game, name, 1.0)
    await monitor.record_redeal(game, name, name)
    await monitor.record_metric(name, 1.0, player=name)
    await monitor.record_socket_message("socket1", name, name, 1)
    await monitor.record_socket_message("socket1", "receive", name, 1)
    await monitor.record_websocket_event("socket1", name, room)
    await monitor.record_event(name, player_id=name)
    async with monitor.monitor_state_transition(game, name, name):
        pass
    async with monitor.monitor_action_processing(game, name, name):
        pass


# --- what an application does by itself, with OpenTelemetry's own API -------------------------------------------------


def of_the_applications_own() -> None:
    for name in NAMES:
        with trace.get_tracer("the game's own").start_as_current_span(f"kick {name}") as span:
            span.set_attributes({"note": f"about {name}", f"seat.{name}": 1, "names": [name, name]})
            span.add_event(f"{name} left", {"who": name})
            span.record_exception(Refused(f"no seat for {name}"))
            span.set_status(trace.Status(trace.StatusCode.ERROR, f"{name!r} is gone"))
        logger = _logs.get_logger("the game's own")
        logger.emit(body=f"{name} left", attributes={"who": name, name: 1}, event_name="player.kicked")
        logger.emit(body={"who": name, name: [name]}, severity_number=SeverityNumber.INFO)


if __name__ == "__main__":
    main()
