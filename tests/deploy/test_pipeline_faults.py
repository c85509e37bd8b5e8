"""What breaks around a Collector, in short: the long forms are drills."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from pathlib import Path

import pytest

from deploy import native
from deploy.collector.roles import agent, standalone
from deploy.process import wait_until
from settings import AgentSettings, Settings, parse
from tests.deploy.collectors import disk, own_metrics
from tests.drills.pipeline_ends import (
    KINDS,
    LOCAL,
    Store,
    load,
    post,
    prometheus_url,
    request,
    span,
    spans,
    stores,
    text,
)
from tests.support.peers import free_ports, free_settings, require

pytestmark = pytest.mark.peer("otelcol")

SECONDS = 60.0
"""To wait for what has to come; the pause between tries grows with their number."""
FOLDERS = {"metrics": "prometheus", "traces": "jaeger", "logs": "loki", "events": "hub"}


@pytest.fixture
def settings() -> Settings:
    """Short ways, and a decision on traces after a second."""
    return free_settings(parse({"traces": {"decision_seconds": 1}, "metrics": {"export_interval_seconds": 0.5}}))


@contextmanager
def running(settings: Settings, folder: Path) -> Iterator[native.Collector]:
    """The role, with its stores where :func:`stores` puts them."""
    require("otelcol")
    with native.running_collector(settings, folder, prometheus_url(settings), role=standalone) as collector:
        try:
            yield collector
        finally:
            print(collector.process.log_tail())


def send(collector: native.Collector, kind: str, numbers: range, filler: str = "") -> int:
    """One request; returns the status."""
    return post(collector.settings.otlp_http_port, kind, request(kind, numbers, filler))


def await_all(store: Store, numbers: Iterable[int]) -> None:
    """Wait until a store has these items."""
    await_sum((store,), set(numbers))


def await_sum(kept: Sequence[Store], wanted: set[int]) -> None:
    """Wait until several stores have these items together."""
    missing = partial(_missing, kept, wanted)
    wait_until(missing, lambda left: not left, SECONDS, f"all {kept[0].kind} arrived")


def _missing(kept: Sequence[Store], wanted: set[int]) -> set[int]:
    return wanted.difference(*(store.numbers for store in kept))


@pytest.mark.slow
def test_a_kill_under_load_loses_no_metrics_logs_or_events(settings: Settings, tmp_path: Path) -> None:
    kinds = ("metrics", "logs", "events")
    with stores(settings, kinds) as kept, ExitStack() as to_the_end:
        with load(settings.collector.otlp_http_port, kinds) as senders:
            for _ in range(2):
                with running(settings, tmp_path) as collector:
                    for sender in senders.values():
                        more = len(sender.accepted) + 100
                        wait_until(partial(len, sender.accepted), more.__le__, SECONDS, "it takes them")
                    collector.process.kill()
            to_the_end.enter_context(running(settings, tmp_path))
        for kind in kinds:
            await_all(kept[kind], senders[kind].accepted)
            assert set(kept[kind].numbers) == set(senders[kind].accepted)


def test_what_stores_refuse_for_now_waits_and_arrives_in_order(settings: Settings, tmp_path: Path) -> None:
    with stores(settings) as kept, running(settings, tmp_path) as collector:
        for store in kept.values():
            store.status = HTTPStatus.SERVICE_UNAVAILABLE
        for first in range(1, 101, 10):
            for kind in KINDS:
                assert send(collector, kind, range(first, first + 10)) == HTTPStatus.OK
        for store in kept.values():
            store.status = HTTPStatus.OK
        for kind in KINDS:
            await_all(kept[kind], range(1, 101))
            assert sorted(kept[kind].numbers) == list(range(1, 101)), "nothing twice"
        for kind in ("metrics", "events"):
            assert kept[kind].numbers == list(range(1, 101)), kind


PAGE = 4096
"""Bytes; of the store's file format, in which the first two pages are its head, twice."""


@pytest.mark.parametrize("pages", [(0,), (1,), (34, 50)], ids=str)
def test_a_damaged_page_of_a_queue_stops_nothing(settings: Settings, tmp_path: Path, pages: tuple[int, ...]) -> None:
    """What was in it may be lost; the rest of the queue, other queues and what comes then arrive."""
    with running(settings, tmp_path) as collector:
        for first in range(1, 101, 10):
            for kind in ("logs", "events"):
                assert send(collector, kind, range(first, first + 10), "x" * 2000) == HTTPStatus.OK
    (queue,) = (file for file in (tmp_path / FOLDERS["events"]).iterdir() if file.is_file())
    with queue.open("r+b") as content:
        for page in pages:
            content.seek(page * PAGE)
            content.write(b"\xa5" * PAGE)
    with stores(settings) as kept, running(settings, tmp_path) as collector:
        assert send(collector, "events", range(101, 111)) == HTTPStatus.OK
        await_all(kept["events"], range(101, 111))
        await_all(kept["logs"], range(1, 101))
        assert len(set(kept["events"].numbers)) >= 90


