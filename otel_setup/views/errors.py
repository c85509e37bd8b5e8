"""The heat map of errors: phase by type by hour."""

from __future__ import annotations

from typing import Any

from otel_setup.game_model import OTHER
from otel_setup.ledger import Ledger
from otel_setup.ledger.store import HOUR
from otel_setup.views.copying import iso, or_now

_NS = 1_000_000_000


def error_heatmap(ledger: Ledger, now_ns: int | None = None) -> dict[str, Any]:
    """Errors of the retention window, in the order of the phases.

    ``hours`` are the starts of the hours, oldest first, this one last; each row's ``per_hour`` has one count for each
    of them, and its ``count`` is their sum.
    """
    now_ns = or_now(now_ns)
    now_s, retention = now_ns / _NS, ledger.bounds.retention_hours
    with ledger.lock:
        kinds = {kind: buckets.sums("errors", now_s) for kind, buckets in ledger.errors.items()}
    this_hour = now_ns // _NS // HOUR
    hours = [hour * HOUR for hour in range(this_hour - retention + 1, this_hour + 1)]
    order = (*ledger.model.phases, OTHER)
    data = []
    for (state, error_type), sums in sorted(kinds.items(), key=lambda item: (order.index(item[0][0]), item[0][1])):
        per_hour = [int(sums.get(hour, 0)) for hour in hours]
        if any(per_hour):
            data.append({"state": state, "error_type": error_type, "count": sum(per_hour), "per_hour": per_hour})
    return {
        "type": "error_heatmap",
        "data": data,
        "hours": [iso(hour * _NS) for hour in hours],
        "timestamp": iso(now_ns),
    }
