"""What a test asks a monitor: its events and its metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from otel_setup.catalogue import EVENTS, EventType
from otel_setup.events.log_records import attributes_of
from otel_setup.events.record import SystemEvent
from otel_setup.monitor import EnterpriseMonitor, get_enterprise_monitor
from otel_setup.prometheus import default_exposition
from otel_setup.testing import nearest as near

Sample = tuple[str, frozenset[tuple[str, str]]]
_IDS = ("game_id", "room_id", "player_id", "connection_id", "correlation_id")
_DECLARED = frozenset(str(event.name) for event in EVENTS)


class Recorded:
    """The events and metrics of this process, and assertions on them that say what was there instead."""

    @property
    def monitor(self) -> EnterpriseMonitor:
        """The monitor the game uses."""
        return get_enterprise_monitor()

    # --- events -----------------------------------------------------------------------------------------------------

    def events(self, event_type: str | None = None) -> list[SystemEvent]:
        """Everything published so far, or the events of one type, oldest first."""
        published = self.monitor.event_stream.get_history()
        return [event for event in published if event_type in (None, event.event_type)]

    def assert_event(
        self, event_type: str, fields: Mapping[str, Any] | None = None, /, **more_fields: Any
    ) -> SystemEvent:
        """There is an event of this type with these fields.

        Parameters:
            event_type: its name, ``game.started``.
            fields, more_fields: what it says: ids, ``severity`` by its name, entries of its data, or attributes by
                their names in the catalogue. A field that is wanted to be None may be missing.

        Returns:
            The first such event.
        """
        __tracebackhide__ = True
        wanted = near.plain({**(fields or {}), **more_fields})
        published = self._all_events()
        found = [event for event in published if event.event_type == event_type and _fits(event, wanted)]
        if not found:
            raise AssertionError(_no_event(event_type, wanted, published))
        return found[0]

    def assert_no_event(self, event_type: str, fields: Mapping[str, Any] | None = None, /, **more_fields: Any) -> None:
        """There is no event of this type with these fields.

        Raises:
            ValueError: there is no such type, so that there could never be such an event. ``EventType("my.event")``
                is how a type of a game's own is written.
        """
        __tracebackhide__ = True
        wanted = near.plain({**(fields or {}), **more_fields})
        published = self._all_events()
        known = _DECLARED | {str(event.event_type) for event in published}
        if event_type not in known and not isinstance(event_type, EventType):
            hint = near.did_you_mean(event_type, known)
            raise ValueError(f"{event_type!r} is no event of the catalogue, and nothing of that name happened{hint}")
        for event in published:
            if event.event_type == event_type and _fits(event, wanted):
                raise AssertionError(f"there is an event {title_of(event)}: {near.described(facts_of(event))}")

    def assert_events(self, *event_types: str) -> list[SystemEvent]:
        """These types of events came in this order; others may have come in between.

        Returns:
            The events, one for each type.
        """
        __tracebackhide__ = True
        published = self._all_events()
        names = [str(event.event_type) for event in published]
        return [published[place] for place in places_in_order("event", event_types, names)]

    def _all_events(self) -> list[SystemEvent]:
        statistics = self.monitor.event_stream.get_statistics()
        if statistics["dropped_history"]:
            kept = statistics["history_limit"]
            raise AssertionError(f"only the newest {kept} events are kept; configure(history_size=...) with more")
        return self.events()

    # --- metrics ----------------------------------------------------------------------------------------------------

    def samples(self) -> dict[Sample, float]:
        """Every sample of /metrics, by name and labels."""
        exposition = default_exposition()
        exposition.ttl = 0
        body, _ = exposition.scrape_sync()
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(body.decode())
            for sample in family.samples
        }

    def value(self, name: str, labels: Mapping[str, str] | None = None) -> float | None:
        """One sample's value; None where there is no such series."""
        return self.samples().get((name, frozenset((labels or {}).items())))

    def assert_metric(
        self, name: str, value: Any, labels: Mapping[str, str] | None = None, /, **more_labels: str
    ) -> None:
        """The series of this name that have these labels sum up to this value.

        Parameters:
            name: as /metrics has it; the game's prefix may be left out.
            value: a number, or what compares equal to one, such as ``pytest.approx(1, abs=0.1)``.
            labels, more_labels: any of the series' labels; those left out are summed over, as PromQL's ``sum`` does.
        """
        __tracebackhide__ = True
        wanted = {**(labels or {}), **more_labels}
        samples = self.samples()
        if not samples:
            raise AssertionError("the telemetry was shut down, and its metrics ended; ask for them before")
        names = {sample_name for sample_name, _ in samples}
        full = name if name in names else f"{self.monitor.core.settings.prefix}_{name}"
        if full not in names:
            hint = near.did_you_mean(full, names)
            raise AssertionError(f"there is no series {name!r} at /metrics{hint}")
        series = [(dict(label_set), at) for (sample_name, label_set), at in samples.items() if sample_name == full]
        matching = [(label_set, at) for label_set, at in series if near.fits(label_set, wanted)]
        if not matching:
            closest = near.nearest(series, lambda one: one[0], wanted, lambda one: _series(full, *one))
            raise AssertionError(f"no series of {full} has {near.described(wanted)}; the nearest:\n{closest}")
        total = sum(at for _, at in matching)
        if not near.same(total, value):
            lines = [f"    {_series(full, *one)}" for one in series if one[1]]
            there = "\n".join(lines[: near.MAX_NAMES]) or "    nothing but zeros"
            wording = f"{full} {near.described(wanted)}".rstrip()
            raise AssertionError(f"{wording} is {total:g}, not {near.shown(value)}; its series:\n{there}")


