"""The role ``standalone`` under load: it is killed, its stores go away, and all that it accepted is looked for."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
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
    KINDS,
    Sender,
    Store,
    eventually,
    load,
    post,
    prometheus_url,
    request,
    span,
    spans,
    stores,
)
from tests.drills.proof import Finding, write_proof
from tests.support.peers import free_settings, require

pytestmark = [pytest.mark.drill, pytest.mark.timeout(500)]

DECISION = 5
"""Seconds that a trace waits for its decision."""
TICK = 2.0
"""Seconds more that it may take: decisions are made once a second, and what is kept is gathered and written down."""
WAIT = 90.0
"""Seconds that what waited may take to arrive: the pause between tries grows to thirty."""
AWAY = 15.0


class Standalone:
    """A Collector that can be killed and started again with what it had."""

    def __init__(self, folder: Path, stack: ExitStack, settings: Settings | None = None) -> None:
        require("otelcol")
        made = {"traces": {"decision_seconds": DECISION}, "metrics": {"export_interval_seconds": 1}}
        self.settings = settings or free_settings(parse(made))
        self.folder = folder / "collector"
        self._running = ExitStack()
        stack.push(self._running.__exit__)
        self.begin()

    @property
    def port(self) -> int:
        return self.settings.collector.otlp_http_port

    def begin(self) -> None:
        start = native.running_collector(self.settings, self.folder, prometheus_url(self.settings), role=standalone)
        self.process = self._running.enter_context(start).process

    def kill(self) -> float:
        self.process.kill()
        killed = time.monotonic()
        self._running.close()
        return killed


@contextmanager
def under_load(folder: Path) -> Iterator[tuple[Standalone, dict[str, Store], dict[str, Sender]]]:
    """With its stores; who sends has stopped, and every request was accepted, at the end of the block."""
    with ExitStack() as stack:
        collector = Standalone(folder, stack)
        kept = stack.enter_context(stores(collector.settings))
        with load(collector.port) as senders:
            yield collector, kept, senders
        for kind, sender in senders.items():
            eventually(partial(_has, kept[kind], set(sender.accepted)), _patience(kind))


def _has(store: Store, numbers: set[int]) -> bool:
    return numbers <= set(store.numbers)


def _patience(kind: str) -> float:
    """Traces may be lost for good: they are waited for no longer than the longest pause between tries."""
    return DECISION + 35.0 if kind == "traces" else WAIT


def _accepted(port: int, body: object) -> bool:
    return post(port, "traces", body) == HTTPStatus.OK


def account(kind: str, sender: Sender, store: Store) -> list[Finding]:
    """What was accepted against what arrived."""
    came = Counter(store.numbers)
    lost = sender.accepted.keys() - came.keys()
    found = [
        Finding(f"{kind}: accepted", None, str(len(sender.accepted))),
        Finding(f"{kind}: accepted and never arrived", "0", str(len(lost))),
        Finding(f"{kind}: arrived and never accepted", "0", str(len(came.keys() - sender.accepted.keys()))),
        Finding(f"{kind}: arrived twice", None, str(came.total() - len(came))),
        Finding(f"{kind}: requests that were sent again", None, str(sender.refused.total())),
    ]
    return found if kind != "traces" else [each for each in found if "never arrived" not in each.what]


def out_of_order(numbers: list[int]) -> int:
    """Items that came after a later one, where each is looked at when it came first."""
    firsts = list(dict.fromkeys(numbers))
    return sum(after < before for before, after in itertools.pairwise(firsts))


def unexpected(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.expected not in (None, finding.observed)]


def test_killed_under_load(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    kills: list[float] = []
    with under_load(tmp_path) as (collector, kept, senders):
        for _ in range(3):
            time.sleep(12)
            kills.append(collector.kill())
            time.sleep(1)
            collector.begin()
        time.sleep(2)
    findings = [finding for kind in KINDS for finding in account(kind, senders[kind], kept[kind])]
    accepted, came = senders["traces"].accepted, set(kept["traces"].numbers)
    lost = accepted.keys() - came
    waited = [min(kill - accepted[number] for kill in kills if kill >= accepted[number]) for number in lost]
    bound = sum(any(0 <= kill - at <= DECISION + TICK for kill in kills) for at in accepted.values())
    findings += [
        Finding("traces: lost", None, str(len(lost))),
        Finding(f"traces: accepted within {DECISION + TICK:g} s before a kill", None, str(bound)),
        Finding("traces: lost of those that were accepted earlier", "0", str(sum(w > DECISION + TICK for w in waited))),
        Finding("traces: the longest that a lost one had waited, s", None, f"{max(waited, default=0):.1f}"),
        Finding("traces: lost + arrived", str(len(accepted)), str(len(lost) + len(came))),
    ]
    write_proof(
        pytestconfig,
        "collector-killed",
        f"A Collector of the role standalone is killed with SIGKILL three times under load and started again a second "
        f"later; traces wait {DECISION} s for their decision. Who sends repeats each request until it is accepted.",
        findings,
    )
    assert unexpected(findings) == []


@pytest.mark.parametrize("which", ["in-turn", "together"])
def test_stores_are_away(tmp_path: Path, pytestconfig: pytest.Config, which: str) -> None:
    with under_load(tmp_path) as (_, kept, senders):
        time.sleep(2)
        groups = [[kind] for kind in KINDS] if which == "in-turn" else [list(KINDS)]
        for group in groups:
            for kind in group:
                kept[kind].end()
            time.sleep(AWAY)
            for kind in group:
                kept[kind].begin()
            time.sleep(1)
    findings = [finding for kind in KINDS for finding in account(kind, senders[kind], kept[kind])]
    lost = senders["traces"].accepted.keys() - set(kept["traces"].numbers)
    findings.append(Finding("traces: accepted and never arrived", "0", str(len(lost))))
    findings += [
        Finding(
            f"{kind}: out of order",
            "0" if kind in ("metrics", "events") else None,
            str(out_of_order(kept[kind].numbers)),
        )
        for kind in KINDS
    ]
    write_proof(
        pytestconfig,
        f"stores-away-{which}",
        f"A Collector of the role standalone under load, its stores away for {AWAY:g} s, {which.replace('-', ' ')}.",
        findings,
    )
    assert unexpected(findings) == []


def test_a_hundred_thousand_names_of_spans(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    series, names = 500, 100_000
    made = {"traces": {"span_metrics_series": series, "decision_seconds": 1}, "metrics": {"export_interval_seconds": 1}}
    with ExitStack() as stack:
        collector = Standalone(tmp_path, stack, free_settings(parse(made)))
        kept = stack.enter_context(stores(collector.settings))
        process = psutil.Process(collector.process.pid)
        memory = [process.memory_info().rss]
        for first in range(1, names, 500):
            body = spans([span(number, number, f"hostile-{number}") for number in range(first, first + 500)])
            assert eventually(partial(_accepted, collector.port, body), 60)
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
