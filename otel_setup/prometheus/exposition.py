"""One collection of this process's metrics at a time, shared by everyone who asks."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder

from otel_setup.prometheus.courtesy import yielding_often
from otel_setup.prometheus.forked import call_in_child
from otel_setup.text import clean_id

_logger = logging.getLogger(__name__)
# Each an encoder and its content type. Two and no more: a client could name any number of versions.
_OPENMETRICS = choose_encoder("application/openmetrics-text")
_TEXT = choose_encoder("text/plain")
COLLECTORS = ("base", "game", "system")
"""What the health answer speaks about: whether metrics can be collected at all, the game's and the process's own."""


class ScrapeError(RuntimeError):
    """A scrape without metrics. ``status`` is the HTTP status that says why."""

    def __init__(self, message: str, status: HTTPStatus = HTTPStatus.INTERNAL_SERVER_ERROR) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Wanted:
    """What a scrape asks for."""

    openmetrics: bool
    gzip: bool = False
    names: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Rendering:
    """What a scrape gets. ``instance`` is the process it speaks for."""

    body: bytes
    content_type: str
    instance: str


@dataclass(frozen=True)
class _Job:
    wanted: Wanted
    attempts_before: int
    future: Future[Rendering]


class Exposition:
    """The metrics of one process, as text, for any number of scrapes.

    Scrapes are served by one worker thread, which lives while there is something to do. A scrape that comes during a
    collection gets that collection's result or failure; one that comes within ``ttl`` seconds after a collection gets
    the same metrics again; a failure is never kept. In a forked child everything starts afresh.

    ``requests``, ``collections`` and ``failures`` count scrapes asked for, collections made, and those of them that
    raised; ``refused`` and ``timeouts`` count what the two bounds below turned away.

    Parameters:
        registry: gives the registry to collect; called for every collection.
        describe: who this process is, such as ``{"service": "liap-tui", "instance": "…"}``. It must be quick.
            ``instance`` is sent in the header of every answer, all of it in the text format's first line.
        ttl: seconds for which a collection is shared; 0 shares only among scrapes that wait at the same time.
        clock: a monotonic clock in seconds.
        timeout: seconds that a scrape waits for its answer.
        max_waiting: most scrapes that wait at the same time.
        collectors: which of ``game`` and ``system`` metrics are there, for the health answer. It must be quick.
        on_failure: is told what a collection raised, in place of the log.
    """

    def __init__(
        self,
        registry: Callable[[], CollectorRegistry],
        describe: Callable[[], Mapping[str, str]],
        ttl: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        *,
        timeout: float = 10.0,
        max_waiting: int = 100,
        collectors: Callable[[], Mapping[str, bool]] = dict,
        on_failure: Callable[[BaseException], object] | None = None,
    ) -> None:
        self.ttl = ttl
        self.timeout = timeout
        self.max_waiting = max_waiting
        self._registry = registry
        self._describe = describe
        self._clock = clock
        self._collectors = collectors
        self._on_failure = on_failure
        self._begin()
        call_in_child(self._begin)

    def _begin(self) -> None:
        self.requests = self.collections = self.failures = self.refused = self.timeouts = 0
        self._lock = threading.Lock()
        self._jobs: deque[_Job] = deque()
        self._working = False
        # What follows is written by the worker thread alone.
        self._snapshot: _Snapshot | None = None
        self._failure: str | None = None
        self._attempts_ended = 0
        self._collecting_since: float | None = None

    # --- asking ------------------------------------------------------------------------------------------------------

    async def scrape(self, accept: str | None, names: Collection[str] = ()) -> tuple[bytes, str]:
        """The metrics and their content type; the event loop goes on meanwhile.

        Parameters:
            accept: an Accept header: OpenMetrics 1.0 where it is asked for, else the text format 0.0.4.
            names: the samples to give, such as ``liap_tui_games_active``; all where empty.

        Raises:
            ScrapeError: the collection failed or took longer than ``timeout``, or too many scrapes wait.
        """
        rendering = await self.render(Wanted(prefers_openmetrics(accept), names=frozenset(names)))
        return rendering.body, rendering.content_type

    def scrape_sync(self, accept: str | None = None, names: Collection[str] = ()) -> tuple[bytes, str]:
        """As ``scrape()``, for threads; on an event loop it would hold up everything else."""
        rendering = self.render_sync(Wanted(prefers_openmetrics(accept), names=frozenset(names)))
        return rendering.body, rendering.content_type

    async def render(self, wanted: Wanted) -> Rendering:
        """The metrics as wanted. Raises what ``scrape()`` raises."""
        future = self._ask(wanted)
        try:
            async with asyncio.timeout(self.timeout):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise self._timed_out() from None

    def render_sync(self, wanted: Wanted) -> Rendering:
        """The metrics as wanted, for threads. Raises what ``scrape()`` raises."""
        future = self._ask(wanted)
        try:
            return future.result(self.timeout)
        except TimeoutError:
            raise self._timed_out() from None

    def health(self) -> tuple[HTTPStatus, bytes, str]:
        """Whether ``/metrics`` works, without collecting: a status, a JSON text and the instance it speaks for."""
        try:
            healthy = self._failure is None and not self._is_stuck()
            collectors: Mapping[str, bool] = {**self._collectors(), "base": healthy}
            instance = clean_id(self._describe().get("instance"))
        except Exception:  # noqa: BLE001 - whatever it was, it is the answer: not healthy
            healthy, collectors, instance = False, {}, ""
        answer = {
            "status": "healthy" if healthy else "unhealthy",
            "timestamp": utc_now(),
            "instance": instance,
            "collectors": {name: bool(collectors.get(name)) for name in COLLECTORS},
            "scrapes": {
                "requests": self.requests,
                "collections": self.collections,
                "failures": self.failures,
                "refused": self.refused,
                "timeouts": self.timeouts,
            },
        }
        status = HTTPStatus.OK if healthy else HTTPStatus.SERVICE_UNAVAILABLE
        return status, json.dumps(answer).encode(), instance

    def _is_stuck(self) -> bool:
        since = self._collecting_since
        return since is not None and self._clock() - since > self.timeout

    def _timed_out(self) -> ScrapeError:
        with self._lock:
            self.timeouts += 1
        return ScrapeError(f"the metrics were not there within {self.timeout:g} s", HTTPStatus.SERVICE_UNAVAILABLE)

    def _ask(self, wanted: Wanted) -> Future[Rendering]:
        with self._lock:
            self.requests += 1
            if len(self._jobs) >= self.max_waiting:
                self.refused += 1
                raise ScrapeError("too many scrapes are waiting", HTTPStatus.SERVICE_UNAVAILABLE)
            job = _Job(wanted, self._attempts_ended, Future())
            self._jobs.append(job)
            start = not self._working
            self._working = True
        if start:
            self._start_worker()
        return job.future

    def _start_worker(self) -> None:
        try:
            # A daemon, so that a callback that hangs cannot keep the program from ending.
            threading.Thread(target=self._work, name="otel_setup-scrape", daemon=True).start()
        except RuntimeError as error:  # the system gives no more threads, or the interpreter is about to end
            with self._lock:
                self._working = False
                jobs, self._jobs = self._jobs, deque()
                self.refused += len(jobs)
            for job in jobs:
                if job.future.set_running_or_notify_cancel():
                    job.future.set_exception(ScrapeError(str(error), HTTPStatus.SERVICE_UNAVAILABLE))

    # --- in the worker thread ----------------------------------------------------------------------------------------

    def _work(self) -> None:
        while job := self._next_job():
            # A collection that ended while this job waited is this job's too, and so is its failure.
            ended_meanwhile = self._attempts_ended > job.attempts_before
            if ended_meanwhile and self._failure is not None:
                job.future.set_exception(ScrapeError(self._failure))
                continue
            try:
                with yielding_often():
                    snapshot = self._snapshot
                    if snapshot is None or not (ended_meanwhile or self._clock() - snapshot.taken_at < self.ttl):
                        snapshot = self._collect()
                    rendering = snapshot.render(job.wanted)
            except BaseException as error:  # noqa: BLE001 - nothing may leave scrapes waiting
                job.future.set_exception(ScrapeError(self._failed(error)))
            else:
                job.future.set_result(rendering)

    def _next_job(self) -> _Job | None:
        with self._lock:
            while self._jobs:
                job = self._jobs.popleft()
                if job.future.set_running_or_notify_cancel():  # else its scrape has given up
                    return job
            self._working = False
        return None

    def _collect(self) -> _Snapshot:
        self.collections += 1
        self._snapshot = None
        self._collecting_since = self._clock()
        try:
            families = list(self._registry().collect())
            # Dated by its end: were it dated by its start, a slow one would be out of date at once, and made again.
            snapshot = _Snapshot(families, dict(self._describe()), self._clock())
            self._snapshot, self._failure = snapshot, None
            return snapshot
        finally:
            self._collecting_since = None
            self._attempts_ended += 1

    def _failed(self, error: BaseException) -> str:
        self.failures += 1
        first = self._failure is None
        self._failure = f"the metrics could not be collected ({type(error).__name__}); the server's log says more"
        with suppress(Exception):  # a log handler or hook that raises must not end the worker
            if self._on_failure is not None:
                self._on_failure(error)
            elif first:
                _logger.error("the metrics cannot be collected; logged again after the next success", exc_info=error)
        return self._failure


class _Snapshot:
    """The metrics of one collection, and the texts made of them so far."""

    def __init__(self, families: list[Metric], identity: Mapping[str, str], taken_at: float) -> None:
        self.taken_at = taken_at
        self._families = families
        self._identity = identity
        self._bodies: dict[Wanted, bytes] = {}

    def render(self, wanted: Wanted) -> Rendering:
        _, content_type = _OPENMETRICS if wanted.openmetrics else _TEXT
        return Rendering(self._body(wanted), content_type, clean_id(self._identity.get("instance")))

    def _body(self, wanted: Wanted) -> bytes:
        if (body := self._bodies.get(wanted)) is None:
            if wanted.gzip:
                body = gzip.compress(self._body(Wanted(wanted.openmetrics, names=wanted.names)), compresslevel=6)
            else:
                body = self._text(wanted)
            if not wanted.names:  # clients choose names, so keeping those would have no bound
                self._bodies[wanted] = body
        return body

    def _text(self, wanted: Wanted) -> bytes:
        encode, _ = _OPENMETRICS if wanted.openmetrics else _TEXT
        body = encode(_Families(_only(self._families, wanted.names) if wanted.names else self._families))
        if wanted.openmetrics:  # which knows no comments
            return body
        process = " ".join(f'{clean_id(key)}="{_quoted(value)}"' for key, value in self._identity.items())
        return f"# process {process}\n".encode() + body


@dataclass(frozen=True)
class _Families:
    """What prometheus_client's formats take for a registry."""

    families: list[Metric]

    def collect(self) -> Iterable[Metric]:
        return self.families


def prefers_openmetrics(accept: str | None) -> bool:
    """Whether an Accept header asks for OpenMetrics."""
    try:
        _, content_type = choose_encoder(accept or "")
    except TypeError:  # a version that is not a number
        return False
    return content_type.startswith("application/openmetrics-text")


def utc_now() -> str:
    """The time in ISO 8601."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _only(families: list[Metric], names: frozenset[str]) -> list[Metric]:
    chosen = []
    for family in families:
        if samples := [sample for sample in family.samples if sample.name in names]:
            part = Metric(family.name, family.documentation, family.type, family.unit)
            part.samples = samples
            chosen.append(part)
    return chosen


def _quoted(value: object) -> str:
    return clean_id(value).replace("\\", r"\\").replace('"', r"\"")
