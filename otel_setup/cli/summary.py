"""What is in a bundle, in words: whom it is about, how complete it is, who ran what."""

from __future__ import annotations

import importlib.metadata
import platform
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

from otel_setup.cli.evidence import MAX_EVENTS, MAX_ITEMS, Evidence
from otel_setup.cli.without_names import WithoutNames
from otel_setup.events.notices import is_notice

SUMMARY, EVENTS, EVENT_LINES = "summary.txt", "events.ndjson", "events.txt"
STREAM, LOGS, SPANS = "stream.ndjson", "logs.otlp.jsonl", "spans.otlp.jsonl"
"""Names of the files in a bundle."""

_ABOUT = {
    EVENTS: "the events, one JSON object a line; `replay --file` plays them",
    EVENT_LINES: "the same, for people",
    STREAM: "what the source said of itself: gaps, servers that fell silent",
    LOGS: "log records, each an OTLP JSON request",
    SPANS: "spans, each an OTLP JSON request",
}
_NS = 1_000_000_000


def summary(evidence: Evidence, source: str, safe: WithoutNames, *, names_kept: bool) -> str:
    """The text of the summary.

    Parameters:
        source: what the events were read from.
        safe: replaced the names.
        names_kept: whether they were left as they are, being pseudonyms.
    """
    return "\n".join(_lines(evidence, source, safe, names_kept))


def _lines(evidence: Evidence, source: str, safe: WithoutNames, names_kept: bool) -> Iterator[str]:
    yield f"Rooms: {_named(evidence.rooms)}"
    yield f"Games: {_named(evidence.games)}"
    yield f"From:  {_time(evidence.begin_ns) if evidence.begin_ns else 'the oldest there is'}"
    yield f"To:    {_time(evidence.end_ns)}"
    yield f"Read from {source}"
    yield ""
    counts = Counter(item.kind for item in evidence.items)
    happened = [event for event in evidence.events if not is_notice(event)]
    numbers = {
        EVENTS: len(evidence.events),
        EVENT_LINES: len(evidence.events),
        STREAM: len(evidence.stream),
        LOGS: counts["log"],
        SPANS: counts["span"],
    }
    yield "What is inside"
    yield from (f"  {name:18} {numbers[name]:7}  {about}" for name, about in _ABOUT.items())
    if happened:
        first, last = happened[0].timestamp_ns, happened[-1].timestamp_ns
        yield f"  the first event is of {_time(first)}, the last of {_time(last)}"
    yield ""
    yield "How complete it is"
    problems = list(_problems(evidence))
    yield from (f"  - {problem}" for problem in problems or ["nothing is known to be missing"])
    yield ""
    yield "Names"
    if names_kept:
        yield "  Players' pseudonyms are as they were found."
    else:
        yield f"  {safe.names} names were replaced with pseudonyms. Their key: {safe.key}."
        yield "  What was a pseudonym already is as it was found. Whoever has the key: python -m otel_setup whois NAME"
    yield "  Secrets and addresses in texts are taken out."
    yield ""
    yield "Versions"
    yield f"  otel-setup {_version()}, Python {platform.python_version()}"
    yield from (f"  {version}" for version in _servers(evidence))


def _problems(evidence: Evidence) -> Iterator[str]:
    if evidence.begin_ns and evidence.oldest_ns > evidence.begin_ns:
        yield f"the source reaches back to {_time(evidence.oldest_ns)} only, so the beginning is missing"
    if not evidence.events:
        yield "there are no events"
    if missing := evidence.missing(of_these_servers=True):
        yield f"{missing} events of the servers that played here never arrived; whose they were is not known"
    if missing := evidence.missing(of_these_servers=False):
        yield f"{missing} events of other servers never arrived"
    if evidence.lost_in_reading:
        yield f"{evidence.lost_in_reading} events had left the source before they were read"
    if evidence.only_in_files:
        yield f"{evidence.only_in_files} events of these rooms are in the Collector's files and not in the source"
    if evidence.left_out:
        yield (
            f"{evidence.left_out} events, log records and spans are left out: a bundle holds {MAX_EVENTS} events and "
            f"{MAX_ITEMS} others"
        )
    if evidence.unreadable:
        yield f"{evidence.unreadable} lines of the files could not be read"
    if not evidence.items:
        yield "there are no log records and spans: none were found, or no folder of the Collector's was named"


def _servers(evidence: Evidence) -> Iterator[str]:
    seen = {
        (str(event.metadata.get("service", "")), str(event.metadata.get("version", "")))
        for event in evidence.events
        if event.metadata.get("service")
    }
    seen |= {
        (str(item.resource.get("service.name", "")), str(item.resource.get("service.version", "")))
        for item in evidence.items
    }
    yield from sorted({f"{service} {version}".strip() for service, version in seen if service})
    sdks = {str(item.resource.get("telemetry.sdk.version", "")) for item in evidence.items}
    yield from sorted(f"opentelemetry-sdk {sdk}" for sdk in sdks if sdk)


def _version() -> str:
    try:
        return importlib.metadata.version("otel-setup")
    except importlib.metadata.PackageNotFoundError:
        return "of a checkout"


def _named(ids: set[str]) -> str:
    return ", ".join(sorted(ids)) or "-"


def _time(time_ns: int) -> str:
    return f"{datetime.fromtimestamp(time_ns / _NS, UTC):%Y-%m-%d %H:%M:%S} UTC"
