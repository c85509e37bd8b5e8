"""Global providers whose implementation can be exchanged while the game runs.

OpenTelemetry lets a process install each global provider once. These are what is installed; behind each stands a
*delegate*, an SDK's provider or none, that ``swap`` exchanges any number of times. Tracers, meters, instruments and
loggers handed out before, during and after a swap use the delegate of the moment. Without one they do nothing, are
remembered, and pass spans on: "The API MUST return a non-recording Span with the SpanContext in the parent Context".

What a delegate raises is kept from the caller and told to ``on_fault``: "API methods MUST NOT throw unhandled exceptions
when used incorrectly by end users". Spans are the delegate's own objects: what ``span.end()`` raises is not covered.

A measurement costs one attribute and one call more than the delegate's own and takes no lock. Hence a call that is under
way while ``swap`` returns may still reach the old delegate: drain that one a moment later. No lock is held while a
delegate is called either: the SDK holds its own while it runs callbacks, which may well come back here.

Tracers, meters, loggers and synchronous instruments live as long as somebody holds them; one that was dropped and is
asked for again continues in the delegate, which knows it by name. Observable instruments live for ever, held or not, as
in the SDK: their callbacks are "permanently registered". One that exists already is returned with its first callbacks.
"""
# ruff: noqa: BLE001 - whatever a delegate raises must not reach the game

from __future__ import annotations

import json
import os
from abc import abstractmethod
from collections.abc import Callable, Generator, Hashable, Iterable, Sequence
from functools import wraps
from inspect import GEN_CREATED, getgeneratorstate, iscoroutinefunction
from threading import Lock, RLock
from typing import Any, Generic, Self, TypeVar
from weakref import WeakSet, WeakValueDictionary, ref

from opentelemetry import metrics, trace
from opentelemetry._logs import Logger, LoggerProvider, NoOpLoggerProvider
from opentelemetry.context import Context
from opentelemetry.metrics import (
    CallbackOptions,
    CallbackT,
    Counter,
    Histogram,
    Meter,
    MeterProvider,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
    Observation,
    UpDownCounter,
)
from opentelemetry.metrics import _Gauge as Gauge  # the one name under which the API exports it
from opentelemetry.trace import NoOpTracer, Span, Tracer, TracerProvider
from opentelemetry.util.types import Attributes

ProviderT = TypeVar("ProviderT")
HandleT = TypeVar("HandleT")
RealT = TypeVar("RealT")
ObservableT = TypeVar("ObservableT", bound="_Observable")
OnFault = Callable[[Exception], None]
Scope = tuple[str, str | None, str | None, Attributes]
"""Name, version, schema URL and attributes, which together identify a tracer, meter or logger."""

_providers: WeakSet[_SwapProvider[Any, Any]] = WeakSet()


class _SwapProvider(Generic[ProviderT, HandleT]):
    """What the three providers share: the delegate, and those who follow it. Safe for concurrent use."""

    def __init__(self, nothing: ProviderT, on_fault: OnFault) -> None:
        self._nothing = self._current = nothing
        self._on_fault = on_fault
        self._handles: WeakValueDictionary[Hashable, HandleT] = WeakValueDictionary()
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
            old, self._current = self.delegate, self._nothing if new is None else new
        for follower in list(self._followers):
            if (proxy := follower()) is not None:
                proxy._follow()
        return old

    def _handle(self, name: str, version: str | None, schema_url: str | None, attributes: Attributes) -> HandleT:
        """The tracer, meter or logger of a scope: the same one as long as anybody holds it."""
        attributes = dict(attributes) if attributes else None
        key = (name, version, schema_url, json.dumps(attributes, sort_keys=True, default=repr))
        with self._lock:
            known = self._handles.get(key)
        if known is None:
            made = self._new((name, version, schema_url, attributes))  # it works before other threads can see it
            with self._lock:
                known = self._handles.setdefault(key, made)
        return known

    @abstractmethod
    def _new(self, scope: Scope) -> HandleT: ...


def _renew_locks() -> None:
    """In a forked child the thread that may have held a lock does not exist."""
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
            if delegate is self._provider._current:  # otherwise a swap overtook us, and our write may be the later one
                return

    def _attach(self, delegate: ProviderT) -> None:
        try:
            self._real = self._make(delegate)
        except Exception as fault:
            self._real = self._make(self._provider._nothing)
            self._provider._on_fault(fault)


class SwapTracerProvider(_SwapProvider[TracerProvider, Tracer], TracerProvider):
    """A tracer provider with an exchangeable delegate.

    Parameters:
        on_fault: told of every exception that was kept from a caller; must not raise.
    """

    def __init__(self, on_fault: OnFault) -> None:
        super().__init__(trace.NoOpTracerProvider(), on_fault)

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

    def start_as_current_span(self, *args: Any, **kwargs: Any) -> Any:  # the API's own return type is private
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
            if fault is not raised[1]:  # the block's own exception goes on its way
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


