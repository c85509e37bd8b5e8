"""What /metrics says is what was recorded, whoever else records and flushes in the process."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View

from otel_setup.prometheus.reader import ScrapeReader, make_reader
from tests.otel_setup.prometheus.support import Process, Series, one


def test_every_series_is_what_was_recorded(process: Process, accept: str | None) -> None:
    games = process.meter().create_counter("games.completed", unit="{game}")
    games.add(2, {"outcome": "won"})
    games.add(3, {"outcome": "tied"})
    games.add(1, {"outcome": "won"})
    active = process.meter().create_up_down_counter("games.active", unit="{game}")
    active.add(5)
    active.add(-1)
    process.meter().create_observable_gauge("load", [lambda _: [Observation(0.25, {"core": "0"})]], unit="%")
    assert process.series(accept) == {
        one("games_completed_total", outcome="won"): 3,
        one("games_completed_total", outcome="tied"): 3,
        one("games_active"): 4,
        one("load_percent", core="0"): 0.25,
    }


def test_histograms_are_cumulative_and_exact(process: Process, accept: str | None) -> None:
    bounds = [1, 5, 10]
    seen = [0.5, 1.0, 1.5, 5.0, 7.0, 99.0, 99.5]
    duration = process.meter().create_histogram("phase", unit="s", explicit_bucket_boundaries_advisory=bounds)
    for value in seen:
        duration.record(value, {"phase": "turn"})
    exact = [bisect_left(bounds, value) for value in seen]
    series = process.series(accept)
    buckets = {
        float(dict(labels)["le"]): count for (name, labels), count in series.items() if name == "phase_seconds_bucket"
    }
    assert buckets == {
        **{float(bound): sum(1 for index in exact if index <= place) for place, bound in enumerate(bounds)},
        math.inf: len(seen),
    }
    assert series[one("phase_seconds_count", phase="turn")] == len(seen)
    assert series[one("phase_seconds_sum", phase="turn")] == sum(seen)


HOSTILE = {
    'say "hi"': 'say "hi"',
    "back\\slash": "back\\slash",
    "two\nlines": "two\nlines",
    "\\n is no line": "\\n is no line",
    'x"} 1\nforged 2': 'x"} 1\nforged 2',
    "right \N{RIGHT-TO-LEFT OVERRIDE}to left": "right �to left",
    "nul\0 bell\a return\r": "nul� bell� return�",
    "half \ud83d": "half �",
    "# EOF": "# EOF",
    "\N{GRINNING FACE}": "\N{GRINNING FACE}",
}


def test_hostile_label_values_are_escaped_or_replaced(accept: str | None) -> None:
    process = Process({"server.name": 'the "best"\nserver\\'}, ["server.name"])
    names = process.meter().create_counter("names")
    for place, name in enumerate(HOSTILE):
        names.add(place + 1, {"name": name})
    assert process.series(accept) == {
        one("names_total", name=shown, server_name='the "best"\nserver\\'): place + 1
        for place, shown in enumerate(HOSTILE.values())
    }


def test_a_label_value_of_10_kilobytes_is_cut(process: Process, accept: str | None) -> None:
    process.meter().create_counter("names").add(1, {"name": "ű" * 10_000})
    ((_, labels),) = process.series(accept)
    assert len(dict(labels)["name"]) <= 2048


def test_counters_only_rise(process: Process, accept: str | None) -> None:
    turns = process.meter().create_counter("turns")
    recorded: Counter[str] = Counter()
    before: Series = {}
    for step in range(20):
        for actor in ("human", "bot")[: 1 + step % 2]:
            turns.add(step, {"actor": actor})
            recorded[actor] += step
        now = process.series(accept)
        assert now == {one("turns_total", actor=actor): total for actor, total in recorded.items()}
        assert all(now[key] >= value for key, value in before.items())
        before = now


def test_target_info_has_the_resource_and_every_series_the_constant_labels(accept: str | None) -> None:
    process = Process({"region": "eu", "rack": "12"}, ["region"])
    process.meter().create_counter("turns").add(1, {"actor": "bot"})
    process.meter().create_histogram("phase").record(1)
    (info,) = [s.labels for f in process.families(accept) for s in f.samples if s.name == "target_info"]
    assert info.items() >= {"service_name": "arena", "service_instance_id": "arena-7", "region": "eu"}.items()
    labels = [dict(labels) for _, labels in process.series(accept)]
    assert {label["region"] for label in labels} == {"eu"}
    assert {name for label in labels for name in label} == {"region", "actor", "le"}


def test_flushing_between_scrapes_neither_doubles_nor_piles_up(process: Process, accept: str | None) -> None:
    turns = process.meter().create_counter("turns")
    for total in (1, 2, 3):
        turns.add(1)
        for _ in range(3):
            process.provider.force_flush()
            process.reader.collect()
        assert process.series(accept) == {one("turns_total"): total}


def test_a_flush_asks_no_callback(process: Process) -> None:
    asked: list[int] = []

    def load(_: object) -> list[Observation]:
        asked.append(1)
        return [Observation(1)]

    process.meter().create_observable_gauge("load", [load])
    process.provider.force_flush()
    assert not asked
    process.series()
    assert asked == [1]


def test_the_registry_may_also_be_read_by_others_at_the_same_time(process: Process) -> None:
    process.meter().create_counter("turns").add(1)
    with ThreadPoolExecutor(8) as pool:
        scrapes = [pool.submit(lambda: list(process.registry.collect())) for _ in range(100)]
    for scrape in scrapes:
        (turns,) = [family for family in scrape.result() if family.name == "turns"]
        assert [sample.value for sample in turns.samples] == [1]


def test_make_reader_gives_a_registry_of_its_own() -> None:
    (reader, one_registry), (_, other_registry) = make_reader(), make_reader()
    assert isinstance(reader, ScrapeReader)
    assert one_registry is not other_registry
    assert list(one_registry.collect()) == [], "a reader that no provider has yet"


# --- other libraries in the same process -----------------------------------------------------------------------------


def headers(body: str, word: str) -> Counter[str]:
    """How often each family has a line of HELP or TYPE."""
    return Counter(line.split()[2] for line in body.splitlines() if line.startswith(f"# {word} "))


def test_one_name_used_by_several_libraries_keeps_its_labels_right(process: Process, accept: str | None) -> None:
    """OpenTelemetry's reader takes the first one's labels for all of them."""
    process.meter("one").create_counter("calls", unit="{call}").add(1, {"method": "GET", "status": "200"})
    process.meter("two").create_counter("calls").add(2, {"host": "x", "method": "PUT"})
    process.meter("three").create_counter("calls", description="said otherwise").add(4, {"method": "PUT"})
    process.meter("three").create_histogram("wait").record(1, {"a": "1"})
    process.meter("four").create_histogram("wait").record(1, {"b": "2"})
    series = {
        (name, *sorted(pair for pair in labels if pair[1])): value
        for (name, labels), value in process.series(accept).items()
        if name in ("calls_total", "wait_count")
    }
    assert series == {
        ("calls_total", ("method", "GET"), ("status", "200")): 1,
        ("calls_total", ("host", "x"), ("method", "PUT")): 2,
        ("calls_total", ("method", "PUT")): 4,
        ("wait_count", ("a", "1")): 1,
        ("wait_count", ("b", "2")): 1,
    }
    assert process.reader.left_out == {}


def test_what_cannot_be_shown_is_left_out_and_said(caplog: pytest.LogCaptureFixture, accept: str | None) -> None:
    process = Process(views=[View(instrument_name="wild", aggregation=ExponentialBucketHistogramAggregation())])
    process.meter("a").create_counter("turns").add(1)
    process.meter("a").create_histogram("wild").record(1)
    process.meter("a").create_counter("calls", description="calls made").add(1)
    process.meter("b").create_gauge("calls_total").set(9)
    process.meter("a").create_gauge("heat", unit="s").set(1)
    process.meter("b").create_gauge("heat", unit="ms").set(9)
    process.meter("a").create_counter("twice").add(1, {"k": "v"})
    process.meter("b").create_counter("twice").add(9, {"k": "v"})
    for _ in range(2):
        body, _ = process.exposition.scrape_sync(accept)
        for word in ("HELP", "TYPE"):
            assert set(headers(body.decode(), word).values()) == {1}, word
        assert process.series(accept) == {
            one("turns_total"): 1,
            one("calls_total"): 1,
            one("heat_seconds"): 1,
            one("twice_total", k="v"): 1,
        }
    assert set(process.reader.left_out) == {"wild", "calls_total", "heat", "twice"}
    said = [record.getMessage() for record in caplog.records if record.name.startswith("otel_setup")]
    assert len(said) == 4, "each once, however many scrapes"
    assert any("wild" in line and "exponential" in line for line in said)


def test_what_is_left_out_is_of_the_last_scrape(process: Process) -> None:
    beside: list[Observation] = [Observation(2)]
    process.meter("a").create_gauge("heat").set(1)
    process.meter("b").create_observable_gauge("heat", [lambda _: beside])
    process.series()
    assert set(process.reader.left_out) == {"heat"}
    beside.clear()
    process.series()
    assert process.reader.left_out == {}
