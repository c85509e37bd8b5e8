"""What each place says that happened, in the form :mod:`examples.reconcile` compares.

The places are the ones an operator looks at: /metrics of the process, what the Collector received, and Prometheus.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from examples.reconcile import Reconciliation, Values, from_exposition, from_samples, reconcile
from otel_setup.catalogue import Catalogue, Kind
from otel_setup.prometheus import default_exposition

if TYPE_CHECKING:
    from deploy.native import Collector, Prometheus

SETTLE_SECONDS = 20.0
"""How long Collector and Prometheus may take to have everything."""
_POLL_SECONDS = 0.5


def metrics_account(prefix: str) -> Values:
    """What /metrics of this process answers."""
    body, _ = default_exposition().scrape_sync()
    return from_exposition(body.decode(), prefix)


def collector_account(collector: Collector, catalogue: Catalogue) -> Values:
    """The last value of every series that reached the Collector, under its Prometheus name."""
    families = {built.name: built for built in catalogue.metrics}
    last: dict[tuple[str, frozenset[tuple[str, str]], str], float] = {}
    for point in collector.points():
        built = families.get(point.metric["name"])
        if built is not None:
            name = built.prometheus + ("_count" if built.declared.kind is Kind.HISTOGRAM else "")
            labels = frozenset((key, str(value)) for key, value in point.attributes.items())
            last[name, labels, str(point.resource.get("service.instance.id"))] = point.value
    samples = ((name, dict(labels), value) for (name, labels, _), value in last.items())
    return from_samples(samples, f"{catalogue.prefix}_")


def prometheus_account(prometheus: Prometheus, prefix: str) -> Values:
    """Every series of the game in Prometheus, now."""
    found = prometheus.query(f'{{__name__=~"{prefix}.*"}}')
    return from_samples(((labels["__name__"], labels, value) for labels, value in found), prefix)


def reconciled(
    expected: Callable[[], Values], sources: Mapping[str, Callable[[], Values]], timeout: float = SETTLE_SECONDS
) -> Reconciliation:
    """Compares the game's record with every place there is, until all agree or ``timeout`` seconds are over."""
    deadline = time.monotonic() + timeout
    while True:
        result = reconcile(expected(), {name: account() for name, account in sources.items()})
        if result.equal or time.monotonic() > deadline:
            return result
        time.sleep(_POLL_SECONDS)
