"""Servers that are no Collector, each wrong in one way."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from deploy.ports import free_ports
from tests.otel_setup.diagnosis.certificates import Pair


def server_context(pair: Pair, client_authority: str = "") -> ssl.SSLContext:
    """TLS for a server; with ``client_authority`` it wants a certificate of that authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    if client_authority:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_authority)
    return context


@contextlib.contextmanager
def answering(
    status: int, headers: Mapping[str, str] | None = None, body: bytes = b"", tls: ssl.SSLContext | None = None
) -> Iterator[str]:
    """An HTTP server that gives every request one answer; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response_only(status)
            for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Clients break off, as they are meant to."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls:
        # The handshake belongs into the thread of its connection, or one that fails would end the server.
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def talking(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """A TCP server that does something with each connection, then closes it; yields its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def serve() -> None:
        while not ended.is_set():
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                threading.Thread(target=one, args=(connection,), daemon=True).start()

    def one(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(30)
            talk(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        ended.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def hangs(connection: socket.socket) -> None:
    """Reads until the other side goes, and never answers."""
    while connection.recv(4096):
        pass


def garbage(connection: socket.socket) -> None:
    """Answers with what is no protocol, and a terminal's escape sequence."""
    connection.recv(4096)
    connection.sendall(b"\x1b[31mSSH-2.0-something\r\n")


def closes(connection: socket.socket) -> None:
    """Answers nothing."""
    connection.recv(4096)


def silent_port() -> int:
    """A port on which nothing listens."""
    return free_ports(1)[0]
