"""The clean end of series that say how things are now: live games, open sockets.

OTLP has no end of its own, so Prometheus would show the last value of a server that has stopped for five minutes more.
A data point may however say that it has no value any more (``DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK``, OpenTelemetry
Metrics Data Model, "No recorded value"), which the Collector passes on and Prometheus takes for the end of the series.
Counters need none: what they have counted stays true.
"""

from __future__ import annotations

import time
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import DataPointFlags, Metric
from opentelemetry.sdk.metrics.export import MetricsData

from otel_setup.config.settings import Destination
from otel_setup.sdk.grpc_tls import grpc_credentials
from otel_setup.sdk.http_session import ExportSession

END_SECONDS = 1.0
"""How long the end may take; it is one small request to a Collector that has just answered."""


def ended(data: MetricsData, now_ns: int) -> ExportMetricsServiceRequest:
    """The request that ends the series of gauges and of sums that may fall, as they were exported last.

    Parameters:
        data: what was exported last.
        now_ns: time of the end, nanoseconds since 1970.
    """
    request: ExportMetricsServiceRequest = encode_metrics(data)
    for resource in request.resource_metrics:
        for scope in resource.scope_metrics:
            kept = [metric for metric in scope.metrics if _is_current(metric)]
            del scope.metrics[:]
            scope.metrics.extend(kept)
            for metric in scope.metrics:
                for point in getattr(metric, metric.WhichOneof("data")).data_points:
                    point.ClearField("value")
                    del point.exemplars[:]
                    point.time_unix_nano = now_ns
                    point.flags = DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK
    return request


def _is_current(metric: Metric) -> bool:
    return metric.HasField("gauge") or (metric.HasField("sum") and not metric.sum.is_monotonic)


def end_series(data: MetricsData, destination: Destination) -> None:
    """Sends the end once; a Collector that does not take it is left alone.

    Raises:
        Exception: of the transport, where it cannot be sent.
    """
    request = ended(data, time.time_ns())
    if destination.protocol == "grpc":
        _by_grpc(request, destination)
        return
    with ExportSession(destination) as session:
        session.post(
            destination.endpoint,
            data=request.SerializeToString(),
            headers={"Content-Type": "application/x-protobuf", **destination.headers},
            timeout=END_SECONDS,
        )


def _by_grpc(request: ExportMetricsServiceRequest, destination: Destination) -> None:
    import grpc
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import MetricsServiceStub

    address = urlsplit(destination.endpoint)
    channel = (
        grpc.insecure_channel(address.netloc)
        if address.scheme == "http"
        else grpc.secure_channel(address.netloc, grpc_credentials(destination))
    )
    with channel:
        metadata = tuple((name.lower(), value) for name, value in destination.headers.items())
        MetricsServiceStub(channel).Export(  # type: ignore[no-untyped-call]  # generated
            request, timeout=END_SECONDS, metadata=metadata
        )
