"""Every environment variable, and what setting it alone changes for whoever looks at the process from outside."""

from __future__ import annotations

import itertools
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from otel_setup import LIAP_TUI, EventType
from otel_setup.catalogue.spans import ACTION_SPAN
from tests.e2e.environment_app import ACTIONS, BUSY, LOBBY, OWN_PROVIDER, PLAYER, SAID
from tests.e2e.environment_receiver import Delivery
from tests.e2e.environment_runs import ENDPOINT, ROOT, SIGNALS, Row, Run, items

OTLP = "OTEL_EXPORTER_OTLP_"
EVERYTHING = set(SIGNALS)
KEY = "a key of this test, and of nothing else"
REFUSED = 1
"""The exit code of a Python program that an exception ends."""
_OFTEN = {"OTEL_METRIC_EXPORT_INTERVAL": "200"}


def with_endpoint(door: str = "http", **more: str) -> dict[str, str]:
    return {ENDPOINT: f"{{{door}}}", **more}


# --- what is looked at ------------------------------------------------------------------------------------------------


def arrived(run: Run) -> set[str]:
    return run.arrived()


def gave_up(run: Run) -> dict[str, bool]:
    """Of which signals it says that an export took too long."""
    lines = [line for line in run.errors.splitlines() if "in time" in line]
    return {signal: any(f"{signal} do not reach" in line for line in lines) for signal in SIGNALS}


def refusal(*words: str) -> Callable[[Run], bool]:
    """Whether it did not start, and said why in these words."""
    return lambda run: run.code == REFUSED and all(word in run.errors for word in ("ConfigError", *words))


def of_each(look: Callable[[Delivery], object]) -> Callable[[Run], object]:
    """Something of the first export of each signal, None where there was none; how it was refused, where it was."""

    def observe(run: Run) -> object:
        if run.code == REFUSED:
            return next((said for said in NEEDS_BOTH if said in run.errors), run.errors)
        return dict.fromkeys(SIGNALS) | run.by_signal(look)

    return observe


NEEDS_BOTH = (
    "client_key_file is given without client_certificate_file",
    "client_certificate_file is given without client_key_file",
)


def resource(name: str) -> Callable[[Run], Any]:
    return lambda run: run.resource().get(name)


def remembered(what: str) -> Callable[[Run], int]:
    return lambda run: run.remembered(what)


def largest(signal: str) -> Callable[[Run], bool]:
    """Whether any export had more than two items."""
    return lambda run: max(run.batches(signal)) > 2


def all_there(run: Run) -> dict[str, bool]:
    """Whether as many spans and log records arrived as there were actions."""
    return {signal: len(run.items(signal)) > ACTIONS for signal in ("traces", "logs")}


def seen(run: Run) -> object:
    return run.seen


def called_with(run: Run) -> set[str]:
    """Headers by which the other server learns of the trace."""
    return {"traceparent", "b3", "x-b3-traceid"} & set(run.doors.called[0])


def pseudonym(run: Run) -> set[str]:
    return {
        attribute.value.string_value
        for span in run.items("traces")
        for attribute in span.attributes
        if attribute.key == "player.id"
    }


def named(run: Run) -> bool:
    return PLAYER.encode() in run.bytes_of("traces", "logs")


def said(run: Run) -> bool:
    return SAID.encode() in run.bytes_of("logs")


def told_of(words: str) -> Callable[[Run], bool]:
    return lambda run: words.encode() in run.bytes_of("logs")


def points(run: Run) -> list[tuple[str, Any]]:
    return [
        (metric.WhichOneof("data"), point)
        for metric in run.items("metrics")
        for point in getattr(metric, metric.WhichOneof("data")).data_points
    ]


def kinds(run: Run) -> bool:
    """Whether histograms are exponential."""
    return "exponential_histogram" in {kind for kind, _ in points(run)}


def exemplars(run: Run) -> bool:
    return any(point.exemplars for _, point in points(run) if hasattr(point, "exemplars"))


def printed(*words: str) -> Callable[[Run], tuple[bool, ...]]:
    return lambda run: tuple(word in run.output for word in words)


SPAN = f'"name": "{ACTION_SPAN.name.format(type="play_pieces")}"'
EVENT = f'"event_name": "{EventType.GAME_STARTED.value}"'
METRIC = f'"name": "{LIAP_TUI.name}.'


# --- what is done meanwhile -------------------------------------------------------------------------------------------


