"""What OpenTelemetry keeps once for a whole process: its providers and its propagator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry import _logs as logs_api
from opentelemetry import metrics as metrics_api
from opentelemetry import propagate
from opentelemetry import trace as trace_api
from opentelemetry._logs import LoggerProvider
from opentelemetry.metrics import Meter, NoOpMeter
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.util.types import Attributes

from otel_setup.config import ConfigError
from otel_setup.sdk.propagation import make_propagator
from otel_setup.sdk.proxies import SwapLoggerProvider, SwapMeterProvider, SwapTracerProvider

if TYPE_CHECKING:
    from otel_setup.sdk.providers import Adopted, Providers

# The defaults of the API, which any provider may replace, once.
_API_MODULES = ("opentelemetry.trace", "opentelemetry.metrics", "opentelemetry._logs")


class _GlobalMeters(SwapMeterProvider):
    """The provider set globally. The product's own instruments are created on the SDK's provider directly."""

    def __init__(self, scope: str, on_fault: Callable[[Exception], None]) -> None:
        super().__init__(on_fault)
        self._scope = scope

    def get_meter(
        self,
        name: str,
        version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes | None = None,
    ) -> Meter:
        # The API's proxies remember the instruments made before configure(); made again here they would count twice.
        if name == self._scope:
            return NoOpMeter(name)
        return super().get_meter(name, version, schema_url, attributes)


class GlobalState:
    """The global providers and propagator. Providers can be set once, so ours stay, and what is behind them changes.

    Parameters:
        scope: of the product's own instruments.
        on_fault: told of what a provider raises.
        local_loggers: gets log records where nothing is published, or logs are off.

    Attributes:
        loggers: whatever is published, its records go there; to ``local_loggers`` in between.
    """

    def __init__(self, scope: str, on_fault: Callable[[Exception], None], local_loggers: LoggerProvider) -> None:
        self._tracers = SwapTracerProvider(on_fault)
        self._meters = _GlobalMeters(scope, on_fault)
        self.loggers = SwapLoggerProvider(on_fault, local_loggers)
        self._propagator_before: TextMapPropagator | None = None

    def publish(self, providers: Providers, propagators: Sequence[str]) -> None:
        """Makes providers and propagators those of the process, wherever the application has none of its own."""
        self._swap(providers)
        if _is_unset(metrics_api.get_meter_provider()):
            metrics_api.set_meter_provider(self._meters)
        if _is_unset(trace_api.get_tracer_provider()):
            trace_api.set_tracer_provider(self._tracers)
        if _is_unset(logs_api.get_logger_provider()):
            logs_api.set_logger_provider(self.loggers)
        if self._propagator_before is None:
            self._propagator_before = propagate.get_global_textmap()
        propagate.set_global_textmap(make_propagator(propagators))

    def withdraw(self) -> None:
        """Lets the global providers do nothing, until the next ones are published."""
        self._swap(None)

    def restore(self) -> None:
        """As :meth:`withdraw`, and the propagator is again what it was."""
        self._swap(None)
        if self._propagator_before is not None:
            propagate.set_global_textmap(self._propagator_before)
            self._propagator_before = None

    def _swap(self, providers: Providers | None) -> None:
        self._meters.swap(providers.meters if providers else None)
        self._tracers.swap(providers.tracers if providers else None)
        self.loggers.swap(providers.loggers if providers else None)

    def adopted(self, *, adopt: bool) -> Adopted | None:
        """The application's own providers, where it has any.

        Parameters:
            adopt: whether they are to be kept and added to.

        Raises:
            ConfigError: they are not, or nothing can be added to them.
        """
        from otel_setup.sdk.providers import Adopted  # the SDK is loaded with the first use, not with the first import

        own = (self._tracers, self._meters, self.loggers)
        present = {
            "tracer": trace_api.get_tracer_provider(),
            "meter": metrics_api.get_meter_provider(),
            "logger": logs_api.get_logger_provider(),
        }
        foreign: dict[str, Any] = {
            kind: provider for kind, provider in present.items() if provider not in own and not _is_unset(provider)
        }
        problems = [
            problem
            for kind, provider in foreign.items()
            if (problem := _not_addable(kind, provider) if adopt else _in_the_way(kind, provider))
        ]
        if problems:
            raise ConfigError(problems)
        return Adopted(tracers=foreign.get("tracer"), loggers=foreign.get("logger")) if foreign else None


def _is_unset(provider: object) -> bool:
    return type(provider).__module__.startswith(_API_MODULES)


def _in_the_way(kind: str, provider: object) -> str:
    return (
        f"a global {kind} provider of {type(provider).__module__} is installed already; call configure(adopt=True) to "
        "add the exports to it, or call configure() before it is installed, or leave configure() out: the monitor "
        "records through that provider by itself"
    )


def _not_addable(kind: str, provider: object) -> str:
    from opentelemetry.sdk import _logs as sdk_logs
    from opentelemetry.sdk.trace import TracerProvider

    if kind == "meter" or isinstance(provider, TracerProvider | sdk_logs.LoggerProvider):
        return ""
    return (
        f"the global {kind} provider is of {type(provider).__module__}, and only to one of OpenTelemetry's SDK exports "
        "can be added; leave configure() out: the monitor records through that provider by itself"
    )
