"""What is told of a request that no server here would pass on as it is."""

from __future__ import annotations

from typing import Any

import pytest

from otel_setup.asgi.semconv import Describer

DESCRIBER = Describer(user_agent=True, client_address=True)


def scope(**given: Any) -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": "/", "headers": [], **given}


@pytest.mark.parametrize(
    ("scheme", "host", "address", "port"),
    [
        ("https", b"game.example", "game.example", 443),
        ("http", b"game.example:8080", "game.example", 8080),
        ("http", b"[::1]:8000", "::1", 8000),
        ("gopher", b"game.example", "game.example", 80),
        ("https", b"user@game.example", "192.0.2.1", 8443),
        ("https", b"game.example/../x", "192.0.2.1", 8443),
        ("https", "\u202egame".encode(), "192.0.2.1", 8443),
        ("https", b"a" * 10_000, "192.0.2.1", 8443),
    ],
)
def test_scheme_and_server(scheme: str, host: bytes, address: str, port: int) -> None:
    told = DESCRIBER.request(scope(scheme=scheme, headers=[(b"Host", host)], server=("192.0.2.1", 8443)))
    assert told["url.scheme"] == (scheme if scheme != "gopher" else "http")
    assert (told["server.address"], told["server.port"]) == (address, port)


def test_a_socket_s_scheme() -> None:
    assert DESCRIBER.handshake({"type": "websocket", "path": "/", "scheme": "wss"})["url.scheme"] == "wss"
    assert DESCRIBER.handshake({"type": "websocket", "path": "/"})["url.scheme"] == "ws"


def test_the_client_s_own_words_are_made_safe() -> None:
    told = DESCRIBER.request(
        scope(method="BREW\u202e", client=("192.0.2.7", 1), headers=[(b"user-agent", b"\x1b[31m" + b"x" * 10_000)])
    )
    assert (told["http.request.method"], told["client.address"]) == ("_OTHER", "192.0.2.7")
    for key in ("http.request.method_original", "user_agent.original"):
        assert told[key].isprintable()
        assert len(told[key]) <= 128


def test_labels_are_of_closed_sets() -> None:
    odd = scope(method="BREW", scheme="gopher", http_version="9" * 99)
    assert DESCRIBER.measurement(odd, 799, None, "") == {"http.request.method": "_OTHER", "url.scheme": "http"}
