"""What of a client's headers reaches the propagators, whoever asks them."""

from __future__ import annotations

import pytest
from opentelemetry import baggage, trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter

from otel_setup.sdk.careful import MAX_FIELD_LENGTH, CarefulPropagator
from otel_setup.sdk.propagation import make_propagator

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"
Headers = list[tuple[str, str]]


class OfHeaders(Getter[Headers]):
    """Gives every value of a header, as those of web frameworks do."""

    def get(self, carrier: Headers, key: str) -> list[str] | None:
        return [value for name, value in carrier if name.lower() == key] or None

    def keys(self, carrier: Headers) -> list[str]:
        return [name for name, _ in carrier]


def extracted(*headers: tuple[str, str]) -> Context:
    propagator = CarefulPropagator(make_propagator(("tracecontext", "baggage", "b3", "b3multi")))
    return propagator.extract(list(headers), Context(), OfHeaders())


def trace_of(context: Context) -> str:
    spoken = trace.get_current_span(context).get_span_context()
    return format(spoken.trace_id, "032x") if spoken.is_valid else ""


@pytest.mark.parametrize(
    "header",
    [
        ("Traceparent", PARENT),
        ("b3", f"{TRACE}-{SPAN}-1"),
    ],
)
def test_one_header_is_the_parent_and_two_are_none(header: tuple[str, str]) -> None:
    assert trace_of(extracted(header)) == TRACE
    assert trace_of(extracted(header, header)) == ""


def test_lists_stay_lists() -> None:
    context = extracted(("traceparent", PARENT), ("tracestate", "a=1"), ("tracestate", "b=2"), ("baggage", "c=3"))
    assert dict(trace.get_current_span(context).get_span_context().trace_state) == {"a": "1", "b": "2"}
    assert baggage.get_all(context) == {"c": "3"}


def test_a_field_that_is_too_long_is_as_if_it_were_not_there(caplog: pytest.LogCaptureFixture) -> None:
    long = "a=" + "x" * (MAX_FIELD_LENGTH - 1)
    context = extracted(("traceparent", PARENT), ("baggage", long), ("b3", "0" * 10_000))
    assert (trace_of(context), baggage.get_all(context)) == (TRACE, {})
    assert "xxxx" not in caplog.text, "a client's text does not get into the log"


def test_it_writes_what_the_inner_one_writes() -> None:
    propagator = CarefulPropagator(make_propagator(("tracecontext", "baggage")))
    carrier: dict[str, str] = {}
    propagator.inject(carrier, baggage.set_baggage("c", "3", extracted(("traceparent", PARENT))))
    assert carrier == {"traceparent": PARENT, "baggage": "c=3"}
    assert propagator.fields == {"traceparent", "tracestate", "baggage"}
