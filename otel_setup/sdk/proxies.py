"""Global providers whose implementation can be exchanged while the game runs.

OpenTelemetry lets a process install each global provider once. These are what is installed; behind each stands a
*delegate*, an SDK's provider or none, that ``swap`` exchanges any number of times. Tracers, meters, instruments and
loggers handed out before, during and after a swap use the delegate of the moment. Without one they do nothing, are
remembered, and pass spans on: "The API MUST return a non-recording Span with the SpanContext in the parent Context".

What a delegate raises is kept from the caller and told to ``on_fault``: "API methods MUST NOT throw unhandled
exceptions when used incorrectly by end users". A span is the delegate's own object: what its methods raise is not ours.

A measurement costs one attribute and one call more than the delegate's own, and takes no lock. Hence a call under way
while ``swap`` returns may still reach the old delegate: drain that one a moment later. No lock is held while a delegate
is called either: the SDK holds its own while it runs callbacks, and these may come back here.

Tracers, meters, loggers and synchronous instruments live while somebody holds them; one that was dropped and is asked
for again continues in the delegate, which knows it by name. Observable instruments live for ever, held or not, as in
the SDK: callbacks are "permanently registered". Asking for one that exists returns it, with its first callbacks.
"""
# ruff: noqa: BLE001 - whatever a delegate raises must not reach the game

from __future__ import annotations

import os
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterable, Sequence
from functools import wraps
from inspect import GEN_CREATED, getgeneratorstate, iscoroutinefunction
from threading import Lock, RLock
from typing import Any, ClassVar, Generic, Self, TypeVar
from weakref import WeakSet, WeakValueDictionary, ref

from opentelemetry import metrics
from opentelemetry._logs import Logger, LoggerProvider, NoOpLoggerProvider
from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, CallbackT, Meter, MeterProvider, NoOpMeterProvider, Observation
from opentelemetry.trace import NoOpTracer, NoOpTracerProvider, Span, Tracer, TracerProvider
from opentelemetry.util.types import Attributes

RECENT = 256
"""Handles that each provider keeps though nobody holds them: log bridges ask for their logger at each record."""

ProviderT = TypeVar("ProviderT")
HandleT = TypeVar("HandleT")
RealT = TypeVar("RealT")
ObservableT = TypeVar("ObservableT", bound="_Observable")
Scope = tuple[str, str | None, str | None, Attributes]
"""Name, version, schema URL and attributes, which together identify a tracer, meter or logger."""

_providers: WeakSet[_SwapProvider[Any, Any]] = WeakSet()


class _SwapProvider(Generic[ProviderT, HandleT]):
    """What the three providers share: the delegate, and those who follow it. Safe for concurrent use.

    Parameters:
        on_fault: told of every exception that was kept from a caller; must not raise.
    """

    def __init__(self, nothing: ProviderT, on_fault: Callable[[Exception], None]) -> None:
        self._nothing = self._current = nothing
        self._on_fault = on_fault
        self._handles: WeakValueDictionary[Hashable, HandleT] = WeakValueDictionary()
        self._recent: deque[HandleT] = deque(maxlen=RECENT)
        self._followers: set[ref[_Proxy[ProviderT, Any]]] = set()
        self._lock = RLock()  # re-entrant: a signal handler or a finalizer may log, and so come here in the middle
        _providers.add(self)

    @property
    def delegate(self) -> ProviderT | None:
        """The provider that does the work at the moment, or None."""
        return None if self._current is self._nothing else self._current

    def swap(self, new: ProviderT | None) -> ProviderT | None:
        """Exchanges the delegate. Everything handed out so far follows before this returns.

        Parameters:
            new: the next delegate; None to do nothing from now on.

        Returns:
            The delegate until now, neither flushed nor shut down.

        Raises:
            ValueError: if the provider is to be its own delegate.
        """
        if new is self:
            raise ValueError("a provider cannot be its own delegate: pass the SDK's provider, not the global one")
        with self._lock:
            old = self.delegate
            self._current = self._nothing if new is None else new
        for follower in self._followers.copy():
            if (proxy := follower()) is not None:
                proxy._follow()
        return old

    def _handle(self, name: str, version: str | None, schema_url: str | None, attributes: Attributes) -> HandleT:
        """The tracer, meter or logger of a scope: the same one while anybody holds it."""
        attributes = dict(attributes or {})
        key = (name, version, schema_url, repr(sorted(attributes.items(), key=repr)))
        with self._lock:
            known = self._handles.get(key)
        if known is None:
            made = self._new((name, version, schema_url, attributes or None))  # follows before other threads see it
            with self._lock:
                known = self._handles.setdefault(key, made)
            self._recent.append(known)
        return known

    @abstractmethod
    def _new(self, scope: Scope) -> HandleT: ...


def _renew_locks() -> None:
    """In a forked child, the thread that may have held a lock does not exist."""
    for provider in _providers:
        provider._lock = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)


