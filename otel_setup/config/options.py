"""The table of options: what each is, its default, its environment variables, and what a value must be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from otel_setup.catalogue import Metric
from otel_setup.config import parsing as p
from otel_setup.config.sampling import EXEMPLARS, SAMPLERS, SampleRule
from otel_setup.game_model import LIAP_TUI, GameModel
from otel_setup.ledger import Bounds
from otel_setup.privacy.keys import given_key
from otel_setup.sdk.propagation import PROPAGATORS
from otel_setup.sdk.resource import DETECTORS

PROMETHEUS_PORT = 9464
"""Where /metrics is served if nothing else is said (OpenTelemetry specification, Prometheus exporter)."""


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option. A parser or check raises ``ValueError`` saying what is expected.

    Parameters:
        environment: variables that give its value, the first that is set first, each with its parser.
        check: makes the value that is used.
        secret: never shown.
        merged: what several sources give is put together, rather than that the first wins.
    """

    name: str
    help: str
    default: Any
    environment: tuple[tuple[str, Callable[[str], Any]], ...] = ()
    check: Callable[[Any], Any] = lambda value: value
    secret: bool = False
    merged: bool = False


def _key(value: Any) -> str:
    if value != "":
        given_key(value)
    return str(value)


def _metrics_port(value: Any) -> int | None:
    return None if value is False else PROMETHEUS_PORT if value is True else p.port(value)


def _views(value: Any) -> tuple[Any, ...]:
    from opentelemetry.sdk.metrics.view import View  # the SDK is loaded with the first use, not with the first import

    return p.many_of(View, "a list of opentelemetry.sdk.metrics.view.View")(value) if value else ()


_IDENTITY = (
    Option(
        name="service",
        help="service.name of everything exported; the model's name where not given",
        default=None,
        environment=(("OTEL_SERVICE_NAME", str), ("MONITORING_SERVICE_NAME", str)),
        check=p.text,
    ),
    Option(name="version", help="service.version", default="", check=p.text),
    Option(name="environment", help="deployment.environment.name", default="", check=p.text),
    Option(name="instance_id", help="service.instance.id; a new UUID where not given", default=None, check=p.text),
    Option(
        name="resource",
        help="further resource attributes",
        default={},
        environment=(("OTEL_RESOURCE_ATTRIBUTES", p.pairs_text),),
        check=p.mapping,
        merged=True,
    ),
    Option(
        name="detect",
        help=f"resource attributes that are found out: {', '.join(DETECTORS)}; False for none",
        default=DETECTORS,
        environment=(("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", p.words_text),),
        check=lambda value: DETECTORS if value is True else p.some_of(*DETECTORS)(value),
    ),
    Option(name="tags", help="resource attributes that are also labels of every metric", default={}, check=p.mapping),
)