def has_not_come_though_metrics_came(signal: str) -> Callable[[Run], bool]:
    """Whether nothing of a signal came by the time that several exports of metrics, begun later, have."""

    def look(run: Run) -> bool:
        run.more()
        wanted = len(run.doors.of("metrics")) + 4
        run.doors.wait_until(lambda: len(run.doors.of("metrics")) >= wanted, "exports of metrics")
        return not run.doors.of(signal)

    return look


def has_come(signal: str) -> Callable[[Run], bool]:
    def look(run: Run) -> bool:
        run.doors.wait_until(lambda: run.doors.of(signal), f"{signal} by themselves")
        return False

    return look


def open_the_gate(run: Run) -> None:
    """Lets the exports through, of which the first ones have been waiting since the server began to play."""
    run.doors.wait_until(lambda: {"traces", "logs"} <= set(run.doors.asked), "exports that wait at the gate")
    for _ in range(ACTIONS):
        run.more()
    run.doors.gate.set()


def scraped(*hosts: str) -> Callable[[Run], dict[str, bool]]:
    return lambda run: {host: _answers(f"http://{host}:{run.doors['port']}/metrics") for host in hosts}


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=10) as answer:  # noqa: S310
            return f"{LIAP_TUI.name}_games_active".encode() in answer.read()
    except URLError:
        return False


def is_every_fifth_second(run: Run) -> bool:
    """Whether metrics come 200 ms apart by the times of their points; or where they were not waited for, never."""
    times = [
        max(point.time_unix_nano for item in items(delivery) for point in _points_of(item))
        for delivery in run.doors.of("metrics")
    ]
    apart = [(later - earlier) / 1e9 for earlier, later in itertools.pairwise(times)]
    return len(times) >= 8 and 0.15 < statistics.median(apart) < 2.0  # between, because the machine may be busy


def nothing(run: Run) -> None:
    """At the interval of 10 seconds nobody waits for so many."""


def eight_exports(run: Run) -> None:
    run.doors.wait_until(lambda: len(run.doors.of("metrics")) >= 8, "exports of metrics")


def _points_of(metric: Any) -> Any:
    return getattr(metric, metric.WhichOneof("data")).data_points


def debug(run: Run) -> bool:
    """Whether the control socket takes an order."""
    command = [sys.executable, "-m", "otel_setup", "debug", "--pid", str(run.pid), "--room", "room1", "--for", "10s"]
    return (
        subprocess.run(
            command, cwd=ROOT, env=dict(run.environment), capture_output=True, timeout=60, check=False
        ).returncode
        == 0
    )


# --- the table --------------------------------------------------------------------------------------------------------


def row(
    variable: str, value: str, observe: Callable[[Run], object], with_it: object, without: object, **more: Any
) -> Row:
    return Row(variable=variable, value=value, observe=observe, with_it=with_it, without=without, **more)


def way(
    name: str, value: str, observe: Callable[[Run], object], with_it: object, without: object, **more: Any
) -> list[Row]:
    """A variable of all signals, and those of each signal alone, which must change that signal and no other.

    Parameters:
        name: of the variable, without its beginning.
        observe: gives something for each signal.
        with_it, without: what that is for a signal.
        more: ``base`` is for all signals; ``partner``, a variable of the same kind without which this one is refused;
            and the fields of :class:`Row`.
    """
    partner: Mapping[str, str] = more.pop("partner", {})
    base: Mapping[str, str] = more.pop("base", with_endpoint())
    meanwhile: Callable[[frozenset[str]], Callable[[Run], object]] | None = more.pop("meanwhile", None)
    rows = []
    for signals in (SIGNALS, *((signal,) for signal in SIGNALS)):
        beginning = OTLP if signals == SIGNALS else f"{OTLP}{signals[0].upper()}_"
        changed = {signal: with_it if signal in signals else without for signal in SIGNALS}
        rows.append(
            row(
                f"{beginning}{name}",
                value,
                observe,
                changed,
                more.get("refused") or dict.fromkeys(SIGNALS, without),
                base={**base, **{f"{beginning}{other}": text for other, text in partner.items()}},
                **({"meanwhile": meanwhile(frozenset(signals)), "meanwhile_without": nothing} if meanwhile else {}),
            )
        )
    return rows


def until_given_up(signals: frozenset[str]) -> Callable[[Run], object]:
    def look(run: Run) -> None:
        run.doors.wait_until(lambda: all(gave_up(run)[signal] for signal in signals), f"giving up {set(signals)}")

    return look


