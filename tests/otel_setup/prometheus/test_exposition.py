"""Asking for the metrics: one collection for all, never on the event loop, and an answer whatever fails."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from opentelemetry.metrics import Observation
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily
from prometheus_client.parser import text_string_to_metric_families as parse_text

from otel_setup.prometheus import Exposition, ScrapeError
from tests.otel_setup.prometheus.support import (
    IDENTITY,
    OPENMETRICS,
    PROMETHEUS_ACCEPT,
    Process,
    Source,
    run_python,
    shown,
    until,
)


def test_the_text_begins_with_the_process(process: Process) -> None:
    process.meter().create_counter("turns").add(1)
    body, content_type = process.exposition.scrape_sync("text/plain")
    assert content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert body.decode().splitlines()[0] == '# process service="arena" instance="arena-7"'


def test_a_hostile_description_of_the_process_stays_in_its_line(process: Process) -> None:
    process.meter().create_counter("turns").add(1)
    hostile = {"instance": 'x"\nforged_total 1\n# TYPE forged counter', "a\nb": "c"}
    exposition = Exposition(lambda: process.registry, lambda: hostile)
    body, _ = exposition.scrape_sync()
    assert {family.name for family in parse_text(body.decode())} == {"target_info", "turns"}


@pytest.mark.parametrize(
    ("header", "openmetrics"),
    [
        (None, False),
        ("", False),
        ("*/*", False),
        ("text/html,application/xhtml+xml,*/*;q=0.8", False),
        ("text/plain", False),
        ("text/plain;version=1.0.0;escaping=allow-utf-8", False),
        ("text/plain;version=nonsense", False),
        ("application/openmetrics-text", True),
        ("application/openmetrics-text;version=nonsense", False),
        ("application/openmetrics-text; version=2.0.0", True),
        (OPENMETRICS, True),
        (PROMETHEUS_ACCEPT, True),
    ],
)
def test_two_formats_are_offered(process: Process, header: str | None, openmetrics: bool) -> None:
    process.meter().create_counter("turns").add(1)
    body, content_type = process.exposition.scrape_sync(header)
    expected = "application/openmetrics-text; version=1.0.0" if openmetrics else "text/plain; version=0.0.4"
    assert content_type == f"{expected}; charset=utf-8"
    assert body.endswith(b"# EOF\n") is openmetrics


def test_chosen_names_alone(process: Process, accept: str | None) -> None:
    process.meter().create_counter("turns").add(1)
    process.meter().create_histogram("phase", unit="s").record(3)
    process.meter().create_gauge("load").set(5)
    body, _ = process.exposition.scrape_sync(accept, ["turns_total", "phase_seconds_sum", "unknown"])
    lines = [line for line in body.decode().splitlines() if not line.startswith("#")]
    assert lines == ["turns_total 1.0", "phase_seconds_sum 3.0"]


# --- sharing ---------------------------------------------------------------------------------------------------------


async def test_50_parallel_scrapes_make_one_collection(source: Source) -> None:
    exposition = source.expose(ttl=0.0)
    with source.held():
        scrapes = [asyncio.create_task(exposition.scrape(OPENMETRICS if n % 2 else None)) for n in range(50)]
        await until(lambda: exposition.requests == 50 and source.entered.is_set())
    bodies = [body for body, _ in await asyncio.gather(*scrapes)]
    assert source.collections == exposition.collections == 1
    assert len({id(body) for body in bodies}) == 2, "each format is written once"
    assert {shown(body) for body in bodies} == {1}


async def test_50_parallel_threads_make_one_collection(source: Source) -> None:
    exposition = source.expose(ttl=0.0)
    with ThreadPoolExecutor(50) as pool, source.held():
        scrapes = [pool.submit(exposition.scrape_sync) for _ in range(50)]
        await until(lambda: exposition.requests == 50 and source.entered.is_set())
        source.go_on.set()
        assert {shown(scrape.result()[0]) for scrape in scrapes} == {1}
    assert source.collections == 1


async def test_collections_never_overlap(source: Source) -> None:
    exposition = source.expose(ttl=0.0)

    async def one_after_another() -> None:
        for _ in range(25):
            await exposition.scrape(None)

    await asyncio.gather(*(one_after_another() for _ in range(8)))
    assert source.most_at_once == 1
    assert 25 <= source.collections == exposition.collections <= exposition.requests == 200


async def test_a_collection_is_shared_for_the_ttl_by_both_formats(source: Source) -> None:
    now = 1000.0
    exposition = source.expose(ttl=5.0, clock=lambda: now)
    assert shown((await exposition.scrape(None))[0]) == 1
    now += 4.99
    assert shown((await exposition.scrape(None))[0]) == 1
    assert shown((await exposition.scrape(OPENMETRICS))[0]) == 1
    now += 0.01
    assert shown((await exposition.scrape(None))[0]) == 2
    assert shown(exposition.scrape_sync(OPENMETRICS)[0]) == 2


async def test_the_ttl_begins_with_the_end_of_the_collection(source: Source) -> None:
    now = 0.0
    exposition = source.expose(ttl=5.0, clock=lambda: now)
    with source.held():
        scrape = asyncio.create_task(exposition.scrape(None))
        await until(source.entered.is_set)
        now = 60.0
    await scrape
    now = 64.0
    await exposition.scrape(None)
    assert source.collections == 1


async def test_without_a_ttl_each_scrape_sees_the_present(source: Source) -> None:
    exposition = source.expose(ttl=0.0)
    assert [shown((await exposition.scrape(None))[0]) for _ in range(3)] == [1, 2, 3]


async def test_other_names_are_other_answers_of_the_same_collection(source: Source) -> None:
    exposition = source.expose(ttl=60.0)
    whole, _ = await exposition.scrape(None)
    none, _ = await exposition.scrape(None, ["other"])
    again, _ = await exposition.scrape(None)
    assert b"collections_total" not in none
    assert whole == again
    assert source.collections == 1


async def test_what_clients_choose_is_not_kept(process: Process) -> None:
    turns = process.meter().create_counter("turns")
    for number in range(1000):
        turns.add(1, {"number": number})
    exposition = process.expose(ttl=60.0)
    size = len((await exposition.scrape(None))[0])
    tracemalloc.start()
    try:
        await exposition.scrape(None, ["turns_total", "other"])
        before, _ = tracemalloc.get_traced_memory()
        for number in range(40):
            await exposition.scrape(None, ["turns_total", f"other{number}"])
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 10 * size, "forty answers would be forty times the size"


# --- the event loop goes on ------------------------------------------------------------------------------------------


async def test_a_slow_collection_does_not_stop_the_event_loop(process: Process) -> None:
    """The callback ends only once the loop has ticked a hundred times meanwhile; on the loop it never would."""
    ticks = 0
    ticked_enough = threading.Event()
    outcome: list[bool] = []
    threads: list[str] = []

    def slow(_: object) -> list[Observation]:
        threads.append(threading.current_thread().name)
        start = ticks
        ticked_enough.clear()
        outcome.append(ticked_enough.wait(20) and ticks - start >= 100)
        return [Observation(1)]

    async def ticker() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            if ticks % 200 == 0:
                ticked_enough.set()
            await asyncio.sleep(0.001)

    process.meter().create_observable_gauge("slow", [slow])
    ticking = asyncio.create_task(ticker())
    try:
        await process.expose(timeout=25.0).scrape(None)
    finally:
        ticking.cancel()
    assert outcome == [True]
    assert threads != [threading.main_thread().name]


# --- failures --------------------------------------------------------------------------------------------------------


async def test_a_failing_collection_fails_those_who_wait_and_is_tried_again(
    source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    exposition = source.expose(ttl=60.0)
    source.failing = ValueError("secret detail")
    with source.held():
        scrapes = [asyncio.create_task(exposition.scrape(None)) for _ in range(10)]
        await until(lambda: exposition.requests == 10 and source.entered.is_set())
    problems = await asyncio.gather(*scrapes, return_exceptions=True)
    assert {(type(problem), getattr(problem, "status", None)) for problem in problems} == {(ScrapeError, 500)}
    assert "ValueError" in str(problems[0])
    assert "secret" not in str(problems[0])
    assert (exposition.requests, exposition.collections, exposition.failures) == (10, 1, 1)

    with pytest.raises(ScrapeError):
        await exposition.scrape(None)
    assert (exposition.collections, exposition.failures) == (2, 2)
    assert [record.levelno for record in caplog.records] == [logging.ERROR], "logged once for a row of failures"
    assert "secret detail" in caplog.text

    source.failing = None
    assert shown((await exposition.scrape(None, ["collections_total"]))[0]) == 3
    assert exposition.failures == 2
    assert exposition.health()[0] == 200

    exposition.ttl = 0.0
    source.failing = KeyError()
    with pytest.raises(ScrapeError, match="KeyError"):
        await exposition.scrape(None)
    assert len(caplog.records) == 2, "a new row of failures is logged again"


async def test_a_failure_does_not_keep_older_metrics(source: Source) -> None:
    now = 0.0
    exposition = source.expose(ttl=5.0, clock=lambda: now)
    await exposition.scrape(None)
    now = 6.0
    source.failing = ValueError()
    with pytest.raises(ScrapeError):
        await exposition.scrape(None)
    now = 0.0
    source.failing = None
    assert shown((await exposition.scrape(None))[0]) == 3


@pytest.mark.parametrize("part", ["registry", "describe", "format", "exit"])
async def test_whatever_fails_is_told_to_the_hook_and_counted(source: Source, part: str) -> None:
    def fail(*_: object) -> Any:
        raise SystemExit if part == "exit" else ZeroDivisionError

    told: list[BaseException] = []

    def hook(error: BaseException) -> None:
        told.append(error)
        raise RuntimeError("even this hook")

    broken = CounterMetricFamily("broken", "")
    broken.add_metric([], "no number")  # type: ignore[arg-type]
    registry = CollectorRegistry()
    registry.register(type("Broken", (), {"collect": staticmethod(lambda: [broken])})())
    exposition = Exposition(
        {"registry": fail, "exit": fail, "format": lambda: registry}.get(part, lambda: source.registry),
        fail if part == "describe" else lambda: IDENTITY,
        on_failure=hook,
    )
    for count in (1, 2):
        with pytest.raises(ScrapeError) as caught:
            await exposition.scrape(None)
        assert caught.value.status == 500
        assert exposition.failures == len(told) == count


async def test_a_collection_that_hangs_is_not_waited_for(source: Source) -> None:
    now = 0.0
    exposition = source.expose(ttl=0.0, timeout=0.05, clock=lambda: now)
    with source.held():
        for scrape in (exposition.scrape(None), asyncio.to_thread(exposition.scrape_sync), exposition.scrape(None)):
            with pytest.raises(ScrapeError) as caught:
                await scrape
            assert caught.value.status == 503
        now = 1.0
        status, body, _ = exposition.health()
        assert (status, json.loads(body)["status"]) == (503, "unhealthy")
        assert (exposition.timeouts, source.collections) == (3, 1), "no second collection beside the one that hangs"
    await until(lambda: exposition.health()[0] == 200)
    exposition.timeout = 30.0
    assert shown((await exposition.scrape(None))[0]) == 2, "those who gave up are not collected for"


async def test_scrapes_beyond_the_bound_are_refused(source: Source) -> None:
    exposition = source.expose(max_waiting=3)
    with source.held():
        first = asyncio.create_task(exposition.scrape(None))
        await until(source.entered.is_set)
        waiting = [asyncio.create_task(exposition.scrape(None)) for _ in range(3)]
        await until(lambda: exposition.requests == 4)
        with pytest.raises(ScrapeError, match="too many") as caught:
            await exposition.scrape(None)
        assert caught.value.status == 503
    await asyncio.gather(first, *waiting)
    assert (exposition.refused, source.collections) == (1, 1)


async def test_no_thread_to_be_had_is_an_answer_too(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    exposition = source.expose()

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(ScrapeError, match="can't start new thread") as caught:
            await exposition.scrape(None)
    assert caught.value.status == 503
    assert exposition.refused == 1
    assert shown((await exposition.scrape(None))[0]) == 1


async def test_a_scrape_that_is_cancelled_leaves_the_others_alone(source: Source) -> None:
    exposition = source.expose()
    with source.held():
        first, second = (asyncio.create_task(exposition.scrape(None)) for _ in range(2))
        await until(lambda: exposition.requests == 2 and source.entered.is_set())
        first.cancel()
    assert shown((await second)[0]) == 1


async def test_no_thread_stays_when_nobody_asks(source: Source) -> None:
    exposition = source.expose(ttl=0.0)
    for _ in range(5):
        await exposition.scrape(None)
    await until(lambda: not [t for t in threading.enumerate() if t.name == "otel_setup-scrape"])


FORK = """
import os, sys, threading
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily
from otel_setup.prometheus import Exposition

parent, entered, go_on = os.getpid(), threading.Event(), threading.Event()

class Source:
    def collect(self):
        if os.getpid() == parent:
            entered.set()
            go_on.wait(30)
        return [CounterMetricFamily("pid", "", value=os.getpid())]

registry = CollectorRegistry()
registry.register(Source())
exposition = Exposition(lambda: registry, dict, timeout=30)
scrape = threading.Thread(target=exposition.scrape_sync)
scrape.start()
entered.wait(30)
child = os.fork()
if child == 0:
    body, _ = exposition.scrape_sync()
    own = f"pid_total {float(os.getpid())}".encode() in body
    os._exit(0 if own and (exposition.requests, exposition.collections) == (1, 1) else 1)
go_on.set()
scrape.join()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) or exposition.collections - 1)
"""


def test_a_child_forked_during_a_collection_answers_for_itself() -> None:
    run = run_python(FORK)
    assert run.returncode == 0, run.stderr