def test_a_full_disk_refuses_and_loses_nothing_it_accepted(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / FOLDERS["events"]
    with disk(folder, mebibytes=2), running(settings, tmp_path) as collector:
        accepted: list[int] = []
        statuses = []
        for number in range(1, 1001):
            statuses.append(send(collector, "events", range(number, number + 1), "x" * 8000))
            if statuses[-1] == HTTPStatus.OK:
                accepted.append(number)
            elif len(accepted) < len(statuses) - 5:
                break
        assert statuses[-1] == HTTPStatus.SERVICE_UNAVAILABLE, "senders try that again"
        assert len(accepted) > 50
        with stores(settings) as kept:
            wait_until(lambda: set(kept["events"].numbers), set(accepted).__le__, SECONDS, "all arrived")
            wait_until(
                lambda: send(collector, "events", range(2001, 2002)), HTTPStatus.OK.__eq__, SECONDS, "there is room"
            )
            await_all(kept["events"], range(2001, 2002))


@pytest.mark.slow
def test_above_its_memory_it_refuses_and_takes_again_once_there_is_room(tmp_path: Path) -> None:
    """Traces that wait for their decision fill it."""
    made = {"traces": {"decision_seconds": 10}, "collector": {"memory_limit_mib": 40}}
    settings = free_settings(parse(made))
    with stores(settings, ("traces",)) as kept, running(settings, tmp_path) as collector:
        accepted: list[int] = []

        def one_more() -> int:
            first = len(accepted) + 1
            status = send(collector, "traces", range(first, first + 300), "x" * 8000)
            if status == HTTPStatus.OK:
                accepted.extend(range(first, first + 300))
            return status

        wait_until(one_more, HTTPStatus.SERVICE_UNAVAILABLE.__eq__, SECONDS, "it refuses")
        assert own_metrics(collector)["otelcol_processor_memory_limiter_refused_spans_total"] >= 300
        wait_until(one_more, HTTPStatus.OK.__eq__, SECONDS, "it takes again")
        await_all(kept["traces"], range(1, len(accepted) + 1))


def test_a_value_of_five_megabytes_hurts_no_other_item_of_its_request(settings: Settings, tmp_path: Path) -> None:
    with stores(settings, ("traces",)) as kept, running(settings, tmp_path) as collector:
        items = [span(1, 1), span(2, 2, "drill", text("huge", "x" * 5_000_000)), span(3, 3)]
        assert post(collector.settings.otlp_http_port, "traces", spans(items)) == HTTPStatus.OK
        await_all(kept["traces"], range(1, 4))
        (huge,) = (
            each.value.string_value for _, one in kept["traces"].spans for each in one.attributes if each.key == "huge"
        )
        assert len(huge) == settings.collector.attribute_characters


# --- two tiers


class Gateway:
    """A stand-in for a gateway: where spans come by trace, and where by service."""

    def __init__(self) -> None:
        self.by_trace, self.by_service = (Store("traces", port) for port in free_ports(2))

    @property
    def address(self) -> str:
        """As in the settings of an agent."""
        return f"{LOCAL}:{self.by_trace.port}:{self.by_service.port}"

    @contextmanager
    def there(self) -> Iterator[None]:
        """While it is there."""
        for door in (self.by_trace, self.by_service):
            door.begin()
        try:
            yield
        finally:
            for door in (self.by_trace, self.by_service):
                door.end()


def test_traces_and_services_go_to_one_gateway_each_and_wait_for_one_that_is_away(
    settings: Settings, tmp_path: Path
) -> None:
    """Spans come once alone: nothing is sent again to one gateway for the sake of another."""
    require("otelcol")
    services, traces = ("lobby", "match", "chat", "store"), range(1, 41)
    one, two = Gateway(), Gateway()
    settings = replace(settings, agent=AgentSettings((one.address, two.address)))
    with two.there(), native.running_collector(settings, tmp_path, role=agent) as collector:
        for index, service in enumerate(services):
            body = spans([span(trace, 10 * trace + index) for trace in traces], service)
            assert post(collector.settings.otlp_http_port, "traces", body) == HTTPStatus.OK
        wanted = {10 * trace + index for trace in traces for index in range(len(services))}
        wait_until(lambda: two.by_trace.numbers, bool, SECONDS, "those of the other gateway do not wait")
        with one.there():
            for doors in ((one.by_trace, two.by_trace), (one.by_service, two.by_service)):
                await_sum(doors, wanted)
                assert sorted(number for door in doors for number in door.numbers) == sorted(wanted), "each once"
        shares = [{number // 10 for number in each.by_trace.numbers} for each in (one, two)]
        assert all(shares)
        assert shares[0].isdisjoint(shares[1])
        homes = [{service for service, _ in each.by_service.spans} for each in (one, two)]
        assert homes[0].isdisjoint(homes[1])