_ENDPOINTS = [
    row(
        ENDPOINT,
        "{http}",
        of_each(lambda delivery: delivery.door),
        dict.fromkeys(SIGNALS, "http"),
        dict.fromkeys(SIGNALS, "second"),
        base=with_endpoint("second"),  # not the default address, where this machine's own Collector may listen
    ),
    *(
        row(
            f"{OTLP}{signal.upper()}_ENDPOINT",
            f"{{second}}/own/path/{signal}",
            of_each(lambda delivery: (delivery.door, delivery.path)),
            {
                other: ("second", f"/own/path/{other}") if other == signal else ("http", f"/v1/{other}")
                for other in SIGNALS
            },
            {other: ("http", f"/v1/{other}") for other in SIGNALS},
        )
        for signal in SIGNALS
    ),
]

_WAYS = [
    *_ENDPOINTS,
    *way("PROTOCOL", "grpc", of_each(lambda d: d.protocol), "grpc", "http", base=with_endpoint("both")),
    *way("HEADERS", "x-team=blue%20team", of_each(lambda d: d.headers.get("x-team", "")), "blue team", ""),
    *way("COMPRESSION", "gzip", of_each(lambda d: d.encoding), "gzip", ""),
    *way("TIMEOUT", "100", gave_up, True, False, base=with_endpoint("held"), meanwhile=until_given_up),
    *way("CERTIFICATE", "{authority}", of_each(lambda d: d.door), "https", None, base=with_endpoint("https")),
    *way(
        "CLIENT_CERTIFICATE",
        "{client}",
        of_each(lambda d: d.door),
        "mtls",
        None,
        base=with_endpoint("mtls", OTEL_EXPORTER_OTLP_CERTIFICATE="{authority}"),
        partner={"CLIENT_KEY": "{client_key}"},
        refused=NEEDS_BOTH[0],
    ),
    *way(
        "CLIENT_KEY",
        "{client_key}",
        of_each(lambda d: d.door),
        "mtls",
        None,
        base=with_endpoint("mtls", OTEL_EXPORTER_OTLP_CERTIFICATE="{authority}"),
        partner={"CLIENT_CERTIFICATE": "{client}"},
        refused=NEEDS_BOTH[1],
    ),
]

_IDENTITY = [
    row("OTEL_SERVICE_NAME", "blue", resource("service.name"), "blue", "liap-tui"),
    row("MONITORING_SERVICE_NAME", "blue", resource("service.name"), "blue", "liap-tui"),
    row("OTEL_RESOURCE_ATTRIBUTES", "team=blue%20team", resource("team"), "blue team", None),
    row(
        "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS",
        "os",
        lambda run: (resource("os.type")(run), "process.pid" in run.resource()),
        ("linux", False),
        ("linux", True),
    ),
]

_SWITCHES = [
    row("OTEL_SDK_DISABLED", "true", arrived, set(), EVERYTHING),
    row(
        "OTEL_SETUP_ADOPT",
        "true",
        lambda run: (run.code, run.arrived()),
        (0, EVERYTHING),
        (REFUSED, set()),
        arguments=(OWN_PROVIDER,),
    ),
    row("OTEL_SETUP_PSEUDONYMS", "false", named, True, False),
    row(
        "OTEL_TRACES_EXPORTER",
        "console",
        lambda run: (run.arrived(), *printed(SPAN)(run)),
        ({"metrics", "logs"}, True),
        (EVERYTHING, False),
    ),
    row(
        "OTEL_METRICS_EXPORTER",
        "console",
        lambda run: (run.arrived(), *printed(METRIC)(run)),
        ({"traces", "logs"}, True),
        (EVERYTHING, False),
    ),
    row("OTEL_LOGS_EXPORTER", "none", arrived, {"traces", "metrics"}, EVERYTHING),
    row("MONITORING_ENABLE_TRACING", "false", arrived, {"metrics", "logs"}, EVERYTHING),
    row("MONITORING_ENABLE_CONSOLE_EXPORT", "true", printed(SPAN, EVENT), (True, True), (False, False)),
    row("OTEL_SETUP_LOG_LEVEL", "ERROR", said, False, True),
    row(
        "OTEL_PROPAGATORS",
        "b3",
        called_with,
        {"b3"},
        {"traceparent"},
        base=with_endpoint(**{LOBBY: "{http}/lobby"}),
    ),
]

