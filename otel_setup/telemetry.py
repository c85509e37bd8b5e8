"""``configure()``, and the handle it gives.

Everything works before ``configure()``: the monitor records, /metrics answers, events stream, all locally.
``configure()`` adds the way out, to a Collector.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, Unpack

from opentelemetry import _logs as logs_api
from opentelemetry._logs import Logger
from opentelemetry.trace import Tracer

from otel_setup import config as configuration
from otel_setup import prometheus
from otel_setup.config import ConfigError, Options, Resolved, Settings
from otel_setup.connection import Connection
from otel_setup.core import SCOPE, Core
from otel_setup.doors import Doors
from otel_setup.events.foreign import excludes
from otel_setup.events.record import SystemEvent
from otel_setup.events.tee import LocalEvents
from otel_setup.exits import Shutdowns, at_end_of_worker
from otel_setup.faults import Faults
from otel_setup.health import Health, health_of
from otel_setup.privacy import Redaction
from otel_setup.sdk.global_state import GlobalState
from otel_setup.signals import Sigterm

if TYPE_CHECKING:
    from otel_setup.asgi import ObservabilityMiddleware
    from otel_setup.correlation import ASGIApp
    from otel_setup.privacy.sanitizer import Sanitizer
    from otel_setup.sdk.providers import Additions, Providers

_logger = logging.getLogger("otel_setup")


_SHUTDOWN_MARGIN = 0.5


class Telemetry:
    """What ``configure()`` set up.

    Attributes:
        settings: every option's value.
        core: the parts it works with.
    """

    def __init__(self, core: Core, resolved: Resolved, providers: Providers) -> None:
        self.core = core
        self.settings = resolved.settings
        self._resolved = resolved
        self._providers = providers

    def report(self) -> str:
        """Every option with its value and where it came from, one a line; secrets masked."""
        return configuration.report(self._resolved)

    def asgi(self, app: ASGIApp, **options: Any) -> ObservabilityMiddleware:
        """An ASGI application with its requests and sockets observed, and everything exported when it shuts down.

        Parameters:
            app: the application, FastAPI or any other.
            options: of :class:`~otel_setup.asgi.ObservabilityMiddleware`.
        """
        from otel_setup.asgi import ObservabilityMiddleware

        # The margin lets shutdown() keep its own deadline, and say what it could not export.
        deadline = self.settings.shutdown_timeout + _SHUTDOWN_MARGIN
        return ObservabilityMiddleware(app, on_shutdown=self.shutdown, shutdown_timeout=deadline, **options)

    def lifespan(self, app: object = None) -> AbstractAsyncContextManager[None]:
        """The monitor's background work while a server runs, and everything exported when it stops.

        ``FastAPI(lifespan=telemetry.lifespan)``; or around all that a lifespan of your own does, so that what ends in
        yours is still exported: ``async with telemetry.lifespan(app):``.

        Parameters:
            app: given by the server, and not needed.
        """
        from otel_setup.lifespan import observed
        from otel_setup.monitor import get_enterprise_monitor

        return observed(get_enterprise_monitor(), self.shutdown, self.settings.shutdown_timeout + _SHUTDOWN_MARGIN)

    def health(self) -> Health:
        """Whether what the process tells arrives: for readiness checks. It looks at counters and costs nothing."""
        return health_of(self.core, self.settings, running=not self._providers.stopped.is_set())

    def flush(self, timeout: float = 3.0) -> bool:
        """Exports what waits.

        Parameters:
            timeout: seconds it may take in all.

        Returns:
            False where the time was up first.
        """
        return self._providers.flush(timeout)

    def shutdown(self, timeout: float | None = None) -> bool:
        """Exports what waits, then ends exporting and /metrics; events, getters and views go on.

        Parameters:
            timeout: seconds it may take in all; the option ``shutdown_timeout`` where not given.

        Returns:
            False where the time was up first.
        """
        return _state.stop(self, self.settings.shutdown_timeout if timeout is None else timeout)


class Diversion(Protocol):
    """What a test puts in the way: telemetry goes where it says, whoever configures meanwhile."""

    def adapted(self, resolved: Resolved) -> Resolved:
        """The configuration that holds instead."""

    def additions(self, settings: Settings) -> Additions:
        """What is added to it, made anew for each start."""


class _State:
    """The one core of this process and the telemetry it is connected to."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._faults = Faults()
        self._core: Core | None = None
        self._providers: Providers | None = None
        self._telemetry: Telemetry | None = None
        self._exposition: prometheus.Exposition | None = None
        self._inherited: Resolved | None = None
        self.diversion: Diversion | None = None
        self._doors = Doors()
        self._global = GlobalState(SCOPE, self._fault, LocalEvents(self._take_in, self._fault, SCOPE))
        self._shutdowns = Shutdowns()
        self._sigterm = Sigterm(self.stop_completely)

    @property
    def core(self) -> Core:
        """The core, connected to local providers if nobody has configured yet."""
        core = self._core
        if core is None or self._providers is None:  # the first use in this process, which may be a forked child
            with self._lock:
                core = self._core
                if core is None or self._providers is None:
                    core = self._first_use()
        return core

    @property
    def telemetry(self) -> Telemetry | None:
        """What ``configure()`` set up last, if it was called."""
        return self._telemetry

    @property
    def exposition(self) -> prometheus.Exposition:
        """What /metrics answers with."""
        core = self.core
        with self._lock:
            if self._exposition is None:
                exposition = prometheus.Exposition(
                    self._registry,
                    self._describe,
                    ttl=core.settings.scrape_ttl,
                    collectors=lambda: {"game": True, "system": True},
                    on_failure=lambda fault: core.faults.note("scrape", f"/metrics failed: {fault!r}"),
                )
                core.scrapes = lambda: (exposition.requests, exposition.failures)
                self._exposition = exposition
            return self._exposition

    def _first_use(self) -> Core:
        inherited, self._inherited = self._inherited, None
        if inherited is not None:
            try:
                return self.configure(_of_this_process(inherited)).core
            except ConfigError as wrong:  # it was right in the parent; a game must not fail on it here
                _logger.warning("a forked child exports nothing until it calls configure(): %s", wrong)
        try:
            resolved = configuration.resolve({"collector": False})
        except ConfigError as wrong:  # nobody called configure(), so nobody expects it to raise
            _logger.warning("the environment is ignored until configure() is called: %s", wrong)
            resolved = configuration.resolve({"collector": False}, environ={})
        core = self._core or Core(resolved.settings, self._faults)
        from otel_setup.sdk.providers import start  # the SDK is loaded with the first use, not with the first import

        # Nobody asked for exports, so the environment alone starts none.
        providers = start(replace(resolved.settings, disabled=True), core.exports)
        core.connect_locally(providers.meters.get_meter(SCOPE))
        self._core, self._providers = core, providers
        return core

    def configure(self, resolved: Resolved) -> Telemetry:
        from otel_setup.sdk.providers import start

        with self._lock:
            if self.diversion is not None:
                resolved = self.diversion.adapted(resolved)
            if self._telemetry is not None and _same(self._telemetry._resolved, resolved):
                return self._telemetry
            core = self._core or Core(resolved.settings, self._faults)
            adopted = self._global.adopted(adopt=resolved.settings.adopt)
            old = self._providers
            sanitizer = _sanitizer(core, resolved.settings)
            providers = start(
                resolved.settings,
                core.exports,
                sanitizer,
                adopted=adopted,
                additions=self.diversion.additions(resolved.settings) if self.diversion is not None else None,
                watched=core.debug.wants_span,
                take_in=core.take_in,
                on_fault=self._fault,
            )
            left = core.connect(
                resolved.settings,
                (providers.meters.get_meter(SCOPE),),
                _tracer(providers),
                _events_logger(providers),
            )
            self._core, self._providers, self._exposition = core, providers, None
            self._global.publish(providers, resolved.settings.propagators)
            self._doors.open(core, resolved.settings, self._describe)
            self._doors.bridge_logging(
                core,
                resolved,
                self._global.loggers if providers.loggers else None,
                adopted=adopted is not None and adopted.loggers is not None,
                sanitizer=sanitizer,
            )
            self._inherited = None
            self._telemetry = telemetry = Telemetry(core, resolved, providers)
        at_end_of_worker(self.stop_at_exit)
        if resolved.settings.handle_sigterm:
            self._sigterm.install()
        if old is not None:
            timeout = resolved.settings.shutdown_timeout
            _in_background(lambda: self._shutdowns.run(lambda: _drain(left, old, timeout), timeout))
        providers.export_zeros()
        return telemetry

    def stop(self, telemetry: Telemetry, timeout: float) -> bool:
        return self._shutdowns.run(lambda: self._stop(telemetry, timeout), timeout)

    def _stop(self, telemetry: Telemetry, timeout: float) -> bool:
        with self._lock:
            if self._telemetry is not telemetry:
                return True
            self._telemetry = None
            left = telemetry.core.disconnect()
            self._global.withdraw()
            self._doors.close()
        arrived = _drain(left, telemetry._providers, timeout)
        if self._telemetry is None:
            self._sigterm.uninstall()
        return arrived

    def _take_in(self, event: SystemEvent, scope: str) -> None:
        """An event that others emit while nothing of it leaves the process."""
        core = self.core
        if not excludes(core.settings.excluded_event_scopes)(scope):
            core.publish(event)

    def _fault(self, fault: Exception) -> None:
        self._faults.count("export", fault)

    def stop_completely(self) -> None:
        """Ends exporting, and waits for every shutdown under way: afterwards nothing is lost by ending the process."""
        telemetry = self._telemetry
        if telemetry is not None:
            telemetry.shutdown()
        self._shutdowns.wait()

    def stop_at_exit(self) -> None:
        self.stop_completely()
        self._sigterm.leave()

    def reset(self) -> None:
        """Forgets everything, for tests: the next use starts as in a new process."""
        with self._lock:
            providers, self._providers = self._providers, None
            self._core = self._telemetry = self._exposition = self._inherited = None
            self._faults = Faults()
            self._global.restore()
            self._doors.close()
        self._sigterm.uninstall()
        if providers is not None:
            providers.shutdown(0.1)

    def after_fork(self) -> None:
        """Begins afresh in a forked child, on its first use: under the parent's configuration, as another instance.

        Nothing is started here, because most children never use monitoring.
        """
        self._lock = threading.RLock()
        self._faults = Faults()
        self._shutdowns = Shutdowns()
        self._sigterm.after_fork()
        if self._core is None:
            return
        self._core.after_fork(self._faults)
        if self._telemetry is not None:
            self._inherited = self._telemetry._resolved
        self._providers = self._telemetry = self._exposition = None
        self._doors.after_fork()
        self._global.withdraw()

    def _registry(self) -> prometheus.CollectorRegistry:
        self.core  # noqa: B018 - makes sure that there is something to scrape
        assert self._providers is not None  # noqa: S101 - the core comes with them
        return self._providers.registry

    def _describe(self) -> Mapping[str, str]:
        settings = self.core.settings
        return {"service": settings.service, "instance": settings.instance_id}


