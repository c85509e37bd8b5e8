"""Every name that the product's first document promises arrives where operators look for it; so do spans and events."""

from __future__ import annotations

import asyncio
import gc
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

import otel_setup
from deploy.native import Stack
from deploy.otlp_json import Item
from otel_setup import Kind, Metric
from otel_setup.catalogue import EVENTS, SPANS
from otel_setup.catalogue import attributes as a
from otel_setup.catalogue.spans import ACTION_SPAN, TRANSITION_SPAN
from otel_setup.catalogue.types import Span
from otel_setup.prometheus import default_exposition
from otel_setup.runtime import SystemMetricsCollector
from otel_setup.testing import fresh_telemetry
from tests.e2e.play import BUSINESS_METRIC, play_everything
from tests.e2e.support import METRIC_INTERVAL, SETTLE_SECONDS, event_records, retried, uid_of
from tests.support.peers import require, running_collector, running_stack

SEED = {
    # game metrics
    "liap_tui_games_active": ("gauge", set()),
    "liap_tui_games_completed_total": ("counter", set()),
    "liap_tui_games_per_hour": ("gauge", set()),
    "liap_tui_game_duration_minutes": ("gauge", set()),
    "liap_tui_player_win_rate": ("gauge", {"type"}),
    "liap_tui_phase_duration_seconds": ("histogram", {"phase"}),
    # system metrics
    "liap_tui_memory_usage_mb": ("gauge", {"type"}),
    "liap_tui_memory_growth_rate": ("gauge", set()),
    "liap_tui_cpu_usage_percent": ("gauge", set()),
    "liap_tui_gc_collections_total": ("counter", {"generation"}),
    "liap_tui_threads_active": ("gauge", set()),
    # state machine metrics
    "liap_tui_state_active_games": ("gauge", {"state"}),
    "liap_tui_state_transitions_total": ("counter", {"from", "to"}),
    "liap_tui_state_errors": ("counter", {"state"}),
    # WebSocket metrics
    "liap_tui_websocket_connections_active": ("gauge", set()),
    "liap_tui_websocket_connections.opened": ("counter", set()),
    "liap_tui_websocket_connections.closed": ("counter", set()),
    "liap_tui_websocket_broadcast_time": ("histogram", set()),
}
"""The first document's section "Available Metrics": name, type and labels, as it writes them."""

AS_EXPORTED = {
    "liap_tui_state_errors": "liap_tui_state_errors_total",
    "liap_tui_websocket_connections.opened": "liap_tui_websocket_connections_opened_total",
    "liap_tui_websocket_connections.closed": "liap_tui_websocket_connections_closed_total",
}
"""The three names that Prometheus cannot carry as written."""

NEEDS_ITS_MIDDLEWARE = ("liap_tui_websocket_server_", "http_server_")
"""Metrics that come from an ASGI server, which there is none here."""

OWN = ("liap_tui_", "otel_setup_", "process_", "cpython_", "asyncio_")
"""How the names of everything that this process exports begin."""

PARSE_ERROR = 1  # https://github.com/prometheus/prometheus/blob/main/cmd/promtool/main.go, failureExitCode
BESIDES = {"__name__", "job", "instance", "le"}


@dataclass
class Played:
    stack: Stack
    monitor: otel_setup.EnterpriseMonitor
    exposition: str


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    points = Metric(name=BUSINESS_METRIC, kind=Kind.COUNTER, unit="{point}", description="Points won.", moves="Up.")
    with running_stack(tmp_path_factory.mktemp("names")) as stack, fresh_telemetry() as recorded:
        telemetry = otel_setup.configure(
            collector=stack.collector.otlp_http, metric_interval=METRIC_INTERVAL, business_metrics=[points]
        )
        _grow_old(telemetry.core.system)
        asyncio.run(_play(recorded.monitor))
        telemetry.core.system.note_asyncio_tasks(1)
        assert telemetry.flush(SETTLE_SECONDS)
        # CPU use is known once it has been watched for a while.
        exposition = retried(_scraped, lambda text: "\nliap_tui_cpu_usage" in text)
        yield Played(stack, recorded.monitor, exposition)


def _scraped() -> str:
    body, _ = default_exposition().scrape_sync()
    return body.decode()


async def _play(monitor: otel_setup.EnterpriseMonitor) -> None:
    await play_everything(monitor)
    await monitor.start()
    while monitor.system_metrics.max_loop_lag() is None:
        await asyncio.sleep(0.01)
    for generation in (0, 1, 2):
        gc.collect(generation)
    await monitor.stop()
    for event in EVENTS:
        await monitor.record_event(event.name)


def _grow_old(system: SystemMetricsCollector) -> None:
    """Two samples of memory as if some minutes lay between them, which is what a growth rate needs."""
    clock = system._clock
    system._clock = lambda: clock() - system.min_growth_span - 1
    system.sample()
    system._clock = clock
    system.sample()


def promoted(played: Played) -> set[str]:
    """The labels that Prometheus makes of resource attributes."""
    return {name.replace(".", "_") for name in played.stack.prometheus.settings.prometheus.promoted_attributes}


# --- metrics ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", SEED)
def test_a_promised_metric_is_on_metrics(played: Played, name: str) -> None:
    kind, labels = SEED[name]
    exported = AS_EXPORTED.get(name, name)
    families = {family.name: family for family in text_string_to_metric_families(played.exposition)}
    family = families[exported.removesuffix("_total")]
    assert family.type == kind
    assert {label for sample in family.samples for label in sample.labels} - BESIDES == labels


