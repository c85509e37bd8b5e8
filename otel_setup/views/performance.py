"""How long transitions and actions take."""

from __future__ import annotations

from typing import Any

from otel_setup.ledger import Ledger
from otel_setup.views.copying import iso, or_now

_NS = 1_000_000_000
_MINUTE = 60


def performance_metrics(ledger: Ledger, window_minutes: int = 60, now_ns: int | None = None) -> dict[str, Any]:
    """Transitions and actions of the last minutes.

    The aggregates are of every one of them, exact to a minute and within the ledger's retention; the timeline has
    the most recent ones. Cancelled work is no error.
    """
    now_ns = or_now(now_ns)
    now_s, window_s = now_ns / _NS, window_minutes * _MINUTE
    since_ns = now_ns - window_s * _NS
    with ledger.lock:
        samples = list(ledger.performance)
        requests, errors, milliseconds = (
            ledger.requests.total(field, now_s, window_s) for field in ("requests", "errors", "milliseconds")
        )
    return {
        "type": "performance_metrics",
        "window_minutes": window_minutes,
        "timeline": [
            {
                "timestamp": iso(sample.timestamp_ns),
                "endpoint": sample.endpoint,
                "response_time": sample.response_time_ms,
                "error": sample.error,
                "metadata": {},
            }
            for sample in samples
            if sample.timestamp_ns > since_ns
        ],
        "aggregates": {
            "avg_response_time_ms": milliseconds / requests if requests else 0.0,
            "error_rate": errors / requests if requests else 0.0,
            "total_requests": int(requests),
        },
        "timestamp": iso(now_ns),
    }