def _sanitizer(core: Core, settings: Settings) -> Sanitizer | None:
    """What takes names and secrets out of everything exported; None where nothing is, or nobody wants it."""
    from otel_setup.privacy.sanitizer import Sanitizer

    leaves = settings.destinations or "console" in (*settings.traces, *settings.logs)
    if not settings.pseudonyms or settings.disabled or not leaves:
        return None
    try:
        pseudonyms = core.pseudonyms_by(settings)
    except ValueError as problem:
        raise ConfigError([f"the key of players' pseudonyms: {problem}"]) from None
    return Sanitizer(pseudonyms, Redaction())


def _tracer(providers: Providers) -> Tracer | None:
    return providers.tracers.get_tracer(SCOPE) if providers.tracers else None


def _events_logger(providers: Providers) -> Logger:
    if providers.loggers is None:
        return logs_api.NoOpLogger(SCOPE)
    logger = providers.loggers.get_logger(SCOPE)
    if not providers.log_processors:  # adopted ones may have others, of the application's
        return logger
    from otel_setup.sdk.event_log import make_event_log

    return make_event_log(SCOPE, logger, providers.log_processors, providers.resource)


def _same(old: Resolved, new: Resolved) -> bool:
    """Whether two configurations are the same; a generated instance id does not make them differ."""

    def comparable(resolved: Resolved) -> dict[str, object]:
        values = dict(vars(resolved.settings))
        if resolved.sources["instance_id"] == "default":
            del values["instance_id"]
        return values

    return comparable(old) == comparable(new)


