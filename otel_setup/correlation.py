"""Correlation ids: one id that follows a request, a socket message or an action through everything it causes.

The id and its metadata live in one context variable, so that nested calls and tasks see them, sibling tasks do not, and
both are restored together after a block. Every id that enters here obeys one rule (see `clean_correlation_id`): it is
safe to print, to send as a header and to store. Nothing here needs an event loop.
"""

from __future__ import annotations

import functools
import inspect
import logging
import os
import re
import threading
import weakref
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable, Mapping, MutableMapping
from contextlib import suppress
from contextvars import ContextVar, Token, copy_context
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, cast

from otel_setup import clock

CORRELATION_HEADER = "X-Correlation-ID"
NO_CORRELATION = "-"
"""What a log record shows as its `correlation_id` where there is none."""

# Bounds. They are read at each use, so assigning them takes effect at once; each has a counter below.
MAX_ID_LENGTH = 128
"""Longest id accepted, in characters. Refusals: `refused_count()`."""
MAX_ACTIVE_CORRELATIONS = 10_000
"""Most correlations that `get_active_correlations()` lists; the oldest leave first. See `evicted_count()`."""
MAX_METADATA_ENTRIES = 64
"""Most metadata keys one correlation carries; further keys are ignored. See `dropped_metadata_count()`."""
MAX_PATH_LENGTH = 256
"""Longest request path kept as metadata, in characters; a cut path ends with an ellipsis."""

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
Headers = TypeVar("Headers", bound=MutableMapping[str, str])
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_ALLOWED_ID = re.compile(r"[A-Za-z0-9._:-]+")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110, 5.6.2: token
_SCOPE_KEY = "otel_setup.correlation_id"
_HEADER_CARRIERS = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})


class _Counter:
    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        # Re-entrant, because a signal handler may log, and so count, while its own thread is counting.
        self._lock = threading.RLock()
        self.value = 0

    def add(self) -> None:
        with self._lock:
            self.value += 1


_refused = _Counter()
_evicted = _Counter()
_dropped_metadata = _Counter()


class _Correlation:
    """An id with its metadata. Never changed once made, so any number of contexts may share one."""

    __slots__ = ("__weakref__", "id", "metadata", "started")

    def __init__(self, correlation_id: str, metadata: Mapping[str, Any], started: float | None = None) -> None:
        self.id = correlation_id
        self.metadata = metadata
        self.started = clock.monotonic() if started is None else started
        _list_active(self)


_current: ContextVar[_Correlation | None] = ContextVar("otel_setup_correlation", default=None)

# A correlation is active while some context still holds it. The list only watches: it never keeps one alive, so a
# finished request leaves it without being asked to. Single operations on it are atomic; it needs no lock.
_active: OrderedDict[weakref.ref[_Correlation], None] = OrderedDict()


def _list_active(correlation: _Correlation) -> None:
    _active[weakref.ref(correlation, _unlist)] = None
    while len(_active) > MAX_ACTIVE_CORRELATIONS:
        try:
            _active.popitem(last=False)
        except KeyError:  # the last ones ended by themselves meanwhile
            return
        _evicted.add()


def _unlist(reference: weakref.ref[_Correlation]) -> None:
    _active.pop(reference, None)


def _start_afresh_in_child() -> None:
    """A forked child counts from zero and lists only the correlation it was forked under."""
    for counter in (_refused, _evicted, _dropped_metadata):
        counter.reset()
    _active.clear()
    current = _current.get()
    if current is not None:
        _list_active(current)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_afresh_in_child)


# --- the id ----------------------------------------------------------------------------------------------------------


def generate_correlation_id() -> str:
    """A new id: `corr_` and 16 hexadecimal digits from the system's random source, whatever a game seeds."""
    return "corr_" + clock.token_hex(8)


def clean_correlation_id(value: object) -> str | None:
    """The value itself if it may serve as a correlation id, else `None`.

    The rule: a string of 1 to `MAX_ID_LENGTH` characters out of `A-Z a-z 0-9 . _ : -`. Anything else is refused whole,
    never repaired, since two different values must not become one id. Refusals are counted (`refused_count()`);
    `None` means that no id was given and is not one.
    """
    if value is None:
        return None
    if isinstance(value, str) and len(value) <= MAX_ID_LENGTH and _ALLOWED_ID.fullmatch(value):
        return value
    _refused.add()
    return None


def refused_count() -> int:
    """How many values `clean_correlation_id` has refused in this process."""
    return _refused.value


def evicted_count() -> int:
    """How many correlations left the list of active ones early because it was full."""
    return _evicted.value


def dropped_metadata_count() -> int:
    """How many metadata entries were ignored: too many keys, or no correlation to add them to."""
    return _dropped_metadata.value


def get_correlation_id() -> str | None:
    """The id of the current context, or `None`."""
    current = _current.get()
    return None if current is None else current.id