_TRACES_AND_METRICS = [
    row("OTEL_TRACES_SAMPLER", "always_off", arrived, {"metrics", "logs"}, EVERYTHING),
    row(
        "OTEL_TRACES_SAMPLER_ARG",
        "0",
        arrived,
        {"metrics", "logs"},
        EVERYTHING,
        base=with_endpoint(OTEL_TRACES_SAMPLER="traceidratio"),
    ),
    row("OTEL_METRICS_EXEMPLAR_FILTER", "always_off", exemplars, False, True),
    row(f"{OTLP}METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "base2_exponential_bucket_histogram", kinds, True, False),
    row(
        f"{OTLP}METRICS_TEMPORALITY_PREFERENCE",
        "delta",
        refusal("METRICS_TEMPORALITY_PREFERENCE", "expected cumulative"),
        True,
        False,
        reported="cumulative",
    ),
    row(
        "OTEL_METRIC_EXPORT_INTERVAL",
        "200",
        is_every_fifth_second,
        True,
        False,
        meanwhile=eight_exports,
        meanwhile_without=nothing,
    ),
    row(
        "METRICS_COLLECTION_INTERVAL",
        "0.2",
        is_every_fifth_second,
        True,
        False,
        meanwhile=eight_exports,
        meanwhile_without=nothing,
    ),
    row(
        "OTEL_EXPORTER_PROMETHEUS_HOST",
        "127.0.0.2",
        seen,
        {"127.0.0.1": False, "127.0.0.2": True},
        {"127.0.0.1": True, "127.0.0.2": False},
        base=with_endpoint(OTEL_EXPORTER_PROMETHEUS_PORT="{port}"),
        meanwhile=scraped("127.0.0.1", "127.0.0.2"),
    ),
    row(
        "OTEL_EXPORTER_PROMETHEUS_PORT",
        "{port}",
        seen,
        {"localhost": True},
        {"localhost": False},
        meanwhile=scraped("localhost"),
    ),
]

_QUEUES = [
    *(
        row(
            f"OTEL_{queue}_SCHEDULE_DELAY",
            "60000",
            seen,
            True,
            False,
            base=with_endpoint(**_OFTEN, OTEL_BLRP_MAX_EXPORT_BATCH_SIZE="5000"),  # so that only time is over
            meanwhile=has_not_come_though_metrics_came(signal),
            meanwhile_without=has_come(signal),
        )
        for queue, signal in (("BLRP", "logs"), ("BSP", "traces"))
    ),
    row("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "2", largest("logs"), False, True),
    row("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2", largest("traces"), False, True),
    row(
        "OTEL_BLRP_MAX_QUEUE_SIZE",
        "5",
        all_there,
        {"traces": False, "logs": False},
        {"traces": True, "logs": True},
        base=with_endpoint("held"),
        meanwhile=open_the_gate,
    ),
    row(
        "OTEL_BSP_MAX_QUEUE_SIZE",
        "5",
        all_there,
        {"traces": False, "logs": True},
        {"traces": True, "logs": True},
        base=with_endpoint("held"),
        meanwhile=open_the_gate,
    ),
]

_LOCAL = [
    row("EVENT_STREAM_HISTORY_SIZE", "7", lambda run: min(remembered("history")(run), ACTIONS), 7, ACTIONS),
    row("EVENT_STREAM_MAX_SUBSCRIBERS", "3", remembered("readers"), 3, 100),
    row("METRICS_RETENTION_HOURS", "2", remembered("hours"), 2, 24),
]

_RUNTIME = [
    row("OTEL_SETUP_SLOW_CALLBACK", "30", told_of(EventType.EVENT_LOOP_BLOCKED), False, True, arguments=(BUSY,)),
    row("OTEL_SETUP_MEMORY_LIMIT_MB", "1", told_of("HighMemoryUsage"), True, False, arguments=(BUSY,)),
    row("OTEL_SETUP_MEMORY_GROWTH_LIMIT", "100000", told_of("HighMemoryGrowth"), False, True, arguments=(BUSY,)),
]

_LIFE = [
    row(
        "OTEL_SETUP_HANDLE_SIGTERM",
        "false",
        lambda run: (run.code, run.arrived() & {"traces", "logs"}),
        (-15, set()),
        (-15, {"traces", "logs"}),
        base=with_endpoint(OTEL_BLRP_SCHEDULE_DELAY="60000", OTEL_BLRP_MAX_EXPORT_BATCH_SIZE="5000"),
        meanwhile=Run.terminate,
    ),
    row("OTEL_SETUP_CONTROL_SOCKET", "false", seen, False, True, meanwhile=debug),
]

PSEUDONYM_KEY = row("OTEL_SETUP_PSEUDONYM_KEY", KEY, pseudonym, None, None)
"""What it changes is compared with what the command line says for that key."""

ROWS = (*_WAYS, *_IDENTITY, *_SWITCHES, *_TRACES_AND_METRICS, *_QUEUES, *_LOCAL, *_RUNTIME, *_LIFE)
