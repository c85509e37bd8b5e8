"""How context crosses processes: the propagators by their names."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from otel_setup.sdk.careful import CarefulPropagator

PROPAGATORS = ("tracecontext", "baggage", "b3", "b3multi")
"""Names as in the OpenTelemetry specification (``OTEL_PROPAGATORS``)."""
_B3 = {"b3": "B3SingleFormat", "b3multi": "B3MultiFormat"}


def make_propagator(names: Sequence[str]) -> TextMapPropagator:
    """One propagator that speaks all formats, and reads them in their order.

    Raises:
        ImportError: naming the extra that is missing.
    """
    return CarefulPropagator(CompositePropagator([_make(name) for name in names]))


def _make(name: str) -> TextMapPropagator:
    if name == "tracecontext":
        return TraceContextTextMapPropagator()
    if name == "baggage":
        return W3CBaggagePropagator()
    try:
        module = importlib.import_module("opentelemetry.propagators.b3")
    except ModuleNotFoundError as missing:
        raise ImportError("the propagators b3 and b3multi need: pip install 'otel-setup[b3]'") from missing
    propagator: TextMapPropagator = getattr(module, _B3[name])()
    return propagator
