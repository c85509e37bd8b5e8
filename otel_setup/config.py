"""What can be configured, where each value may come from, and what is wrong with it.

One table, :data:`OPTIONS`, says it all. A value is taken from, in this order: keyword of ``configure()``, the config
mapping passed to it, the environment (OpenTelemetry's variables before the product's own), the default. ``None``
means not given.
"""

from __future__ import annotations

import math
import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypedDict
from urllib.parse import unquote, urlsplit

from otel_setup.catalogue import CatalogueError, Metric, build
from otel_setup.game_model import LIAP_TUI, GameModel
from otel_setup.ledger import Bounds
from otel_setup.privacy.keys import given_key

TagValue = str | int | float | bool


class ConfigError(ValueError):
    """Something is wrong with the configuration. ``problems`` lists everything that is, one sentence each."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        super().__init__(f"{count} in the telemetry configuration:\n" + "\n".join(f"  - {text}" for text in problems))


class Options(TypedDict, total=False):
    """The options of ``configure()``; all may be left out. :data:`OPTIONS` has their meanings."""

    service: str | None
    version: str | None
    environment: str | None
    instance_id: str | None
    resource: Mapping[str, TagValue] | None
    tags: Mapping[str, TagValue] | None
    collector: str | bool | None
    headers: Mapping[str, str] | None
    disabled: bool | None
    pseudonyms: bool | None
    pseudonym_key: str | None
    traces: bool | None
    metrics: bool | None
    logs: bool | None
    console: bool | None
    metric_interval: float | None
    batch_delay: float | None
    batch_size: int | None
    queue_size: int | None
    history_size: int | None
    max_subscribers: int | None
    retention_hours: int | None
    bounds: Bounds | None
    scrape_ttl: float | None
    snapshot_interval: float | None
    heartbeat_interval: float | None
    shutdown_timeout: float | None
    model: GameModel | None
    prefix: str | None
    business_metrics: Sequence[Metric] | None


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every option with its value: what :func:`resolve` gives. ``collector`` is "" where nothing is exported."""

    service: str
    version: str
    environment: str
    instance_id: str
    resource: Mapping[str, TagValue]
    tags: Mapping[str, TagValue]
    collector: str
    headers: Mapping[str, str]
    disabled: bool
    pseudonyms: bool
    pseudonym_key: str
    traces: bool
    metrics: bool
    logs: bool
    console: bool
    metric_interval: float
    batch_delay: float
    batch_size: int
    queue_size: int
    history_size: int
    max_subscribers: int
    retention_hours: int
    bounds: Bounds
    scrape_ttl: float
    snapshot_interval: float
    heartbeat_interval: float
    shutdown_timeout: float
    model: GameModel
    prefix: str
    business_metrics: tuple[Metric, ...]


