"""Collectors that carry events to the hub and through Kafka: the real programs, and a stand-in for the hub."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path

import pytest

from deploy import native
from deploy.collector.roles import MakeRole, events, kafka_consumer, kafka_producer, standalone
from deploy.process import http_get, wait_until
from settings import Settings, parse
from tests.support.kafka import running_kafka
from tests.support.kafka_otlp import StubHub, record, send, send_events, stub_hub, uids
from tests.support.peers import free_settings, require

ADA, BEN = "ada-e1", "ben-e1"
CREDENTIAL = "a secret of many words"


@pytest.fixture
def settings() -> Settings:
    """Free ports, the smallest queue, and room for events that fill it."""
    return free_settings(parse({"collector": {"attribute_characters": 60_000}, "events": {"queue_mebibytes": 1}}))


@contextmanager
def collector(
    settings: Settings, folder: Path, role: MakeRole = standalone, environment: dict[str, str] | None = None
) -> Iterator[native.Collector]:
    """A Collector in a role."""
    require("otelcol")
    with native.running_collector(settings, folder, role=role, environment=environment) as running:
        try:
            yield running
        finally:
            print(running.process.log_tail())


def beside(settings: Settings) -> Settings:
    """Settings of a second Collector of the same hub and Kafka."""
    return replace(free_settings(settings), hub=settings.hub, kafka=settings.kafka)


def await_all(hub: StubHub, producer: str, numbers: range) -> None:
    """Wait until the hub has these events, in order."""
    wanted = uids(producer, numbers)
    wait_until(lambda: set(hub.once(producer)), lambda seen: seen >= set(wanted), 60, "the hub has every event")
    assert hub.once(producer) == wanted


def own_metric(running: native.Collector, name: str) -> float:
    """The sum of one of the Collector's metrics on itself; 0 where it has none."""
    page = http_get(running.telemetry_url)[1].decode()
    return sum(float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if line.startswith(f"{name}{{"))


# --- to the hub


@pytest.mark.parametrize("role", [standalone, events])
def test_the_hub_gets_events_alone_in_order_and_with_the_token(
    settings: Settings, tmp_path: Path, role: MakeRole
) -> None:
    with (
        stub_hub(settings.hub.port) as hub,
        collector(settings, tmp_path, role, {"EVENTS_HUB_TOKEN": CREDENTIAL}) as running,
    ):
        for number in range(1, 101):
            mixed = [record(ADA, number), record("log-e1", number, event_name="")]
            assert send(running.otlp_http, ADA, mixed) == HTTPStatus.OK
        await_all(hub, ADA, range(1, 101))
        assert not hub.once("log-e1")
        assert {headers["Authorization"] for headers in hub.headers} == {f"Bearer {CREDENTIAL}"}


def test_without_a_hub_in_the_settings_no_collector_waits_for_one(tmp_path: Path) -> None:
    settings = free_settings(parse({"hub": {"enabled": False}}))
    with stub_hub(settings.hub.port) as hub, collector(settings, tmp_path) as running:
        send_events(running.otlp_http, ADA, range(1, 4))
        assert own_metric(running, "otelcol_receiver_accepted_log_records_total") >= 3
        assert not hub.headers
        assert (tmp_path / "loki").exists()
        assert not (tmp_path / "hub").exists()


def test_events_wait_for_the_hub_through_a_crash_of_the_collector(settings: Settings, tmp_path: Path) -> None:
    with collector(settings, tmp_path) as running:
        for number in range(1, 51):
            send_events(running.otlp_http, ADA, range(number, number + 1))
        running.process.kill()
    with collector(settings, tmp_path) as running:
        send_events(running.otlp_http, ADA, range(51, 61))
        with stub_hub(settings.hub.port) as hub:
            wanted = set(uids(ADA, range(1, 61)))
            # What a crash interrupts goes to the queue's end, so order is the hub's to restore.
            wait_until(lambda: set(hub.once(ADA)), lambda seen: seen == wanted, 60, "the hub has every event")


@pytest.mark.parametrize("status", [HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS])
def test_a_hub_that_is_busy_is_asked_again(settings: Settings, tmp_path: Path, status: HTTPStatus) -> None:
    with stub_hub(settings.hub.port) as hub, collector(settings, tmp_path, events) as running:
        hub.status = status
        send_events(running.otlp_http, ADA, range(1, 4))
        wait_until(lambda: len(hub.headers), lambda asked: asked >= 3, 30, "it tried again")
        send_events(running.otlp_http, ADA, range(4, 7))
        hub.status = HTTPStatus.OK
        await_all(hub, ADA, range(1, 7))
        assert sorted(hub.uids()) == uids(ADA, range(1, 7)), "and nothing came twice"


