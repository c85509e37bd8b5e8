"""The stand-alone server: bounded, and gone when it is stopped."""

from __future__ import annotations

import socket
import struct
import threading
from typing import Any

import httpx
import pytest

from otel_setup.prometheus import start_metrics_server
from tests.otel_setup.prometheus.support import Source, run_python, shown, until


async def test_the_server_follows_the_default(source: Source, default: Any) -> None:
    default(source.expose)
    other = Source()
    other.collections = 100
    with start_metrics_server() as server:
        assert server.url == f"http://127.0.0.1:{server.port}/metrics"
        async with httpx.AsyncClient(trust_env=False) as client:
            assert shown((await client.get(server.url)).content) == 1
            default(other.expose)
            assert shown((await client.get(server.url)).content) == 101


def test_the_server_says_that_its_port_is_taken(source: Source) -> None:
    with start_metrics_server(exposition=source.expose()) as server, pytest.raises(OSError, match="in use"):
        start_metrics_server(server.port, exposition=source.expose())


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback address")
async def test_the_server_listens_on_ipv6_too(source: Source) -> None:
    with start_metrics_server(host="::1", exposition=source.expose()) as server:
        assert server.url == f"http://[::1]:{server.port}/metrics"
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.get(server.url)).status_code == 200


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def test_the_server_sends_no_body_after_head(source: Source) -> None:
    with start_metrics_server(exposition=source.expose()) as server, connect(server.port) as connection:
        connection.sendall(b"HEAD /metrics HTTP/1.0\r\n\r\n")
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    assert received.startswith(b"HTTP/1.0 200")
    assert received.endswith(b"\r\n\r\n")


def test_the_server_bounds_its_connections(source: Source) -> None:
    with start_metrics_server(exposition=source.expose(), max_connections=2) as server:
        held = [connect(server.port) for _ in range(2)]
        with connect(server.port) as third:
            assert third.recv(1000).startswith(b"HTTP/1.0 503 ")
        assert server.refused == 1
        for connection in held:
            connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            assert connection.recv(12) == b"HTTP/1.0 200"
            connection.close()


def test_the_server_gives_freed_places_to_others(source: Source) -> None:
    with start_metrics_server(exposition=source.expose(), max_connections=1) as server:
        for _ in range(20):
            answer = b""
            while not answer.startswith(b"HTTP/1.0 200"):  # the thread before may still be leaving
                with connect(server.port) as connection:
                    connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
                    try:
                        answer = connection.recv(12)
                    except ConnectionResetError:
                        answer = b""
            assert answer == b"HTTP/1.0 200"


def test_the_server_hangs_up_on_who_dawdles(source: Source) -> None:
    with (
        start_metrics_server(exposition=source.expose(), connection_seconds=0.1) as server,
        connect(server.port) as slow,
    ):
        slow.sendall(b"GET /metrics HTT")
        assert slow.recv(100) == b""
        assert server.overdue == 1


def test_a_stopped_server_lets_go_of_everything(source: Source) -> None:
    server = start_metrics_server(exposition=source.expose())
    port = server.port
    with source.held(), connect(port) as waiting:
        waiting.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert source.entered.wait(30)
        server.stop()
        server.stop()
        assert waiting.recv(100) == b""
    with pytest.raises(ConnectionRefusedError):
        connect(port)


async def test_stderr_is_left_to_the_program(source: Source, capfd: pytest.CaptureFixture[str]) -> None:
    reset_on_close = struct.pack("ii", 1, 0)
    with start_metrics_server(exposition=source.expose(ttl=0.0)) as server:
        with connect(server.port) as connection:
            connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            assert connection.recv(12) == b"HTTP/1.0 200"
        with source.held(), connect(server.port) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset_on_close)
            connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            assert source.entered.wait(30)
        await until(lambda: not [t for t in threading.enumerate() if "process_request_thread" in t.name])
    assert capfd.readouterr().err == ""


FORKED_SERVER = """
import os, socket, sys, threading
from prometheus_client import CollectorRegistry
from otel_setup.prometheus import Exposition, start_metrics_server

class Source:
    def collect(self):
        entered.set()
        go_on.wait(30)
        return []

child_stops = sys.argv[1] == "stopping"
entered, go_on = threading.Event(), threading.Event()
registry = CollectorRegistry()
registry.register(Source())
server = start_metrics_server(exposition=Exposition(lambda: registry, dict, timeout=30))
connection = socket.create_connection(("127.0.0.1", server.port))
connection.sendall(b"GET /metrics HTTP/1.0\\r\\n\\r\\n")
entered.wait(30)
keep, release = os.pipe()
done, tell = os.pipe()
child = os.fork()
if child == 0:
    os.close(release)
    if child_stops:
        server.stop()
    os.write(tell, b"x")
    os.read(keep, 1)
    os._exit(0)
os.read(done, 1)
go_on.set()
assert connection.recv(12) == b"HTTP/1.0 200", "the child hung up on the parent's client"
port = server.port
server.stop()
try:
    socket.create_connection(("127.0.0.1", port))
    sys.exit("the child still holds the port")
except ConnectionRefusedError:
    pass
os.close(release)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.parametrize("child", ["stopping", "going on"])
def test_a_forked_child_neither_holds_the_port_nor_disturbs_the_parents_server(child: str) -> None:
    run = run_python(FORKED_SERVER, child)
    assert run.returncode == 0, run.stderr
