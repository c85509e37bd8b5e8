"""What a process exports, byte for byte, by every way OTLP has: plain or TLS, HTTP or gRPC, answered or not.

The decoding receiver for unit tests is :mod:`tests.otel_setup.receiver`; this one keeps what that one throws away:
bodies, headers and the way by which they came.
"""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from tests.otel_setup.receiver import REQUESTS
from tests.support.certificates import Certificates

_SERVICES: dict[str, tuple[str, Any]] = {
    "traces": ("opentelemetry.proto.collector.trace.v1.TraceService", ExportTraceServiceResponse),
    "metrics": ("opentelemetry.proto.collector.metrics.v1.MetricsService", ExportMetricsServiceResponse),
    "logs": ("opentelemetry.proto.collector.logs.v1.LogsService", ExportLogsServiceResponse),
}
_DECODERS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.decompress, "deflate": zlib.decompress}
_HTTP2 = b"PRI"
LONGEST_WAIT = 30.0


@dataclass(frozen=True)
class Delivery:
    """One export as it came.

    Attributes:
        door: where it came in, see :class:`Doors`.
        body: the message, decompressed.
        encoding: how the body was compressed, "" where it was not, and over gRPC, which does not tell.
    """

    door: str
    signal: str
    path: str
    protocol: str
    headers: dict[str, str]
    encoding: str
    body: bytes

    @property
    def message(self) -> Any:
        """The decoded request."""
        return REQUESTS[f"/v1/{self.signal}"].FromString(self.body)


class Doors:
    """Ways into one receiver, each opened when it is first asked for by its name, as ``str.format_map`` does.

    ``http``, ``second``, ``grpc``; ``both`` for either at one port; ``https`` and ``mtls`` over TLS; ``held``, which
    answers nobody before ``gate`` is set; ``port``, a port at which nobody listens; ``authority``, ``client`` and
    ``client_key``, files.

    Attributes:
        deliveries: everything that came, in its order.
        called: headers of the requests that were no exports, as one server sends them to another.
        asked: exports that came to the door ``held``, answered or not, by their signals.
    """

    def __init__(self, certificates: Certificates, port: int) -> None:
        self.deliveries: list[Delivery] = []
        self.called: list[dict[str, str]] = []
        self.asked: list[str] = []
        self.gate = threading.Event()
        self._certificates = certificates
        self._open: dict[str, str] = {
            "port": str(port),
            "authority": str(certificates.authority),
            "client": str(certificates.client),
            "client_key": str(certificates.client_key),
        }
        self._stack = ExitStack()
        self._lock = threading.Lock()

    def __getitem__(self, name: str) -> str:
        if name not in self._open:
            port = self._stack.enter_context(getattr(self, f"_{name}")())
            scheme = "https" if name in ("https", "mtls") else "http"
            self._open[name] = f"{scheme}://127.0.0.1:{port}"
        return self._open[name]

    def close(self) -> None:
        """Lets everybody go and ends the servers."""
        self.gate.set()
        self._stack.close()

    def of(self, signal: str) -> list[Delivery]:
        """The exports of one signal."""
        with self._lock:
            return [delivery for delivery in self.deliveries if delivery.signal == signal]

    def wait_until(self, condition: Callable[[], object], what: str) -> None:
        """Waits for something that is about to come."""
        deadline = time.monotonic() + LONGEST_WAIT
        while not condition():
            assert time.monotonic() < deadline, f"{what}: that did not come"
            time.sleep(0.005)

    # --- doors --------------------------------------------------------------------------------------------------------

    def _http(self) -> Any:
        return self._serving("http")

    def _second(self) -> Any:
        return self._serving("second")

    def _held(self) -> Any:
        return self._serving("held")

    def _https(self) -> Any:
        return self._serving("https", self._tls())

    def _mtls(self) -> Any:
        tls = self._tls()
        tls.verify_mode = ssl.CERT_REQUIRED
        tls.load_verify_locations(self._certificates.authority)
        return self._serving("mtls", tls)

    def _tls(self) -> ssl.SSLContext:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(self._certificates.server, self._certificates.server_key)
        return tls

    @contextmanager
    def _serving(self, door: str, tls: ssl.SSLContext | None = None) -> Iterator[int]:
        doors = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                doors.called.append({key.lower(): value for key, value in self.headers.items()})
                self._answer()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                signal = self.path.rsplit("/", 1)[1]
                if door == "held":
                    doors.asked.append(signal)
                    if not doors.gate.wait(LONGEST_WAIT):
                        return
                encoding = self.headers.get("Content-Encoding", "")
                headers = {key.lower(): value for key, value in self.headers.items()}
                body = _DECODERS.get(encoding, bytes)(body)
                doors._take(Delivery(door, signal, self.path, "http", headers, encoding, body))
                self._answer()

            def _answer(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """Says nothing: that a client hangs up, or does not trust us, is what some tests are about."""

        server = Server(("127.0.0.1", 0), Handler)
        if tls is not None:  # the handshake is the handler's, else one client could keep all others out
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    @contextmanager
    def _grpc(self) -> Iterator[int]:
        server = grpc.server(futures.ThreadPoolExecutor(4))
        server.add_generic_rpc_handlers([self._service(signal) for signal in _SERVICES])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield port
        finally:
            server.stop(None).wait()

    def _service(self, signal: str) -> Any:
        name, response = _SERVICES[signal]

        def export(body: bytes, context: Any) -> bytes:
            headers = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
            self._take(Delivery("grpc", signal, "", "grpc", headers, "", body))
            answer: bytes = response().SerializeToString()
            return answer

        # Without a deserializer: the bytes as they came.
        return grpc.method_handlers_generic_handler(name, {"Export": grpc.unary_unary_rpc_method_handler(export)})

    @contextmanager
    def _both(self) -> Iterator[int]:
        """One port for HTTP/1.1 and gRPC: the first bytes of a connection say which it is."""
        behind = {name: int(self[name].rsplit(":", 1)[1]) for name in ("http", "grpc")}
        with closing(socket.create_server(("127.0.0.1", 0))) as listening:

            def accept() -> None:
                while True:
                    try:
                        client, _ = listening.accept()
                    except OSError:
                        return  # closed
                    threading.Thread(target=_forward, args=(client, behind), daemon=True).start()

            threading.Thread(target=accept, daemon=True).start()
            try:
                yield listening.getsockname()[1]
            finally:
                listening.shutdown(socket.SHUT_RDWR)  # wakes who accepts

    def _take(self, delivery: Delivery) -> None:
        with self._lock:
            self.deliveries.append(delivery)


def _forward(client: socket.socket, behind: dict[str, int]) -> None:
    with closing(client):
        first = client.recv(65536)
        name = "grpc" if first.startswith(_HTTP2) else "http"
        with closing(socket.create_connection(("127.0.0.1", behind[name]))) as server:
            server.sendall(first)
            back = threading.Thread(target=_pump, args=(server, client), daemon=True)
            back.start()
            _pump(client, server)
            back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return  # one of the two hung up
