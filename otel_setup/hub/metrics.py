"""The hub's own metrics, each declared once, as the page /metrics shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST

PREFIX = "otel_setup_hub_"
CONTENT_TYPE = CONTENT_TYPE_LATEST

Values = float | Mapping[str, float]
"""One value, or one for each value of the label."""


class Refused(StrEnum):
    """Why a request was turned away."""

    HEAD = "head"
    HOST = "host"
    METHOD = "method"
    TOKEN = "token"  # noqa: S105 - a reason
    REQUESTS = "requests"
    CONNECTIONS = "connections"
    STARTING = "starting"
    ENDING = "ending"
    FULL = "full"
    LOG = "log"
    SLOW_BODY = "slow_body"
    TOO_LARGE = "too_large"
    MEDIA_TYPE = "media_type"
    MALFORMED = "malformed"
    VIEWERS = "viewers"


class Disconnected(StrEnum):
    """Why an open stream ended."""

    FINISHED = "finished"
    """All that was asked for was sent."""
    CLIENT = "client"
    """The reader went away."""
    STALLED = "stalled"
    """The reader's socket took nothing for ``stall_seconds``."""
    SLOW = "slow"
    """More waited for the reader than may, and its policy was to be disconnected."""
    SHUTDOWN = "shutdown"
    """The hub ended."""
    FAULT = "fault"
    """A bug of the hub; the log has it."""


class Counters:
    """What only this process counts: everything that is not in the log."""

    def __init__(self) -> None:
        self.requests = 0
        self.bytes = 0
        self.events = 0
        self.ignored = 0
        self.rejected = 0
        self.frames = 0
        self.frame_bytes = 0
        self.unreadable = 0
        self.commits = 0
        self.write_failures = 0
        self.refused = dict.fromkeys(map(str, Refused), 0)
        self.disconnected = dict.fromkeys(map(str, Disconnected), 0)

    def refuse(self, reason: str) -> None:
        """Counts a request that was turned away."""
        self.refused[str(reason)] += 1


class Family:
    """One metric: its name after the prefix, its help, whether it only rises, and its label, if any."""

    def __init__(self, name: str, about: str, *, counts: bool, label: str = "") -> None:
        self.name = PREFIX + name
        self.about = about
        self.counts = counts
        self.label = label

    def collected(self, values: Values) -> Metric:
        """As Prometheus's library wants it."""
        kind: type[CounterMetricFamily | GaugeMetricFamily] = CounterMetricFamily if self.counts else GaugeMetricFamily
        if not isinstance(values, Mapping):
            return kind(self.name, self.about, value=values)
        family = kind(self.name, self.about, labels=[self.label])
        for value, number in values.items():
            family.add_metric([value], number)
        return family


def _counter(name: str, about: str, label: str = "") -> Family:
    return Family(name, about, counts=True, label=label)


def _gauge(name: str, about: str, label: str = "") -> Family:
    return Family(name, about, counts=False, label=label)


REQUESTS = _counter("received_requests", "Requests with events that were answered 200.")
BYTES = _counter("received_bytes", "Bytes of these requests' bodies, as they came.")
RECEIVED = _counter("received_events", "Events in what was received since the hub's start, repeated ones included.")
IGNORED = _counter("ignored_records", "Log records that are no events, and were not taken.")
REJECTED = _counter("rejected_records", "Broken log records in what was received; their senders were told.")
UNREADABLE = _counter("unreadable_entries", "Entries of the log that are no events, and were left out.")
DELIVERED = _counter("delivered_events", "Events of servers that have a place in the stream.")
DUPLICATES = _counter("duplicate_events", "Events that came again: a sender was not sure that they had arrived.")
LATE = _counter("late_events", "Events that came after a gap had been told for them.")
MISSING = _gauge("missing_events", "Events for which a gap was told, and that have not come since.")
FILLED = _counter("filled_events", "Events of gaps that came after all.")
HELD = _gauge("held_events", "Events that wait for those before them.")
WAITING_BATCHES = _gauge("waiting_batches", "Batches that wait for the log.")
WAITING_BYTES = _gauge("waiting_bytes", "What these batches weigh.")
COMMITS = _counter("commits", "Times the log was written to; one write takes all batches that wait.")
WRITE_FAILURES = _counter("write_failures", "Times the log could not be written to, such as on a full disk.")
REFUSED = _counter("refused_requests", "Requests that were turned away, by reason.", "reason")
VIEWERS = _gauge("viewers", "Open streams.")
DISCONNECTED = _counter("disconnected_viewers", "Streams that ended, by reason.", "reason")
MISSED = _counter("viewer_missed_events", "Events that slow readers missed; each was told of its gap.")
SENT_FRAMES = _counter("sent_frames", "Events sent to readers, once for each reader.")
SENT_BYTES = _counter("sent_bytes", "Bytes sent to readers of streams.")
LOG_BYTES = _gauge("log_bytes", "Size of the log on disk.")
SEGMENTS = _gauge("log_segments", "Files of the log.")
SEGMENTS_DROPPED = _counter("dropped_segments", "Files of the log that left because of its size or age.")
PRODUCERS = _gauge("producers", "Lives of servers by what is known of them.", "state")
FORGOTTEN = _counter(
    "forgotten_producers", "Lives of servers whose account was forgotten, because there were too many."
)
FAULTS = _counter("faults", "Events that a view or the stream failed on: a bug of the hub.")
COMPLETE = _gauge("complete", "1 where every known server has reported, so that the views show everything.")
READY = _gauge("ready", "1 where the hub takes events.")
LAST_SEQUENCE = _gauge("last_sequence", "Place of the newest event in the stream.")

FAMILIES: tuple[Family, ...] = tuple(value for value in globals().copy().values() if isinstance(value, Family))
"""All of them."""


class _Registry:
    def __init__(self, read: Callable[[], Mapping[Family, Values]]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        values = self._read()
        yield from (family.collected(values[family]) for family in FAMILIES if family in values)

    def describe(self) -> Iterable[Metric]:
        return ()


def exposition(read: Callable[[], Mapping[Family, Values]]) -> bytes:
    """The page, in Prometheus's text format.

    Parameters:
        read: gives the values of now.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Registry(read))
    return generate_latest(registry)
