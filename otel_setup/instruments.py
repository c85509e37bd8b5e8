"""The catalogue's metrics as OpenTelemetry instruments.

Every measurement passes here, so the guard stands here: only declared labels, and only values of their closed sets;
anything else is recorded as ``other`` and counted. The number of series is therefore fixed by the catalogue,
whatever players send.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from otel_setup.catalogue import BuiltMetric, Catalogue, Kind, M, Metric
from otel_setup.game_model import OTHER
from otel_setup.text import clean_id

MAX_WAITING = 1024
"""Amounts of one series that are summed up before they are handed over, should nobody collect meanwhile."""
Reading = Iterable[tuple[float, Mapping[str, str]]]
"""What a callback reads: values with their labels."""
Readings = Mapping[str, Callable[[], Reading]]
"""Callbacks of observable metrics, by declared name."""


class Instruments:
    """Instruments of every metric in a catalogue, on one or more meters.

    Parameters:
        catalogue: which metrics exist.
        meters: where they are recorded: one once configured; before, the local one and the application's own.
        readings: how the observable ones are read.
        on_fault: told of exceptions in callbacks, so that one bad reading does not silence the others.
    """

    def __init__(
        self, catalogue: Catalogue, meters: Sequence[Meter], readings: Readings, on_fault: Callable[[Exception], None]
    ) -> None:
        self._bound: dict[str, _Bound] = {}
        self._on_fault = on_fault
        self._settling = threading.RLock()  # re-entrant: a signal handler may collect in the middle of a collection
        # Set once an observable metric is there. The SDK calls all of these back before it looks at its sums; with the
        # first of them, ours become part of those.
        self._settled_on_collection = False
        for built in catalogue.metrics:
            if built.declared.kind.is_observable:
                read = readings.get(built.declared.name)
                if read is not None:
                    reading = read if self._settled_on_collection else self._settling_before(read)
                    for meter in meters:
                        self._observe(meter, built, reading)
                    self._settled_on_collection = True
            else:
                self._bound[built.declared.name] = _Bound(built, meters)
        self._replaced = self._bound[M.LABELS_REPLACED.name]

    def add(self, metric: Metric, amount: float = 1, **labels: object) -> None:
        """Adds to a counter, with the current trace as a possible exemplar."""
        self._record(metric.name, amount, labels)

    def count(self, metric: Metric, amount: float = 1, **labels: object) -> None:
        """Adds to a counter what happens often and is nothing to look into: no exemplar points to its trace.

        Amounts are summed up here and reach the SDK when somebody collects, which costs an eighth of :meth:`add`.
        """
        bound = self._bound[metric.name]
        series = bound.series(labels) if self._settled_on_collection else None
        if series is None:
            self._record(metric.name, amount, labels)
            return
        series.waiting.append(amount)
        if len(series.waiting) >= MAX_WAITING:
            bound.settle(series)

    def _settling_before(self, read: Callable[[], Reading]) -> Callable[[], Reading]:
        def settle_and_read() -> Reading:
            self._settle()
            return read()

        return settle_and_read

    def _settle(self) -> None:
        """Hands over what was summed up. A second collection at the same time waits for it, to be as complete."""
        with self._settling:
            for bound in self._bound.values():
                for series in bound.known():
                    bound.settle(series)

    def record(self, metric: Metric, value: float, **labels: object) -> None:
        """Records a value of a histogram or gauge."""
        self._record(metric.name, value, labels)

    def export_zeros(self) -> None:
        """Creates every series that a counter's closed sets allow, at 0.

        Prometheus cannot see the first event of a series that begins with it: ``increase()`` needs a value before.
        """
        for bound in self._bound.values():
            for labels in bound.built.zeros:
                bound.write(0, labels)

    def _record(self, name: str, value: float, labels: Mapping[str, object]) -> None:
        bound = self._bound[name]
        series = bound.series(labels)
        if series is not None:
            bound.write(value, series.labels)
            return
        clean, replaced = bound.guard(labels)
        bound.write(value, clean)
        if replaced:
            self._replaced.write(replaced, {})

    def _observe(self, meter: Meter, built: BuiltMetric, read: Callable[[], Reading]) -> None:
        def callback(_options: CallbackOptions) -> Iterable[Observation]:
            try:
                return [Observation(value, dict(labels)) for value, labels in read()]
            except Exception as fault:  # noqa: BLE001
                self._on_fault(fault)
                return ()

        create: Any = {
            Kind.OBSERVABLE_COUNTER: meter.create_observable_counter,
            Kind.OBSERVABLE_UP_DOWN_COUNTER: meter.create_observable_up_down_counter,
            Kind.OBSERVABLE_GAUGE: meter.create_observable_gauge,
        }[built.declared.kind]
        create(built.name, callbacks=[callback], unit=built.declared.unit, description=built.declared.description)


class _Series:
    """One set of labels of a metric, and the amounts that wait to be handed over."""

    __slots__ = ("labels", "waiting")

    def __init__(self, labels: dict[str, str]) -> None:
        self.labels = labels
        self.waiting: deque[float] = deque()


class _Bound:
    """One synchronous metric on its meters."""

    __slots__ = ("_allowed", "_series", "_write", "built")

    def __init__(self, built: BuiltMetric, meters: Sequence[Meter]) -> None:
        self.built = built
        self._allowed = {label: frozenset(values) for label, values in built.labels.items()}
        self._write = tuple(_writer(built, meter) for meter in meters)
        # By labels that passed the guard as they were. Their sets are closed, so these are few; a third of the cost of
        # a measurement was to look at the same ones again and again.
        self._series: dict[tuple[tuple[str, object], ...], _Series] = {}

    def series(self, labels: Mapping[str, object]) -> _Series | None:
        """The series of labels that the guard lets through as they are; None for others."""
        key = tuple(labels.items())
        try:
            known = self._series.get(key)
        except TypeError:  # a value that cannot be a key is none of a closed set either
            return None
        if known is None:
            clean, replaced = self.guard(labels)
            if not replaced and clean == labels:
                known = self._series.setdefault(key, _Series(clean))
        return known

    def known(self) -> list[_Series]:
        """Every series so far."""
        return list(self._series.values())

    def settle(self, series: _Series) -> None:
        """Hands a series' sum over. No amount is taken twice or left out, however many threads do this."""
        total: float = 0
        waiting = series.waiting
        while waiting:
            try:
                total += waiting.popleft()
            except IndexError:  # another thread took the last one
                break
        if total:
            self.write(total, series.labels)

    def guard(self, labels: Mapping[str, object]) -> tuple[dict[str, str], int]:
        """The labels with everything undeclared dropped and every foreign value replaced, and how many were."""
        clean, replaced = {}, 0
        for label, allowed in self._allowed.items():
            value = clean_id(labels.get(label, OTHER))
            if value not in allowed and value != OTHER:
                replaced += 1
                value = OTHER
            clean[label] = value
        return clean, replaced + sum(label not in self._allowed for label in labels)

    def write(self, value: float, labels: Mapping[str, str]) -> None:
        for write in self._write:
            write(value, labels)


def _writer(built: BuiltMetric, meter: Meter) -> Callable[[float, Mapping[str, str]], None]:
    metric = built.declared
    if metric.kind is Kind.COUNTER:
        return meter.create_counter(built.name, unit=metric.unit, description=metric.description).add
    if metric.kind is Kind.HISTOGRAM:
        return meter.create_histogram(
            built.name,
            unit=metric.unit,
            description=metric.description,
            explicit_bucket_boundaries_advisory=metric.buckets,
        ).record
    return meter.create_gauge(built.name, unit=metric.unit, description=metric.description).set
