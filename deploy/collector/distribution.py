"""The project's own Collector distribution: which components it holds, and the builder's manifest for it."""

from __future__ import annotations

from deploy import versions

CORE = "go.opentelemetry.io/collector"
CONTRIB = "github.com/open-telemetry/opentelemetry-collector-contrib"

BINARY = "otelcol"

# The type that a configuration names, and the folder of its Go module. What the built binary says of itself has the
# last word, and a test holds this to it.
COMPONENTS: dict[str, dict[str, str]] = {
    "receivers": {
        "host_metrics": f"{CONTRIB}/receiver/hostmetricsreceiver",
        "kafka": f"{CONTRIB}/receiver/kafkareceiver",
        "otlp": f"{CORE}/receiver/otlpreceiver",
    },
    "processors": {
        "batch": f"{CORE}/processor/batchprocessor",
        "delta_to_cumulative": f"{CONTRIB}/processor/deltatocumulativeprocessor",
        "filter": f"{CONTRIB}/processor/filterprocessor",
        "memory_limiter": f"{CORE}/processor/memorylimiterprocessor",
        "redaction": f"{CONTRIB}/processor/redactionprocessor",
        "resource": f"{CONTRIB}/processor/resourceprocessor",
        "resource_detection": f"{CONTRIB}/processor/resourcedetectionprocessor",
        "tail_sampling": f"{CONTRIB}/processor/tailsamplingprocessor",
        "transform": f"{CONTRIB}/processor/transformprocessor",
    },
    "exporters": {
        "debug": f"{CORE}/exporter/debugexporter",
        "file": f"{CONTRIB}/exporter/fileexporter",
        "kafka": f"{CONTRIB}/exporter/kafkaexporter",
        "load_balancing": f"{CONTRIB}/exporter/loadbalancingexporter",
        "otlp_grpc": f"{CORE}/exporter/otlpexporter",
        "otlp_http": f"{CORE}/exporter/otlphttpexporter",
        "prometheus_remote_write": f"{CONTRIB}/exporter/prometheusremotewriteexporter",
        "zipkin": f"{CONTRIB}/exporter/zipkinexporter",
    },
    "connectors": {
        "count": f"{CONTRIB}/connector/countconnector",
        "forward": f"{CORE}/connector/forwardconnector",
        "service_graph": f"{CONTRIB}/connector/servicegraphconnector",
        "span_metrics": f"{CONTRIB}/connector/spanmetricsconnector",
    },
    "extensions": {
        "basicauth": f"{CONTRIB}/extension/basicauthextension",
        "bearertokenauth": f"{CONTRIB}/extension/bearertokenauthextension",
        "file_storage": f"{CONTRIB}/extension/storage/filestorage",
        "health_check": f"{CONTRIB}/extension/healthcheckextension",
        "zpages": f"{CORE}/extension/zpagesextension",
    },
}
ONLY_IN_CONTRIB: dict[str, frozenset[str]] = {"exporters": frozenset({"awss3", "clickhouse"})}
"""Components of the public contrib image that the project's own distribution does not hold."""
PROVIDERS = [f"{CORE}/confmap/provider/{kind}provider" for kind in ("env", "file", "yaml")]


def manifest(**more: str) -> dict[str, object]:
    """The input of the Collector's builder (``ocb``); ``more`` are keys of its ``dist`` section."""
    result: dict[str, object] = {
        "dist": {
            "name": BINARY,
            "module": "otel-setup.invalid/otelcol",
            "description": "OpenTelemetry Collector for multiplayer game servers",
            "version": versions.COLLECTOR,
            **more,
        }
    }
    for kind, components in COMPONENTS.items():
        result[kind] = [{"gomod": f"{module} v{versions.COLLECTOR}"} for module in components.values()]
    result["providers"] = [{"gomod": f"{module} v{versions.COLLECTOR_PROVIDERS}"} for module in PROVIDERS]
    return result


def modules() -> dict[str, str]:
    """Every Go module the distribution is linked from, with its version."""
    components = {module: f"v{versions.COLLECTOR}" for listed in COMPONENTS.values() for module in listed.values()}
    providers = dict.fromkeys(PROVIDERS, f"v{versions.COLLECTOR_PROVIDERS}")
    return components | providers | {f"{CORE}/otelcol": f"v{versions.COLLECTOR}"}