def test_a_full_queue_refuses_and_counts_and_loses_nothing_it_accepted(settings: Settings, tmp_path: Path) -> None:
    with collector(settings, tmp_path, events) as running:
        accepted = 0
        while True:
            status = send(running.otlp_http, ADA, [record(ADA, accepted + 1, text="x" * 50_000)])
            if status != HTTPStatus.OK:
                break
            accepted += 1
            assert accepted < 100, "a queue of one mebibyte took five"
        assert status == HTTPStatus.SERVICE_UNAVAILABLE, "senders try that again"
        assert accepted > 10
        assert own_metric(running, "otelcol_exporter_enqueue_failed_log_records_total") == 1
        with stub_hub(settings.hub.port) as hub:
            await_all(hub, ADA, range(1, accepted + 1))


def test_requests_to_the_hub_are_bounded(settings: Settings, tmp_path: Path) -> None:
    wide = replace(settings, events=replace(settings.events, queue_mebibytes=64))
    with collector(wide, tmp_path, events) as running:
        for first in range(1, 101, 10):
            records = [record(ADA, number, text="x" * 50_000) for number in range(first, first + 10)]
            assert send(running.otlp_http, ADA, records) == HTTPStatus.OK
        with stub_hub(wide.hub.port) as hub:
            await_all(hub, ADA, range(1, 101))
    assert max(body.ByteSize() for body in hub.bodies) <= 1_000_000


# --- through Kafka


@contextmanager
def through_kafka(settings: Settings, tmp_path: Path) -> Iterator[tuple[native.Collector, native.Collector]]:
    """The Collectors on both sides of a broker, which somebody else runs."""
    with (
        collector(settings, tmp_path / "producer", kafka_producer) as producer,
        collector(beside(settings), tmp_path / "consumer", kafka_consumer) as consumer,
    ):
        yield producer, consumer


@pytest.mark.peer("kafka")
def test_events_arrive_through_kafka_in_the_order_of_each_server(settings: Settings, tmp_path: Path) -> None:
    with (
        running_kafka(tmp_path, settings),
        stub_hub(settings.hub.port) as hub,
        through_kafka(settings, tmp_path) as (producer, _),
    ):
        for number in range(1, 201):
            send_events(producer.otlp_http, ADA, range(number, number + 1))
            send_events(producer.otlp_http, BEN, range(number, number + 1))
        assert send(producer.otlp_http, ADA, [record("log-e1", 1, event_name="")]) == HTTPStatus.OK
        await_all(hub, ADA, range(1, 201))
        await_all(hub, BEN, range(1, 201))
        assert not hub.once("log-e1")


@pytest.mark.peer("kafka")
@pytest.mark.slow
def test_a_broker_that_crashes_loses_nothing(settings: Settings, tmp_path: Path) -> None:
    with stub_hub(settings.hub.port) as hub, ExitStack() as brokers:
        broker = brokers.enter_context(running_kafka(tmp_path, settings))
        with through_kafka(settings, tmp_path) as (producer, _):
            send_events(producer.otlp_http, ADA, range(1, 51))
            await_all(hub, ADA, range(1, 51))
            broker.process.kill()
            for first in range(51, 101, 10):
                send_events(producer.otlp_http, ADA, range(first, first + 10))
            brokers.enter_context(running_kafka(tmp_path, settings))
            send_events(producer.otlp_http, ADA, range(101, 111))
            await_all(hub, ADA, range(1, 111))


@pytest.mark.peer("kafka")
@pytest.mark.slow
def test_what_the_hub_did_not_confirm_stays_in_kafka(settings: Settings, tmp_path: Path) -> None:
    with running_kafka(tmp_path, settings), stub_hub(settings.hub.port) as hub:
        hub.status = HTTPStatus.SERVICE_UNAVAILABLE
        # Stopped in order, the consumer tells Kafka all that it takes for done.
        with through_kafka(settings, tmp_path) as (producer, _):
            send_events(producer.otlp_http, ADA, range(1, 21))
            wait_until(lambda: len(hub.headers), lambda asked: asked >= 2, 60, "the consumer tries to deliver")
        hub.status = HTTPStatus.OK
        with collector(beside(settings), tmp_path / "other", kafka_consumer):
            await_all(hub, ADA, range(1, 21))


@pytest.mark.peer("kafka")
@pytest.mark.slow
def test_a_hub_that_refuses_for_good_stops_its_reader_and_skips_nothing(settings: Settings, tmp_path: Path) -> None:
    with running_kafka(tmp_path, settings), stub_hub(settings.hub.port) as hub:
        hub.status = HTTPStatus.UNAUTHORIZED
        with through_kafka(settings, tmp_path) as (producer, consumer):
            send_events(producer.otlp_http, ADA, range(1, 11))
            wait_until(consumer.process.log.read_text, lambda text: "pausing partition" in text, 60, "it stops")
        hub.status = HTTPStatus.OK
        with collector(beside(settings), tmp_path / "consumer", kafka_consumer):
            await_all(hub, ADA, range(1, 11))
