"""A propagator that reads what clients send with care, for whoever extracts: web frameworks do so by themselves."""

from __future__ import annotations

from opentelemetry import context as context_api
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import (
    CarrierT,
    Getter,
    Setter,
    TextMapPropagator,
    default_getter,
    default_setter,
)

MAX_FIELD_LENGTH = 8192
"""Characters of one propagated field that are read; a longer one is as if it were not there (W3C Baggage, 4.3.2)."""


class CarefulPropagator(TextMapPropagator):
    """Another propagator, which gets each field in one piece or not at all.

    Parameters:
        inner: writes and reads the formats.
    """

    def __init__(self, inner: TextMapPropagator) -> None:
        self._inner = inner

    def extract(
        self, carrier: CarrierT, context: Context | None = None, getter: Getter[CarrierT] = default_getter
    ) -> Context:
        """As the inner one; a field that is too long is left out, and one that came several times is one list."""
        return self._inner.extract(carrier, context, _CarefulGetter(getter))

    def inject(
        self, carrier: CarrierT, context: Context | None = None, setter: Setter[CarrierT] = default_setter
    ) -> None:
        """As the inner one."""
        self._inner.inject(carrier, context_api.get_current() if context is None else context, setter)

    @property
    def fields(self) -> set[str]:
        """As of the inner one."""
        return self._inner.fields


class _CarefulGetter(Getter[CarrierT]):
    def __init__(self, inner: Getter[CarrierT]) -> None:
        self._inner = inner

    def get(self, carrier: CarrierT, key: str) -> list[str] | None:
        values = self._inner.get(carrier, key)
        # RFC 9110, 5.3: several headers of one name are a list. As one, several traceparents are malformed, as they
        # should be; the propagators would take the first.
        value = ",".join(value for value in values or () if isinstance(value, str))
        return [value] if 0 < len(value) <= MAX_FIELD_LENGTH else None

    def keys(self, carrier: CarrierT) -> list[str]:
        return self._inner.keys(carrier)
