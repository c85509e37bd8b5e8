"""The roles ``zipkin`` and ``remote-write`` with the real stores behind them.

What is expected in Zipkin comes from the game server's own record of its spans. Remote write is compared with OTLP: the
same requests of a game go both ways, into a Prometheus each, and how many samples they hold is counted in them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode, format_span_id

from deploy import native, ports
from deploy.collector.roles import remote_write, standalone, zipkin
from deploy.process import http_get, wait_until
from tests.deploy.collectors import post, running
from tests.e2e.support import SETTLE_SECONDS, retried
from tests.e2e.witness import play_witnessed, trace_id
from tests.otel_setup.receiver import receiving
from tests.support.backends import running_zipkin
from tests.support.peers import require, running_prometheus

# --- zipkin ----------------------------------------------------------------------------------------------------------
MICROSECOND = 1000
"""Nanoseconds; Zipkin keeps times in microseconds."""


def as_text(value: object) -> str:
    """How an attribute is written as a tag of Zipkin, which are all texts."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def identity(span: ReadableSpan) -> tuple[object, ...]:
    """What the server says of a span, in Zipkin's words; those of internal spans have no kind."""
    error = "true" if span.status.status_code is StatusCode.ERROR else None
    return (
        trace_id(span),
        format_span_id(span.parent.span_id) if span.parent else None,
        span.name,
        None if span.kind is SpanKind.INTERNAL else span.kind.name,
        span.resource.attributes["service.name"],
        error,
        span.status.description if error else None,
    )


def stored_identity(span: Mapping[str, Any]) -> tuple[object, ...]:
    """The same of a span as Zipkin tells it."""
    tags = span["tags"]
    return (
        span["traceId"],
        span.get("parentId"),
        span["name"],
        span.get("kind"),
        span["localEndpoint"]["serviceName"],
        tags.get("error"),
        tags.get("otel.status_description"),
    )


@pytest.mark.peer("zipkin")
def test_zipkin_has_every_span_as_the_server_ended_it(tmp_path: Path) -> None:
    settings = ports.free_settings()
    with (
        running_zipkin(tmp_path, settings) as store,
        running(tmp_path / "collector", zipkin, settings) as collector,
    ):
        spans = play_witnessed(collector.otlp_http, collector.headers, logs=False, metrics=False)
        sizes = Counter(map(trace_id, spans))
        told = [
            span
            for trace, size in sizes.items()
            for span in store.wait_for(trace, lambda found, size=size: len(found) >= size, timeout=SETTLE_SECONDS)  # type: ignore[misc]
        ]
    assert {span.status.status_code for span in spans} > {StatusCode.ERROR}, "some failed, others did not"
    assert any(span.parent for span in spans)

    stored = {span["id"]: span for span in told}
    assert len(stored) == len(told), "none twice"
    ended = {format_span_id(span.get_span_context().span_id): span for span in spans}
    assert {name: stored_identity(span) for name, span in stored.items()} == {
        name: identity(span) for name, span in ended.items()
    }
    for name, span in ended.items():
        begin, end = span.start_time or 0, span.end_time or 0
        assert abs(stored[name]["timestamp"] * MICROSECOND - begin) < MICROSECOND
        assert abs(stored[name]["duration"] * MICROSECOND - (end - begin)) <= MICROSECOND
        tags = stored[name]["tags"]
        wanted = {key: as_text(value) for key, value in (span.attributes or {}).items()}
        assert {key: tags.get(key) for key in wanted} == wanted, span.name


# --- remote write ----------------------------------------------------------------------------------------------------
Series = frozenset[tuple[str, str]]
Sample = tuple[int, str]
"""Milliseconds since 1970, and the value as Prometheus writes it."""

RESOURCE = {
    "service_name": "liap-tui",
    "service_namespace": "games",
    "service_version": "1.2.3",
    "service_instance_id": "server-1",
    "deployment_environment_name": "staging",
}
OPTIONS = {
    "version": RESOURCE["service_version"],
    "environment": RESOURCE["deployment_environment_name"],
    "instance_id": RESOURCE["service_instance_id"],
    "resource": {"service.namespace": RESOURCE["service_namespace"]},
}
COMPLETED = ("__name__", "liap_tui_games_completed_total")
SERVER = '{job="games/liap-tui", instance="server-1"}'


@dataclass(frozen=True)
class BothWays:
    """What the requests of one game became, by OTLP and by remote write.

    :ivar sent: samples that the requests hold
    :ivar begins: moments, in milliseconds, at which their sums began
    """

    sent: int
    begins: set[int]
    by_otlp: native.Prometheus
    by_remote_write: native.Prometheus