def set_correlation_id(correlation_id: str | None = None, metadata: Mapping[str, Any] | None = None) -> str:
    """Set the id of the current context and return it. Prefer `correlated()`, which also restores the former one.

    Args:
        correlation_id: The id to use. A new one is made where it is `None` or refused by `clean_correlation_id`.
        metadata: What to remember with the id. The id already current keeps its metadata and gains these.
    """
    correlation = _correlation_for(clean_correlation_id(correlation_id) or generate_correlation_id(), metadata)
    _current.set(correlation)
    return correlation.id


def clear_correlation() -> None:
    """Remove id and metadata from the current context; contexts copied from it earlier keep theirs."""
    _current.set(None)


def add_correlation_metadata(key: str, value: Any) -> None:
    """Remember one value with the current correlation.

    Seen by this context and by tasks started from it afterwards, never by its parent or siblings. The value itself is
    shared, not copied. Without a current correlation it is ignored and counted (`dropped_metadata_count()`).
    """
    current = _current.get()
    if current is None:
        _dropped_metadata.add()
    else:
        _current.set(_correlation_for(current.id, {key: value}))


def get_request_metadata() -> dict[str, Any]:
    """A copy of the current correlation's metadata; empty without one."""
    current = _current.get()
    return {} if current is None else dict(current.metadata)


def get_active_correlations() -> dict[str, dict[str, Any]]:
    """The correlations that a living context of this process holds: id → `created_at` (ISO 8601, UTC),
    `age_seconds` and `metadata`."""
    now, wall_clock = clock.monotonic(), datetime.fromtimestamp(clock.time_ns() / 1e9, UTC)
    active: dict[str, dict[str, Any]] = {}
    for reference in list(_active):
        correlation = reference()
        if correlation is not None:
            age = now - correlation.started
            active[correlation.id] = {
                "created_at": (wall_clock - timedelta(seconds=age)).isoformat(),
                "age_seconds": age,
                "metadata": dict(correlation.metadata),
            }
    return active


def cleanup_old_correlations(max_age_hours: float = 1) -> int:
    """Take correlations older than `max_age_hours` off the list of active ones and return how many.

    Only long-lived contexts (a pooled connection, say) hold one that long; the id stays valid in them.
    """
    oldest = clock.monotonic() - max_age_hours * 3600
    removed = 0
    for reference in list(_active):
        correlation = reference()
        if correlation is not None and correlation.started < oldest:
            _active.pop(reference, None)
            removed += 1
    return removed


def _correlation_for(correlation_id: str, metadata: Mapping[str, Any] | None) -> _Correlation:
    current = _current.get()
    if current is None or current.id != correlation_id:
        return _Correlation(correlation_id, _merged({}, metadata or {}))
    if not metadata:
        return current
    return _Correlation(correlation_id, _merged(current.metadata, metadata), current.started)


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(old)
    for key, value in new.items():
        if key in merged or len(merged) < MAX_METADATA_ENTRIES:
            merged[key] = value
        else:
            _dropped_metadata.add()
    return merged


class CorrelationContext:
    """The functions above under one name, callable on the class or on an instance."""

    generate_correlation_id = staticmethod(generate_correlation_id)
    set_correlation_id = staticmethod(set_correlation_id)
    get_correlation_id = staticmethod(get_correlation_id)
    clear_correlation = staticmethod(clear_correlation)
    clear_correlation_id = staticmethod(clear_correlation)
    get_request_metadata = staticmethod(get_request_metadata)
    add_metadata = staticmethod(add_correlation_metadata)
    get_active_correlations = staticmethod(get_active_correlations)
    cleanup_old_correlations = staticmethod(cleanup_old_correlations)


# --- blocks ----------------------------------------------------------------------------------------------------------


class CorrelationBlock:
    """A `with` block under one correlation, whose id it gives, or under none. Make one for each `with`."""

    __slots__ = ("_correlation", "_token")

    def __init__(self, correlation: _Correlation | None) -> None:
        self._correlation = correlation
        self._token: Token[_Correlation | None] | None = None

    def __enter__(self) -> str:
        self._token = _current.set(self._correlation)
        return NO_CORRELATION if self._correlation is None else self._correlation.id

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.leave()

    def leave(self) -> None:
        """Ends the block, for those who entered it without a `with`."""
        token, self._token = self._token, None
        if token is not None:
            try:  # noqa: SIM105  (contextlib.suppress would cost more than the block itself)
                _current.reset(token)
            except ValueError:
                # Left in another context than entered: a coroutine closed by the garbage collector, or a generator
                # resumed elsewhere. This context was never changed, so there is nothing to restore.
                pass


