"""The real stores of the role ``standalone``, which can go away and come back, and what each says that it has.

Each is asked by its own API: Prometheus for raw samples, Jaeger for traces, Loki for lines, the hub for pages of
events.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from deploy.loki import Line
from deploy.otlp_json import Item
from deploy.process import http_get
from otel_setup.events.record import SystemEvent
from settings import Settings
from tests.drills.pipeline_ends import EVENT, LOCAL, METRIC, SERVICE
from tests.e2e.test_hub import hub_process
from tests.support.backends import running_jaeger, running_loki
from tests.support.peers import running_prometheus

LINES = 5000
"""In one answer of Loki: as many as it gives by default."""
EVENTS = 10_000
"""In one page of the hub: as many as it gives by default."""
WINDOW = timedelta(seconds=10)
"""So much time of traces is asked of Jaeger at once, which gives the latest of more than it is asked for."""
TRACES = 10_000
WHOLE = "2h"
"""In PromQL: longer than a drill."""


class Part:
    """A program that can be ended or killed, and begun again with what it had.

    :ivar running: the program, while it runs
    """

    def __init__(self, start: Callable[[], AbstractContextManager[Any]], stack: ExitStack) -> None:
        self._start = start
        self._open = ExitStack()
        stack.push(self._open.__exit__)
        self.begin()

    def begin(self) -> None:
        """Start it, and wait until it answers."""
        self.running = self._open.enter_context(self._start())

    def end(self) -> None:
        """Ask it to end, and wait until it has."""
        self._open.close()

    def kill(self) -> float:
        """End it as a crash would; returns when that was, by the clock of :func:`time.monotonic`."""
        getattr(self.running, "process", self.running).kill()
        killed = time.monotonic()
        self._open.close()
        return killed


class KeptMetrics(Part):
    """Prometheus."""

    def __init__(self, settings: Settings, folder: Path, stack: ExitStack) -> None:
        super().__init__(lambda: running_prometheus(folder, settings=settings), stack)

    def numbers(self) -> list[int]:
        """Of the numbered points, in the order of their times."""
        series = self._ask(f"{METRIC.replace('.', '_')}_total[{WHOLE}]")
        samples = sorted((at, int(value)) for each in series for at, value in each["values"])
        return [number for _, number in samples]

    def total(self, family: str, service: str) -> int:
        """The last sum of a counter of one service, all of its series together."""
        series = self._ask(f'sum(last_over_time({family}{{service_name="{service}"}}[{WHOLE}]))')
        return sum(int(each["value"][1]) for each in series)

    def _ask(self, promql: str) -> list[Any]:
        answer = json.loads(http_get(f"{self.running.url}/api/v1/query?{urlencode({'query': promql})}")[1])
        assert answer["status"] == "success", answer
        result: list[Any] = answer["data"]["result"]
        return result


class KeptTraces(Part):
    """Jaeger."""

    def __init__(self, settings: Settings, folder: Path, stack: ExitStack) -> None:
        self._since = datetime.now(UTC)
        super().__init__(lambda: running_jaeger(folder, settings), stack)

    def numbers(self) -> list[int]:
        """Of the numbered spans."""
        return [int(item.data["spanId"], 16) for item in self.spans(SERVICE)]

    def spans(self, service: str) -> list[Item]:
        """Of one service, each once."""
        found = {item.data["spanId"]: item for window in self._windows() for item in self._during(service, window)}
        return list(found.values())

    def _windows(self) -> Iterator[datetime]:
        start, now = self._since, datetime.now(UTC)
        while start < now:
            yield start
            start += WINDOW

    def _during(self, service: str, start: datetime) -> list[Item]:
        moments = {"start_time_min": start, "start_time_max": start + WINDOW}
        within = {name: moment.isoformat().replace("+00:00", "Z") for name, moment in moments.items()}
        items: list[Item] = self.running.traces(service, TRACES, **within)
        assert len({item.data["traceId"] for item in items}) < TRACES, "there may be more"
        return items


class KeptLogs(Part):
    """Loki."""

    def __init__(self, settings: Settings, folder: Path, stack: ExitStack) -> None:
        self._since = time.time_ns()
        super().__init__(lambda: running_loki(folder, settings), stack)

    def numbers(self, event: str = "") -> list[int]:
        """Of the numbered log records or, where it is named, of an event's."""
        return [int(line.text) for line in self.lines(f'{{service_name="{SERVICE}"}} | event_name="{event}"')]

    def lines(self, logql: str) -> list[Line]:
        """All that an expression selects, in the order of their times."""
        found: dict[tuple[int, str], Line] = {}
        start = self._since
        while True:
            page = self._page(logql, start)
            found |= {(line.time, line.text): line for line in page}
            if len(page) < LINES:
                return list(found.values())
            start = page[-1].time  # once more: lines of one moment may be parted by the end of a page

    def _page(self, logql: str, start: int) -> list[Line]:
        asked = {"query": logql, "start": start, "end": time.time_ns() + 60 * 10**9, "limit": LINES}
        status, body = http_get(
            f"{self.running.url}/loki/api/v1/query_range?{urlencode({**asked, 'direction': 'forward'})}",
            {"X-Loki-Response-Encoding-Flags": "categorize-labels"},
        )
        assert status == HTTPStatus.OK, body
        lines = [
            Line(int(moment), text, stream["stream"], kinds.get("structuredMetadata", {}))
            for stream in json.loads(body)["data"]["result"]
            for moment, text, kinds in stream["values"]
        ]
        return sorted(lines, key=lambda line: line.time)


class KeptEvents(Part):
    """The hub."""

    def __init__(self, settings: Settings, folder: Path, stack: ExitStack) -> None:
        self._url = f"http://{LOCAL}:{settings.hub.port}/events"
        self._cursor = "oldest"
        self._events: list[SystemEvent] = []
        super().__init__(lambda: hub_process(settings, folder), stack)

    def numbers(self) -> list[int]:
        """Of the numbered events, in the hub's order."""
        return [int(event.data["body"]) for event in self.events() if event.event_type == EVENT]

    def events(self) -> list[SystemEvent]:
        """All, in the hub's order: those of earlier calls and, from their cursor on, what came since."""
        more = True
        while more:
            page = json.loads(http_get(f"{self._url}?since={self._cursor}&limit={EVENTS}")[1])
            assert page["complete"], "the hub has let go of events"
            self._events += map(SystemEvent.from_dict, page["events"])
            self._cursor, more = page["cursor"], page["more"]
        return self._events


class Stores:
    """All of them, for one role's settings."""

    def __init__(self, settings: Settings, folder: Path, stack: ExitStack) -> None:
        self.metrics = KeptMetrics(settings, folder, stack)
        self.traces = KeptTraces(settings, folder, stack)
        self.logs = KeptLogs(settings, folder, stack)
        self.events = KeptEvents(settings, folder, stack)

    def of(self, kind: str) -> KeptMetrics | KeptTraces | KeptLogs | KeptEvents:
        """Where a kind of what is sent arrives."""
        store: KeptMetrics | KeptTraces | KeptLogs | KeptEvents = getattr(self, kind)
        return store
