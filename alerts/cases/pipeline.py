"""The way of the telemetry itself: the cases."""

from __future__ import annotations

from collections.abc import Callable

from alerts.cases.case import INSTANCE, JOB, NOTHING_KNOWN, Case, Firing, Game, Kind, counter, gauge, series

AT = "collector:8888"
WARNING = {"severity": "warning", "team": "platform"}
CRITICAL = {"severity": "critical", "team": "platform"}
SIGNALS = ("spans", "metric_points", "log_records")


def cases(game: Game) -> tuple[Case, ...]:
    """All cases of the group."""
    return (
        *_queues(game),
        *_losing(game),
        *_refusing(game),
        *_limited(game),
        *_early(game),
        *_servers(game),
        *_hub(game),
    )


def _collector(name: str, **labels: str) -> str:
    """A series of the Collector's own."""
    return series(name, job="otelcol", instance=AT, **labels)


def _queue(*spells: tuple[int, float], exporter: str = "otlphttp/store") -> dict[str, str]:
    """A queue of a thousand places, in which so many are taken for so many minutes."""
    minutes = sum(spell for spell, _ in spells)
    labels = {"exporter": exporter, "data_type": "metrics"}
    return {
        _collector("otelcol_exporter_queue_size", **labels): gauge(*spells),
        _collector("otelcol_exporter_queue_capacity", **labels): gauge((minutes, 1000)),
    }


def _queues(game: Game) -> tuple[Case, ...]:
    labels = {"job": "otelcol", "instance": AT, "exporter": "otlphttp/store", "data_type": "metrics"}
    panel = "game-telemetry-pipeline?viewPanel=1001"

    def filling(share: str) -> Firing:
        text = f"{AT}: the queue of otlphttp/store for metrics is filled to {share}. Nothing is lost yet."
        summary = "Telemetry waits at the Collector, because a store is away or slow."
        annotations = game.annotations("CollectorQueueFilling", summary, text, panel)
        return Firing("CollectorQueueFilling", WARNING | labels, annotations)

    def full(share: str) -> Firing:
        text = (
            f"{AT}: the queue of otlphttp/store for metrics is filled to {share}; servers are refused, and drop what "
            f"they cannot keep. {NOTHING_KNOWN}"
        )
        summary = "The Collector can hold no more, and telemetry is being lost."
        annotations = game.annotations("CollectorQueueFull", summary, text, panel)
        return Firing("CollectorQueueFull", CRITICAL | labels, annotations)

    empty = _queue((60, 10), exporter="otlphttp/other")
    return (
        Case(
            "CollectorQueueFilling",
            Kind.FIRES,
            "601 of 1000 for ten minutes, in one queue of two",
            _queue((60, 601)) | empty,
            {"9m": (), "10m": (filling("60.1%"),), "59m": (filling("60.1%"),)},
        ),
        Case("CollectorQueueFilling", Kind.BELOW, "600 of 1000", _queue((60, 600)), {"10m": (), "59m": ()}),
        Case(
            "CollectorQueueFilling",
            Kind.RESOLVES,
            "the store takes it again",
            _queue((20, 700), (20, 600)),
            {"19m": (filling("70%"),), "20m": ()},
        ),
        Case("CollectorQueueFilling", Kind.ABSENT, "there are no queues", {}, {"1h": ()}),
        Case(
            "CollectorQueueFull",
            Kind.FIRES,
            "951 of 1000 for two minutes, in one queue of two",
            _queue((60, 951)) | empty,
            {
                "1m": (),
                "2m": (full("95.1%"),),
                "9m": (full("95.1%"),),
                "10m": (filling("95.1%"), full("95.1%")),
            },
        ),
        Case(
            "CollectorQueueFull",
            Kind.BELOW,
            "950 of 1000 is only filling",
            _queue((60, 950)),
            {"2m": (), "59m": (filling("95%"),)},
        ),
        Case(
            "CollectorQueueFull",
            Kind.RESOLVES,
            "one place is free again",
            _queue((20, 1000), (20, 950)),
            {"19m": (filling("100%"), full("100%")), "20m": (filling("95%"),)},
        ),
        Case("CollectorQueueFull", Kind.ABSENT, "there are no queues", {}, {"1h": ()}),
    )


def _nine(minute: int) -> str:
    """A counter that has stood at 50, and rises by nine within one minute: stretched to ten minutes, by ten."""
    return gauge((minute, 50), (60 - minute, 59))