@pytest.mark.parametrize("name", SEED)
def test_a_promised_metric_is_in_prometheus(played: Played, name: str) -> None:
    kind, labels = SEED[name]
    exported = AS_EXPORTED.get(name, name)
    suffixes = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
    for suffix in suffixes:
        found = played.stack.prometheus.wait_for(f"{exported}{suffix}", timeout=SETTLE_SECONDS)
        seen = {label for series, _ in found for label in series if not label.startswith("otel_scope_")}
        assert seen - BESIDES - promoted(played) == labels, f"{exported}{suffix}"


def test_prometheus_s_own_parser_reads_metrics(played: Played) -> None:
    command = [str(require("promtool")), "check", "metrics"]
    run = subprocess.run(command, input=played.exposition.encode(), capture_output=True, timeout=60, check=False)
    assert run.returncode != PARSE_ERROR, run.stderr.decode()
    assert "not unique" not in run.stdout.decode() + run.stderr.decode()


def test_a_scrape_and_otlp_bring_the_same_series(played: Played) -> None:
    """Names and the labels of the game, of everything that this process exports."""
    samples = [s for family in text_string_to_metric_families(played.exposition) for s in family.samples]
    scraped = {
        (s.name, frozenset(s.labels.items())) for s in samples if s.name.startswith(OWN) and "le" not in s.labels
    }
    beside = BESIDES | promoted(played)

    def stored() -> set[tuple[str, frozenset[tuple[str, str]]]]:
        names = "|".join(f"{prefix}.+" for prefix in OWN)
        found = played.stack.prometheus.query(f'{{__name__=~"{names}", job="liap-tui", le=""}}')
        return {
            (
                series["__name__"],
                frozenset((k, v) for k, v in series.items() if k not in beside and "otel_scope_" not in k),
            )
            for series, _ in found
        }

    assert retried(stored, lambda found: found == scraped) == scraped
    declared = {name for metric in played.monitor.core.catalogue.metrics for name in metric.series}
    arrived = {name for name, _ in scraped}
    absent = {name for name in declared - arrived if not name.endswith("_bucket")}
    assert arrived <= declared
    assert not [name for name in absent if not name.startswith(NEEDS_ITS_MIDDLEWARE)]


# --- traces ----------------------------------------------------------------------------------------------------------
def spans(played: Played, name: str) -> list[Item]:
    return [span for span in played.stack.collector.spans() if span.data["name"] == name]


@pytest.mark.parametrize(
    ("declared", "success", "failure"),
    [
        (TRANSITION_SPAN, "state_transition.waiting_to_preparation", "state_transition.preparation_to_round_start"),
        (ACTION_SPAN, "action.play_pieces", "action.declare"),
    ],
    ids=["transition", "action"],
)
def test_spans_arrive_with_what_is_declared(played: Played, declared: Span, success: str, failure: str) -> None:
    names = {attribute.name for attribute in declared.attributes}
    (succeeded,), (failed,) = spans(played, success), spans(played, failure)
    # Of ordinary traces a share is marked, by chance.
    assert set(succeeded.attributes) | {"otel_setup.trace.kept"} == names - {"error.type"}
    assert failed.attributes["otel_setup.trace.kept"] is True
    assert {"game.id", "error.type", "correlation.id"} <= set(failed.attributes) <= names
    assert failed.attributes["error.type"] == "WrongMove"
    assert succeeded.attributes["game.id"] == "game1"
    assert "code" not in succeeded.data.get("status", {}), "unset on success"
    assert failed.data["status"]["code"] == 2, "STATUS_CODE_ERROR of opentelemetry/proto/trace/v1/trace.proto"
    assert succeeded.resource["service.name"] == "liap-tui"


def test_no_span_carries_what_is_not_declared(played: Played) -> None:
    declared = {attribute.name for span in SPANS for attribute in span.attributes}
    seen = {key for span in played.stack.collector.spans() for key in span.attributes}
    assert seen - declared == {"param.size"}, "the parameter that the operation was given"


# --- events ----------------------------------------------------------------------------------------------------------
def test_every_event_arrives_with_declared_attributes(played: Played) -> None:
    total = played.monitor.event_stream.get_statistics()["total_events"]
    records = retried(lambda: event_records(played.stack.collector), lambda found: len(found) >= total)
    assert Counter(record.data["eventName"] for record in records) == Counter(
        str(event.event_type) for event in played.monitor.event_stream.get_history()
    )
    assert {record.data["eventName"] for record in records} == {str(event.name) for event in EVENTS}
    declared = {str(event.name): {attribute.name for attribute in event.attributes} for event in EVENTS}
    foreign = {
        (record.data["eventName"], key)
        for record in records
        for key in set(record.attributes) - declared[record.data["eventName"]] - {a.RECORD_UID.name}
    }
    assert foreign == set()
    assert not [record.data["body"] for record in records if record.data.get("body")], "events have no body"


def test_uids_are_unique_and_without_a_gap_in_every_epoch(tmp_path: Path) -> None:
    with running_collector(tmp_path) as collector, fresh_telemetry() as recorded:
        sent = []
        for version in ("1", "2"):  # another configuration: another epoch
            telemetry = otel_setup.configure(collector=collector.otlp_http, version=version, metric_interval=60.0)
            asyncio.run(play_everything(recorded.monitor, f"game-{version}", f"room-{version}"))
            assert telemetry.flush(SETTLE_SECONDS)
            sent.append(telemetry.core.sent)
        sent[0] += 1  # the other configuration ended the first epoch, which says so with its last event
        records = retried(lambda: event_records(collector), lambda found: len(found) >= sum(sent))
    numbers: dict[str, list[int]] = defaultdict(list)
    for record in records:
        producer, number = uid_of(record)
        numbers[producer].append(number)
    assert sorted(numbers.values(), key=len) == sorted(([*range(1, count + 1)] for count in sent), key=len)
    assert len(numbers) == 2
