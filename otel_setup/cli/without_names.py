"""Events, log records and spans without players' names and secrets, whoever wrote them and whatever they hold."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from otel_setup.catalogue import build
from otel_setup.cli.otlp_files import Item, any_value, encoded, plain, plain_map
from otel_setup.events.log_records import attributes_of, event_from_attributes
from otel_setup.events.record import SystemEvent
from otel_setup.privacy import Pseudonyms, Redaction, default_key_file, looks_like_pseudonym, read_key, vocabulary
from otel_setup.privacy.sanitizer import Sanitizer

_PLAIN_FIELDS = {
    "log": ("timeUnixNano", "observedTimeUnixNano", "severityNumber", "traceId", "spanId", "flags", "eventName"),
    "span": ("traceId", "spanId", "parentSpanId", "kind", "flags", "startTimeUnixNano", "endTimeUnixNano"),
}
"""Fields that hold no text of anybody's; what is named neither here nor below is left out."""
_LINK_FIELDS = ("traceId", "spanId", "flags")


class _Trusting(Pseudonyms):
    """Leaves what looks like a pseudonym, whichever key made it."""

    def is_pseudonym(self, text: str) -> bool:
        return looks_like_pseudonym(text)


class WithoutNames:
    """Makes copies that may be given away. First everything has to be learnt: texts may mention names.

    Parameters:
        key_file: with the key of the pseudonyms; None for the usual place, and a key of its own where there is none.
        trusting: whether what looks like a pseudonym is one, because names have been replaced before.

    Attributes:
        key: where the key came from, for people.

    Raises:
        ValueError: ``key_file`` holds no key.
    """

    def __init__(self, key_file: Path | None, *, trusting: bool) -> None:
        key, self.key = _key(key_file)
        kind = _Trusting if trusting else Pseudonyms
        self._pseudonyms = kind(key, reserved=vocabulary(build()))
        self._sanitizer = Sanitizer(self._pseudonyms, Redaction())

    @property
    def names(self) -> int:
        """How many names were found that are no pseudonyms."""
        return len(self._pseudonyms)

    def keep_names(self) -> None:
        """From now on names are left as they are; secrets are still taken out."""
        self._pseudonyms = Pseudonyms.off()
        self._sanitizer = Sanitizer(self._pseudonyms, Redaction())

    # --- events -----------------------------------------------------------------------------------------------------
    def learn_event(self, event: SystemEvent) -> None:
        """Learns the names in an event."""
        self._pseudonyms.pseudonymised(attributes_of(event))

    def event(self, event: SystemEvent) -> SystemEvent:
        """An event as it could have been exported."""
        made = event_from_attributes(
            event.event_type,
            self._sanitizer.attributes(attributes_of(event)),
            timestamp_ns=event.timestamp_ns,
            severity_number=event.severity.value,
            trace_id=event.trace_id,
            span_id=event.span_id,
            metadata=self._sanitizer.attributes(event.metadata),
        )
        return dataclasses.replace(made, sequence=event.sequence)

    # --- log records and spans ----------------------------------------------------------------------------------------
    def learn_item(self, item: Item) -> None:
        """Learns the names in a log record or span."""
        for attributes in (item.attributes, *map(_attributes_of, _several(item.fields, "events"))):
            self._pseudonyms.pseudonymised(attributes)

    def item(self, item: Item) -> Item:
        """A log record or span as it could have been exported."""
        fields = _chosen(item.fields, _PLAIN_FIELDS[item.kind])
        attributes = self._sanitizer.attributes(item.attributes)
        fields["attributes"] = encoded(attributes)
        if item.kind == "log":
            fields["severityText"] = self._text(item.fields.get("severityText"))
            if item.fields.get("body"):
                body = self._pseudonyms.free_form(plain(item.fields["body"]))
                fields["body"] = any_value(self._sanitizer.redaction.value(body))
        else:
            fields["name"] = self._text(item.fields.get("name"))
            fields["events"] = [self._span_event(each) for each in _several(item.fields, "events")]
            fields["links"] = [self._link(each) for each in _several(item.fields, "links")]
            if isinstance(status := item.fields.get("status"), Mapping):
                fields["status"] = {**_chosen(status, ("code",)), "message": self._text(status.get("message"))}
        resource = self._sanitizer.redaction.attributes(item.resource)
        return Item(item.kind, resource, self._text(item.scope), attributes, fields)

    def _span_event(self, event: Mapping[str, Any]) -> dict[str, Any]:
        return {**_chosen(event, ("timeUnixNano",)), "name": self._text(event.get("name")), **self._attributes(event)}

    def _link(self, link: Mapping[str, Any]) -> dict[str, Any]:
        return {**_chosen(link, _LINK_FIELDS), **self._attributes(link)}

    def _attributes(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        return {"attributes": encoded(self._sanitizer.attributes(_attributes_of(fields)))}

    def _text(self, text: object) -> str:
        return self._sanitizer.text(text) if isinstance(text, str) else ""


def _key(key_file: Path | None) -> tuple[bytes, str]:
    if key_file is not None:
        found = read_key(key_file)
        return found.value, found.source
    try:
        found = read_key(default_key_file())
    except ValueError:
        return secrets.token_bytes(32), "made for this bundle alone: nobody can tell whose they are"
    return found.value, found.source


def _chosen(fields: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: fields[name] for name in names if isinstance(fields.get(name), str | int)}


def _several(fields: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = fields.get(name)
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []


def _attributes_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return plain_map(fields.get("attributes", []))
    except (TypeError, KeyError, AttributeError, ValueError):
        return {}
