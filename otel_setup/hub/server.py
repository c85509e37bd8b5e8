"""The hub as a process: its port, its log, its server, what it says in the terminal, and a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import math
import signal
import socket
from collections.abc import Iterator, Mapping

import uvicorn

from otel_setup.game_model import LIAP_TUI, GameModel
from otel_setup.hub.app import build_app
from otel_setup.hub.connections import Limits, protocol_with
from otel_setup.hub.engine import Hub
from otel_setup.hub.security import FoundTokens, find_tokens, is_loopback
from otel_setup.hub.settings import HubError, HubSettings

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_BACKLOG = 2048

_logger = logging.getLogger("otel_setup.hub")


class _Server(uvicorn.Server):
    """Leaves the signals to the hub, which ends by itself, in order and with exit code 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def serve(settings: HubSettings, environment: Mapping[str, str], model: GameModel = LIAP_TUI) -> None:
    """Runs a hub until SIGTERM or SIGINT.

    Parameters:
        model: the game, for the views.
        environment: variables, of which the tokens are taken.

    Raises:
        HubError: it cannot start; the text says what to do.
    """
    found = find_tokens(settings, environment)
    with contextlib.closing(_listening(settings)) as listener:
        asyncio.run(_serve(Hub(settings, model), found, listener))


def _listening(settings: HubSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # With the protocol named, because asyncio turns Nagle's algorithm off for sockets that name it, and no others: an
    # event would wait 40 ms for the reader's acknowledgement of the one before.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host.strip("[]"), settings.port))
        listener.listen(_BACKLOG)
    except OSError as problem:
        listener.close()
        where = f"{settings.host}:{settings.port}"
        if problem.errno == errno.EADDRINUSE:
            raise HubError(
                f"{where} is taken: another hub, or another program, listens there. End it, or take another port "
                "(--port; --port 0 takes a free one)"
            ) from problem
        if problem.errno == errno.EACCES:
            raise HubError(f"{where} is not for this user to listen on; take a port above 1023 (--port)") from problem
        raise HubError(f"cannot listen on {where}: {problem.strerror or problem}; is --host right?") from problem
    return listener


async def _serve(hub: Hub, found: FoundTokens, listener: socket.socket) -> None:
    hub.open()
    try:
        _say_hello(hub, found, listener)
        server = _Server(_config(hub, found))
        tasks = [asyncio.create_task(hub.start()), asyncio.create_task(_tell_status(hub))]
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, _end, hub, server)
        hub.on_fault = lambda: _end(hub, server)
        tasks[0].add_done_callback(lambda start: _check_start(start, hub, server))
        try:
            await server.serve(sockets=[listener])
        finally:
            for task in tasks:
                task.cancel()
    finally:
        await hub.stop()
    if hub.fault is not None:
        raise hub.fault
    _logger.info("ended; %s", hub.summary())


def _config(hub: Hub, found: FoundTokens) -> uvicorn.Config:
    settings = hub.settings
    limits = Limits(settings.max_connections, settings.idle_seconds, hub.counters.refused)
    return uvicorn.Config(
        build_app(hub, found.tokens),
        loop="asyncio",
        http=protocol_with(limits),
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",  # each request that is no HTTP would be a warning, and let anybody fill a disk
        access_log=False,
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=settings.max_head_bytes,
        timeout_keep_alive=math.ceil(settings.idle_seconds),
        timeout_graceful_shutdown=math.ceil(settings.shutdown_seconds),
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
    )


def _check_start(start: asyncio.Task[None], hub: Hub, server: _Server) -> None:
    """A log that cannot be read ends the hub, in place of a hub that says for ever that it is starting."""
    if not start.cancelled() and (fault := start.exception()) is not None:
        hub.fault = fault
        _end(hub, server)


def _end(hub: Hub, server: _Server) -> None:
    """The first signal ends in good order; another one waits for nobody."""
    if server.should_exit:
        server.force_exit = True
    else:
        _logger.info("ending: readers are told, and what waits is written")
    hub.end()
    server.should_exit = True


# --- what it says ----------------------------------------------------------------------------------------------------
def _say_hello(hub: Hub, found: FoundTokens, listener: socket.socket) -> None:
    settings = hub.settings
    host, port = listener.getsockname()[:2]
    scheme = "http" if settings.tls_certificate is None else "https"
    address = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
    _logger.info("events hub at %s (senders: %s/v1/logs, readers: %s/events/stream)", address, address, address)
    _logger.info("log: %s", hub.where())
    if found.made is not None:
        _logger.info("a token was made, which only you can read: %s", found.made)
    _logger.info("token: %s", "needed, as Authorization: Bearer TOKEN" if found.tokens.needed else "none needed")
    if not is_loopback(settings.host) and settings.tls_certificate is None:
        _logger.warning(
            "without TLS the token can be read on the way: --tls-certificate and --tls-key, or a proxy that has them"
        )


async def _tell_status(hub: Hub) -> None:
    """One line at a time: when something changed, or a minute is over."""
    loop = asyncio.get_running_loop()
    told, told_at = "", loop.time()
    while True:
        state = hub.status
        if state != told or loop.time() - told_at >= hub.settings.status_seconds:
            _logger.info("%s", hub.summary())
            told, told_at = state, loop.time()
        await asyncio.sleep(min(1.0, hub.settings.status_seconds))
