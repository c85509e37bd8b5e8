"""The options of ``configure()`` and what becomes of them, as types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from otel_setup.catalogue import Metric
from otel_setup.config.sampling import SampleRule
from otel_setup.game_model import GameModel
from otel_setup.ledger import Bounds

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.view import View

TagValue = str | int | float | bool


class Options(TypedDict, total=False):
    """The options of ``configure()``; all may be left out. :data:`OPTIONS` has their meanings."""

    service: str | None
    version: str | None
    environment: str | None
    instance_id: str | None
    resource: Mapping[str, TagValue] | None
    detect: Sequence[str] | bool | None
    tags: Mapping[str, TagValue] | None
    collector: str | bool | None
    protocol: str | None
    headers: Mapping[str, str] | None
    compression: str | None
    export_timeout: float | None
    certificate_file: str | None
    client_certificate_file: str | None
    client_key_file: str | None
    disabled: bool | None
    adopt: bool | None
    pseudonyms: bool | None
    pseudonym_key: str | None
    traces: bool | str | Sequence[str] | None
    metrics: bool | str | Sequence[str] | None
    logs: bool | str | Sequence[str] | None
    console: bool | None
    log_level: str | bool | None
    propagators: str | Sequence[str] | None
    sampler: str | None
    sampler_ratio: float | None
    sample_rules: Sequence[SampleRule] | None
    exemplars: str | None
    exemplar_ratio: float | None
    metric_interval: float | None
    histograms: str | None
    temporality: str | None
    views: Sequence[View] | None
    cardinality_limit: int | None
    metrics_host: str | None
    metrics_port: int | bool | None
    scrape_ttl: float | None
    batch_delay: float | None
    batch_size: int | None
    queue_size: int | None
    span_batch_delay: float | None
    span_batch_size: int | None
    span_queue_size: int | None
    history_size: int | None
    max_subscribers: int | None
    history_bytes: int | None
    subscriber_queue_size: int | None
    subscriber_queue_bytes: int | None
    excluded_event_scopes: Sequence[str] | bool | None
    retention_hours: int | None
    bounds: Bounds | None
    snapshot_interval: float | None
    heartbeat_interval: float | None
    slow_callback: float | None
    memory_limit_mb: float | None
    memory_growth_limit: float | None
    shutdown_timeout: float | None
    handle_sigterm: bool | None
    control_socket: bool | None
    debug: bool | None
    model: GameModel | None
    prefix: str | None
    business_metrics: Sequence[Metric] | None


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where one signal goes, and how.

    Attributes:
        endpoint: of OTLP/HTTP the signal's whole URL, of OTLP/gRPC scheme, host and port.
        timeout: seconds one export may take, repetitions included.
        certificate_file: of the authorities that are trusted; the system's where it is "".
    """

    endpoint: str
    protocol: str
    headers: Mapping[str, str]
    compression: str
    timeout: float
    certificate_file: str
    client_certificate_file: str
    client_key_file: str


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every option with its value: what :func:`resolve` gives. ``collector`` is "" where nothing is exported by OTLP.

    Attributes:
        destinations: where each signal goes; empty where nothing is exported by OTLP.
    """

    service: str
    version: str
    environment: str
    instance_id: str
    resource: Mapping[str, TagValue]
    detect: tuple[str, ...]
    tags: Mapping[str, TagValue]
    collector: str
    protocol: str
    headers: Mapping[str, str]
    compression: str
    export_timeout: float
    certificate_file: str
    client_certificate_file: str
    client_key_file: str
    disabled: bool
    adopt: bool
    pseudonyms: bool
    pseudonym_key: str
    traces: tuple[str, ...]
    metrics: tuple[str, ...]
    logs: tuple[str, ...]
    console: bool
    log_level: str
    propagators: tuple[str, ...]
    sampler: str
    sampler_ratio: float
    sample_rules: tuple[SampleRule, ...]
    exemplars: str
    exemplar_ratio: float
    metric_interval: float
    histograms: str
    temporality: str
    views: tuple[View, ...]
    cardinality_limit: int
    metrics_host: str
    metrics_port: int | None
    scrape_ttl: float
    batch_delay: float
    batch_size: int
    queue_size: int
    span_batch_delay: float
    span_batch_size: int
    span_queue_size: int
    history_size: int
    max_subscribers: int
    history_bytes: int
    subscriber_queue_size: int
    subscriber_queue_bytes: int
    excluded_event_scopes: tuple[str, ...]
    retention_hours: int
    bounds: Bounds
    snapshot_interval: float
    heartbeat_interval: float
    slow_callback: float
    memory_limit_mb: float
    memory_growth_limit: float
    shutdown_timeout: float
    handle_sigterm: bool
    control_socket: bool
    debug: bool
    model: GameModel
    prefix: str
    business_metrics: tuple[Metric, ...]
    destinations: Mapping[str, Destination]


@dataclass(frozen=True)
class Resolved:
    """Settings, and where each came from.

    Attributes:
        sources: by option, ``keyword``, ``config``, ``environment NAME`` or ``default``; what the environment says of
            one signal alone stands under the signal's name and the option's: ``traces.headers``.
        unused: variables of OpenTelemetry that are set and change nothing here, with the reason.
    """

    settings: Settings
    sources: Mapping[str, str]
    unused: Mapping[str, str]
