"""Who may ask the hub what. The requests are ASGI messages; real sockets are in test_app_server.py."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from otel_setup.hub import security
from otel_setup.hub.security import Access, Guard, Message, Receive, Scope, Send, Tokens, allowed_names, find_tokens
from otel_setup.hub.settings import HubError, HubSettings

FULL, READER = "a-token-for-everything", "a-token-for-reading"
ANYWHERE = "0.0.0.0"  # noqa: S104 - nothing listens there
BOTH = Tokens(FULL, READER)


class Door:
    """A guard, what reached the application behind it, and what was refused."""

    def __init__(self, tokens: Tokens = BOTH, hosts: frozenset[str] | None = None, max_requests: int = 10) -> None:
        self.reached: list[tuple[str, str]] = []
        self.counted: list[str] = []
        self.guard = Guard(
            self._app,
            tokens,
            self._refuse,
            hosts,
            1000,
            max_requests,
            1,
            self.counted.append,
            lambda path: path == "/stream",
        )

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.reached.append((scope["method"], scope["path"]))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def _refuse(
        self, scope: Scope, send: Send, status: HTTPStatus, text: str, headers: Mapping[str, str]
    ) -> None:
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": int(status), "headers": raw})
        await send({"type": "http.response.body", "body": text.encode()})

    async def ask(self, method: str, path: str, **headers: str) -> tuple[int, dict[str, str]]:
        messages: list[Message] = []

        async def send(message: Message) -> None:
            messages.append(message)

        async def receive() -> Message:
            return {"type": "http.disconnect"}

        raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        scope = {"type": "http", "method": method, "path": path, "headers": raw, "query_string": b""}
        await self.guard(scope, receive, send)
        start = messages[0]
        return start["status"], {name.decode(): value.decode() for name, value in start["headers"]}


@pytest.mark.parametrize(
    ("given", "allowed"),
    [
        ("", Access.NOTHING),
        (FULL, Access.NOTHING),
        (f"Basic {FULL}", Access.NOTHING),
        (f"Bearer {FULL}x", Access.NOTHING),
        (f"Bearer {FULL[:-1]}", Access.NOTHING),
        ("Bearer ", Access.NOTHING),
        ("Bearer \udcff", Access.NOTHING),
        (f"Bearer {READER}", Access.READ),
        (f"bearer  {FULL}", Access.WRITE),
    ],
)
def test_what_a_token_allows(given: str, allowed: Access) -> None:
    assert BOTH.access(given) is allowed


def test_without_a_second_token_nothing_stands_for_it() -> None:
    assert Tokens(FULL).access("Bearer ") is Access.NOTHING
    assert Tokens(FULL).access("Bearer None") is Access.NOTHING


def test_tokens_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[int, int]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return one == other

    monkeypatch.setattr(security.hmac, "compare_digest", compare)
    for given in ("", "x", FULL, READER, "y" * 500):
        BOTH.access(f"Bearer {given}")
    assert compared == [(32, 32)] * 10  # always both, always digests of one length


@pytest.mark.parametrize(
    ("method", "path", "token", "status"),
    [
        ("GET", "/events", "", 401),
        ("GET", "/events", READER, 200),
        ("HEAD", "/events", READER, 200),
        ("GET", "/health", "", 200),
        ("POST", "/v1/logs", "", 401),
        ("POST", "/v1/logs", READER, 401),
        ("POST", "/v1/logs", FULL, 200),
        ("GET", "/stream", FULL, 200),
        ("GET", "/v1/logs", FULL, 405),
        *((method, "/events", FULL, 405) for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "NEW")),
        ("DELETE", "/v1/logs", FULL, 405),
    ],
)
async def test_who_may_do_what(method: str, path: str, token: str, status: int) -> None:
    door = Door()
    found, headers = await door.ask(method, path, authorization=f"Bearer {token}")
    assert found == status
    assert bool(door.reached) is (status == 200)
    if status == 401:
        assert headers["www-authenticate"].startswith("Bearer")
        assert door.counted == ["token"]
    if status == 405:
        assert headers["allow"] == ("POST" if path == "/v1/logs" else "GET, HEAD")
        assert door.counted == ["method"]


async def test_without_tokens_everybody_may_who_reaches_it() -> None:
    door = Door(Tokens())
    assert (await door.ask("POST", "/v1/logs"))[0] == (await door.ask("GET", "/events"))[0] == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:4380", 200),
        ("LOCALHOST", 200),
        ("127.0.0.1:4380", 200),
        ("[::1]:4380", 200),
        ("hub.test", 200),
        ("evil.example", 403),
        ("localhost.evil.example:4380", 403),
        ("", 403),
    ],
)
async def test_a_name_that_somebody_led_here_gets_nothing(host: str, status: int) -> None:
    """DNS rebinding: a page of another origin gives its own name this machine's address."""
    names = allowed_names(HubSettings(allowed_hosts=("Hub.test",)))
    found, _ = await Door(Tokens(), names).ask("GET", "/events", host=host)
    assert found == status


