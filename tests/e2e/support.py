"""What the end-to-end tests share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from opentelemetry._logs import LogRecord, SeverityNumber

from deploy.native import Collector, Stack
from deploy.otlp_json import Item
from examples.accounts import collector_account, metrics_account, prometheus_account
from examples.common.record import Series
from examples.reconcile import Reconciliation, Values, from_samples, reconcile
from otel_setup.catalogue import Catalogue
from otel_setup.events.log_records import event_of
from otel_setup.ledger import Ledger, reports
from otel_setup.views.states import state_diagram

T = TypeVar("T")
Sample = tuple[str, dict[str, str], float]

METRIC_INTERVAL = 1.0
"""Seconds between exports of metrics: shorter than in production, so that tests wait less."""
SETTLE_SECONDS = 60.0
"""How long the slowest machine may take until everything has arrived."""
_POLL_SECONDS = 0.5


def series(family: str, **labels: str) -> Series:
    """A series as records and accounts name it. ``from_`` stands for the label ``from``."""
    return family, frozenset((label.rstrip("_"), value) for label, value in labels.items())


def retried(attempt: Callable[[], T], accept: Callable[[T], bool], timeout: float = SETTLE_SECONDS) -> T:
    """The first attempt that is accepted; the last one where none is within ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        result = attempt()
        if accept(result) or time.monotonic() > deadline:
            return result
        time.sleep(_POLL_SECONDS)


def settled(expected: Values, accounts: Callable[[], Mapping[str, Values]]) -> Reconciliation:
    """The comparison, made again until all agree; the last one where they never do."""
    return retried(lambda: reconcile(expected, accounts()), lambda result: result.equal)


# --- accounts --------------------------------------------------------------------------------------------------------
def in_process_accounts(stack: Stack, catalogue: Catalogue) -> dict[str, Values]:
    """What /metrics of this process, the Collector and Prometheus say now."""
    prefix = f"{catalogue.prefix}_"
    return {
        "/metrics": metrics_account(prefix),
        "Collector": whole_collector_account(stack.collector, catalogue),
        "Prometheus": prometheus_account(stack.prometheus, prefix),
    }


def whole_collector_account(collector: Collector, catalogue: Catalogue) -> Values:
    """The last value of every series that reached the Collector, histograms' sums among them."""
    families = {built.name: built.prometheus for built in catalogue.metrics}
    last: dict[tuple[str, frozenset[tuple[str, str]], str], float] = {}
    for point in collector.points():
        if "sum" in point.data and point.metric["name"] in families:
            labels = frozenset((key, str(value)) for key, value in point.attributes.items())
            instance = str(point.resource.get("service.instance.id"))
            last[f"{families[point.metric['name']]}_sum", labels, instance] = point.data["sum"]
    samples = ((name, dict(labels), value) for (name, labels, _), value in last.items())
    return {**collector_account(collector, catalogue), **from_samples(samples, f"{catalogue.prefix}_")}


def ledger_samples(ledger: Ledger) -> Iterator[Sample]:
    """What reports and views say of a ledger, under the names that metrics of the same facts have."""
    analytics = reports.game_analytics(ledger)
    yield "games_started_total", {}, analytics["total_games"]
    yield "games_completed_total", {}, analytics.get("completed_games", 0)
    yield "games_abandoned_total", {}, analytics.get("abandoned_games", 0)
    yield "games_active", {}, analytics["active_games"]
    yield "rooms_created_total", {}, ledger.rooms_created
    yield "websocket_connections_active", {}, reports.connections_active(ledger)
    yield "turns_total", {}, sum(hour["total_turns"] for hour in reports.hourly_metrics(ledger).values())
    yield from (("seats_total", {"type": kind}, seats) for kind, seats in ledger.seats_total.items())
    yield from (("player_wins_total", {"type": kind}, wins) for kind, wins in ledger.wins_total.items())
    diagram = state_diagram(ledger)
    for node in diagram["nodes"]:
        yield "phase_duration_seconds_count", {"phase": node["name"]}, node["metadata"]["durations"]
        yield "state_errors_total", {"state": node["name"]}, node["error_count"]
    for edge in diagram["edges"]:
        labels = {"from": edge["from"], "to": edge["to"]}
        yield "state_transitions_total", labels, edge["count"]
        yield "state_illegal_transitions_total", labels, edge["illegal_attempts"]


def events_account(collector: Collector, catalogue: Catalogue) -> Values:
    """The same, of a ledger that knows nothing but the events that reached the Collector."""
    ledger = Ledger(catalogue.model)
    for record in event_records(collector):
        ledger.apply(event_of(_log_record(record)))
    return from_samples(ledger_samples(ledger), "")


def event_records(collector: Collector) -> list[Item]:
    """The monitor's events that reached the Collector, each producer's in the order of their numbers."""
    records = [record for record in collector.log_records() if "log.record.uid" in record.attributes]
    return sorted(records, key=uid_of)


def uid_of(record: Item) -> tuple[str, int]:
    """Whose event it is (instance and epoch), and its number."""
    producer, _, number = str(record.attributes["log.record.uid"]).rpartition("-")
    return producer, int(number)


def _log_record(item: Item) -> LogRecord:
    data: Mapping[str, Any] = item.data
    return LogRecord(
        timestamp=int(data["timeUnixNano"]),
        event_name=data["eventName"],
        severity_number=SeverityNumber(data["severityNumber"]),
        attributes=item.attributes,
    )
