"""An OTLP/HTTP receiver that can be told to fail in the ways Collectors do, and keeps a record of what it took."""

from __future__ import annotations

import gzip
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from deploy.ports import free_ports
from tests.otel_setup.receiver import REQUESTS

LOGS, METRICS, TRACES = "/v1/logs", "/v1/metrics", "/v1/traces"


@dataclass(frozen=True)
class Answer:
    """What a request is answered with.

    Attributes:
        status: of HTTP; 200 takes the request into the record.
        after: seconds until then.
        never: no answer at all, until the receiver ends.
        headers: more of them.
    """

    status: int = 200
    after: float = 0.0
    never: bool = False
    headers: tuple[tuple[str, str], ...] = ()


OK = Answer()
HANGING = Answer(never=True)


class FaultyCollector:
    """One address, at which somebody answers or nobody does.

    Attributes:
        answer: what requests get from now on.
        answers: by path, where one path is to have another answer.
        seen: requests that came, by path, whatever became of them.
    """

    def __init__(self) -> None:
        self.answer = OK
        self.answers: dict[str, Answer] = {}
        self.seen: Counter[str] = Counter()
        self._taken: dict[str, list[Any]] = {path: [] for path in REQUESTS}
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        self._ending = threading.Event()
        [self.port] = free_ports(1)  # nobody else takes it while nobody answers there

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Comes to, or comes back."""
        self._ending = threading.Event()
        collector, ending = self, self._ending

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                answer = collector._decide(self.path)
                if answer.never or ending.wait(answer.after):
                    ending.wait()
                    self.close_connection = True
                    return
                if answer.status == 200:
                    collector._take(self.path, body)
                self.send_response(answer.status)
                for name, value in answer.headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False
            request_queue_size = 64

            def handle_error(self, *_: object) -> None:
                """A client that went away is part of the test."""

        self._server = Server(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Is gone: connections end, and new ones are refused."""
        server, self._server = self._server, None
        if server is not None:
            self._ending.set()
            server.shutdown()
            server.server_close()

    def log_records(self) -> list[Any]:
        """Every log record taken, as often as it was taken."""
        with self._lock:
            return [
                record
                for request in self._taken[LOGS]
                for resource in request.resource_logs
                for scope in resource.scope_logs
                for record in scope.log_records
            ]

    def spans(self) -> list[Any]:
        """Every span taken, as often as it was taken."""
        with self._lock:
            return [
                span
                for request in self._taken[TRACES]
                for resource in request.resource_spans
                for scope in resource.scope_spans
                for span in scope.spans
            ]

    def wait_for(self, condition: Callable[[], object], timeout: float = 60.0) -> None:
        """Until a condition holds."""
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, "what was waited for did not happen"
            time.sleep(0.01)

    def _decide(self, path: str) -> Answer:
        with self._lock:
            self.seen[path] += 1
        return self.answers.get(path, self.answer)

    def _take(self, path: str, body: bytes) -> None:
        request = REQUESTS[path].FromString(body)
        with self._lock:
            self._taken[path].append(request)


@contextmanager
def faulty_collector(*, running: bool = True) -> Iterator[FaultyCollector]:
    """A receiver on a free port; where it is not running, nobody answers there."""
    collector = FaultyCollector()
    if running:
        collector.start()
    try:
        yield collector
    finally:
        collector.stop()
