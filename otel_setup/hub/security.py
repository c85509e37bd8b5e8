"""Who may ask the hub what: tokens, names of hosts, methods, and the headers of every answer."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from enum import IntEnum
from http import HTTPStatus
from pathlib import Path
from typing import Any

from otel_setup.hub.settings import READER_TOKEN_VARIABLE, TOKEN_VARIABLE, HubError, HubSettings

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Refuse = Callable[[Scope, Send, HTTPStatus, str, Mapping[str, str]], Awaitable[None]]
"""Answers a request that may not go on: its scope, where the answer goes, status, text and further headers."""

LOGS_PATH = "/v1/logs"
HEALTH_PATH = "/health"
METHODS = ("GET", "HEAD")
TOKEN_FILE = "token"  # noqa: S105 - the file's name
MIN_TOKEN_LENGTH = 16
"""A shorter token is refused: it could be guessed."""
_TOKEN_BYTES = 32
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
_ONLY_OWNER = 0o600
_OTHERS = 0o077

HEADERS = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),  # what a player wrote must not be taken for a page
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
"""On every answer. There are none that let pages of other origins read (CORS)."""


class Access(IntEnum):
    """What a request may do; each includes those before it."""

    NOTHING = 0
    READ = 1
    WRITE = 2


@dataclass(frozen=True)
class Tokens:
    """The tokens of a hub; None where there is none.

    Parameters:
        full: for sending events and reading.
        reader: for reading alone.
    """

    full: str | None = None
    reader: str | None = None

    @property
    def needed(self) -> bool:
        """Whether requests need one."""
        return self.full is not None

    def access(self, authorization: str) -> Access:
        """What the header ``Authorization`` allows. Takes the same time whatever it says."""
        if self.full is None:
            return Access.WRITE
        scheme, _, given = authorization.partition(" ")
        digest = _digest(given.strip() if scheme.lower() == "bearer" else "")
        full = hmac.compare_digest(digest, _digest(self.full))
        reader = hmac.compare_digest(digest, _digest(self.reader or secrets.token_hex()))
        return Access.WRITE if full else Access.READ if reader else Access.NOTHING


def _digest(token: str) -> bytes:
    # Of equal length whatever a client sends, so that not even the length of the token shows.
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


@dataclass(frozen=True)
class FoundTokens:
    """The tokens, and what to tell whoever started the hub."""

    tokens: Tokens
    made: Path | None = None
    """The file that was made with a new token."""


def find_tokens(settings: HubSettings, environment: Mapping[str, str]) -> FoundTokens:
    """The tokens that the settings ask for; a new one is written to a file that only this user can read.

    Raises:
        HubError: a file cannot be read or others may read it, a token is too short, or there is none where one is
            needed.
    """
    made = None
    file = settings.token_file
    if settings.generate_token:
        file = file or settings.state_directory / TOKEN_FILE
        made = _make_token(file)
    full = _read_token(file) if file else environment.get(TOKEN_VARIABLE, "").strip() or None
    reader_file = settings.reader_token_file
    reader = _read_token(reader_file) if reader_file else environment.get(READER_TOKEN_VARIABLE, "").strip() or None
    for name, token in ((TOKEN_VARIABLE, full), (READER_TOKEN_VARIABLE, reader)):
        if token is not None and (len(token) < MIN_TOKEN_LENGTH or not token.isascii() or not token.isprintable()):
            raise HubError(
                f"the token ({name} or its file) is not fit to be one: it has {MIN_TOKEN_LENGTH} or more visible ASCII "
                "characters; --generate-token makes a good one"
            )
    if reader is not None and (full is None or full == reader):
        raise HubError("a token for reading alone makes sense only beside another one for sending events, too")
    if full is None and not is_loopback(settings.host):
        raise HubError(
            f"listening on {settings.host} means that others can reach the hub, so it needs a token: name a file with "
            f"one (--token-file), set {TOKEN_VARIABLE}, or have one made (--generate-token)"
        )
    return FoundTokens(Tokens(full, reader), made)


def _make_token(file: Path) -> Path | None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _ONLY_OWNER)
    except FileExistsError:
        return None
    except OSError as problem:
        raise HubError(f"the token's file {file} cannot be made: {problem.strerror}") from problem
    with os.fdopen(descriptor, "w") as written:
        written.write(f"{secrets.token_urlsafe(_TOKEN_BYTES)}\n")
    return file


def _read_token(file: Path) -> str:
    try:
        with file.open(encoding="utf-8", errors="replace") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            token = opened.read(4096).strip()
    except OSError as problem:
        raise HubError(
            f"the token's file {file} cannot be read: {problem.strerror}; --generate-token makes one"
        ) from problem
    if os.name == "posix" and mode & _OTHERS:
        raise HubError(f"others than you may read the token's file {file}: chmod 600 {file}")
    return token


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens there."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


class Guard:
    """Lets through what may pass, and puts the headers of safety on every answer.

    Parameters:
        app: what is guarded.
        tokens: who may.
        refuse: answers the others.
        hosts: names by which the hub may be called; None allows any.
        max_head_bytes: of a request, its address included; a larger one is refused.
        max_requests: requests under way at a time, open streams aside.
        retry_after: seconds after which those past that may try again.
        on_refused: called with the reason of each refusal, for the count.
        is_stream: whether a path is an open stream, which has a limit of its own.
    """

    def __init__(
        self,
        app: ASGIApp,
        tokens: Tokens,
        refuse: Refuse,
        hosts: frozenset[str] | None,
        max_head_bytes: int,
        max_requests: int,
        retry_after: int,
        on_refused: Callable[[str], None],
        is_stream: Callable[[str], bool],
    ) -> None:
        self._app = app
        self._tokens = tokens
        self._refuse = refuse
        self._hosts = hosts
        self._max_head_bytes = max_head_bytes
        self._max_requests = max_requests
        self._retry_after = retry_after
        self._on_refused = on_refused
        self._is_stream = is_stream
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection's request, as ASGI has it."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _with_headers(send)
        refusal = self._refusal(scope)
        if refusal is not None:
            reason, status, text, headers = refusal
            self._on_refused(reason)
            await self._refuse(scope, answer, status, text, headers)
            return
        if self._is_stream(scope["path"]):
            await self._app(scope, receive, answer)
            return
        self._under_way += 1
        try:
            await self._app(scope, receive, answer)
        finally:
            self._under_way -= 1

    def _refusal(self, scope: Scope) -> tuple[str, HTTPStatus, str, dict[str, str]] | None:
        if _head_bytes(scope) > self._max_head_bytes:
            text = f"the head of the request is larger than {self._max_head_bytes} bytes"
            return "head", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, text, {}
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])}
        path, method = str(scope["path"]), str(scope["method"])
        if problem := self._wrong_origin(headers):
            return "host", HTTPStatus.FORBIDDEN, problem, {}
        is_write = path == LOGS_PATH
        allowed = ("POST",) if is_write else METHODS
        if method not in allowed:
            allow = ", ".join(allowed)
            return "method", HTTPStatus.METHOD_NOT_ALLOWED, f"{path} takes {allow} alone", {"allow": allow}
        access = self._tokens.access(headers.get("authorization", ""))
        scope["access"] = access
        if access < (Access.WRITE if is_write else Access.READ) and path != HEALTH_PATH:
            if access is Access.READ:
                text = "this token is for reading alone; sending events needs the other one"
            else:
                text = "this needs the hub's token: send the header Authorization: Bearer TOKEN"
            return "token", HTTPStatus.UNAUTHORIZED, text, {"www-authenticate": 'Bearer realm="events hub"'}
        if self._under_way >= self._max_requests and not self._is_stream(path):
            later = {"retry-after": str(self._retry_after)}
            return "requests", HTTPStatus.SERVICE_UNAVAILABLE, "too many requests at a time; try again", later
        return None

    def _wrong_origin(self, headers: Mapping[str, str]) -> str:
        """Why a browser that was led here by somebody else's page gets nothing; empty where all is well."""
        host = headers.get("host", "")
        if self._hosts is not None and _name_of(host) not in self._hosts:
            return (
                f"the hub is not called {host!r:.100} here; it listens to {', '.join(sorted(self._hosts))}. Further "
                "names: --allowed-hosts"
            )
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:
            return f"pages of {origin!r:.100} may not read here"
        return ""


def allowed_names(settings: HubSettings) -> frozenset[str] | None:
    """By which names requests may call the hub: against pages that let their own name lead to this machine.

    None where any will do: beyond loopback, unless names are given, the token alone decides.
    """
    if is_loopback(settings.host):
        return frozenset((*_LOOPBACK_NAMES, settings.host.strip("[]").lower(), *_lower(settings.allowed_hosts)))
    return frozenset(_lower(settings.allowed_hosts)) or None


def _lower(names: Iterable[str]) -> list[str]:
    return [name.lower() for name in names]


def _name_of(host: str) -> str:
    """The name in a ``Host`` header, without the port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _head_bytes(scope: Scope) -> int:
    # The server bounds what it waits for, but not what comes in one piece.
    headers = sum(len(name) + len(value) for name, value in scope["headers"])
    return headers + len(scope["path"]) + len(scope["query_string"])


def _with_headers(send: Send) -> Send:
    async def answer(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = list(message.get("headers", ()))
            names = {name for name, _ in given}
            message["headers"] = [*given, *(header for header in HEADERS if header[0] not in names)]
        await send(message)

    return answer