def test_beyond_loopback_any_name_will_do_unless_some_are_given() -> None:
    assert allowed_names(HubSettings(host=ANYWHERE)) is None
    assert allowed_names(HubSettings(host=ANYWHERE, allowed_hosts=("hub.test",))) == {"hub.test"}


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://localhost:4380", 200), ("http://evil.example", 403), ("null", 403), ("http://localhost:9999", 403)],
)
async def test_pages_of_other_origins_may_not_read(origin: str, status: int) -> None:
    found, headers = await Door(Tokens()).ask("GET", "/events", host="localhost:4380", origin=origin)
    assert found == status
    assert not [name for name in headers if name.startswith("access-control-")]


@pytest.mark.parametrize("path", ["/events", "/stream", "/v1/logs"])
async def test_every_answer_has_the_headers_of_safety(path: str) -> None:
    for door in (Door(), Door(Tokens())):
        _, headers = await door.ask("GET", path)
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"
        assert headers["content-security-policy"].startswith("default-src 'none'")


async def test_too_many_requests_at_a_time_are_told_to_come_again() -> None:
    door = Door(Tokens(), max_requests=0)
    status, headers = await door.ask("GET", "/events")
    assert (status, headers["retry-after"], door.counted) == (503, "1", ["requests"])
    assert (await door.ask("GET", "/stream"))[0] == 200  # streams have a bound of their own


async def test_a_websocket_is_closed() -> None:
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    await Door(Tokens()).guard({"type": "websocket", "path": "/stream"}, receive, send)
    assert [message["type"] for message in messages] == ["websocket.close"]


# --- where tokens come from -------------------------------------------------------------------------------------------
def token_file(folder: Path, token: str, mode: int = 0o600) -> Path:
    path = folder / "a-token"
    path.write_text(f"{token}\n")
    path.chmod(mode)
    return path


def found(settings: HubSettings, **environment: str) -> Tokens:
    return find_tokens(settings, environment).tokens


def test_on_loopback_none_is_needed() -> None:
    for host in ("127.0.0.1", "::1", "localhost", "127.8.8.8"):
        assert found(HubSettings(host=host)) == Tokens()


@pytest.mark.parametrize("host", [ANYWHERE, "::", "192.0.2.1", "games.example"])
def test_beyond_loopback_the_hub_does_not_start_without_one(host: str) -> None:
    with pytest.raises(HubError, match=r"--token-file.*EVENTS_HUB_TOKEN.*--generate-token"):
        found(HubSettings(host=host))
    assert found(HubSettings(host=host), EVENTS_HUB_TOKEN=FULL).full == FULL


def test_a_file_wins_over_the_variable(tmp_path: Path) -> None:
    settings = HubSettings(token_file=token_file(tmp_path, FULL))
    assert found(settings, EVENTS_HUB_TOKEN=f"another-{FULL}").full == FULL
    assert found(settings, EVENTS_HUB_READER_TOKEN=READER) == BOTH


def test_a_new_token_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        settings = HubSettings(directory=tmp_path / "new" / "hub", generate_token=True)
        first, again = find_tokens(settings, {}), find_tokens(settings, {})
    finally:
        os.umask(previous)
    made = tmp_path / "new" / "hub" / "token"
    assert (first.made, again.made) == (made, None)
    assert first.tokens == again.tokens
    assert first.tokens.full == made.read_text().strip()
    assert len(first.tokens.full) >= 43  # 256 random bits
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    assert stat.S_IMODE(made.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"EVENTS_HUB_TOKEN": "short"}, "16 or more"),
        ({"EVENTS_HUB_TOKEN": "with a tab\tinside it"}, "16 or more"),
        ({"EVENTS_HUB_TOKEN": "ü" * 20}, "16 or more"),
        ({"EVENTS_HUB_READER_TOKEN": READER}, "only beside another one"),
        ({"EVENTS_HUB_TOKEN": FULL, "EVENTS_HUB_READER_TOKEN": FULL}, "only beside another one"),
    ],
)
def test_tokens_that_protect_nothing_are_refused(how: dict[str, Any], says: str) -> None:
    with pytest.raises(HubError, match=says):
        found(HubSettings(), **how)


def test_a_file_that_others_can_read_is_refused_with_the_command_that_helps(tmp_path: Path) -> None:
    path = token_file(tmp_path, FULL, 0o644)
    with pytest.raises(HubError, match=f"chmod 600 {path}"):
        found(HubSettings(token_file=path))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(HubError, match=r"missing cannot be read.*--generate-token"):
        found(HubSettings(token_file=tmp_path / "missing"))