class SwapMeterProvider(_SwapProvider[MeterProvider, Meter], MeterProvider):
    """A meter provider with an exchangeable delegate. Each new delegate counts from zero.

    Parameters:
        on_fault: told of every exception that was kept from a caller; must not raise.
    """

    def __init__(self, on_fault: OnFault) -> None:
        super().__init__(metrics.NoOpMeterProvider(), on_fault)
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

    def create_counter(self, name: str, unit: str = "", description: str = "") -> Counter:
        return _SwapCounter(self._provider, self._maker("create_counter", name, unit, description))._joined()

    def create_up_down_counter(self, name: str, unit: str = "", description: str = "") -> UpDownCounter:
        make = self._maker("create_up_down_counter", name, unit, description)
        return _SwapUpDownCounter(self._provider, make)._joined()

    def create_gauge(self, name: str, unit: str = "", description: str = "") -> Gauge:
        return _SwapGauge(self._provider, self._maker("create_gauge", name, unit, description))._joined()

    def create_histogram(
        self,
        name: str,
        unit: str = "",
        description: str = "",
        *,
        explicit_bucket_boundaries_advisory: Sequence[float] | None = None,
    ) -> Histogram:
        advice = {"explicit_bucket_boundaries_advisory": explicit_bucket_boundaries_advisory}
        return _SwapHistogram(
            self._provider, self._maker("create_histogram", name, unit, description, **advice)
        )._joined()

    def create_observable_counter(
        self, name: str, callbacks: Sequence[CallbackT] | None = None, unit: str = "", description: str = ""
    ) -> ObservableCounter:
        return self._observable(_SwapObservableCounter, "create_observable_counter", name, callbacks, unit, description)

    def create_observable_up_down_counter(
        self, name: str, callbacks: Sequence[CallbackT] | None = None, unit: str = "", description: str = ""
    ) -> ObservableUpDownCounter:
        kind = _SwapObservableUpDownCounter
        return self._observable(kind, "create_observable_up_down_counter", name, callbacks, unit, description)

    def create_observable_gauge(
        self, name: str, callbacks: Sequence[CallbackT] | None = None, unit: str = "", description: str = ""
    ) -> ObservableGauge:
        return self._observable(_SwapObservableGauge, "create_observable_gauge", name, callbacks, unit, description)

    def _maker(self, create: str, *args: Any, **kwargs: Any) -> Callable[[MeterProvider], Any]:
        return lambda delegate: getattr(delegate.get_meter(*self._scope), create)(*args, **kwargs)

    def _observable(
        self,
        kind: type[ObservableT],
        create: str,
        name: str,
        callbacks: Sequence[CallbackT] | None,
        unit: str,
        description: str,
    ) -> ObservableT:
        made = kind(
            self._provider, self._maker(create, name, [_function(each) for each in callbacks or ()], unit, description)
        )
        with self._provider._lock:
            kept: ObservableT = self._provider._observables.setdefault(
                (self, kind, name.strip().lower(), unit, description), made
            )
        if kept is made:
            made._joined()
        return kept


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


class _SwapCounter(_Proxy[MeterProvider, Counter], Counter):
    def add(self, amount: float, attributes: Attributes = None, context: Context | None = None) -> None:
        try:
            self._real.add(amount, attributes, context)
        except Exception as fault:
            self._provider._on_fault(fault)


class _SwapUpDownCounter(_Proxy[MeterProvider, UpDownCounter], UpDownCounter):
    def add(self, amount: float, attributes: Attributes = None, context: Context | None = None) -> None:
        try:
            self._real.add(amount, attributes, context)
        except Exception as fault:
            self._provider._on_fault(fault)


class _SwapGauge(_Proxy[MeterProvider, Gauge], Gauge):
    def set(self, amount: float, attributes: Attributes = None, context: Context | None = None) -> None:
        try:
            self._real.set(amount, attributes, context)
        except Exception as fault:
            self._provider._on_fault(fault)


class _SwapHistogram(_Proxy[MeterProvider, Histogram], Histogram):
    def record(self, amount: float, attributes: Attributes = None, context: Context | None = None) -> None:
        try:
            self._real.record(amount, attributes, context)
        except Exception as fault:
            self._provider._on_fault(fault)


class _Observable(_Proxy[MeterProvider, Any]):
    """Registers its callbacks with each delegate: "evaluated exactly once during collection", so never twice on one."""

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


class _SwapObservableCounter(_Observable, ObservableCounter):
    pass


class _SwapObservableUpDownCounter(_Observable, ObservableUpDownCounter):
    pass


class _SwapObservableGauge(_Observable, ObservableGauge):
    pass


class SwapLoggerProvider(_SwapProvider[LoggerProvider, Logger], LoggerProvider):
    """A logger provider with an exchangeable delegate.

    Parameters:
        on_fault: told of every exception that was kept from a caller; must not raise.
    """

    def __init__(self, on_fault: OnFault) -> None:
        super().__init__(NoOpLoggerProvider(), on_fault)

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
