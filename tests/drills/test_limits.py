"""What is too much for a standalone Collector: a full disk, more than its memory, huge values, endless series."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import psutil
import pytest

from deploy import native
from deploy.collector.roles import standalone
from deploy.process import wait_until
from otel_setup.catalogue import Kind, build
from settings import parse
from tests.deploy.collectors import disk, own_metrics
from tests.drills.hostile_labels import APPLICATION, LABELS
from tests.drills.pipeline_ends import (
    KINDS,
    METRIC,
    SERVICE,
    Store,
    eventually,
    load,
    post,
    prometheus_url,
    request,
    stores,
    text,
    unexpected,
)
from tests.drills.proof import Finding, write_proof
from tests.e2e.processes import PYTHON, process
from tests.support.backends import running_jaeger, running_loki
from tests.support.fault_runs import lost, running_game, with_the_end
from tests.support.peers import free_settings, require, running_prometheus, running_stack

pytestmark = [pytest.mark.drill, pytest.mark.timeout(400)]

MEBIBYTE = 2**20
SOON = 60.0
WAIT = 90.0
"""Seconds that what waited may take to arrive: the pause between tries grows to thirty."""


@contextmanager
def pipeline(folder: Path, made: dict[str, Any]) -> Iterator[tuple[native.Collector, dict[str, Store]]]:
    """The role with these settings, its data in ``folder``, and stores of numbered items."""
    require("otelcol")
    settings = free_settings(parse(made))
    with (
        stores(settings) as kept,
        native.running_collector(settings, folder, prometheus_url(settings), role=standalone) as collector,
    ):
        yield collector, kept


def memory(collector: native.Collector) -> int:
    """Bytes that it holds now."""
    return int(psutil.Process(collector.process.pid).memory_info().rss)


def mebibytes(number: float) -> str:
    return f"{number / MEBIBYTE:.0f} MiB"


def has(store: Store, numbers: set[int]) -> bool:
    return numbers <= set(store.numbers)


# --- disk -------------------------------------------------------------------------------------------------------------
DISK = 12
"""MiB of the volume with all queues; some seconds' load."""
FULL = 30.0
"""Seconds that it stays full."""


WAITING = ("metrics", "logs", "events")
"""What goes onto the disk before it is acknowledged. Traces do after their decision: then nobody is left to refuse."""
LATER = 10**9
"""A span's number, higher than those under load."""


