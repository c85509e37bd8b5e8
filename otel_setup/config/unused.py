"""Variables of OpenTelemetry that are set and change nothing here, each with the reason and what to do instead."""

from __future__ import annotations

from collections.abc import Mapping

_PREFIX = "OTEL_"
_REASONS = {
    "OTEL_BLRP_EXPORT_TIMEOUT": "set OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_BSP_EXPORT_TIMEOUT": "set OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_METRIC_EXPORT_TIMEOUT": "set OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_EXPORTER_OTLP_INSECURE": "the scheme of the address decides, http or https",
    "OTEL_EXPORTER_OTLP_SPAN_INSECURE": "the scheme of the address decides, http or https",
    "OTEL_EXPORTER_OTLP_METRIC_INSECURE": "the scheme of the address decides, http or https",
    "OTEL_EXPORTER_OTLP_LOG_INSECURE": "the scheme of the address decides, http or https",
    "OTEL_LOG_LEVEL": "set the level of Python's logger opentelemetry",
    "OTEL_EXPORTER_ZIPKIN_ENDPOINT": "export to a Collector; it speaks Zipkin",
    "OTEL_EXPORTER_JAEGER_ENDPOINT": "export to a Collector; it speaks to Jaeger",
    "OTEL_CONFIG_FILE": "what it says belongs to the providers that were adopted",
}
_READ_BY_THE_SDK = (
    "OTEL_ATTRIBUTE_",
    "OTEL_SPAN_",
    "OTEL_LINK_",
    "OTEL_EVENT_",
    "OTEL_LOGRECORD_",
    "OTEL_PYTHON_",
    "OTEL_SEMCONV_",
)
"""Limits of spans and records, and switches of instrumentations: they take effect without us."""
_READ_ELSEWHERE = ("OTEL_SETUP_PSEUDONYM_KEY_FILE", "OTEL_SETUP_RUNTIME_DIR")


def unused(environ: Mapping[str, str], sources: Mapping[str, str]) -> dict[str, str]:
    """The variables, and why they change nothing.

    Parameters:
        sources: of the options; what is named there is used.
    """
    used = {part for source in sources.values() for part in source.split()}
    return {
        name: _REASONS.get(name) or _overruled(name)
        for name, value in sorted(environ.items())
        if name.startswith(_PREFIX)
        and value.strip()
        and name not in used
        and name not in _READ_ELSEWHERE
        and not name.startswith(_READ_BY_THE_SDK)
    }


def _overruled(name: str) -> str:
    return f"something that wins over it is given, or there is no {name} here"
