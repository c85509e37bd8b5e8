"""The name a metric has in Prometheus.

Both ways into Prometheus (the OTLP receiver with ``UnderscoreEscapingWithSuffixes`` and the Python exporter behind
``/metrics``) follow the OpenTelemetry compatibility specification ("OTLP Metric points to Prometheus"); this module
says the result, so that rules, dashboards and documentation can name series that do not exist yet. Tests hold it
against both.
"""

from __future__ import annotations

import re

from otel_setup.catalogue.types import Kind

_UNITS = {
    "s": "seconds",
    "ms": "milliseconds",
    "min": "minutes",
    "h": "hours",
    "By": "bytes",
    "%": "percent",
}
_ILLEGAL = re.compile(r"[^a-zA-Z0-9_:]+")
_ANNOTATION = re.compile(r"\{[^}]*\}")


def prometheus_name(name: str, unit: str, kind: Kind) -> str:
    """The metric's family name in Prometheus.

    Parameters:
        name: the OpenTelemetry name, with the prefix.
        unit: the UCUM unit; annotations in braces leave no trace.
        kind: counters end in ``_total``.

    Raises:
        ValueError: for a unit whose suffix this module does not know, and for a name that already says a suffix it
            would get: the OTLP receiver and the Python exporter make different names of those.
    """
    suffix = _ANNOTATION.sub("", unit)
    if suffix and suffix not in _UNITS:
        raise ValueError(f"metric {name!r}: unit {unit!r} has no known Prometheus suffix; add it to prometheus_names")
    words = _ILLEGAL.sub("_", name).split("_")
    suffixes = [*([_UNITS[suffix]] if suffix else []), *(["total"] if kind.is_counter else [])]
    if said := [word for word in suffixes if word in words]:
        raise ValueError(
            f"metric {name!r} says {said[0]!r}, which Prometheus adds for the unit or the kind; leave it out"
        )
    return "_".join([*words, *suffixes])


def prometheus_label(attribute: str) -> str:
    """The label that an attribute of a metric becomes in Prometheus."""
    return _ILLEGAL.sub("_", attribute)


def series_names(family: str, kind: Kind) -> tuple[str, ...]:
    """The sample names of a family: a histogram's three, otherwise the family itself."""
    if kind is Kind.HISTOGRAM:
        return tuple(f"{family}_{part}" for part in ("bucket", "sum", "count"))
    return (family,)
