"""Spans, log records and resources as they may leave the process: copies without names and without secrets."""

from __future__ import annotations

import copy
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.semconv.attributes.http_attributes import HTTP_ROUTE
from opentelemetry.trace import Link, Status

from otel_setup.events.log_records import EventRecord
from otel_setup.privacy.pseudonyms import Pseudonyms
from otel_setup.privacy.redaction import MAX_DEPTH, Redaction
from otel_setup.privacy.vocabulary import DECLARED, PERSONAL

_NO_TEXT = (int, float, bool)
MAX_RESOURCES = 64
"""Resources whose copies are remembered; a process has one or two."""


class _Span(ReadableSpan):
    """A copy that still knows how much its original had dropped."""

    def __init__(self, original: ReadableSpan, **changed: Any) -> None:
        super().__init__(
            context=original.get_span_context(),
            parent=original.parent,
            kind=original.kind,
            start_time=original.start_time,
            end_time=original.end_time,
            instrumentation_scope=original.instrumentation_scope,
            **changed,
        )
        self._dropped = original.dropped_attributes, original.dropped_events, original.dropped_links

    @property
    def dropped_attributes(self) -> int:
        return self._dropped[0]

    @property
    def dropped_events(self) -> int:
        return self._dropped[1]

    @property
    def dropped_links(self) -> int:
        return self._dropped[2]


@dataclass(frozen=True)
class _LogRecord(ReadableLogRecord):
    dropped: int = 0

    @property
    def dropped_attributes(self) -> int:
        return self.dropped


class Sanitizer:
    """Makes the copies. Any thread may call anything.

    Parameters:
        pseudonyms: replace players' names.
        redaction: takes secrets out.
        personal: names of the attributes that hold players' names.
        span_names: whether names are looked for in spans' names. These are meant to come from few values, and a
            name that a player chose could then change one; the catalogue's own, and those of HTTP routes, never change.
    """

    def __init__(
        self,
        pseudonyms: Pseudonyms,
        redaction: Redaction,
        personal: Container[str] = PERSONAL,
        *,
        span_names: bool = True,
    ) -> None:
        self.pseudonyms = pseudonyms
        self.redaction = redaction
        self._personal = personal
        self._span_names = span_names
        self._resources: dict[int, tuple[Resource, Resource]] = {}
        self._ordinary = frozenset(key for key in DECLARED if redaction.is_ordinary(key))

    def text(self, text: str) -> str:
        """Free text without names and secrets."""
        return self.redaction.text(self.pseudonyms.text(text[: self.redaction.max_searched]))

    def attributes(self, attributes: Mapping[str, Any] | None) -> dict[str, Any]:
        """Attributes without names and secrets."""
        if not attributes:
            return {}
        # Its own copy is ten times as fast as to read it as a mapping, which takes a lock for each value.
        plain = attributes.copy() if isinstance(attributes, BoundedAttributes) else attributes
        return self._redacted(self.pseudonyms.pseudonymised(plain, self._personal))

    def _redacted(self, attributes: dict[str, Any]) -> dict[str, Any]:
        """Attributes without secrets: at half the cost where all their keys are known to be ordinary."""
        if not self._ordinary.issuperset(attributes):
            return self.redaction.attributes(attributes)
        made: dict[str, Any] = {}
        text, value_of = self.redaction.text, self.redaction.value
        for key, value in attributes.items():
            if type(value) is str:
                made[key] = text(value)
            else:
                made[key] = value if type(value) in _NO_TEXT else value_of(value, MAX_DEPTH - 1)
        return made

    def span(self, span: ReadableSpan) -> ReadableSpan:
        """A copy of a span; everything that may hold text from outside is sanitised."""
        attributes = self.attributes(span.attributes)  # first: it is here that names are learnt
        return _Span(
            span,
            name=self._span_name(span),
            attributes=attributes,
            resource=self.resource(span.resource),
            events=[self._event(event) for event in span.events],
            links=[Link(link.context, self._bounded(link.attributes)) for link in span.links],
            status=self._status(span.status),
        )

    def log_record(self, record: ReadableLogRecord) -> ReadableLogRecord:
        """A copy of a log record, whose attributes and body are sanitised. Its event name comes from code and stays."""
        made = record.log_record
        if isinstance(made, EventRecord):
            attributes = made.attributes
            if made.pseudonyms is not self.pseudonyms:  # else they were made with these, just now
                attributes = self.pseudonyms.pseudonymised(attributes, self._personal)
            made = made.with_attributes(self._redacted(attributes))
        else:
            made = copy.copy(made)
            made.attributes = self.attributes(made.attributes)
            made.body = self.redaction.value(self.pseudonyms.free_form(made.body))
            made.exception = None
        return _LogRecord(
            log_record=made,
            resource=self.resource(record.resource),
            instrumentation_scope=record.instrumentation_scope,
            limits=record.limits,
            dropped=record.dropped_attributes,
        )

    def resource(self, resource: Resource) -> Resource:
        """A resource without secrets. It is made of configuration, in which there are no players."""
        known = self._resources.get(id(resource))
        if known is None or known[0] is not resource:
            kept = self.redaction.attributes(resource.attributes)
            unchanged = kept == dict(resource.attributes or {})
            known = resource, resource if unchanged else Resource(kept, resource.schema_url)
            if len(self._resources) >= MAX_RESOURCES:
                self._resources.clear()
            self._resources[id(resource)] = known
        return known[1]

    def _span_name(self, span: ReadableSpan) -> str:
        route = (span.attributes or {}).get(HTTP_ROUTE)
        if not self._span_names or (isinstance(route, str) and span.name.endswith(route)):
            return span.name
        return self.text(span.name)

    def _event(self, event: Event) -> Event:
        return Event(self.text(event.name), self._bounded(event.attributes), event.timestamp)

    def _bounded(self, attributes: Mapping[str, Any] | None) -> Mapping[str, Any]:
        made = self.attributes(attributes)
        dropped = attributes.dropped if isinstance(attributes, BoundedAttributes) else 0
        if not dropped:
            return made
        bounded = BoundedAttributes(attributes=made)
        bounded.dropped = dropped
        return bounded

    def _status(self, status: Status) -> Status:
        if not status.description:
            return status
        return Status(status.status_code, self.text(status.description))
