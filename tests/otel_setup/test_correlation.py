"""Tests of correlation ids: where they come from, how far they are seen, and that they never stay behind."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import importlib
import inspect
import io
import json
import logging
import os
import random
import re
import select
import signal
import string
import threading
from collections import UserDict
from collections.abc import AsyncIterator, Iterator
from logging.handlers import BufferingHandler
from types import ModuleType
from typing import Any

import pytest
from fastapi import FastAPI, WebSocket
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from otel_setup.correlation import (
    CorrelatedLogger,
    CorrelationContext,
    CorrelationFilter,
    CorrelationMiddleware,
    add_correlation_metadata,
    clean_correlation_id,
    cleanup_old_correlations,
    clear_correlation,
    correlated,
    dropped_metadata_count,
    evicted_count,
    extract_correlation_header,
    generate_correlation_id,
    get_active_correlations,
    get_correlation_id,
    get_request_metadata,
    inject_correlation_header,
    propagate_correlation_to_task,
    propagate_correlation_to_thread,
    refused_count,
    set_correlation_id,
    with_correlation,
)

GENERATED = re.compile(r"corr_[0-9a-f]{16}")
# The documented rule, said again without the module's own expression.
ALLOWED = set(string.ascii_letters + string.digits + "._:-")

HOSTILE_IDS = [
    "",
    " ",
    "a b",
    "a\n",
    "a\r\nSet-Cookie: admin=1",
    "a\x00b",
    "\x1b[31mred\x1b[0m",
    "a\u202eb",  # right-to-left override
    "a\u200bb",  # zero-width space
    "é",
    "١٢٣",  # digits, but not these ten
    "Ａ",  # full-width A
    "<script>alert(1)</script>",
    '{"$ne": null}',
    "${jndi:ldap://example.test/a}",
    "%s%s%s",
    "'; DROP TABLE games; --",
    "../../etc/passwd",
    "one,two",
    "a" * 129,
    "a" * 10_240,
]


@pytest.fixture
def module() -> ModuleType:
    return importlib.import_module("otel_setup.correlation")


@pytest.fixture(autouse=True)
def own_context() -> Iterator[None]:
    """Each test begins without a correlation, and leaves none to the next."""
    clear_correlation()
    yield
    clear_correlation()


# --- the id and its rule ---------------------------------------------------------------------------------------------


def test_generated_ids_have_the_documented_form_and_differ() -> None:
    ids = [generate_correlation_id() for _ in range(1000)]
    assert all(GENERATED.fullmatch(value) for value in ids)
    assert len(set(ids)) == 1000


def test_generated_ids_do_not_repeat_when_a_game_seeds_its_random_numbers() -> None:
    random.seed(7)
    first = generate_correlation_id()
    random.seed(7)
    assert generate_correlation_id() != first


@pytest.mark.parametrize("value", HOSTILE_IDS)
def test_hostile_values_are_refused_whole_and_counted(value: str) -> None:
    before = refused_count()
    assert clean_correlation_id(value) is None
    assert refused_count() == before + 1


@pytest.mark.parametrize("value", ["a", "corr_0123456789abcdef", "a" * 128, "Room-1.2:turn_3", "-", "...", "::"])
def test_decent_values_are_kept_as_they_are(value: str) -> None:
    before = refused_count()
    assert clean_correlation_id(value) == value
    assert refused_count() == before


@given(st.text(max_size=140) | st.text(alphabet=sorted(ALLOWED), max_size=140) | st.binary(max_size=20) | st.integers())
def test_the_rule_holds_for_any_value(value: object) -> None:
    fits = isinstance(value, str) and 1 <= len(value) <= 128 and set(value) <= ALLOWED
    assert clean_correlation_id(value) == (value if fits else None)


def test_no_value_at_all_is_not_a_refusal() -> None:
    before = refused_count()
    assert clean_correlation_id(None) is None
    assert refused_count() == before


# --- set, get, clear, without a loop ---------------------------------------------------------------------------------


def test_set_makes_an_id_without_a_running_loop() -> None:
    assert get_correlation_id() is None
    correlation_id = set_correlation_id()
    assert GENERATED.fullmatch(correlation_id)
    assert get_correlation_id() == correlation_id
    assert set_correlation_id() != correlation_id


def test_set_takes_a_given_id_and_replaces_a_refused_one() -> None:
    assert set_correlation_id("game-7") == "game-7" == get_correlation_id()
    replaced = set_correlation_id("game 7\n")
    assert GENERATED.fullmatch(replaced)
    assert get_correlation_id() == replaced


def test_clear_removes_id_and_metadata() -> None:
    set_correlation_id("a", {"k": 1})
    clear_correlation()
    assert get_correlation_id() is None
    assert get_request_metadata() == {}


def test_metadata_belongs_to_its_id() -> None:
    set_correlation_id("a", {"k": 1})
    add_correlation_metadata("l", 2)
    assert get_request_metadata() == {"k": 1, "l": 2}
    set_correlation_id("a", {"m": 3})
    assert get_request_metadata() == {"k": 1, "l": 2, "m": 3}
    set_correlation_id("b", {"n": 4})
    assert get_request_metadata() == {"n": 4}
    set_correlation_id("c")
    assert get_request_metadata() == {}


def test_metadata_is_copied_in_and_out() -> None:
    given_by_caller = {"k": 1}
    set_correlation_id("a", given_by_caller)
    given_by_caller["k"] = 2
    get_request_metadata()["k"] = 3
    assert get_request_metadata() == {"k": 1}


def test_metadata_without_a_correlation_is_ignored_and_counted() -> None:
    before = dropped_metadata_count()
    add_correlation_metadata("k", 1)
    assert get_request_metadata() == {}
    assert get_correlation_id() is None
    assert dropped_metadata_count() == before + 1


def test_metadata_is_bounded_and_the_rest_counted(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_METADATA_ENTRIES", 3)
    before = dropped_metadata_count()
    set_correlation_id("a", {"one": 1, "two": 2})
    for key in ("three", "four", "five"):
        add_correlation_metadata(key, key)
    add_correlation_metadata("one", "again")  # a key it has already may change
    assert get_request_metadata() == {"one": "again", "two": 2, "three": "three"}
    assert dropped_metadata_count() == before + 2


def test_the_class_offers_the_same_functions() -> None:
    for context in (CorrelationContext, CorrelationContext()):
        assert GENERATED.fullmatch(context.generate_correlation_id())
        assert context.set_correlation_id("a", {"k": 1}) == "a"
        context.add_metadata("l", 2)
        assert context.get_correlation_id() == get_correlation_id() == "a"
        assert context.get_request_metadata() == {"k": 1, "l": 2}
        assert context.get_active_correlations()["a"]["metadata"] == {"k": 1, "l": 2}
        assert context.cleanup_old_correlations(max_age_hours=1) == 0
        context.clear_correlation()
        assert get_correlation_id() is None


# --- blocks ----------------------------------------------------------------------------------------------------------


def test_a_block_restores_id_and_metadata() -> None:
    set_correlation_id("outer", {"k": 1})
    with correlated("inner", {"l": 2}) as correlation_id:
        assert correlation_id == "inner" == get_correlation_id()
        assert get_request_metadata() == {"l": 2}
        set_correlation_id("set-inside")
        clear_correlation()
    assert get_correlation_id() == "outer"
    assert get_request_metadata() == {"k": 1}


def test_a_block_without_an_id_keeps_the_current_one() -> None:
    set_correlation_id("outer", {"k": 1})
    with correlated(metadata={"l": 2}) as correlation_id:
        assert correlation_id == "outer"
        add_correlation_metadata("m", 3)
        assert get_request_metadata() == {"k": 1, "l": 2, "m": 3}
    assert get_request_metadata() == {"k": 1}


def test_a_block_makes_an_id_where_there_is_none_or_it_is_refused() -> None:
    with correlated() as made:
        assert GENERATED.fullmatch(made)
        with correlated("no good\n") as replaced:
            assert GENERATED.fullmatch(replaced)
            assert replaced != made
        assert get_correlation_id() == made
    assert get_correlation_id() is None


def test_a_block_restores_after_an_exception() -> None:
    set_correlation_id("outer")
    with pytest.raises(KeyError, match="the game's own"), correlated("inner"):
        raise KeyError("the game's own")
    assert get_correlation_id() == "outer"


def test_a_block_left_in_another_context_raises_nothing_there() -> None:
    async def handler() -> None:
        with correlated("inner"):
            await asyncio.Future()

    coroutine = handler()
    loop = asyncio.new_event_loop()
    try:
        task = loop.create_task(coroutine)
        loop.call_soon(loop.stop)
        loop.run_forever()
        assert not task.done()
        set_correlation_id("outer")
        coroutine.close()  # as the garbage collector does, outside the task's context
        assert get_correlation_id() == "outer"
    finally:
        task.cancel()
        loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
        loop.close()


# --- the decorator ---------------------------------------------------------------------------------------------------


def test_decorated_function_keeps_the_callers_id_or_has_a_new_one() -> None:
    @with_correlation()
    def handle(value: int, *, more: int = 0) -> tuple[int, str | None]:
        """Doc."""
        return value + more, get_correlation_id()

    total, made = handle(1, more=2)
    assert total == 3
    assert GENERATED.fullmatch(made or "")
    assert get_correlation_id() is None
    set_correlation_id("callers")
    assert handle(0) == (0, "callers")
    assert (handle.__name__, handle.__doc__) == ("handle", "Doc.")


@pytest.mark.parametrize(
    ("generate_new", "propagate", "with_caller", "without_caller"),
    [
        (True, True, "kept", "new"),
        (False, True, "kept", "none"),
        (True, False, "new", "new"),
        (False, False, "none", "none"),
    ],
)
def test_every_combination_of_generate_and_propagate(
    generate_new: bool, propagate: bool, with_caller: str, without_caller: str
) -> None:
    def kind(value: str | None) -> str:
        return "none" if value is None else "kept" if value == "callers" else "new"

    @with_correlation(generate_new=generate_new, propagate=propagate)
    def plain() -> str | None:
        return get_correlation_id()

    @with_correlation(generate_new=generate_new, propagate=propagate)
    async def awaited() -> str | None:
        await asyncio.sleep(0)
        return get_correlation_id()

    assert (kind(plain()), kind(asyncio.run(awaited()))) == (without_caller, without_caller)
    set_correlation_id("callers")
    assert (kind(plain()), kind(asyncio.run(awaited()))) == (with_caller, with_caller)
    assert get_correlation_id() == "callers"


def test_decorated_function_leaves_nothing_behind() -> None:
    @with_correlation()
    def handle(fail: bool) -> None:
        set_correlation_id("inside", {"k": 1})
        if fail:
            raise LookupError("lost")

    set_correlation_id("outer", {"o": 0})
    handle(fail=False)
    assert (get_correlation_id(), get_request_metadata()) == ("outer", {"o": 0})
    with pytest.raises(LookupError, match="lost"):
        handle(fail=True)
    assert (get_correlation_id(), get_request_metadata()) == ("outer", {"o": 0})


async def test_decorated_coroutine_restores_after_return_exception_and_cancellation() -> None:
    @with_correlation()
    async def handle(what: str) -> str:
        set_correlation_id("inside")
        if what == "raise":
            raise LookupError("lost")
        if what == "cancel itself":  # as a game does in its last phase
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        await asyncio.sleep(0)
        return "done"

    async def around(what: str) -> tuple[str, str | None]:
        set_correlation_id("outer")
        try:
            outcome = await handle(what)
        except (LookupError, asyncio.CancelledError) as error:
            outcome = type(error).__name__
        return outcome, get_correlation_id()

    assert inspect.iscoroutinefunction(handle)
    for what, outcome in {"return": "done", "raise": "LookupError", "cancel itself": "CancelledError"}.items():
        assert await asyncio.create_task(around(what)) == (outcome, "outer")


async def test_concurrent_tasks_do_not_see_each_other() -> None:
    started = asyncio.Barrier(20)

    @with_correlation(propagate=False)
    async def handle(number: int) -> tuple[str | None, str | None, dict[str, Any]]:
        first = get_correlation_id()
        add_correlation_metadata("number", number)
        await started.wait()  # all twenty are inside at once
        return first, get_correlation_id(), get_request_metadata()

    set_correlation_id("parent", {"p": 1})
    results = await asyncio.gather(*(handle(number) for number in range(20)))
    assert all(first == last for first, last, _ in results)
    assert len({first for first, _, _ in results}) == 20
    assert [metadata for _, _, metadata in results] == [{"number": number} for number in range(20)]
    assert (get_correlation_id(), get_request_metadata()) == ("parent", {"p": 1})


async def test_metadata_does_not_leak_between_parent_and_child_tasks() -> None:
    set_correlation_id("shared", {"p": 1})
    parent_went_on = asyncio.Event()

    async def child(name: str) -> dict[str, Any]:
        add_correlation_metadata("child", name)
        await parent_went_on.wait()
        assert get_correlation_id() == "shared"
        return get_request_metadata()

    children = [asyncio.create_task(child(name)) for name in "ab"]
    await asyncio.sleep(0)
    add_correlation_metadata("parent", True)
    parent_went_on.set()
    assert await asyncio.gather(*children) == [{"p": 1, "child": "a"}, {"p": 1, "child": "b"}]
    assert get_request_metadata() == {"p": 1, "parent": True}


# --- decorated generators --------------------------------------------------------------------------------------------


def test_decorated_generator_has_its_id_only_while_its_own_code_runs() -> None:
    closed_under: list[str | None] = []

    @with_correlation(propagate=False)
    def numbers() -> Iterator[str | None]:
        try:
            yield get_correlation_id()
            set_correlation_id("later")
            yield get_correlation_id()
            yield get_correlation_id()
        finally:
            closed_under.append(get_correlation_id())

    assert inspect.isgeneratorfunction(numbers)
    set_correlation_id("consumer")
    seen = []
    generator = numbers()
    for value in generator:
        seen.append(value)
        assert get_correlation_id() == "consumer"
        if len(seen) == 3:
            break
    generator.close()
    assert GENERATED.fullmatch(seen[0] or "")
    assert seen[1:] == ["later", "later"]
    assert closed_under == ["later"]
    assert get_correlation_id() == "consumer"


def test_decorated_generator_still_receives_throws_and_returns() -> None:
    @with_correlation()
    def echo() -> Any:
        received: list[object] = []
        while len(received) < 3:
            try:
                received.append((yield get_correlation_id()))
            except KeyError as error:
                received.append(error.args[0])
        return received

    generator = echo()
    correlation_id = next(generator)
    assert generator.send(1) == correlation_id
    assert generator.throw(KeyError("thrown")) == correlation_id
    with pytest.raises(StopIteration) as stop:
        generator.send(3)
    assert stop.value.value == [1, "thrown", 3]
    generator = echo()
    next(generator)
    with pytest.raises(ZeroDivisionError):
        generator.throw(ZeroDivisionError())
    assert get_correlation_id() is None


async def test_decorated_async_generator_has_its_id_only_while_its_own_code_runs() -> None:
    closed_under: list[str | None] = []

    @with_correlation(propagate=False)
    async def numbers() -> AsyncIterator[str | None]:
        try:
            yield get_correlation_id()
            await asyncio.sleep(0)
            set_correlation_id("later")
            yield get_correlation_id()
            yield get_correlation_id()
        finally:
            await asyncio.sleep(0)
            closed_under.append(get_correlation_id())

    assert inspect.isasyncgenfunction(numbers)
    set_correlation_id("consumer")
    generator = numbers()
    seen = []
    # Each item is fetched by another task, so in another context.
    for _ in range(3):
        seen.append(await asyncio.create_task(anext(generator)))
        assert get_correlation_id() == "consumer"
    await asyncio.create_task(generator.aclose())
    assert GENERATED.fullmatch(seen[0] or "")
    assert seen[1:] == ["later", "later"]
    assert closed_under == ["later"]
    assert get_correlation_id() == "consumer"


async def test_decorated_async_generator_still_receives_and_throws() -> None:
    @with_correlation()
    async def echo() -> Any:
        received: list[object] = []
        while len(received) < 2:
            try:
                received.append((yield received))
            except KeyError as error:
                received.append(error.args[0])
        raise LookupError(received)

    generator = echo()
    assert await anext(generator) == []
    assert await generator.asend(1) == [1]
    with pytest.raises(LookupError) as lookup:
        await generator.athrow(KeyError("thrown"))
    assert lookup.value.args == ([1, "thrown"],)
    assert [item async for item in echo_two()] == [1, 2]
    assert get_correlation_id() is None


@with_correlation()
async def echo_two() -> AsyncIterator[int]:
    yield 1
    yield 2


# --- threads and tasks -----------------------------------------------------------------------------------------------


def test_a_thread_gets_the_id_and_gives_nothing_back() -> None:
    seen: list[Any] = []

    def work(*args: int, **kwargs: int) -> None:
        seen.append((get_correlation_id(), get_request_metadata(), args, kwargs))
        add_correlation_metadata("thread", True)
        set_correlation_id("of-the-thread")

    set_correlation_id("callers", {"k": 1})
    thread = propagate_correlation_to_thread(work, 1, 2, name=3)
    assert isinstance(thread, threading.Thread)
    assert not thread.is_alive()
    set_correlation_id("changed-before-the-start")
    thread.start()
    thread.join(30)
    assert seen == [("callers", {"k": 1}, (1, 2), {"name": 3})]
    assert get_correlation_id() == "changed-before-the-start"


def test_a_plain_thread_has_no_id() -> None:
    seen: list[str | None] = []
    set_correlation_id("callers")
    thread = threading.Thread(target=lambda: seen.append(get_correlation_id()))
    thread.start()
    thread.join(30)
    assert seen == [None]


async def test_a_task_runs_under_the_current_or_the_given_id() -> None:
    async def work() -> str | None:
        await asyncio.sleep(0)
        found = get_correlation_id()
        set_correlation_id("of the task")
        return found

    assert await propagate_correlation_to_task(work()) is None
    set_correlation_id("callers")
    assert await asyncio.create_task(propagate_correlation_to_task(work())) == "callers"
    assert await asyncio.create_task(propagate_correlation_to_task(work(), "given")) == "given"
    assert await propagate_correlation_to_task(work(), "given") == "given"  # awaited here, and still a block
    assert await propagate_correlation_to_task(work()) == "callers"
    assert get_correlation_id() == "callers"


async def test_a_failing_task_restores_too() -> None:
    async def work() -> None:
        raise LookupError("lost")

    set_correlation_id("callers")
    with pytest.raises(LookupError):
        await propagate_correlation_to_task(work(), "given")
    assert get_correlation_id() == "callers"


# --- headers ---------------------------------------------------------------------------------------------------------


class Ambiguous(UserDict[str, str]):
    """Like the header class of a WebSocket library: refuses to choose among repeated headers."""

    def __getitem__(self, key: str) -> str:
        raise LookupError("several values")


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Correlation-ID": "abc"},
        {"x-correlation-id": "abc"},
        {b"X-CORRELATION-ID": b"abc"},
        [(b"host", b"example.test"), (b"x-correlation-id", b"abc")],
        [(b"X-Correlation-Id", b"abc"), (b"x-correlation-id", b"second")],
        ((name, value) for name, value in [(b"x-correlation-id", b"abc")]),
    ],
)
def test_extract_finds_the_header_in_any_spelling_and_form(headers: Any) -> None:
    assert extract_correlation_header(headers) == "abc"


def test_extract_finds_another_header_by_name() -> None:
    assert extract_correlation_header([(b"x-request-id", b"abc")], header_name="X-Request-ID") == "abc"
    assert extract_correlation_header({"X-Correlation-ID": "abc"}, "X-Request-ID") is None


@pytest.mark.parametrize("headers", [None, {}, [], [(b"host", b"example.test")]])
def test_extract_without_the_header_is_none_and_no_refusal(headers: Any) -> None:
    before = refused_count()
    assert extract_correlation_header(headers) is None
    assert refused_count() == before


@pytest.mark.parametrize(
    "headers",
    [
        *({"X-Correlation-ID": value} for value in HOSTILE_IDS),
        *([(b"x-correlation-id", value.encode())] for value in HOSTILE_IDS),
        [(b"x-correlation-id", b"\xff\xfe\x00")],
        {"X-Correlation-ID": None} | {"x-correlation-id": ["a", "b"]},
        {"X-Correlation-ID": ["a", "b"]},
        Ambiguous({"X-Correlation-ID": "abc"}),
        [(b"x-correlation-id",)],
        7,
    ],
)
def test_extract_refuses_hostile_headers_without_raising(headers: Any) -> None:
    before = refused_count()
    assert extract_correlation_header(headers) is None
    assert refused_count() in (before, before + 1)


@pytest.mark.parametrize("headers", [Ambiguous({"X-Correlation-ID": "abc"}), [(b"x-correlation-id", b"a b")], 7])
def test_refused_headers_are_counted(headers: Any) -> None:
    before = refused_count()
    extract_correlation_header(headers)
    assert refused_count() == before + 1


def test_inject_writes_the_current_or_the_given_id_once() -> None:
    headers = {"accept": "*/*", "x-correlation-id": "old", "X-CORRELATION-ID": "older"}
    set_correlation_id("current")
    assert inject_correlation_header(headers) is headers
    assert headers == {"accept": "*/*", "X-Correlation-ID": "current"}
    assert inject_correlation_header({}, "given") == {"X-Correlation-ID": "given"}
    assert inject_correlation_header({}, "given\r\nSet-Cookie: a=b") == {"X-Correlation-ID": "current"}
    assert inject_correlation_header({}, header_name="X-Request-ID") == {"X-Request-ID": "current"}
    assert extract_correlation_header(inject_correlation_header({}, "round-trip")) == "round-trip"


def test_inject_without_any_id_changes_nothing() -> None:
    headers = {"x-correlation-id": "from elsewhere"}
    assert inject_correlation_header(headers) == {"x-correlation-id": "from elsewhere"}


# --- the ASGI middleware ---------------------------------------------------------------------------------------------


async def call(
    app: Any, kind: str = "http", headers: list[tuple[bytes, bytes]] | None = None, **scope: Any
) -> list[dict[str, Any]]:
    """Run one ASGI connection in the current context and return what was sent."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": f"{kind}.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    full = {"type": kind, "path": "/rooms", "headers": headers or [], "client": ("192.0.2.7", 5000), **scope}
    if kind == "http":
        full.setdefault("method", "GET")
    await app(full, receive, send)
    return sent