_WAY_OUT = (
    Option(
        name="collector",
        help="the Collector's address with its scheme; this machine's where not given; False exports nothing",
        default=None,
        environment=(("OTEL_EXPORTER_OTLP_ENDPOINT", str),),
        check=p.endpoint,
    ),
    Option(
        name="protocol",
        help="http/protobuf (port 4318) or grpc (port 4317)",
        default="http/protobuf",
        environment=(("OTEL_EXPORTER_OTLP_PROTOCOL", str),),
        check=p.one_of("http/protobuf", "grpc"),
    ),
    Option(
        name="headers",
        help="sent with every export",
        default={},
        environment=(("OTEL_EXPORTER_OTLP_HEADERS", p.pairs_text),),
        check=p.headers,
        secret=True,
    ),
    Option(
        name="compression",
        help="of exports: none, gzip or deflate (deflate over HTTP only)",
        default="none",
        environment=(("OTEL_EXPORTER_OTLP_COMPRESSION", str),),
        check=p.one_of("none", "gzip", "deflate"),
    ),
    Option(
        name="export_timeout",
        help="seconds one export may take",
        default=10.0,
        environment=(("OTEL_EXPORTER_OTLP_TIMEOUT", p.timeout_milliseconds),),
        check=p.above_zero,
    ),
    Option(
        name="certificate_file",
        help="PEM file of the authorities trusted over https; the public ones where not given",
        default="",
        environment=(("OTEL_EXPORTER_OTLP_CERTIFICATE", str),),
        check=p.text,
    ),
    Option(
        name="client_certificate_file",
        help="PEM file of this client's certificate, for mutual TLS",
        default="",
        environment=(("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", str),),
        check=p.text,
    ),
    Option(
        name="client_key_file",
        help="PEM file of the key of that certificate",
        default="",
        environment=(("OTEL_EXPORTER_OTLP_CLIENT_KEY", str),),
        check=p.text,
    ),
    Option(
        name="disabled",
        help="export nothing and create no spans; events, getters and /metrics stay",
        default=False,
        environment=(("OTEL_SDK_DISABLED", p.switch_text),),
        check=p.switch,
    ),
    Option(
        name="adopt",
        help="keep the OpenTelemetry providers the application installed, and add the exports to them",
        default=False,
        environment=(("OTEL_SETUP_ADOPT", p.switch_text),),
        check=p.switch,
    ),
)

_PRIVACY = (
    Option(
        name="pseudonyms",
        help="players' names leave the process as keyed pseudonyms only, and secrets not at all",
        default=True,
        environment=(("OTEL_SETUP_PSEUDONYMS", p.switch_text),),
        check=p.switch,
    ),
    Option(
        name="pseudonym_key",
        help="of the pseudonyms, one for a whole fleet; a key file of this user where not given",
        default="",
        environment=(("OTEL_SETUP_PSEUDONYM_KEY", str),),
        check=_key,
        secret=True,
    ),
)

_SIGNALS = (
    Option(
        name="traces",
        help="spans: True or otlp, console, or both; False creates none",
        default=("otlp",),
        environment=(("OTEL_TRACES_EXPORTER", p.words_text), ("MONITORING_ENABLE_TRACING", p.traces_switch_text)),
        check=p.some_of("otlp", "console"),
    ),
    Option(
        name="metrics",
        help="metrics: True or otlp, console, prometheus (serves /metrics at metrics_port); False exports none",
        default=("otlp",),
        environment=(("OTEL_METRICS_EXPORTER", p.words_text),),
        check=p.some_of("otlp", "console", "prometheus"),
    ),
    Option(
        name="logs",
        help="log records and events: True or otlp, console, or both; False exports none, the local stream stays",
        default=("otlp",),
        environment=(("OTEL_LOGS_EXPORTER", p.words_text),),
        check=p.some_of("otlp", "console"),
    ),
    Option(
        name="console",
        help="print spans and events on standard output as well",
        default=False,
        environment=(("MONITORING_ENABLE_CONSOLE_EXPORT", p.switch_text),),
        check=p.switch,
    ),
    Option(
        name="log_level",
        help="least level of Python's own log records that are exported; False for none",
        default="INFO",
        environment=(("OTEL_SETUP_LOG_LEVEL", p.level_text),),
        check=p.level,
    ),
    Option(
        name="propagators",
        help=f"how context crosses processes: {', '.join(PROPAGATORS)}",
        default=("tracecontext", "baggage"),
        environment=(("OTEL_PROPAGATORS", p.words_text),),
        check=p.some_of(*PROPAGATORS),
    ),
)