@dataclass(frozen=True)
class Resolved:
    """Settings, and where each came from (``keyword``, ``config``, ``environment NAME``, ``default``)."""

    settings: Settings
    sources: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option: what it is, its default, its environment variables with their parsers, and its check.

    A parser or check raises ``ValueError`` saying what is expected.
    """

    name: str
    help: str
    default: Any
    environment: tuple[tuple[str, Callable[[str], Any]], ...] = ()
    check: Callable[[Any], Any] = lambda value: value
    secret: bool = False


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("text")
    return value


def _switch(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("True or False")
    return value


def _switch_text(value: str) -> bool:
    words = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    try:
        return words[value.strip().lower()]
    except KeyError:
        raise ValueError("true or false") from None


def _number_text(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise ValueError("a number") from None


def _milliseconds(value: str) -> float:
    return _number_text(value) / 1000


def _exporter_text(value: str) -> bool:
    """``OTEL_*_EXPORTER``: this product exports by OTLP or not at all."""
    known = {"otlp": True, "none": False}
    try:
        return known[value.strip().lower()]
    except KeyError:
        raise ValueError("otlp or none") from None


def _above_zero(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        raise ValueError("a number above 0")
    return float(value)


def _not_negative(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ValueError("a number, 0 or more")
    return float(value)


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1 or value < 1:
        raise ValueError("a whole number, 1 or more")
    return int(value)


def _endpoint(value: Any) -> str:
    if value is False:
        return ""
    if not isinstance(value, str):
        raise ValueError("a URL such as http://localhost:4318, or False to export nothing")
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("a URL with its scheme, such as http://localhost:4318, or False to export nothing")
    if parts.port == 4317:  # noqa: PLR2004
        raise ValueError("the OTLP/HTTP port, 4318 by default; 4317 is OTLP/gRPC")
    return value.rstrip("/")


def _key(value: Any) -> str:
    if value != "":
        given_key(value)
    return str(value)


def _pairs_text(value: str) -> dict[str, str]:
    pairs = {}
    for entry in filter(None, (part.strip() for part in value.split(","))):
        key, separator, text = entry.partition("=")
        if not separator or not key.strip():
            raise ValueError("key=value pairs joined by commas")
        pairs[key.strip()] = unquote(text.strip())
    return pairs


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ValueError("a mapping of names to values")
    return dict(value)


def _instance_of(kind: type, example: str) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if not isinstance(value, kind):
            raise ValueError(example)
        return value

    return check


def _metrics(value: Any) -> tuple[Metric, ...]:
    if isinstance(value, str) or not all(isinstance(metric, Metric) for metric in value):
        raise ValueError("a list of otel_setup.catalogue.Metric")
    return tuple(value)


OPTIONS: tuple[Option, ...] = (
    Option(
        name="service",
        help="service.name of everything exported; the model's name where not given",
        default=None,
        environment=(("OTEL_SERVICE_NAME", str), ("MONITORING_SERVICE_NAME", str)),
        check=_text,
    ),
    Option(name="version", help="service.version", default="", check=_text),
    Option(name="environment", help="deployment.environment.name", default="", check=_text),
    Option(name="instance_id", help="service.instance.id; a new UUID where not given", default=None, check=_text),
    Option(
        name="resource",
        help="further resource attributes",
        default={},
        environment=(("OTEL_RESOURCE_ATTRIBUTES", _pairs_text),),
        check=_mapping,
    ),
    Option(name="tags", help="resource attributes that are also labels of every metric", default={}, check=_mapping),
    Option(
        name="collector",
        help="the Collector's OTLP/HTTP address; False exports nothing",
        default="http://localhost:4318",
        environment=(("OTEL_EXPORTER_OTLP_ENDPOINT", str),),
        check=_endpoint,
    ),
    Option(
        name="headers",
        help="sent with every export",
        default={},
        environment=(("OTEL_EXPORTER_OTLP_HEADERS", _pairs_text),),
        check=_mapping,
        secret=True,
    ),
    Option(
        name="disabled",
        help="export nothing and create no spans; events, getters and /metrics stay",
        default=False,
        environment=(("OTEL_SDK_DISABLED", _switch_text),),
        check=_switch,
    ),
    Option(
        name="pseudonyms",
        help="players' names leave the process as keyed pseudonyms only, and secrets not at all",
        default=True,
        environment=(("OTEL_SETUP_PSEUDONYMS", _switch_text),),
        check=_switch,
    ),
    Option(
        name="pseudonym_key",
        help="of the pseudonyms, one for a whole fleet; a key file of this user where not given",
        default="",
        environment=(("OTEL_SETUP_PSEUDONYM_KEY", str),),
        check=_key,
        secret=True,
    ),
    Option(
        name="traces",
        help="create and export spans",
        default=True,
        environment=(("OTEL_TRACES_EXPORTER", _exporter_text), ("MONITORING_ENABLE_TRACING", _switch_text)),
        check=_switch,
    ),
    Option(
        name="metrics",
        help="export metrics; /metrics stays",
        default=True,
        environment=(("OTEL_METRICS_EXPORTER", _exporter_text),),
        check=_switch,
    ),
    Option(
        name="logs",
        help="export events as log records; the local stream stays",
        default=True,
        environment=(("OTEL_LOGS_EXPORTER", _exporter_text),),
        check=_switch,
    ),
    Option(
        name="console",
        help="print spans and events on standard output as well",
        default=False,
        environment=(("MONITORING_ENABLE_CONSOLE_EXPORT", _switch_text),),
        check=_switch,
    ),
    Option(
        name="metric_interval",
        help="seconds between exports of metrics",
        default=10.0,
        environment=(("OTEL_METRIC_EXPORT_INTERVAL", _milliseconds), ("METRICS_COLLECTION_INTERVAL", _number_text)),
        check=_above_zero,
    ),
    Option(
        name="batch_delay",
        help="seconds an event may wait for others before it is exported",
        default=0.1,
        environment=(("OTEL_BLRP_SCHEDULE_DELAY", _milliseconds),),
        check=_above_zero,
    ),
    Option(
        name="batch_size",
        help="events and spans in one export at most",
        default=128,
        environment=(("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", _number_text),),
        check=_count,
    ),
    Option(
        name="queue_size",
        help="events, and spans, that wait for export; the oldest go first",
        default=8192,
        environment=(("OTEL_BLRP_MAX_QUEUE_SIZE", _number_text),),
        check=_count,
    ),
    Option(
        name="history_size",
        help="events the local stream remembers",
        default=10_000,
        environment=(("EVENT_STREAM_HISTORY_SIZE", _number_text),),
        check=_count,
    ),
    Option(
        name="max_subscribers",
        help="readers of the local stream at once",
        default=100,
        environment=(("EVENT_STREAM_MAX_SUBSCRIBERS", _number_text),),
        check=_count,
    ),
    Option(
        name="retention_hours",
        help="hours of the hourly report and the averages",
        default=24,
        environment=(("METRICS_RETENTION_HOURS", _number_text),),
        check=_count,
    ),
    Option(
        name="bounds",
        help="how much the ledger remembers",
        default=Bounds(),
        check=_instance_of(Bounds, "an otel_setup.Bounds"),
    ),
    Option(name="scrape_ttl", help="seconds for which scrapes share one collection", default=1.0, check=_not_negative),
    Option(name="snapshot_interval", help="seconds between snapshots of a live game", default=30.0, check=_above_zero),
    Option(name="heartbeat_interval", help="seconds between heartbeats", default=5.0, check=_above_zero),
    Option(name="shutdown_timeout", help="seconds a shutdown may take in all", default=3.0, check=_above_zero),
    Option(
        name="model",
        help="the game",
        default=LIAP_TUI,
        check=_instance_of(GameModel, "an otel_setup.GameModel"),
    ),
    Option(name="prefix", help="of metric names; the model's name where not given", default=None, check=_text),
    Option(name="business_metrics", help="the game's own metrics", default=(), check=_metrics),
)


def resolve(
    options: Options,
    config: Options | None = None,
    environ: Mapping[str, str] | None = None,
) -> Resolved:
    """Finds every option's value.

    Parameters:
        options: the keywords of ``configure()``.
        config: a mapping of the same options; keywords win over it.
        environ: the environment; the process's own where not given. Never changed.

    Raises:
        ConfigError: naming everything that is wrong, with its value, what is expected and where it came from.
    """
    environ = os.environ if environ is None else environ
    given: list[tuple[str, Mapping[str, Any]]] = [("keyword", options), ("config", config or {})]
    problems = [
        f"{source} {name}: there is no such option; options are {', '.join(option.name for option in OPTIONS)}"
        for source, mapping in given
        for name in mapping
        if name not in {option.name for option in OPTIONS}
    ]
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for option in OPTIONS:
        value, source = _find(option, given, environ, problems)
        sources[option.name] = source
        if value is not None:
            try:
                value = option.check(value)
            except (ValueError, TypeError) as expected:
                problems.append(_problem(option, source, value, expected))
        values[option.name] = value
    if problems:
        raise ConfigError(problems)
    _derive(values)
    try:
        build(values["model"], values["prefix"], values["business_metrics"])
    except CatalogueError as unsound:
        name = values["model"].name
        raise ConfigError([f"the catalogue of {name}: {problem}" for problem in unsound.problems]) from None
    return Resolved(Settings(**values), sources)


def _find(
    option: Option, given: list[tuple[str, Mapping[str, Any]]], environ: Mapping[str, str], problems: list[str]
) -> tuple[Any, str]:
    for source, mapping in given:
        if mapping.get(option.name) is not None:
            return mapping[option.name], source
    for name, parse in option.environment:
        text = environ.get(name, "")
        if text.strip():
            source = f"environment {name}"
            try:
                return parse(text), source
            except ValueError as expected:
                problems.append(_problem(option, source, text, expected))
                return None, source
    return option.default, "default"


def _problem(option: Option, source: str, value: Any, expected: Exception) -> str:
    shown = "(a secret)" if option.secret else repr(value)[:80]
    where = source if source.startswith("environment") else f"{source} {option.name}"
    return f"{where} is {shown}; expected {expected} ({option.help})"


def _derive(values: dict[str, Any]) -> None:
    """Defaults that follow from other values."""
    model: GameModel = values["model"]
    resource = values["resource"]
    values["service"] = values["service"] or resource.get("service.name") or model.name.replace("_", "-")
    values["instance_id"] = values["instance_id"] or resource.get("service.instance.id") or str(uuid.uuid4())
    values["prefix"] = model.name if values["prefix"] is None else values["prefix"]
    values["bounds"] = replace(values["bounds"], retention_hours=values["retention_hours"])


def report(resolved: Resolved) -> str:
    """Every option with its value and where it came from, one a line; secrets masked."""
    rows = []
    for option, field in zip(OPTIONS, fields(Settings), strict=True):
        value = getattr(resolved.settings, field.name)
        shown = _shown(value, secret=option.secret)
        rows.append((option.name, shown, resolved.sources[option.name], option.help))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        f"{name:<{widths[0]}}  {value:<{widths[1]}}  {source:<{widths[2]}}  {help_}"
        for name, value, source, help_ in rows
    )


def _shown(value: Any, *, secret: bool) -> str:
    if secret and value:
        return ", ".join(f"{key}=***" for key in value) if isinstance(value, Mapping) else "***"
    if isinstance(value, GameModel):
        return value.name
    if isinstance(value, Bounds):
        return "default bounds" if value == Bounds() else "own bounds"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={item}" for key, item in value.items()) or "-"
    if isinstance(value, tuple):
        return ", ".join(metric.name for metric in value) or "-"
    return "-" if value == "" else str(value)