class _Proxy(Generic[ProviderT, RealT]):
    """A tracer, logger or instrument. ``_real`` is what the delegate of the moment made for it."""

    _real: RealT

    def __init__(self, provider: _SwapProvider[ProviderT, Any], make: Callable[[ProviderT], RealT]) -> None:
        self._provider = provider
        self._make = make

    def _joined(self) -> Self:
        followers = self._provider._followers
        followers.add(ref(self, followers.discard))
        self._follow()
        return self

    def _follow(self) -> None:
        while True:
            delegate = self._provider._current
            self._attach(delegate)
            if delegate is self._provider._current:  # else a swap overtook us, and ours may have been the later write
                return

    def _attach(self, delegate: ProviderT) -> None:
        try:
            self._real = self._make(delegate)
        except Exception as fault:
            self._real = self._make(self._provider._nothing)
            self._provider._on_fault(fault)


# --- traces ---------------------------------------------------------------------------------------------------------


class SwapTracerProvider(_SwapProvider[TracerProvider, Tracer], TracerProvider):
    """A tracer provider with an exchangeable delegate. A span begun before a swap ends where it began."""

    def __init__(self, on_fault: Callable[[Exception], None]) -> None:
        super().__init__(NoOpTracerProvider(), on_fault)

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> Tracer:
        return self._handle(instrumenting_module_name, instrumenting_library_version, schema_url, attributes)

    def _new(self, scope: Scope) -> Tracer:
        return _SwapTracer(self, lambda delegate: delegate.get_tracer(*scope))._joined()


class _SwapTracer(_Proxy[TracerProvider, Tracer], Tracer):
    def start_span(self, *args: Any, **kwargs: Any) -> Span:
        try:
            return self._real.start_span(*args, **kwargs)
        except Exception as fault:
            self._provider._on_fault(fault)
            return NoOpTracer().start_span(*args, **kwargs)

    def start_as_current_span(self, *args: Any, **kwargs: Any) -> Any:  # the type that the API declares is private
        return _CurrentSpan(self, args, kwargs)