def _moving(kind: str, label: str) -> dict[str, str]:
    """In the 20th minute, for each signal: one counter that was there rises, and one begins, with ten."""
    found = {}
    for signal in SIGNALS:
        name = f"otelcol_{kind}_{signal}_total"
        found[_collector(name, **{label: f"{signal}/there"})] = _nine(20)
        found[_collector(name, **{label: f"{signal}/new"})] = gauge((20, None), (40, 10))
    return found


def _each(make: Callable[[str], Firing], *what: str) -> tuple[Firing, ...]:
    return tuple(make(f"{signal}/{one}") for signal in SIGNALS for one in what)


def _losing(game: Game) -> tuple[Case, ...]:
    alert, kind = "CollectorLosing", "exporter_send_failed"

    def firing(exporter: str, items: int = 10) -> Firing:
        text = f"{exporter} lost some {items} items within ten minutes; its log says why. {NOTHING_KNOWN}"
        summary = "A store refuses what the Collector sends, for good: it is lost."
        annotations = game.annotations(alert, summary, text, "game-telemetry-pipeline?viewPanel=1002")
        return Firing(alert, CRITICAL | {"instance": AT, "exporter": exporter}, annotations)

    every, new = _each(firing, "there", "new"), _each(firing, "new")
    return (
        Case(
            alert,
            Kind.FIRES,
            "at the first loss, at once, of any signal, and also where the counter begins with it",
            _moving(kind, "exporter"),
            {"19m": (), "20m": every, "28m": every},
        ),
        Case(
            alert,
            Kind.MORE,
            "losses of several signals of one exporter are added",
            {
                _collector(f"otelcol_{kind}_spans_total", exporter="store"): gauge((5, None), (20, 3)),
                _collector(f"otelcol_{kind}_metric_points_total", exporter="store"): gauge((5, None), (20, 3)),
                _collector(f"otelcol_{kind}_log_records_total", exporter="store"): gauge((5, None), (20, 4)),
            },
            {"5m": (firing("store", 10),)},
        ),
        Case(
            alert,
            Kind.BELOW,
            "what was lost long ago stays lost, and nothing has been lost since",
            {_collector(f"otelcol_{kind}_{signal}_total", exporter="store"): gauge((60, 500)) for signal in SIGNALS},
            {"20m": (), "59m": ()},
        ),
        Case(
            alert,
            Kind.RESOLVES,
            "ten minutes are looked at, and it goes on for five more",
            _moving(kind, "exporter"),
            {"33m": every, "34m": new, "35m": ()},
        ),
        Case(alert, Kind.ABSENT, "nothing was ever lost", {}, {"1h": ()}),
    )


def _refusing(game: Game) -> tuple[Case, ...]:
    alert, kind = "CollectorRefusing", "receiver_refused"

    def firing(receiver: str) -> Firing:
        text = f"{receiver} refused some 10 items within ten minutes."
        summary = "The Collector refuses telemetry, and servers send it again."
        annotations = game.annotations(alert, summary, text, "game-telemetry-pipeline?viewPanel=1003")
        return Firing(alert, WARNING | {"instance": AT, "receiver": receiver}, annotations)

    every, new = _each(firing, "there", "new"), _each(firing, "new")
    return (
        Case(
            alert,
            Kind.FIRES,
            "any signal, for five minutes, and also where the counter begins",
            _moving(kind, "receiver"),
            {"24m": (), "25m": every, "28m": every},
        ),
        Case(
            alert,
            Kind.BELOW,
            "what was refused long ago, and nothing since",
            {_collector(f"otelcol_{kind}_{signal}_total", receiver="otlp"): gauge((60, 500)) for signal in SIGNALS},
            {"20m": (), "59m": ()},
        ),
        Case(
            alert,
            Kind.RESOLVES,
            "ten minutes are looked at",
            _moving(kind, "receiver"),
            {"28m": every, "29m": new, "30m": ()},
        ),
        Case(alert, Kind.ABSENT, "nothing was ever refused", {}, {"1h": ()}),
    )