def _of_this_process(inherited: Resolved) -> Resolved:
    """A parent's configuration for a forked child, which is an instance of its own."""
    generated = inherited.sources["instance_id"] == "default"
    own_id = str(uuid.uuid4()) if generated else f"{inherited.settings.instance_id}-{os.getpid()}"
    return replace(inherited, settings=replace(inherited.settings, instance_id=own_id))


def _drain(left: Connection, providers: Providers, timeout: float) -> bool:
    """Stops providers that nothing uses any more, once what was under way to them has arrived."""
    started = time.monotonic()
    left.wait_until_quiet(timeout)
    return providers.shutdown(max(0.0, timeout - (time.monotonic() - started)))


def _in_background(task: Callable[[], object]) -> None:
    threading.Thread(target=task, daemon=True, name="otel_setup-background").start()


_state = _State()
prometheus.set_default_exposition(lambda: _state.exposition)
atexit.register(_state.stop_at_exit)
if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_state.after_fork)


def configure(
    config: Options | None = None, /, *, environ: Mapping[str, str] | None = None, **options: Unpack[Options]
) -> Telemetry:
    """Connects this process to a Collector. Call it once, at start-up.

    The same configuration again changes nothing; another one starts metrics anew under a new instance id.

    Parameters:
        config: a mapping of options; keywords win over it, it wins over the environment.
        environ: the environment to read; the process's own where not given.
        options: see :data:`otel_setup.config.OPTIONS`; all may be left out.

    Raises:
        ConfigError: naming everything that is wrong.
    """
    return _state.configure(configuration.resolve(options, config, environ))


@contextmanager
def diverted(diversion: Diversion) -> Iterator[None]:
    """Whatever is configured inside the block goes where ``diversion`` says, for tests."""
    _state.diversion = diversion
    try:
        yield
    finally:
        _state.diversion = None


def reset() -> None:
    """Forgets everything, for tests; see :mod:`otel_setup.testing`."""
    _state.reset()


def current_core() -> Core:
    """The core of this process."""
    return _state.core


def current_telemetry() -> Telemetry | None:
    """What ``configure()`` set up last, None before it."""
    return _state.telemetry
