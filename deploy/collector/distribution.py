"""The project's own Collector distribution: which components it holds, and the builder's manifest for it."""

from __future__ import annotations

from deploy import versions

CORE = "go.opentelemetry.io/collector"
CONTRIB = "github.com/open-telemetry/opentelemetry-collector-contrib"

BINARY = "otelcol"

# The folder of each component's Go module. The type that a configuration names is usually, but not always, the same
# word: `otelcol components` of the built binary has the last word, and a test holds every configuration to it.
COMPONENTS: dict[str, list[str]] = {
    "receivers": [
        f"{CONTRIB}/receiver/hostmetricsreceiver",
        f"{CONTRIB}/receiver/kafkareceiver",
        f"{CONTRIB}/receiver/otlpjsonfilereceiver",
        f"{CORE}/receiver/otlpreceiver",
    ],
    "processors": [
        f"{CONTRIB}/processor/attributesprocessor",
        f"{CONTRIB}/processor/filterprocessor",
        f"{CONTRIB}/processor/redactionprocessor",
        f"{CONTRIB}/processor/resourcedetectionprocessor",
        f"{CONTRIB}/processor/resourceprocessor",
        f"{CONTRIB}/processor/tailsamplingprocessor",
        f"{CONTRIB}/processor/transformprocessor",
        f"{CORE}/processor/memorylimiterprocessor",
    ],
    "exporters": [
        f"{CONTRIB}/exporter/fileexporter",
        f"{CONTRIB}/exporter/kafkaexporter",
        f"{CONTRIB}/exporter/loadbalancingexporter",
        f"{CONTRIB}/exporter/prometheusremotewriteexporter",
        f"{CONTRIB}/exporter/zipkinexporter",
        f"{CORE}/exporter/debugexporter",
        f"{CORE}/exporter/nopexporter",
        f"{CORE}/exporter/otlpexporter",
        f"{CORE}/exporter/otlphttpexporter",
    ],
    "connectors": [
        f"{CONTRIB}/connector/countconnector",
        f"{CONTRIB}/connector/servicegraphconnector",
        f"{CONTRIB}/connector/spanmetricsconnector",
        f"{CORE}/connector/forwardconnector",
    ],
    "extensions": [
        f"{CONTRIB}/extension/basicauthextension",
        f"{CONTRIB}/extension/bearertokenauthextension",
        f"{CONTRIB}/extension/healthcheckextension",
        f"{CONTRIB}/extension/storage/filestorage",
        f"{CORE}/extension/zpagesextension",
    ],
}
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
    for kind, modules in COMPONENTS.items():
        result[kind] = [{"gomod": f"{module} v{versions.COLLECTOR}"} for module in modules]
    result["providers"] = [{"gomod": f"{module} v{versions.COLLECTOR_PROVIDERS}"} for module in PROVIDERS]
    return result


def modules() -> dict[str, str]:
    """Every Go module the distribution is linked from, with its version."""
    components = {module: f"v{versions.COLLECTOR}" for listed in COMPONENTS.values() for module in listed}
    providers = dict.fromkeys(PROVIDERS, f"v{versions.COLLECTOR_PROVIDERS}")
    return components | providers | {f"{CORE}/otelcol": f"v{versions.COLLECTOR}"}