def _limited(game: Game) -> tuple[Case, ...]:
    alert, kind = "CollectorMemoryLimited", "processor_memory_limiter_refused"

    def firing(processor: str) -> Firing:
        text = "It refused some 10 items within ten minutes, to stay below it."
        summary = "The Collector is at its limit of memory."
        annotations = game.annotations(alert, summary, text, "game-telemetry-pipeline?viewPanel=1003")
        return Firing(alert, WARNING | {"instance": AT, "processor": processor}, annotations)

    every, new = _each(firing, "there", "new"), _each(firing, "new")
    return (
        Case(
            alert,
            Kind.FIRES,
            "any signal, for five minutes, and also where the counter begins",
            _moving(kind, "processor"),
            {"24m": (), "25m": every, "28m": every},
        ),
        Case(
            alert,
            Kind.BELOW,
            "what was refused long ago, and nothing since",
            {
                _collector(f"otelcol_{kind}_{signal}_total", processor="memory_limiter"): gauge((60, 500))
                for signal in SIGNALS
            },
            {"20m": (), "59m": ()},
        ),
        Case(
            alert,
            Kind.RESOLVES,
            "ten minutes are looked at",
            _moving(kind, "processor"),
            {"28m": every, "29m": new, "30m": ()},
        ),
        Case(alert, Kind.ABSENT, "nothing was ever refused", {}, {"1h": ()}),
    )


def _early(game: Game) -> tuple[Case, ...]:
    alert = "TracesDecidedEarly"
    dropped = "otelcol_processor_tail_sampling_sampling_trace_dropped_too_early_total"
    text = "Some 10 traces within ten minutes: traces.traces_in_memory is small."
    summary, panel = (
        "The Collector decides on traces before they are complete.",
        "game-telemetry-pipeline?viewPanel=1005",
    )
    firing = (Firing(alert, WARNING | {"instance": AT}, game.annotations(alert, summary, text, panel)),)
    one = {_collector(dropped): _nine(20)}
    return (
        Case(
            alert,
            Kind.FIRES,
            "some were, for five minutes, at one Collector of two",
            one | {series(dropped, job="otelcol", instance="second:8888"): counter((60, 0))},
            {"24m": (), "25m": firing, "28m": firing},
        ),
        Case(alert, Kind.BELOW, "none was", {_collector(dropped): counter((60, 0))}, {"20m": (), "59m": ()}),
        Case(alert, Kind.RESOLVES, "ten minutes are looked at", one, {"28m": firing, "29m": ()}),
        Case(alert, Kind.ABSENT, "a Collector that decides nothing", {}, {"1h": ()}),
    )


def _servers(game: Game) -> tuple[Case, ...]:
    alert = "ServerTelemetryLost"
    text = f"{JOB} on {INSTANCE} dropped some 20 items of logs within ten minutes. {NOTHING_KNOWN}"
    summary = "A server drops telemetry, because it cannot get rid of it."
    labels = CRITICAL | {"job": JOB, "instance": INSTANCE, "signal": "logs"}
    annotations = game.annotations(alert, summary, text, "game-telemetry-pipeline?viewPanel=1004")
    firing = (Firing(alert, labels, annotations),)
    name = "otel_setup_export_dropped_total"
    lost = {series(name, signal="logs", bound=bound): _nine(20) for bound in ("items", "bytes")}
    well = {series(name, signal="traces", bound="items"): counter((60, 0))}
    return (
        Case(
            alert,
            Kind.FIRES,
            "some of one signal, by either bound, for five minutes",
            lost | well,
            {"24m": (), "25m": firing, "28m": firing},
        ),
        Case(alert, Kind.BELOW, "none", well, {"20m": (), "59m": ()}),
        Case(alert, Kind.RESOLVES, "ten minutes are looked at", lost | well, {"28m": firing, "29m": ()}),
        Case(alert, Kind.ABSENT, "nothing was ever dropped", {}, {"1h": ()}),
    )


def _hub(game: Game) -> tuple[Case, ...]:
    alert, hub = "HubMissesEvents", series("otel_setup_hub_missing_events", job="hub", instance="hub:8080")
    text = "1 events are missing between others of their servers; readers were told of each gap."
    summary, panel = "Events never came to the hub.", "game-telemetry-pipeline?viewPanel=1006"
    labels = WARNING | {"job": "hub", "instance": "hub:8080"}
    firing = (Firing(alert, labels, game.annotations(alert, summary, text, panel)),)
    return (
        Case(
            alert,
            Kind.FIRES,
            "one is missing for ten minutes",
            {hub: gauge((60, 1))},
            {"9m": (), "10m": firing, "59m": firing},
        ),
        Case(alert, Kind.BELOW, "none is missing", {hub: gauge((60, 0))}, {"10m": (), "59m": ()}),
        Case(
            alert,
            Kind.RESOLVES,
            "it came after all",
            {hub: gauge((20, 1), (20, 0))},
            {"19m": firing, "20m": ()},
        ),
        Case(alert, Kind.ABSENT, "a hub that tells nothing", {}, {"1h": ()}),
    )