def test_a_full_disk(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    folder = tmp_path / "collector"
    with disk(folder, DISK), pipeline(folder, {"traces": {"decision_seconds": 1}}) as (collector, kept):
        with load(collector.settings.otlp_http_port, batch=200, pause=0.02) as senders:
            for store in kept.values():
                store.end()
            wait_until(lambda: [senders[kind].refused["503"] for kind in WAITING], all, WAIT, "all are refused")
            time.sleep(FULL)
            free, before = shutil.disk_usage(folder).free, {kind: len(senders[kind].accepted) for kind in KINDS}
            for store in kept.values():
                store.begin()
            again = eventually(lambda: all(len(senders[kind].accepted) > before[kind] + 1000 for kind in KINDS), WAIT)
        accepted = {kind: set(senders[kind].accepted) for kind in KINDS}
        for kind in WAITING:
            eventually(partial(has, kept[kind], accepted[kind]), WAIT)
        arrives = eventually(lambda: one_more(collector, kept["traces"]), WAIT)
        counted = own_metrics(collector)["otelcol_exporter_enqueue_failed_spans_total"]
    findings = []
    for kind in KINDS:
        gone = len(accepted[kind] - set(kept[kind].numbers))
        findings += [
            Finding(f"{kind}: accepted", None, str(len(accepted[kind]))),
            Finding(f"{kind}: requests that were refused and sent again", None, str(senders[kind].refused.total())),
            Finding(f"{kind}: accepted and never arrived", None if kind == "traces" else "0", str(gone)),
        ]
    findings += [
        Finding("traces that the Collector counts as finding no room", None, f"{counted:.0f}"),
        Finding("a trace that is sent once all is well arrives", "True", str(arrives)),
        Finding("bytes free after it was full for so long", None, str(free)),
        Finding("once the stores are back, every kind is taken again", "True", str(again)),
    ]
    write_proof(
        pytestconfig,
        "full-disk",
        f"A Collector of the role standalone under load, its queues on a volume of {DISK} MiB. Its stores go away, the "
        f"volume fills until it refuses, and for {FULL:g} s more; then the stores come back. Traces that find no room "
        "after their decision are lost; they are counted in otelcol_exporter_enqueue_failed_spans, but for those that "
        "the queue gives up when it cannot write down that it has begun to send them.",
        findings,
    )
    assert unexpected(findings) == []


def one_more(collector: native.Collector, store: Store) -> bool:
    """Whether a trace has arrived that was sent now or in an earlier try."""
    post(collector.settings.otlp_http_port, "traces", request("traces", range(LATER, LATER + 1)))
    return LATER in store.numbers


# --- memory -----------------------------------------------------------------------------------------------------------
LIMIT = 60
"""MiB that the Collector may hold."""
PRESSED = 20.0
"""Seconds for which somebody sends as much as is taken."""


def test_more_than_its_memory(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """Traces that wait for their decision fill it, while a real game server goes on playing."""
    made = {"traces": {"decision_seconds": 5}, "collector": {"memory_limit_mib": LIMIT}}
    with pipeline(tmp_path / "collector", made) as (collector, kept):
        with running_game(tmp_path, collector.otlp_http, queue_size=50_000, export_timeout=10.0) as game:
            accepted, refused, played, most = 0, 0, 0, memory(collector)
            until = time.monotonic() + PRESSED
            while time.monotonic() < until:
                body = request("traces", range(accepted + 1, accepted + 301), "x" * 8000)
                if post(collector.settings.otlp_http_port, "traces", body) == HTTPStatus.OK:
                    accepted += 300
                else:
                    refused += 1
                    time.sleep(0.1)
                game.play(5)
                played += 5
                most = max(most, memory(collector))
            counted = own_metrics(collector).get("otelcol_processor_memory_limiter_refused_spans_total")
            eventually(partial(has, kept["traces"], set(range(1, accepted + 1))), WAIT)
            game.tell("flush", timeout=60)
            game.tell("shutdown", timeout=30)
            told, said = game.counts(), len(game.said("do not reach"))
        missing = set(range(1, accepted + 1)) - set(kept["traces"].numbers)
    made_by_game = with_the_end({"traces": played, "logs": 3 * played})
    findings = [
        Finding("a sender's spans of 8 kB: accepted", None, f"{accepted}, {mebibytes(8000 * accepted)}"),
        Finding("requests refused, each sent again", "some", "some" if refused else "none"),
        Finding("how many", None, str(refused)),
        Finding("spans that the Collector counts as refused", "some", "some" if counted else "none"),
        Finding("accepted and never arrived", "0", str(len(missing))),
        Finding("memory of the Collector at most", None, mebibytes(most)),
        *(
            Finding(f"the game server's {signal}: accepted by the Collector", str(items), str(told[signal]["accepted"]))
            for signal, items in made_by_game.items()
        ),
        Finding("lost by its account", "0", str(sum(lost(told[signal]) for signal in made_by_game))),
        Finding("lines that it logged about it", None, str(said)),
    ]
    write_proof(
        pytestconfig,
        "memory-limit",
        f"A Collector of the role standalone that may hold {LIMIT} MiB. For {PRESSED:g} s a sender sends as much as is "
        "taken, in traces that wait for their decision, and a game server plays on beside it.",
        findings,
    )
    assert unexpected(findings) == []


# --- huge values ------------------------------------------------------------------------------------------------------
HUGE = 5_000_000


def with_a_huge_one(kind: str) -> Any:
    """Items 1 to 3, told apart by an attribute; the second has one that is huge."""
    body = request(kind, range(1, 4))
    for number, item in enumerate(items_of(kind, body), 1):
        item.attributes.append(text("number", str(number)))
        if number == 2:
            item.attributes.append(text("huge", "x" * HUGE))
    return body


def items_of(kind: str, body: Any) -> Any:
    if kind == "traces":
        return body.resource_spans[0].scope_spans[0].spans
    if kind == "metrics":
        return body.resource_metrics[0].scope_metrics[0].metrics[0].sum.data_points
    return body.resource_logs[0].scope_logs[0].log_records


def test_a_value_of_five_megabytes(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    require("otelcol")
    settings = free_settings(parse({"traces": {"decision_seconds": 1}, "metrics": {"export_interval_seconds": 1}}))
    longest = str(settings.collector.attribute_characters)
    with (
        running_prometheus(tmp_path, settings=settings) as prometheus,
        running_jaeger(tmp_path, settings) as jaeger,
        running_loki(tmp_path, settings) as loki,
        stores(settings, ("events",)) as hub,
        native.running_collector(settings, tmp_path / "collector", prometheus.url, role=standalone) as collector,
    ):
        statuses, took = [], []
        for kind in KINDS:
            began = time.monotonic()
            statuses.append(post(collector.settings.otlp_http_port, kind, with_a_huge_one(kind)))
            took.append(time.monotonic() - began)
        points = prometheus.wait_for(METRIC.replace(".", "_") + "_total", lambda found: len(found) == 3, SOON)
        spans = [jaeger.wait_for(f"{number:032x}", timeout=SOON) for number in range(1, 4)]
        lines = loki.wait_for(f'{{service_name="{SERVICE}"}}', lambda found: len(found) == 6, timeout=SOON)
        eventually(partial(has, hub["events"], {1, 2, 3}), SOON)
        held = memory(collector)
    lengths = {
        "Prometheus": [len(labels["huge"]) for labels, _ in points if "huge" in labels],
        "Jaeger": [len(span.attributes["huge"]) for trace in spans for span in trace if "huge" in span.attributes],
        "Loki, of a line and of an event": [len(line.metadata["huge"]) for line in lines if "huge" in line.metadata],
    }
    findings = [
        Finding("statuses of the four requests", "{200}", str(set(map(int, statuses)))),
        Finding("the longest that an answer took", None, f"{max(took):.2f} s"),
        Finding("points in Prometheus", "3", str(len(points))),
        Finding("spans in Jaeger", "3", str(sum(map(len, spans)))),
        Finding("lines in Loki, events among them", "6", str(len(lines))),
        Finding("events at the hub", "[1, 2, 3]", str(hub["events"].numbers)),
        *(
            Finding(
                f"characters of the huge value in {where}", longest, ", ".join(sorted({str(each) for each in found}))
            )
            for where, found in lengths.items()
        ),
        Finding("memory of the Collector then", None, mebibytes(held)),
    ]
    write_proof(
        pytestconfig,
        "huge-value",
        f"To each pipeline of a standalone Collector with the real stores a request of three items; the second of them "
        f"has an attribute of {HUGE} characters.",
        findings,
    )
    assert unexpected(findings) == []


# --- endless series ---------------------------------------------------------------------------------------------------
MANY, FEW = 100_000, 1_000
OVERFLOW, OTHER = "otel_metric_overflow", "other"
CARDINALITY_LIMIT = 2000
"""The documented default of the option ``cardinality_limit``."""


def hostile(numbers: range) -> Any:
    """Points of one metric, each with a label of its own."""
    body = request("metrics", numbers)
    for number, point in zip(numbers, items_of("metrics", body), strict=True):
        point.attributes.append(text("who", f"hostile-{number}"))
    return body


def test_a_hundred_thousand_label_values_of_a_foreign_sender(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """What nobody limits: all of them become series. The proof says what they cost."""
    require("otelcol")
    settings = free_settings(parse({"metrics": {"export_interval_seconds": 1}, "hub": {"enabled": False}}))
    with (
        running_prometheus(tmp_path, settings=settings) as prometheus,
        native.running_collector(settings, tmp_path / "collector", prometheus.url, role=standalone) as collector,
    ):
        store = psutil.Process(prometheus.process.pid)
        held, weight, refused = [memory(collector)], store.memory_info().rss, 0
        for first in range(1, MANY, 1000):
            body = hostile(range(first, first + 1000))
            while post(collector.settings.otlp_http_port, "metrics", body) != HTTPStatus.OK:
                refused += 1
                time.sleep(0.1)
            held.append(memory(collector))
        series = f"count(last_over_time({METRIC.replace('.', '_')}_total[5m]))"
        [(_, came)] = prometheus.wait_for(series, lambda found: found and found[0][1] >= MANY, SOON)
        said = own_metrics(collector)
        weight = store.memory_info().rss - weight
        collector.process.kill()  # in order it would first try to reach the stores that are not there
    lost_there = sum(value for name, value in said.items() if name.startswith("otelcol_exporter_send_failed_metric"))
    findings = [
        Finding("points, each with another label", None, str(MANY)),
        Finding("requests that the Collector refused for now", "0", str(refused)),
        Finding("points that Prometheus refused", "0", f"{lost_there:g}"),
        Finding("series in Prometheus: nothing limits a foreign sender", str(MANY), f"{came:.0f}"),
        Finding("memory of the Collector before", None, mebibytes(held[0])),
        Finding("at most", None, mebibytes(max(held))),
        Finding("its limit", None, f"{settings.collector.memory_limit_mib} MiB"),
        Finding("growth of Prometheus", None, mebibytes(weight)),
    ]
    write_proof(
        pytestconfig,
        "foreign-series",
        f"A sender that does not use otel_setup sends a metric with {MANY} values of one label through a standalone "
        "Collector into Prometheus.",
        findings,
    )
    assert unexpected(findings) == []
    assert max(held) < settings.collector.memory_limit_mib * MEBIBYTE


def test_a_hundred_thousand_label_values_of_a_game_server(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """Values outside the game model's sets become ``other``; of what the application itself measures, some stay."""
    catalogue = build()
    names = {
        built.declared: built.prometheus + "_count" * (built.declared.kind is Kind.HISTOGRAM)
        for built in catalogue.metrics
    }
    others = " + ".join(f'(sum({names[metric]}{{{label}="{OTHER}"}}) or vector(0))' for metric, label in LABELS)
    own = APPLICATION.replace(".", "_") + "_total"
    of_the_game = f'count({{__name__=~"{catalogue.prefix}_.*"}})'
    settings = free_settings(parse({"metrics": {"export_interval_seconds": 1}}))
    with running_stack(tmp_path, settings) as stack:
        command, environment = (PYTHON, "-m", "tests.drills.hostile_labels"), stack.server_environment()
        with process(command, stack.collector.otlp_http, **environment) as game:
            seen = {}
            for values in (FEW, MANY - FEW):
                game.tell(str(values))
                game.wait_until_it_says(f"sent {values}", timeout=200)
                sent = FEW if values == FEW else MANY
                stack.prometheus.wait_for(f"sum({own})", lambda found: found and found[0][1] == sent, SOON)  # noqa: B023
                [(_, seen[sent])] = stack.prometheus.query(of_the_game)
            [(_, replaced)] = stack.prometheus.query(others)
            [(_, of_its_own)] = stack.prometheus.query(f"count({own})")
            [(_, overflown)] = stack.prometheus.query(f'sum({own}{{{OVERFLOW}="true"}})')
            held = psutil.Process(game.popen.pid).memory_info().rss
    findings = [
        Finding(f"series of the game after {FEW} values", None, f"{seen[FEW]:.0f}"),
        Finding(f"after {MANY} values", f"{seen[FEW]:.0f}", f"{seen[MANY]:.0f}"),
        Finding(f"counted by the game under {OTHER}", f"{MANY}", f"{replaced:.0f}"),
        Finding("series of the application's own counter", f"{CARDINALITY_LIMIT + 1}", f"{of_its_own:.0f}"),
        Finding("counted in the one for the rest", f"{MANY - CARDINALITY_LIMIT}", f"{overflown:.0f}"),
        Finding("memory of the game server", None, mebibytes(held)),
    ]
    write_proof(
        pytestconfig,
        "game-series",
        f"A game server gets {MANY} values that no model declares, in turn through every call that takes one into a "
        "label, and each of them into a counter of the application's own; behind it are a Collector and Prometheus.",
        findings,
    )
    assert unexpected(findings) == []