def places_in_order(what: str, wanted: tuple[str, ...], names: list[str]) -> list[int]:
    """Where each of the wanted names stands, each after the one before.

    Raises:
        AssertionError: one does not.
    """
    __tracebackhide__ = True
    places: list[int] = []
    for name in wanted:
        start = places[-1] + 1 if places else 0
        if name not in names[start:]:
            after = f" after {wanted[len(places) - 1]!r}" if places else ""
            before = ", though there is one before" if name in names else near.did_you_mean(name, names)
            raise AssertionError(f"no {what} {name!r}{after}{before}; in order: {', '.join(names) or 'nothing at all'}")
        places.append(names.index(name, start))
    return places


def facts_of(event: SystemEvent) -> dict[str, Any]:
    """All that an event says: its attributes, the short names of its data, and its ids."""
    ids = {name: getattr(event, name) for name in _IDS}
    about = {"severity": event.severity.name, "trace_id": event.trace_id, "span_id": event.span_id}
    return near.plain(attributes_of(event)) | dict(event.data) | ids | about


def _fits(event: SystemEvent, wanted: Mapping[str, Any]) -> bool:
    return near.fits(facts_of(event), wanted)


def title_of(event: SystemEvent) -> str:
    return f"{near.shown(str(event.event_type))[1:-1]} at {event.timestamp:%H:%M:%S.%f}"


def _no_event(event_type: str, wanted: Mapping[str, Any], published: list[SystemEvent]) -> str:
    names = [str(event.event_type) for event in published]
    same_type = [event for event in published if event.event_type == event_type]
    if same_type:
        closest = near.nearest(same_type, facts_of, wanted, title_of)
        return f"no event {event_type!r} has {near.described(wanted)}; the nearest:\n{closest}"
    known = near.did_you_mean(event_type, {*names, *_DECLARED} - {event_type})
    return f"no event {event_type!r}{known}; there were: {near.counted(names)}"


def _series(name: str, labels: Mapping[str, str], value: float) -> str:
    inside = ",".join(f'{key}="{text}"' for key, text in sorted(labels.items()))
    return f"{name}{{{inside}}} {value:g}" if inside else f"{name} {value:g}"