class _CurrentSpan:
    """A context manager, and a decorator that starts a span of the delegate of the moment at each call."""

    def __init__(self, tracer: _SwapTracer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._tracer, self._args, self._kwargs = tracer, args, kwargs

    def __enter__(self) -> Span:
        try:
            self._block = self._tracer._real.start_as_current_span(*self._args, **self._kwargs)
            return self._block.__enter__()
        except Exception as fault:
            self._tracer._provider._on_fault(fault)
            self._block = NoOpTracer().start_as_current_span(*self._args, **self._kwargs)
            return self._block.__enter__()

    def __exit__(self, *raised: Any) -> None:
        try:
            self._block.__exit__(*raised)
        except Exception as fault:
            self._tracer._provider._on_fault(fault)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            with _CurrentSpan(self._tracer, self._args, self._kwargs):
                return function(*args, **kwargs)

        @wraps(function)
        async def run_async(*args: Any, **kwargs: Any) -> Any:
            with _CurrentSpan(self._tracer, self._args, self._kwargs):
                return await function(*args, **kwargs)

        return run_async if iscoroutinefunction(function) else run


# --- metrics --------------------------------------------------------------------------------------------------------


class SwapMeterProvider(_SwapProvider[MeterProvider, Meter], MeterProvider):
    """A meter provider with an exchangeable delegate. Each new delegate counts from zero."""

    def __init__(self, on_fault: Callable[[Exception], None]) -> None:
        super().__init__(NoOpMeterProvider(), on_fault)
        self._observables: dict[Hashable, Any] = {}

    def get_meter(
        self, name: str, version: str | None = None, schema_url: str | None = None, attributes: Attributes = None
    ) -> Meter:
        return self._handle(name, version, schema_url, attributes)

    def _new(self, scope: Scope) -> Meter:
        return _SwapMeter(self, scope)


class _SwapMeter(Meter):
    def __init__(self, provider: SwapMeterProvider, scope: Scope) -> None:
        super().__init__(*scope[:3])
        self._provider = provider
        self._scope = scope

    def create_counter(self, *args: Any, **kwargs: Any) -> metrics.Counter:
        return _Counter(self._provider, self._maker("create_counter", *args, **kwargs))._joined()

    def create_up_down_counter(self, *args: Any, **kwargs: Any) -> metrics.UpDownCounter:
        return _UpDownCounter(self._provider, self._maker("create_up_down_counter", *args, **kwargs))._joined()

    def create_histogram(self, *args: Any, **kwargs: Any) -> metrics.Histogram:
        return _Histogram(self._provider, self._maker("create_histogram", *args, **kwargs))._joined()

    def create_gauge(self, *args: Any, **kwargs: Any) -> metrics._Gauge:  # the one name under which it is exported
        return _Gauge(self._provider, self._maker("create_gauge", *args, **kwargs))._joined()

    def create_observable_counter(self, *args: Any, **kwargs: Any) -> metrics.ObservableCounter:
        return self._observable(_ObservableCounter, *args, **kwargs)

    def create_observable_up_down_counter(self, *args: Any, **kwargs: Any) -> metrics.ObservableUpDownCounter:
        return self._observable(_ObservableUpDownCounter, *args, **kwargs)

    def create_observable_gauge(self, *args: Any, **kwargs: Any) -> metrics.ObservableGauge:
        return self._observable(_ObservableGauge, *args, **kwargs)

    def _maker(self, create: str, *args: Any, **kwargs: Any) -> Callable[[MeterProvider], Any]:
        return lambda delegate: getattr(delegate.get_meter(*self._scope), create)(*args, **kwargs)

    def _observable(
        self,
        kind: type[ObservableT],
        name: str,
        callbacks: Sequence[CallbackT] | None = None,
        unit: str = "",
        description: str = "",
    ) -> ObservableT:
        functions = [_function(callback) for callback in callbacks or ()]
        made = kind(self._provider, self._maker(kind.create, name, functions, unit, description))
        identity = (self, kind, name.strip().lower(), unit, description)
        with self._provider._lock:
            kept: ObservableT = self._provider._observables.setdefault(identity, made)
        return kept._joined() if kept is made else kept


def _function(callback: CallbackT) -> Callable[[CallbackOptions], Iterable[Observation]]:
    """A generator is started once, whatever the number of delegates, and has one reader at a time."""
    if not isinstance(callback, Generator):
        return callback
    generator, lock = callback, Lock()

    def advance(options: CallbackOptions) -> Iterable[Observation]:
        with lock:
            try:
                if getgeneratorstate(generator) == GEN_CREATED:
                    next(generator)
                return generator.send(options)
            except StopIteration:
                return ()

    return advance


class _Counter(_Proxy[MeterProvider, metrics.Counter], metrics.Counter):
    def add(self, amount: float, attributes: Attributes = None, context: Context | None = None) -> None:
        try:
            self._real.add(amount, attributes, context)
        except Exception as fault:
            self._provider._on_fault(fault)


class _UpDownCounter(_Proxy[MeterProvider, metrics.UpDownCounter], metrics.UpDownCounter):
    def add(self, amount: float, attributes: Attributes = None, context: Context | None = None) -> None:
        try:
            self._real.add(amount, attributes, context)
        except Exception as fault:
            self._provider._on_fault(fault)


class _Histogram(_Proxy[MeterProvider, metrics.Histogram], metrics.Histogram):
    def record(self, amount: float, attributes: Attributes = None, context: Context | None = None) -> None:
        try:
            self._real.record(amount, attributes, context)
        except Exception as fault:
            self._provider._on_fault(fault)


class _Gauge(_Proxy[MeterProvider, metrics._Gauge], metrics._Gauge):
    def set(self, amount: float, attributes: Attributes = None, context: Context | None = None) -> None:
        try:
            self._real.set(amount, attributes, context)
        except Exception as fault:
            self._provider._on_fault(fault)


class _Observable(_Proxy[MeterProvider, Any]):
    """Registered at most once on each delegate: callbacks "MUST be evaluated exactly once during collection"."""

    create: ClassVar[str]

    def __init__(self, provider: SwapMeterProvider, make: Callable[[MeterProvider], Any]) -> None:
        super().__init__(provider, make)
        self._registered: WeakSet[MeterProvider] = WeakSet()

    def _attach(self, delegate: MeterProvider) -> None:
        with self._provider._lock:
            if delegate in self._registered:
                return
            self._registered.add(delegate)
        try:
            self._make(delegate)
        except Exception as fault:
            self._provider._on_fault(fault)


class _ObservableCounter(_Observable, metrics.ObservableCounter):
    create = "create_observable_counter"


class _ObservableUpDownCounter(_Observable, metrics.ObservableUpDownCounter):
    create = "create_observable_up_down_counter"


class _ObservableGauge(_Observable, metrics.ObservableGauge):
    create = "create_observable_gauge"


# --- logs -----------------------------------------------------------------------------------------------------------


class SwapLoggerProvider(_SwapProvider[LoggerProvider, Logger], LoggerProvider):
    """A logger provider with an exchangeable delegate.

    Parameters:
        nothing: stands where there is no delegate; one that does nothing, where not given.
    """

    def __init__(self, on_fault: Callable[[Exception], None], nothing: LoggerProvider | None = None) -> None:
        super().__init__(nothing or NoOpLoggerProvider(), on_fault)

    def get_logger(
        self, name: str, version: str | None = None, schema_url: str | None = None, attributes: Attributes = None
    ) -> Logger:
        return self._handle(name, version, schema_url, attributes)

    def _new(self, scope: Scope) -> Logger:
        return _SwapLogger(self, lambda delegate: delegate.get_logger(*scope))._joined()


class _SwapLogger(_Proxy[LoggerProvider, Logger], Logger):
    def emit(self, *args: Any, **kwargs: Any) -> None:
        try:
            self._real.emit(*args, **kwargs)
        except Exception as fault:
            self._provider._on_fault(fault)

    def enabled(self, **kwargs: Any) -> bool:
        try:
            return self._real.enabled(**kwargs)
        except Exception as fault:
            self._provider._on_fault(fault)
            return False
