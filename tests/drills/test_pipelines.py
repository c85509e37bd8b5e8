"""The Collector's pipelines where real stores cannot show it: order, spans of ever new names, damaged queues."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from pathlib import Path

import psutil
import pytest

from deploy import native
from deploy.collector.roles import events, standalone
from deploy.process import ProcessError
from settings import Settings, parse
from tests.drills.pipeline_ends import (
    Store,
    eventually,
    load,
    out_of_order,
    post,
    prometheus_url,
    request,
    span,
    spans,
    stores,
    unexpected,
)
from tests.drills.proof import Finding, write_proof
from tests.support.peers import free_settings, require

pytestmark = [pytest.mark.drill, pytest.mark.timeout(500)]

IN_ORDER = ("metrics", "events")
AWAY = 30.0
WAIT = 90.0
"""Seconds that what waited may take to arrive: the pause between tries grows to thirty."""


def _has(store: Store, numbers: set[int]) -> bool:
    return numbers <= set(store.numbers)


def _accepted(port: int, body: object) -> bool:
    return post(port, "traces", body) == HTTPStatus.OK


def test_what_waits_stays_in_order(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """A store of metrics sorts them by their times: in which order they came, only a stand-in can tell."""
    require("otelcol")
    settings = free_settings(parse({"metrics": {"export_interval_seconds": 1}}))
    with (
        stores(settings) as kept,
        native.running_collector(settings, tmp_path, prometheus_url(settings), role=standalone) as collector,
    ):
        with load(collector.settings.otlp_http_port, IN_ORDER) as senders:
            time.sleep(2)
            for kind in IN_ORDER:
                kept[kind].end()
            time.sleep(AWAY)
            for kind in IN_ORDER:
                kept[kind].begin()
            time.sleep(2)
        for kind in IN_ORDER:
            eventually(partial(_has, kept[kind], set(senders[kind].accepted)), WAIT)
    findings = [Finding(f"{kind}: accepted", None, f"{len(senders[kind].accepted)}") for kind in IN_ORDER]
    for kind in IN_ORDER:
        missing = senders[kind].accepted.keys() - set(kept[kind].numbers)
        findings.append(Finding(f"{kind}: accepted and never arrived", "0", f"{len(missing)}"))
        findings.append(Finding(f"{kind}: out of order", "0", f"{out_of_order(kept[kind].numbers)}"))
    write_proof(
        pytestconfig,
        "stores-away-order",
        f"A Collector of the role standalone under load, whose stores of metrics and events, stand-ins that note what "
        f"comes as it comes, are away for {AWAY:g} s.",
        findings,
    )
    assert unexpected(findings) == []


def test_a_hundred_thousand_names_of_spans(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    series, names = 500, 100_000
    require("otelcol")
    made = {"traces": {"span_metrics_series": series, "decision_seconds": 1}, "metrics": {"export_interval_seconds": 1}}
    settings, folder = free_settings(parse(made)), tmp_path / "collector"
    with (
        stores(settings) as kept,
        native.running_collector(settings, folder, prometheus_url(settings), role=standalone) as collector,
    ):
        process = psutil.Process(collector.process.pid)
        memory = [process.memory_info().rss]
        for first in range(1, names, 500):
            body = spans([span(number, number, f"hostile-{number}") for number in range(first, first + 500)])
            assert eventually(partial(_accepted, settings.collector.otlp_http_port, body), 60)
            memory.append(process.memory_info().rss)

        def calls() -> dict[frozenset[tuple[str, str]], float]:
            return {key: n for (name, key), n in kept["metrics"].sums.items() if name == "traces.spanmetrics.calls"}

        eventually(lambda: sum(calls().values()) >= names, 60)
        eventually(lambda: len(set(kept["traces"].numbers)) >= names, 60)
        found, came = calls(), len(set(kept["traces"].numbers))
    findings = [
        Finding("spans, each of another name", None, str(names)),
        Finding("series of their count, with one of all the rest", str(series + 1), str(len(found))),
        Finding("sum of their counts", str(names), f"{sum(found.values()):.0f}"),
        Finding("counted as overflow", None, str(max(map(int, found.values()), default=0))),
        Finding("spans that arrived, all being kept", str(names), str(came)),
        Finding("memory before, MiB", None, f"{memory[0] / 2**20:.0f}"),
        Finding("memory at most, MiB", None, f"{max(memory) / 2**20:.0f}"),
    ]
    write_proof(
        pytestconfig,
        "span-names",
        f"A hundred thousand spans, each of another name, in the role standalone with at most {series} series.",
        findings,
    )
    assert unexpected(findings) == []


PAGE = 4096
"""Bytes; of the queues' file format, in which the first two pages are its head, twice."""
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "not at all": lambda whole: whole,
    "the first of both heads": lambda whole: garbage(whole, 0, PAGE),
    "the second of both heads": lambda whole: garbage(whole, PAGE, 2 * PAGE),
    "both heads": lambda whole: garbage(whole, 0, 2 * PAGE),
    "a page in the middle": lambda whole: garbage(whole, 34 * PAGE, 35 * PAGE),
    "the last quarter": lambda whole: garbage(whole, len(whole) // 4 * 3, len(whole)),
    "all but the heads": lambda whole: garbage(whole, 2 * PAGE, len(whole)),
    "cut to half its length": lambda whole: whole[: len(whole) // 2],
    "cut to nothing": lambda _: b"",
}


def garbage(whole: bytes, start: int, end: int) -> bytes:
    return whole[:start] + b"\xa5" * (end - start) + whole[end:]


def test_damaged_queues(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """Which damages stop a Collector from starting: one has to know, since nothing in its configuration helps."""
    require("otelcol")
    settings = free_settings(parse({}))
    whole = tmp_path / "whole"
    with native.running_collector(settings, whole, role=events) as collector:
        for first in range(1, 101, 10):
            body = request("events", range(first, first + 10), "x" * 2000)
            assert post(collector.settings.otlp_http_port, "events", body) == HTTPStatus.OK
    (queue,) = (file for file in (whole / "hub").iterdir() if file.is_file())
    seen = {what: after(settings, tmp_path / what, queue, damage) for what, damage in DAMAGES.items()}
    findings = [Finding(what, EXPECTED.get(what), outcome) for what, outcome in seen.items()]
    write_proof(
        pytestconfig,
        "damaged-queues",
        "The file in which a hundred events wait is damaged while the Collector is stopped; then it is started again. "
        "Where it does not start, the file has to be taken away by hand.",
        findings,
    )
    assert unexpected(findings) == []


EXPECTED = {
    "not at all": "starts; 100 of 100 arrive",
    "the first of both heads": "starts; 100 of 100 arrive",
    "the second of both heads": "starts; 100 of 100 arrive",
    "cut to nothing": "starts; 0 of 100 arrive",
}


def after(settings: Settings, folder: Path, queue: Path, damage: Callable[[bytes], bytes]) -> str:
    """What comes of a damage."""
    damaged = folder / "hub" / queue.name
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(damage(queue.read_bytes()))
    with stores(settings, ("events",)) as kept:
        try:
            with native.running_collector(settings, folder, role=events) as collector:
                port = collector.settings.otlp_http_port
                eventually(lambda: post(port, "events", request("events", range(1001, 1002))) == HTTPStatus.OK, 10)
                eventually(partial(_has, kept["events"], {1001}), 10)
        except ProcessError:
            return "does not start"
        came = set(kept["events"].numbers)
    assert 1001 in came, "what comes after the damage arrives"
    return f"starts; {len(came) - 1} of 100 arrive"
