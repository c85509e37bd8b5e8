"""Events as OTLP requests made by hand, and a stand-in for the hub that keeps what it is sent."""

from __future__ import annotations

import gzip
import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

EVENT = "game.started"
UID = "log.record.uid"


def uid(producer: str, number: int) -> str:
    """What a server process stamps on its ``number``-th event; ``producer`` is ``instance-epoch``."""
    return f"{producer}-{number}"


def uids(producer: str, numbers: range) -> list[str]:
    """Several of them."""
    return [uid(producer, number) for number in numbers]


def record(producer: str, number: int, event_name: str = EVENT, **attributes: str) -> LogRecord:
    """One event; a log record that is none where ``event_name`` is empty."""
    return LogRecord(
        time_unix_nano=time.time_ns(),
        event_name=event_name,
        attributes=[_text(UID, uid(producer, number)), *(_text(key, value) for key, value in attributes.items())],
    )


def request(producer: str, records: list[LogRecord]) -> ExportLogsServiceRequest:
    """What the process would send."""
    instance = producer.rsplit("-", 1)[0]
    resource = Resource(attributes=[_text("service.name", "game"), _text("service.instance.id", instance)])
    return ExportLogsServiceRequest(
        resource_logs=[ResourceLogs(resource=resource, scope_logs=[ScopeLogs(log_records=records)])]
    )


def send(endpoint: str, producer: str, records: list[LogRecord]) -> int:
    """POST them; returns the status."""
    parts = urlsplit(endpoint)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    try:
        body = request(producer, records).SerializeToString()
        connection.request("POST", "/v1/logs", body, {"Content-Type": "application/x-protobuf"})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def send_events(endpoint: str, producer: str, numbers: range) -> None:
    """Send events of these numbers in one request, which has to be accepted."""
    status = send(endpoint, producer, [record(producer, number) for number in numbers])
    assert status == HTTPStatus.OK


def uids_of(body: ExportLogsServiceRequest) -> list[str]:
    """The uid of every record in a request, in its order."""
    records = [r for resource in body.resource_logs for scope in resource.scope_logs for r in scope.log_records]
    return [item.value.string_value for r in records for item in r.attributes if item.key == UID]


class StubHub:
    """What a hub has been sent.

    :ivar status: what it answers; anything but 200 keeps nothing
    :ivar bodies: the requests it answered with 200
    :ivar headers: the headers of every request
    """

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.status = HTTPStatus.OK
        self.bodies: list[ExportLogsServiceRequest] = []
        self.arrived: dict[str, float] = {}
        self.headers: list[dict[str, str]] = []

    def uids(self) -> list[str]:
        """Every record's uid, as often as it came."""
        return [name for body in self.bodies for name in uids_of(body)]

    def once(self, producer: str) -> list[str]:
        """A producer's uids, repeats left out, in the order of their first arrival."""
        return [name for name in dict.fromkeys(self.uids()) if name.startswith(f"{producer}-")]


@contextmanager
def stub_hub(port: int) -> Iterator[StubHub]:
    """A stand-in for the hub on this port."""
    hub = StubHub(port)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hub.headers.append(dict(self.headers))
            if hub.status == HTTPStatus.OK:
                received = ExportLogsServiceRequest.FromString(gzip.decompress(body))
                hub.bodies.append(received)
                hub.arrived |= {name: time.time() for name in uids_of(received) if name not in hub.arrived}
            self.send_response(hub.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    class Server(ThreadingHTTPServer):
        allow_reuse_address = True
        daemon_threads = True

    server = Server(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _text(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))
