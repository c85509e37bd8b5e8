"""Counts of sockets: exact over configurations, threads and forks."""

from __future__ import annotations

import os
import threading

import pytest

from otel_setup.asgi.totals import SOCKETS, SocketCounts, SocketTotals, size_of
from otel_setup.catalogue import M, build
from otel_setup.catalogue.attributes import CLOSE_CODES
from otel_setup.instruments import Readings


def received(readings: Readings) -> float:
    return next(value for value, labels in readings[M.SOCKET_MESSAGES.name]() if labels["direction"] == "receive")


def test_what_is_counted_after_a_new_configuration_is_its_alone() -> None:
    totals, socket = SocketTotals(), SocketCounts()
    totals.opened(socket)
    old = totals.readings()
    socket.received += 3
    assert received(old) == 3
    new = totals.readings()
    socket.received += 4
    assert (received(old), received(new)) == (3, 4)
    totals.closed(socket, 1000)
    assert (received(old), received(new)) == (3, 4)


def test_every_declared_counter_exists_from_the_start() -> None:
    readings = SocketTotals().readings()
    sockets = [built.declared for built in build().metrics if built.declared.name.startswith("websocket.server.")]
    assert {metric.name for metric in sockets} == set(readings)
    for metric in sockets:
        found = list(readings[metric.name]())
        assert {value for value, _ in found} == {0}
        assert all(set(labels) == {attribute.name for attribute in metric.attributes} for _, labels in found)
    assert {labels["code"] for _, labels in readings[M.SOCKET_CLOSES.name]()} == {*CLOSE_CODES, "other"}


def test_sockets_of_several_threads_lose_nothing() -> None:
    totals = SocketTotals()
    readings = totals.readings()

    def serve() -> None:
        for _ in range(200):
            socket = SocketCounts()
            totals.opened(socket)
            for _ in range(50):
                socket.received += 1
            totals.closed(socket, 1001)

    threads = [threading.Thread(target=serve) for _ in range(4)]
    for thread in threads:
        thread.start()
    seen = [received(readings) for _ in range(50)]
    for thread in threads:
        thread.join()
    assert seen == sorted(seen)
    assert received(readings) == 4 * 200 * 50
    assert totals.active() == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_no_sockets() -> None:
    socket = SocketCounts()
    SOCKETS.opened(socket)
    with SOCKETS._lock:  # held while forking, as another thread might
        child = os.fork()
        if child == 0:
            os._exit(0 if SOCKETS.active() == 0 and SOCKETS.total("received") == 0 else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert SOCKETS.active() == 1
    SOCKETS.closed(socket, 1000)


@pytest.mark.parametrize(
    ("payload", "size"), [("", 0), ("abc", 3), ("é", 2), ("😀", 4), (b"\xff\x00", 2), ("\ud800", 3)]
)
def test_the_size_of_a_payload_is_its_bytes_on_the_wire(payload: str | bytes, size: int) -> None:
    assert size_of(payload) == size
