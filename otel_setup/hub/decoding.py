"""What the decoders of OTLP share: the bounds of a request, the account of its records, how one becomes an event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from otel_setup import clock
from otel_setup.catalogue import attributes as a
from otel_setup.events.log_records import event_from_attributes
from otel_setup.events.record import SystemEvent
from otel_setup.text import clean_id

_NANOSECONDS = 1_000_000_000
_EARLIEST_NS = 946_684_800 * _NANOSECONDS  # the year 2000: what says it happened before has a clock that was not set
_TRACE_ID_DIGITS, _SPAN_ID_DIGITS = 32, 16
MAX_REASON_LENGTH = 200
"""Characters of the reason that a sender is told."""

BODY = "body"
"""Key of a record's body in the event's data. Events need none."""
METADATA = {
    "service.name": "service",
    "service.namespace": "namespace",
    "service.instance.id": "instance",
    "service.version": "version",
    "host.name": "host",
    "deployment.environment.name": "environment",
}
"""What an event's metadata say of its producer: attributes of the resource, and their keys there."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much one request may hold. What is past a bound of the request refuses it whole, with status 413.

    Parameters:
        max_body_bytes: of a body as it is received.
        max_decoded_bytes: of a body after it is inflated; 20 MiB is what a Collector's own receiver takes.
        max_records: log records, and the groups they come in. A batch of the Collector has 8192 at most.
        max_values: attributes, entries of lists and maps, and fields around records, together; in JSON the objects and
            lists. What is decoded takes up to 250 bytes of memory for each.
        max_record_bytes: of one record in protobuf; a larger one is rejected alone.
        max_attributes: of one record; further ones are left out and counted.
        max_depth: levels of lists and maps in an attribute; a record with more of them is rejected alone.
        max_uid_length: characters of ``log.record.uid``; a record with a longer one is rejected alone.
        max_ahead_seconds: how far a record's time may be ahead of this machine's clock.
    """

    max_body_bytes: int = 16 * 1024 * 1024
    max_decoded_bytes: int = 20 * 1024 * 1024
    max_records: int = 16_384
    max_values: int = 500_000
    max_record_bytes: int = 256 * 1024
    max_attributes: int = 128
    max_depth: int = 32
    max_uid_length: int = 512
    max_ahead_seconds: float = 86_400.0


class Refused(Exception):
    """A request that is not taken.

    Parameters:
        status: of the HTTP response.
        message: what is wrong, for people.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class BadRecord(Exception):
    """A record that no event can be made of; the others of its request are good all the same."""


class Decoding:
    """One request while it is decoded.

    Parameters:
        limits: how much it may hold.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.events: list[SystemEvent] = []
        self.rejected = 0
        self.ignored = 0
        self.attributes_dropped = 0
        self.reason = ""
        self._records = 0
        self._values = 0
        self._arrived_ns = clock.time_ns()
        self._latest_ns = self._arrived_ns + int(limits.max_ahead_seconds * _NANOSECONDS)

    def count_records(self, count: int = 1) -> None:
        """Counts records, before they are decoded.

        Raises:
            Refused: there are too many.
        """
        self._records += count
        if self._records > self.limits.max_records:
            raise Refused(413, f"more than {self.limits.max_records} log records")

    def count_values(self, count: int) -> None:
        """Counts values, before they are decoded.

        Raises:
            Refused: there are too many.
        """
        self._values += count
        if self._values > self.limits.max_values:
            raise Refused(413, f"more than {self.limits.max_values} values")

    def count_attributes(self, count: int) -> int:
        """Counts a record's attributes, and says how many of them to decode."""
        kept = min(count, self.limits.max_attributes)
        self.attributes_dropped += count - kept
        self.count_values(kept)
        return kept

    def reject(self, reason: str) -> None:
        """Counts a record that is not taken; the sender is told the first reason."""
        self.rejected += 1
        self.reason = self.reason or reason[:MAX_REASON_LENGTH]

    def take(
        self,
        event_name: str,
        attributes: dict[str, Any],
        metadata: Mapping[str, str],
        *,
        timestamp_ns: int,
        observed_ns: int,
        severity_number: int,
        trace_id: str,
        span_id: str,
    ) -> None:
        """Takes a record with an event name.

        Parameters:
            attributes: as plain values; not the caller's any more.
            metadata: of its producer.
            timestamp_ns, observed_ns: nanoseconds since 1970; what cannot be right gives way to the other, and both to
                the time of arrival.
            severity_number: 0 where there is none.
            trace_id, span_id: hexadecimal; one that is not valid counts as none.

        Raises:
            BadRecord: its uid is none that could be told from others.
        """
        uid = attributes.get(a.RECORD_UID.name)
        if uid is None:
            attributes.pop(a.RECORD_UID.name, None)
        elif not isinstance(uid, str) or not uid.isprintable() or not 0 < len(uid) <= self.limits.max_uid_length:
            # Cleaned or cut it might be the uid of another record, which would then pass for a repetition.
            raise BadRecord(
                f"{a.RECORD_UID.name} is not a text of 1 to {self.limits.max_uid_length} visible characters"
            )
        self.events.append(
            event_from_attributes(
                event_name,
                attributes,
                timestamp_ns=self._likely_time(timestamp_ns, observed_ns),
                severity_number=severity_number,
                trace_id=_valid_id(trace_id, _TRACE_ID_DIGITS),
                span_id=_valid_id(span_id, _SPAN_ID_DIGITS),
                metadata=metadata,
            )
        )

    def _likely_time(self, timestamp_ns: int, observed_ns: int) -> int:
        for moment in (timestamp_ns, observed_ns):
            if _EARLIEST_NS <= moment <= self._latest_ns:
                return moment
        return self._arrived_ns


def metadata_of(resource: Mapping[str, Any]) -> dict[str, str]:
    """An event's metadata, from the attributes of its resource."""
    found = ((key, resource.get(name)) for name, key in METADATA.items())
    return {key: clean_id(value) for key, value in found if value is not None and value != ""}


def _valid_id(digits: str, length: int) -> str:
    return digits if len(digits) == length and digits.strip("0") else ""