_TRACES = (
    Option(
        name="sampler",
        help=f"which traces are recorded: {', '.join(SAMPLERS)}",
        default="parentbased_always_on",
        environment=(("OTEL_TRACES_SAMPLER", str),),
        check=p.one_of(*SAMPLERS),
    ),
    Option(
        name="sampler_ratio",
        help="share of traces recorded by a traceidratio sampler",
        default=1.0,
        environment=(("OTEL_TRACES_SAMPLER_ARG", p.number_text),),
        check=p.ratio,
    ),
    Option(
        name="sample_rules",
        help="shares by the name of a trace's first span; the first rule that fits wins over the sampler",
        default=(),
        check=p.many_of(SampleRule, "a list of otel_setup.SampleRule"),
    ),
    Option(
        name="exemplars",
        help=f"measurements that point to their trace: {', '.join(EXEMPLARS)}",
        default="kept",
        environment=(("OTEL_METRICS_EXEMPLAR_FILTER", str),),
        check=p.one_of(*EXEMPLARS),
    ),
    Option(
        name="exemplar_ratio",
        help="share of ordinary traces marked to be kept for exemplars",
        default=0.05,
        check=p.ratio,
    ),
)

_METRICS = (
    Option(
        name="metric_interval",
        help="seconds between exports of metrics",
        default=10.0,
        environment=(("OTEL_METRIC_EXPORT_INTERVAL", p.milliseconds), ("METRICS_COLLECTION_INTERVAL", p.number_text)),
        check=p.above_zero,
    ),
    Option(
        name="histograms",
        help="how histograms are exported by OTLP; /metrics has explicit buckets always",
        default="explicit_bucket_histogram",
        environment=(("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", str),),
        check=p.one_of("explicit_bucket_histogram", "base2_exponential_bucket_histogram"),
    ),
    Option(
        name="temporality",
        help="cumulative; Prometheus takes nothing else",
        default="cumulative",
        environment=(("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", str),),
        check=p.one_of("cumulative"),
    ),
    Option(
        name="views",
        help="OpenTelemetry views for metrics",
        default=(),
        check=_views,
    ),
    Option(
        name="cardinality_limit",
        help="label sets of one metric at most; what exceeds it is otel_metric_overflow",
        default=2000,
        check=p.count,
    ),
    Option(
        name="metrics_host",
        help="address at which /metrics is served",
        default="localhost",
        environment=(("OTEL_EXPORTER_PROMETHEUS_HOST", str),),
        check=p.text,
    ),
    Option(
        name="metrics_port",
        help="port at which /metrics is served by itself; False serves none",
        default=False,
        environment=(("OTEL_EXPORTER_PROMETHEUS_PORT", p.number_text),),
        check=_metrics_port,
    ),
    Option(name="scrape_ttl", help="seconds for which scrapes share one collection", default=1.0, check=p.not_negative),
)

_QUEUES = (
    Option(
        name="batch_delay",
        help="seconds an event or a span may wait for others before it is exported",
        default=0.1,
        environment=(("OTEL_BLRP_SCHEDULE_DELAY", p.milliseconds),),
        check=p.above_zero,
    ),
    Option(
        name="batch_size",
        help="events, or spans, in one export at most",
        default=128,
        environment=(("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", p.number_text),),
        check=p.count,
    ),
    Option(
        name="queue_size",
        help="events, and spans, that wait for export; the oldest go first",
        default=8192,
        environment=(("OTEL_BLRP_MAX_QUEUE_SIZE", p.number_text),),
        check=p.count,
    ),
    Option(
        name="span_batch_delay",
        help="as batch_delay, for spans alone",
        default=None,
        environment=(("OTEL_BSP_SCHEDULE_DELAY", p.milliseconds),),
        check=p.above_zero,
    ),
    Option(
        name="span_batch_size",
        help="as batch_size, for spans alone",
        default=None,
        environment=(("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", p.number_text),),
        check=p.count,
    ),
    Option(
        name="span_queue_size",
        help="as queue_size, for spans alone",
        default=None,
        environment=(("OTEL_BSP_MAX_QUEUE_SIZE", p.number_text),),
        check=p.count,
    ),
)