@pytest.fixture(scope="module")
def both_ways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BothWays]:
    require("otelcol")
    with receiving() as receiver:
        play_witnessed(receiver.url, {}, exemplar_ratio=1.0, **OPTIONS)
    requests = receiver.requests["/v1/metrics"]
    points = [
        (metric, point)
        for metric in receiver.metrics()
        for point in getattr(metric, metric.WhichOneof("data")).data_points
    ]
    one, other = tmp_path_factory.mktemp("otlp"), tmp_path_factory.mktemp("remote-write")
    settings, others = ports.free_settings(), ports.free_settings()
    with (
        running_prometheus(one, settings=settings) as by_otlp,
        running_prometheus(other, ["--web.enable-remote-write-receiver"], settings=others) as by_remote_write,
        native.running_collector(settings, one / "collector", by_otlp.url, role=standalone) as sends_otlp,
        running(other / "collector", remote_write, others) as writes,
    ):
        for request in requests:
            for collector in (sends_otlp, writes):
                port, body = collector.settings.otlp_http_port, request.SerializeToString()
                assert post(port, "metrics", collector.headers, body) == 200
        yield BothWays(
            # Each request also says once what its server is: target_info.
            sent=sum(samples_of(metric, point) for metric, point in points) + len(requests),
            begins={milliseconds(point.start_time_unix_nano) for _, point in points},
            by_otlp=by_otlp,
            by_remote_write=by_remote_write,
        )


def samples_of(metric: Any, point: Any) -> int:
    """How many samples a point becomes; none where it says that its series ends.

    Source: https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/#histograms-1
    """
    ends = point.flags
    if ends:
        return 0
    return len(point.bucket_counts) + len(("sum", "count")) if metric.HasField("histogram") else 1


def milliseconds(nanoseconds: int) -> int:
    return nanoseconds // 1_000_000


def ask(store: native.Prometheus, path: str, **parameters: object) -> Any:
    return json.loads(http_get(f"{store.url}/api/v1/{path}?{urlencode(parameters)}")[1])["data"]


def samples(store: native.Prometheus) -> dict[Series, list[Sample]]:
    """Every sample of the game's server, in order."""
    return {
        frozenset(series["metric"].items()): [(round(moment * 1000), value) for moment, value in series["values"]]
        for series in ask(store, "query", query=f"{SERVER}[1h]")["result"]
    }


@pytest.mark.peer("otelcol")
@pytest.mark.peer("prometheus")
def test_remote_write_brings_every_sample_that_otlp_brings(both_ways: BothWays) -> None:
    """But for the zero with which Prometheus begins a sum that came by OTLP: remote write does not tell its begin."""
    written = wait_until(
        lambda: samples(both_ways.by_remote_write),
        lambda found: sum(map(len, found.values())) >= both_ways.sent,
        SETTLE_SECONDS,
        "as many samples as were sent are there",
    )
    assert sum(map(len, written.values())) == both_ways.sent, "and no more"
    ((series, values),) = ((series, values) for series, values in written.items() if COMPLETED in series)
    assert values[-1][1] == "1"
    assert series == {COMPLETED, ("job", "games/liap-tui"), ("instance", "server-1"), *RESOURCE.items()}

    zeros = {(begin, "0") for begin in both_ways.begins}

    def brought() -> dict[Series, list[Sample]]:
        return {
            series: [value for value in values if value not in zeros or value in written.get(series, ())]
            for series, values in samples(both_ways.by_otlp).items()
        }

    found = retried(brought, lambda found: found == written)
    assert found.keys() == written.keys()
    assert {series: (values, written[series]) for series, values in found.items() if values != written[series]} == {}
    assert sum(map(len, samples(both_ways.by_otlp).values())) > both_ways.sent, "and zeros"


@pytest.mark.peer("otelcol")
@pytest.mark.peer("prometheus")
def test_remote_write_brings_the_same_exemplars(both_ways: BothWays) -> None:
    def exemplars(store: native.Prometheus) -> dict[Series, list[Any]]:
        found = ask(store, "query_exemplars", query=SERVER, start=0, end=4_102_444_800)
        return {frozenset(series["seriesLabels"].items()): series["exemplars"] for series in found}

    def both() -> tuple[dict[Series, list[Any]], dict[Series, list[Any]]]:
        return exemplars(both_ways.by_otlp), exemplars(both_ways.by_remote_write)

    brought, written = retried(both, lambda found: bool(found[0]) and found[0] == found[1])
    assert brought == written != {}
