"""Every environment variable, and what setting it alone changes for whoever looks at the process from outside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from otel_setup import EventType
from tests.e2e.environment_app import ACTIONS, BUSY, LOBBY, OWN_PROVIDER
from tests.e2e.environment_looks import (
    EVENT,
    EVERYTHING,
    KEY,
    METRIC,
    NEEDS_BOTH,
    OFTEN,
    OTLP,
    REFUSED,
    SPAN,
    all_there,
    arrived,
    called_with,
    debug,
    eight_exports,
    exemplars,
    gave_up,
    has_come,
    has_not_come_though_metrics_came,
    is_every_fifth_second,
    kinds,
    largest,
    named,
    nothing,
    of_each,
    open_the_gate,
    printed,
    pseudonym,
    refusal,
    remembered,
    resource,
    said,
    scraped,
    seen,
    told_of,
    with_endpoint,
)
from tests.e2e.environment_runs import ENDPOINT, SIGNALS, Row, Run


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
            base=with_endpoint(**OFTEN, OTEL_BLRP_MAX_EXPORT_BATCH_SIZE="5000"),  # so that only time is over
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