_LOCAL = (
    Option(
        name="history_size",
        help="events the local stream remembers",
        default=10_000,
        environment=(("EVENT_STREAM_HISTORY_SIZE", p.number_text),),
        check=p.count,
    ),
    Option(
        name="max_subscribers",
        help="readers of the local stream at once",
        default=100,
        environment=(("EVENT_STREAM_MAX_SUBSCRIBERS", p.number_text),),
        check=p.count,
    ),
    Option(name="history_bytes", help="what they may weigh, in bytes", default=64 * 2**20, check=p.count),
    Option(
        name="subscriber_queue_size",
        help="events that may wait for one reader of the stream",
        default=1000,
        check=p.count,
    ),
    Option(
        name="subscriber_queue_bytes",
        help="what those that wait for one reader may weigh, in bytes",
        default=8 * 2**20,
        check=p.count,
    ),
    Option(
        name="excluded_event_scopes",
        help="instrumentation scopes whose log records are no events of the stream, named or not; False for none",
        default=("fastapi",),
        check=lambda value: p.many_of(str, "a list of names of instrumentation scopes")(value or ()),
    ),
    Option(
        name="retention_hours",
        help="hours of the hourly report and the averages",
        default=24,
        environment=(("METRICS_RETENTION_HOURS", p.number_text),),
        check=p.count,
    ),
    Option(
        name="bounds",
        help="how much the ledger remembers",
        default=Bounds(),
        check=p.instance_of(Bounds, "an otel_setup.Bounds"),
    ),
    Option(name="snapshot_interval", help="seconds between snapshots of a live game", default=30.0, check=p.above_zero),
    Option(name="heartbeat_interval", help="seconds between heartbeats", default=5.0, check=p.above_zero),
    Option(
        name="slow_callback",
        help="seconds for which something may hold the event loop before it is told who does",
        default=0.1,
        environment=(("OTEL_SETUP_SLOW_CALLBACK", p.number_text),),
        check=p.above_zero,
    ),
    Option(
        name="memory_limit_mb",
        help="resident memory, in MB, above which there is an error event HighMemoryUsage",
        default=1000.0,
        environment=(("OTEL_SETUP_MEMORY_LIMIT_MB", p.number_text),),
        check=p.above_zero,
    ),
    Option(
        name="memory_growth_limit",
        help="growth of memory, in MB an hour, above which there is an error event HighMemoryGrowth",
        default=50.0,
        environment=(("OTEL_SETUP_MEMORY_GROWTH_LIMIT", p.number_text),),
        check=p.above_zero,
    ),
)

_LIFE = (
    Option(name="shutdown_timeout", help="seconds a shutdown may take in all", default=3.0, check=p.above_zero),
    Option(
        name="handle_sigterm",
        help="export what waits when SIGTERM ends the process",
        default=True,
        environment=(("OTEL_SETUP_HANDLE_SIGTERM", p.switch_text),),
        check=p.switch,
    ),
    Option(
        name="control_socket",
        help="let this user's commands (debug, tail, record and others) reach the process",
        default=True,
        environment=(("OTEL_SETUP_CONTROL_SOCKET", p.switch_text),),
        check=p.switch,
    ),
)

_DEBUG = (
    Option(
        name="debug",
        help="tell everything of every room, as `python -m otel_setup debug` does of one: for development alone",
        default=False,
        check=p.switch,
    ),
)

_GAME = (
    Option(
        name="model",
        help="the game",
        default=LIAP_TUI,
        check=p.instance_of(GameModel, "an otel_setup.GameModel"),
    ),
    Option(name="prefix", help="of metric names; the model's name where not given", default=None, check=p.text),
    Option(
        name="business_metrics",
        help="the game's own metrics",
        default=(),
        check=p.many_of(Metric, "a list of otel_setup.catalogue.Metric"),
    ),
)

OPTIONS: tuple[Option, ...] = (
    *_IDENTITY,
    *_WAY_OUT,
    *_PRIVACY,
    *_SIGNALS,
    *_TRACES,
    *_METRICS,
    *_QUEUES,
    *_LOCAL,
    *_LIFE,
    *_DEBUG,
    *_GAME,
)
