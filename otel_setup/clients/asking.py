"""What a reader wants of a stream in another process, as the query of a URL: the language of the hub's paths."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import urlencode

from otel_setup.catalogue import Severity
from otel_setup.events.boxes import Policy
from otel_setup.events.filter import EventFilter
from otel_setup.events.past import Since, checked_since
from otel_setup.hub.query import SETS


def query_of(
    event_filter: EventFilter | None = None,
    since: Since = None,
    *,
    live: bool = True,
    speed: float | None = None,
    policy: Policy | str | None = None,
) -> str:
    """The query.

    Parameters:
        event_filter: which events; None is all.
        since, live, speed, policy: as for ``EventStream.subscribe()``.

    Raises:
        TypeError: ``since`` is nothing that can be one.
        ValueError: an id has a comma in it, which cannot be written, or a set is empty, which would mean all.
    """
    pairs = list(_filter_pairs(event_filter)) if event_filter is not None else []
    if (text := _since(since)) is not None:
        pairs.append(("since", text))
    if not live:
        pairs.append(("live", "0"))
    if speed is not None:
        pairs.append(("speed", f"{speed:g}"))
    if policy is not None:
        pairs.append(("policy", str(Policy(policy))))
    return urlencode(pairs)


def _filter_pairs(wanted: EventFilter) -> Iterator[tuple[str, str]]:
    for name, field in SETS.items():
        values = getattr(wanted, field)
        if values is None:
            continue
        if not values:
            raise ValueError(f"{field} is empty, so nothing would match")
        for value in sorted(map(str, values)):
            if "," in value:
                raise ValueError(f"{field} holds {value!r:.80}; a comma separates values, so none may hold one")
            yield name, value
    if isinstance(wanted.severity_at_least, Severity):
        yield "severity", wanted.severity_at_least.name
    for key, values in (wanted.attributes or {}).items():
        yield from (("attr", f"{key}:{value}") for value in values)


def _since(since: Since) -> str | None:
    since = checked_since(since)
    if since is None or isinstance(since, str):
        return since
    if isinstance(since, float):
        since = datetime.fromtimestamp(since, UTC)
    if isinstance(since, datetime):
        return since.astimezone(UTC).isoformat()
    return f"-{since}" if isinstance(since, int) else str(since)