def correlated(correlation_id: str | None = None, metadata: Mapping[str, Any] | None = None) -> CorrelationBlock:
    """A block under one correlation; id and metadata are as before when it ends, however it ends.

    Args:
        correlation_id: The id of the block. `None` keeps the current id, or makes one where there is none. A value
            that `clean_correlation_id` refuses is replaced by a new id.
        metadata: What to remember for the length of the block, besides what a kept id has already.
    """
    chosen = get_correlation_id() if correlation_id is None else clean_correlation_id(correlation_id)
    return CorrelationBlock(_correlation_for(chosen or generate_correlation_id(), metadata))


def with_correlation(generate_new: bool = True, propagate: bool = True) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function, coroutine function, generator or async generator to run as its own block.

    Whatever it sets is undone when it returns, raises or is cancelled. A generator has its correlation only while its
    own code runs; between two items the consumer has its own.

    Args:
        generate_new: Make a new id where none is taken over; `False` runs without one.
        propagate: Take over the caller's id where there is one; `False` never does.
    """

    def block() -> CorrelationBlock:
        kept = _current.get() if propagate else None
        if kept is None and generate_new:
            kept = _Correlation(generate_correlation_id(), {})
        return CorrelationBlock(kept)

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        if inspect.isasyncgenfunction(function):
            return cast(Callable[P, R], _wrap_async_generator(function, block))
        if inspect.isgeneratorfunction(function):
            return cast(Callable[P, R], _wrap_generator(function, block))
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def run_async(*args: P.args, **kwargs: P.kwargs) -> Any:
                with block():
                    return await function(*args, **kwargs)

            return cast(Callable[P, R], run_async)

        @functools.wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            with block():
                return function(*args, **kwargs)

        return run

    return decorate


def _wrap_generator(
    function: Callable[..., Generator[Any, Any, Any]], block: Callable[[], CorrelationBlock]
) -> Callable[..., Generator[Any, Any, Any]]:
    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        step = block()
        generator = function(*args, **kwargs)
        resume = functools.partial(next, generator)
        while True:
            with step:
                try:
                    item = resume()
                except StopIteration as stop:
                    return stop.value
                step = CorrelationBlock(_current.get())  # what the body set is there again when it goes on
            try:
                sent = yield item
            except GeneratorExit:
                with step:
                    generator.close()
                raise
            except BaseException as error:  # noqa: BLE001  (whatever the consumer throws is the body's to handle)
                resume = functools.partial(generator.throw, error)
            else:
                resume = functools.partial(generator.send, sent)

    return run


def _wrap_async_generator(
    function: Callable[..., AsyncGenerator[Any, Any]], block: Callable[[], CorrelationBlock]
) -> Callable[..., AsyncGenerator[Any, Any]]:
    @functools.wraps(function)
    async def run(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        step = block()
        generator = function(*args, **kwargs)
        resume: Callable[[], Awaitable[Any]] = generator.__anext__
        while True:
            with step:
                try:
                    item = await resume()
                except StopAsyncIteration:
                    return
                step = CorrelationBlock(_current.get())
            try:
                sent = yield item
            except GeneratorExit:
                with step:
                    await generator.aclose()
                raise
            except BaseException as error:  # noqa: BLE001  (whatever the consumer throws is the body's to handle)
                resume = functools.partial(generator.athrow, error)
            else:
                resume = functools.partial(generator.asend, sent)

    return run


# --- threads and tasks -----------------------------------------------------------------------------------------------


def propagate_correlation_to_thread(target: Callable[..., object], *args: Any, **kwargs: Any) -> threading.Thread:
    """A thread, not yet started, that calls `target(*args, **kwargs)` in a copy of the current context.

    Like `asyncio.to_thread` it carries every context variable (the current span too), and nothing comes back.
    """
    return threading.Thread(target=copy_context().run, args=(target, *args), kwargs=kwargs)


async def propagate_correlation_to_task(coroutine: Awaitable[T], correlation_id: str | None = None) -> T:
    """Await `coroutine` as a block of its own and return its result; made for `asyncio.create_task(...)`.

    Args:
        coroutine: What to run.
        correlation_id: The id to run it under; `None` keeps the current one, if any.
    """
    with CorrelationBlock(_current.get()) if correlation_id is None else correlated(correlation_id):
        return await coroutine


# --- headers ---------------------------------------------------------------------------------------------------------


def inject_correlation_header(
    headers: Headers, correlation_id: str | None = None, header_name: str = CORRELATION_HEADER
) -> Headers:
    """Put the id into `headers`, replacing it in any spelling, and return the same mapping.

    Args:
        headers: Outgoing headers, changed in place; untouched where there is no id to send.
        correlation_id: The id to send; the current one where it is `None` or refused.
        header_name: The header to write.
    """
    chosen = clean_correlation_id(correlation_id) or get_correlation_id()
    if chosen is not None:
        for key in [key for key in headers if key.lower() == header_name.lower()]:
            del headers[key]
        headers[header_name] = chosen
    return headers


def extract_correlation_header(
    headers: Mapping[str, str] | Mapping[bytes, bytes] | Iterable[tuple[bytes, bytes]] | None,
    header_name: str = CORRELATION_HEADER,
) -> str | None:
    """The clean correlation id in `headers`, else `None`. Never raises, whatever a client sent.

    Args:
        headers: A mapping, or pairs of bytes as in an ASGI scope. Of a repeated header the first counts.
        header_name: The header to look for, in any spelling.
    """
    wanted = header_name.lower()
    try:
        for key, value in _pairs(headers or ()):
            if _text(key).lower() == wanted:
                return clean_correlation_id(_text(value))
    except Exception:  # noqa: BLE001  (a header collection may refuse ambiguous or broken input in its own way)
        _refused.add()
    return None


def _pairs(headers: Any) -> Iterable[tuple[Any, Any]]:
    return ((key, headers[key]) for key in headers) if isinstance(headers, Mapping) else headers


def _text(value: Any) -> Any:
    return value.decode("latin-1") if isinstance(value, bytes) else value


class CorrelationMiddleware:
    """ASGI middleware: a correlation for each HTTP request and each WebSocket connection.

    Takes a clean id from the request's header or makes one, remembers `path`, `method` (`WEBSOCKET` for a socket) and
    `client` as metadata, answers with the same header and restores the context afterwards. Wrapped around the whole
    application it also marks the 500 of an unhandled error; under Starlette's `add_middleware` that answer is made
    outside. A second one inside the first does nothing.

    Args:
        app: The ASGI application.
        header_name: The header to read and to answer with.
        generate_if_missing: Make an id where the request brings no clean one; `False` runs it without.

    Raises:
        ValueError: `header_name` is not a legal HTTP header name.
    """

    def __init__(self, app: ASGIApp, header_name: str = CORRELATION_HEADER, generate_if_missing: bool = True) -> None:
        if not _HEADER_NAME.fullmatch(header_name):
            raise ValueError(f"header_name {header_name!r} is not a legal HTTP header name")
        self.app = app
        self.header_name = header_name
        self.generate_if_missing = generate_if_missing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or _SCOPE_KEY in scope:
            await self.app(scope, receive, send)
            return
        correlation_id = extract_correlation_header(scope.get("headers"), self.header_name)
        if correlation_id is None and self.generate_if_missing:
            correlation_id = generate_correlation_id()
        if correlation_id is None:
            with CorrelationBlock(None):  # an id that start-up code left in the server's context is not this request's
                await self.app(scope, receive, send)
            return
        scope[_SCOPE_KEY] = correlation_id
        header = (self.header_name.lower().encode("ascii"), correlation_id.encode("ascii"))

        async def send_with_header(message: Message) -> None:
            if message["type"] in _HEADER_CARRIERS:
                others = [pair for pair in message.get("headers") or () if pair[0].lower() != header[0]]
                message = {**message, "headers": [*others, header]}
            await send(message)

        with CorrelationBlock(_Correlation(correlation_id, _request_metadata(scope))):
            await self.app(scope, receive, send_with_header)


def _request_metadata(scope: Scope) -> dict[str, Any]:
    client = scope.get("client")
    return {
        "path": _printable(scope.get("path", "")),
        "method": scope.get("method", "WEBSOCKET"),
        "client": client[0] if client else None,
    }


def _printable(path: str) -> str:
    """A decoded path may hold anything a client likes: control characters and text-direction marks are replaced."""
    kept = path if len(path) <= MAX_PATH_LENGTH else path[: MAX_PATH_LENGTH - 1] + "…"
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in kept)


# --- logging ---------------------------------------------------------------------------------------------------------


class CorrelatedLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger that puts `[id] ` before each message and `correlation_id` on each record.

    `debug` to `critical`, `exception` and `log` work as on the logger itself. Without a correlation there is no prefix
    and the attribute is `NO_CORRELATION`.
    """

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__(logger)

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        correlation_id = get_correlation_id()
        kwargs["extra"] = {"correlation_id": correlation_id or NO_CORRELATION, **(kwargs.get("extra") or {})}
        if correlation_id is not None:
            with suppress(Exception):  # a message object that cannot be printed is for logging's own error handling
                msg = f"[{correlation_id}] {msg}"
        return msg, kwargs


class CorrelationFilter(logging.Filter):
    """Sets `correlation_id` on every record, for use in a format string as `%(correlation_id)s`.

    Add it to a handler: a logger's filters do not see what its children log. With a `QueueHandler`, add it to that one,
    which runs where the message was logged. A record that brings its own `correlation_id` keeps it.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if not hasattr(record, "correlation_id"):
            record.correlation_id = get_correlation_id() or NO_CORRELATION
        return True