def header_values(message: dict[str, Any], name: bytes = b"x-correlation-id") -> list[bytes]:
    return [value for key, value in message["headers"] if key.lower() == name]


class Endpoint:
    """A bare ASGI application that notes what it sees and answers."""

    def __init__(self, answer: dict[str, Any] | None = None, error: BaseException | None = None) -> None:
        self.answer = answer or {"type": "http.response.start", "status": 200, "headers": []}
        self.error = error
        self.seen: list[tuple[str | None, dict[str, Any]]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.seen.append((get_correlation_id(), get_request_metadata()))
        await send(self.answer)
        set_correlation_id("left-behind")
        if self.error is not None:
            raise self.error


async def test_middleware_takes_answers_and_restores() -> None:
    set_correlation_id("of-the-server")
    endpoint = Endpoint({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    start, *_ = await call(CorrelationMiddleware(endpoint), headers=[(b"x-correlation-id", b"from-client")])
    assert endpoint.seen == [("from-client", {"path": "/rooms", "method": "GET", "client": "192.0.2.7"})]
    assert start["headers"] == [(b"content-type", b"text/plain"), (b"x-correlation-id", b"from-client")]
    assert get_correlation_id() == "of-the-server"
    assert endpoint.answer["headers"] == [(b"content-type", b"text/plain")]  # the application's message is its own


async def test_middleware_makes_a_fresh_id_for_each_request() -> None:
    set_correlation_id("of-the-server")  # left by start-up code, so every request's task inherits it
    endpoint = Endpoint()
    middleware = CorrelationMiddleware(endpoint)
    answers = [header_values((await call(middleware))[0]) for _ in range(3)]
    ids = [correlation_id for correlation_id, _ in endpoint.seen]
    assert all(GENERATED.fullmatch(correlation_id or "") for correlation_id in ids)
    assert len(set(ids)) == 3
    assert answers == [[(correlation_id or "").encode()] for correlation_id in ids]


@pytest.mark.parametrize("value", HOSTILE_IDS)
async def test_middleware_never_echoes_a_hostile_header(value: str) -> None:
    endpoint = Endpoint()
    start, *_ = await call(CorrelationMiddleware(endpoint), headers=[(b"x-correlation-id", value.encode())])
    (answered,) = header_values(start)
    assert GENERATED.fullmatch(answered.decode())
    assert endpoint.seen[0][0] == answered.decode()


@pytest.mark.parametrize("message_type", ["websocket.accept", "websocket.http.response.start"])
async def test_middleware_answers_on_a_socket_whether_accepted_or_denied(message_type: str) -> None:
    endpoint = Endpoint({"type": message_type})  # both allow leaving the headers out
    sent = await call(CorrelationMiddleware(endpoint), "websocket", [(b"X-Correlation-ID", b"from-client")])
    assert header_values(sent[0]) == [b"from-client"]
    assert endpoint.seen == [("from-client", {"path": "/rooms", "method": "WEBSOCKET", "client": "192.0.2.7"})]
    assert get_correlation_id() is None


@pytest.mark.parametrize("message_type", ["http.response.body", "websocket.send", "websocket.close"])
async def test_middleware_leaves_other_messages_alone(message_type: str) -> None:
    message = {"type": message_type, "body": b"x"}
    (sent,) = await call(CorrelationMiddleware(Endpoint(message)))
    assert sent is message


async def test_middleware_restores_after_an_exception_and_passes_it_on() -> None:
    set_correlation_id("of-the-server")
    for error in (RuntimeError("the game's own"), asyncio.CancelledError()):
        with pytest.raises(type(error)):
            await call(CorrelationMiddleware(Endpoint(error=error)), headers=[(b"x-correlation-id", b"a")])
        assert get_correlation_id() == "of-the-server"


async def test_middleware_replaces_an_id_the_application_answers_with() -> None:
    answer = {"type": "http.response.start", "status": 200, "headers": [(b"X-Correlation-ID", b"other")]}
    start, *_ = await call(CorrelationMiddleware(Endpoint(answer)), headers=[(b"x-correlation-id", b"a")])
    assert header_values(start) == [b"a"]


async def test_middleware_that_may_not_generate_runs_without() -> None:
    set_correlation_id("of-the-server")
    endpoint = Endpoint()
    middleware = CorrelationMiddleware(endpoint, generate_if_missing=False)
    start, *_ = await call(middleware)
    assert header_values(start) == []
    start, *_ = await call(middleware, headers=[(b"x-correlation-id", b"a b")])
    assert header_values(start) == []
    start, *_ = await call(middleware, headers=[(b"x-correlation-id", b"a")])
    assert header_values(start) == [b"a"]
    assert [correlation_id for correlation_id, _ in endpoint.seen] == [None, None, "a"]
    assert get_correlation_id() == "of-the-server"


async def test_middleware_reads_and_answers_another_header() -> None:
    endpoint = Endpoint()
    middleware = CorrelationMiddleware(endpoint, header_name="X-Request-ID")
    headers = [(b"x-correlation-id", b"no"), (b"x-request-id", b"yes")]
    start, *_ = await call(middleware, headers=headers)
    assert endpoint.seen[0][0] == "yes"
    assert start["headers"] == [(b"x-request-id", b"yes")]


@pytest.mark.parametrize("name", ["", "X Correlation", "X-Id\r\n", "X-Id:", "Ü"])
def test_middleware_refuses_an_illegal_header_name(name: str) -> None:
    with pytest.raises(ValueError, match="header_name"):
        CorrelationMiddleware(Endpoint(), header_name=name)


async def test_a_second_middleware_inside_changes_nothing() -> None:
    endpoint = Endpoint()
    start, *_ = await call(CorrelationMiddleware(CorrelationMiddleware(endpoint)))
    assert header_values(start) == [(endpoint.seen[0][0] or "").encode()]


async def test_middleware_passes_the_lifespan_through_untouched() -> None:
    endpoint = Endpoint({"type": "lifespan.startup.complete"})
    set_correlation_id("of-the-server")
    await call(CorrelationMiddleware(endpoint), "lifespan")
    assert endpoint.seen == [("of-the-server", {})]


async def test_middleware_hands_on_the_scope_itself() -> None:
    """Middleware further out reads what routing put there (the route, for one)."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["route"] = "/rooms/{room}"

    scope: dict[str, Any] = {"type": "http", "path": "/", "headers": []}
    await CorrelationMiddleware(app)(scope, None, None)  # type: ignore[arg-type]
    assert scope["route"] == "/rooms/{room}"


async def test_a_hostile_path_becomes_harmless_metadata() -> None:
    endpoint = Endpoint()
    path = "/a\r\n\x1b[31m\u202e/" + "x" * 10_240
    await call(CorrelationMiddleware(endpoint), path=path, client=None)
    metadata = endpoint.seen[0][1]
    assert metadata["path"].startswith("/a���[31m�/xxx")
    assert metadata["path"].isprintable()
    assert len(metadata["path"]) == 256
    assert metadata["path"].endswith("…")
    assert metadata["client"] is None


def test_middleware_in_a_fastapi_application() -> None:
    app = FastAPI()
    app.add_middleware(CorrelationMiddleware, header_name="X-Correlation-ID")

    @app.get("/rooms/{room}")
    def room(room: str) -> dict[str, Any]:  # sync, so on another thread
        return {"id": get_correlation_id(), **get_request_metadata()}

    @app.websocket("/ws")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(get_correlation_id() or "")
        await websocket.close()

    with TestClient(app) as client:
        response = client.get("/rooms/7", headers={"x-correlation-id": "from-client"})
        assert response.headers["X-Correlation-ID"] == "from-client"
        assert response.json() == {"id": "from-client", "path": "/rooms/7", "method": "GET", "client": "testclient"}
        made = client.get("/rooms/7").headers["X-Correlation-ID"]
        assert GENERATED.fullmatch(made)
        with client.websocket_connect("/ws", headers={"X-Correlation-ID": "of-socket"}) as session:
            assert session.receive_text() == "of-socket"
            assert (b"x-correlation-id", b"of-socket") in (session.extra_headers or [])
    assert get_correlation_id() is None


# --- logging ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def logger() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    """A logger of its own whose lines show level, attribute, function and message."""
    output = io.StringIO()
    handler = logging.StreamHandler(output)
    handler.setFormatter(logging.Formatter("%(levelname)s|%(correlation_id)s|%(funcName)s|%(message)s"))
    made = logging.getLogger("tests.otel_setup.correlation")
    made.setLevel(logging.DEBUG)
    made.propagate = False
    made.addHandler(handler)
    yield made, output
    made.removeHandler(handler)


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error", "critical"])
def test_correlated_logger_prefixes_and_adds_the_attribute(
    level: str, logger: tuple[logging.Logger, io.StringIO]
) -> None:
    wrapped = CorrelatedLogger(logger[0])
    with correlated("abc"):
        getattr(wrapped, level)("%s of %d%%", "two", 50)
    expected = "test_correlated_logger_prefixes_and_adds_the_attribute|[abc] two of 50%"
    assert logger[1].getvalue() == f"{level.upper()}|abc|{expected}\n"


def test_correlated_logger_without_a_correlation(logger: tuple[logging.Logger, io.StringIO]) -> None:
    CorrelatedLogger(logger[0]).info("100% plain")
    assert logger[1].getvalue() == "INFO|-|test_correlated_logger_without_a_correlation|100% plain\n"


def test_correlated_logger_keeps_the_callers_extra_and_traceback(logger: tuple[logging.Logger, io.StringIO]) -> None:
    kept = BufferingHandler(capacity=10)
    logger[0].addHandler(kept)
    wrapped = CorrelatedLogger(logger[0])
    with correlated("abc"):
        try:
            os.environ["LOST IN A TEST"]
        except LookupError:
            wrapped.exception("failed", extra={"room": 7})
    logger[0].removeHandler(kept)
    assert [(record.room, record.correlation_id) for record in kept.buffer] == [(7, "abc")]  # type: ignore[attr-defined]
    assert "[abc] failed\nTraceback" in logger[1].getvalue()
    assert "KeyError: 'LOST IN A TEST'" in logger[1].getvalue()


def test_correlated_logger_never_raises_for_an_unprintable_message(capsys: pytest.CaptureFixture[str]) -> None:
    class Unprintable:
        def __str__(self) -> str:
            raise RuntimeError("cannot be printed")

    alone = logging.Logger("alone")  # without pytest's own handlers, which do raise
    alone.addHandler(logging.StreamHandler(io.StringIO()))
    with correlated("abc"):
        CorrelatedLogger(alone).info(Unprintable())
    assert "--- Logging error ---" in capsys.readouterr().err


def test_filter_puts_the_id_on_every_record(logger: tuple[logging.Logger, io.StringIO]) -> None:
    logger[0].handlers[0].addFilter(CorrelationFilter())
    child = logger[0].getChild("child")
    with correlated("abc"):
        child.info("inside")
        child.info("own", extra={"correlation_id": "chosen"})
    child.info("outside")
    assert [line.split("|")[1] for line in logger[1].getvalue().splitlines()] == ["abc", "chosen", "-"]


# --- the list of active correlations ---------------------------------------------------------------------------------


@pytest.fixture
def nothing_active() -> None:
    """Start from an empty list, whatever other tests' contexts still hold."""
    gc.collect()
    cleanup_old_correlations(max_age_hours=-1)
    assert get_active_correlations() == {}


@pytest.mark.usefixtures("nothing_active")
def test_active_correlations_are_those_some_context_holds() -> None:
    set_correlation_id("outer", {"k": 1})
    with correlated("inner"):
        assert set(get_active_correlations()) == {"outer", "inner"}
    assert set(get_active_correlations()) == {"outer"}
    add_correlation_metadata("l", 2)
    listed = get_active_correlations()
    assert listed["outer"]["metadata"] == {"k": 1, "l": 2}
    listed["outer"]["metadata"]["k"] = "changed"
    assert get_request_metadata() == {"k": 1, "l": 2}
    json.dumps(listed)
    set_correlation_id("next")
    assert set(get_active_correlations()) == {"next"}
    clear_correlation()
    assert get_active_correlations() == {}


@pytest.mark.usefixtures("nothing_active")
async def test_finished_tasks_leave_the_list_by_themselves() -> None:
    inside = asyncio.Barrier(51)

    async def handle(number: int) -> None:
        set_correlation_id(f"task-{number}")  # and never cleared, as handlers do
        await inside.wait()

    tasks = [asyncio.create_task(handle(number)) for number in range(50)]
    await inside.wait()
    assert set(get_active_correlations()) == {f"task-{number}" for number in range(50)}
    await asyncio.gather(*tasks)
    del tasks
    await asyncio.sleep(0)  # the loop lets go of what woke this test
    gc.collect()
    assert get_active_correlations() == {}
    assert get_correlation_id() is None


@pytest.mark.usefixtures("nothing_active")
def test_the_list_is_bounded_and_evictions_are_counted(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ACTIVE_CORRELATIONS", 10)
    before = evicted_count()
    contexts = [contextvars.copy_context() for _ in range(25)]
    for number, context in enumerate(contexts):
        context.run(set_correlation_id, f"c{number}")
    assert set(get_active_correlations()) == {f"c{number}" for number in range(15, 25)}
    assert evicted_count() == before + 15
    assert contexts[0].run(get_correlation_id) == "c0"  # off the list, and still valid where it is held


@pytest.mark.usefixtures("nothing_active")
def test_old_correlations_are_cleaned_up_by_age(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 10_000.0
    monkeypatch.setattr("otel_setup.clock.monotonic", lambda: now)
    old, young = contextvars.copy_context(), contextvars.copy_context()
    old.run(set_correlation_id, "old")
    now += 3000
    young.run(set_correlation_id, "young")
    old.run(add_correlation_metadata, "k", 1)  # which must not make it younger
    now += 601
    assert get_active_correlations()["old"]["age_seconds"] == 3601
    assert cleanup_old_correlations(max_age_hours=1) == 1
    assert set(get_active_correlations()) == {"young"}
    assert cleanup_old_correlations() == 0
    assert cleanup_old_correlations(max_age_hours=0.1) == 1
    assert old.run(get_correlation_id) == "old"


@pytest.mark.usefixtures("nothing_active")
def test_threads_at_work_leave_the_list_and_the_counters_exact(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_ACTIVE_CORRELATIONS", 5)
    refused_before, rounds, failures = refused_count(), 500, []

    def work(number: int) -> None:
        try:
            for turn in range(rounds):
                with correlated(f"t{number}-{turn}"), correlated(f"t{number}-{turn}-inner"):
                    get_active_correlations()
                    cleanup_old_correlations(1)
                clean_correlation_id("not good")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    gc.collect()
    assert get_active_correlations() == {}
    assert refused_count() == refused_before + 8 * rounds


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_keeps_its_id_and_counts_from_zero(module: ModuleType) -> None:
    other = contextvars.copy_context()
    other.run(set_correlation_id, "of-another-request")
    clean_correlation_id("not good")
    add_before = refused_count()
    assert add_before > 0
    read_end, write_end = os.pipe()
    with correlated("forked-under"):
        pid = os.fork()
        if pid == 0:
            answer: Any = "failed"
            try:
                answer = [get_correlation_id(), list(get_active_correlations()), refused_count(), evicted_count()]
                clean_correlation_id("not good")  # needs a lock that works
                answer.append(refused_count())
            finally:
                os.write(write_end, json.dumps(answer).encode())
                os._exit(0)
    os.close(write_end)
    try:
        if not select.select([read_end], [], [], 30)[0]:
            os.kill(pid, signal.SIGKILL)
            pytest.fail("the forked child hung")
        assert json.loads(os.read(read_end, 65536)) == ["forked-under", ["forked-under"], 0, 0, 1]
    finally:
        os.close(read_end)
        os.waitpid(pid, 0)
    assert refused_count() == add_before
    assert other.run(get_correlation_id) == "of-another-request"
