"""A small server for ``/metrics``, for programs without a web framework."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from types import TracebackType
from typing import Any

from otel_setup.prometheus.default import default_exposition
from otel_setup.prometheus.exposition import Exposition
from otel_setup.prometheus.forked import call_in_child
from otel_setup.prometheus.http import Request, answer_sync

POLL_SECONDS = 0.25
"""How often the server looks for overdue connections and for its own end."""
_BUSY = (
    b"HTTP/1.0 503 Service Unavailable\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\ntoo many connections\n"
)


class MetricsServer:
    """A running server. Made by ``start_metrics_server()``; a context manager that stops it."""

    def __init__(self, server: _Server) -> None:
        self._server = server
        self._thread = threading.Thread(
            target=server.serve_forever, args=(POLL_SECONDS,), name="otel_setup-metrics-server", daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """The address of the metrics."""
        host = str(self._server.server_address[0])
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/metrics"

    @property
    def refused(self) -> int:
        """Connections turned away because ``max_connections`` were open."""
        return self._server.refused

    @property
    def overdue(self) -> int:
        """Connections closed because they took longer than ``connection_seconds``."""
        return self._server.overdue

    def stop(self) -> None:
        """Close the port and every connection. Nothing happens if it is stopped already, or in a forked child."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()
        self._server.close_connections()

    def __enter__(self) -> MetricsServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start_metrics_server(
    port: int = 0,
    host: str = "127.0.0.1",
    exposition: Exposition | None = None,
    *,
    max_connections: int = 8,
    connection_seconds: float = 15.0,
) -> MetricsServer:
    """Serve ``/metrics`` and ``/metrics/health`` from a daemon thread.

    Parameters:
        port: where to listen; 0 takes a free one (see ``MetricsServer.port``).
        host: the address to listen on. What listens beyond loopback shows the metrics to everyone who can reach it.
        exposition: what to serve; by default ``default_exposition()``, asked for at every request.
        max_connections: most connections, and threads, at a time; others are answered with 503.
        connection_seconds: seconds after which a connection is closed, however busy its client keeps it.

    Raises:
        OSError: the address is in use or not this machine's.
        ScrapeError: there is neither an exposition nor a default.
    """
    source = default_exposition if exposition is None else lambda: exposition
    source()
    return MetricsServer(_Server((host, port), source, max_connections, connection_seconds))


class _Server(ThreadingMixIn, TCPServer):
    # Not http.server's own servers: they ask the name service for this machine's name, which can take seconds.
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 16

    def __init__(
        self,
        address: tuple[str, int],
        source: Callable[[], Exposition],
        max_connections: int,
        connection_seconds: float,
    ) -> None:
        self.source = source
        self.connection_seconds = connection_seconds
        self.refused = 0
        self.overdue = 0
        self._slots = threading.Semaphore(max_connections)
        self._open: dict[socket.socket, float] = {}
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)
        call_in_child(self._forget)

    def _forget(self) -> None:
        """In a forked child nobody serves, so it must not hold the port, nor touch the parent's connections."""
        self.server_close()
        self._open.clear()

    def process_request(self, request: Any, client_address: Any) -> None:
        """In the accepting thread: hand the connection to a thread of its own, if there may be another."""
        if not self._slots.acquire(blocking=False):
            self.refused += 1
            with suppress(OSError):
                request.sendall(_BUSY)  # a new connection's buffer takes that without waiting
            self.shutdown_request(request)
            return
        self._open[request] = time.monotonic()
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # the system gives no more threads
            self.refused += 1
            self._closed(request)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """In the connection's thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._closed(request)

    def _closed(self, request: socket.socket) -> None:
        if self._open.pop(request, None) is not None:
            self._slots.release()

    def service_actions(self) -> None:
        """Called between two looks at the port."""
        now = time.monotonic()
        for connection, since in list(self._open.items()):
            if now - since > self.connection_seconds:
                self.overdue += 1
                self._hang_up(connection)

    def close_connections(self) -> None:
        """Hang up on everyone; their threads end by that."""
        for connection in list(self._open):
            self._hang_up(connection)

    def _hang_up(self, connection: socket.socket) -> None:
        with suppress(OSError):  # it may be closed by now
            connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news; the inherited method prints a traceback."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "otel-setup"
    sys_version = ""
    timeout = 5.0
    """Seconds that a connection may be silent."""

    def _answer(self) -> None:
        path, _, query = self.path.partition("?")
        accept, accept_encoding = (",".join(self.headers.get_all(name, [])) for name in ("Accept", "Accept-Encoding"))
        reply = answer_sync(self.server.source, Request(self.command, path, query, accept, accept_encoding))
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _answer

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: stderr belongs to the program."""
