"""Which traces are recorded, and which of them are surely kept, so that a measurement may point to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

from opentelemetry import trace as trace_api
from opentelemetry.context import Context
from opentelemetry.sdk.metrics import (
    AlwaysOffExemplarFilter,
    AlwaysOnExemplarFilter,
    ExemplarFilter,
    TraceBasedExemplarFilter,
)
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util.types import Attributes

from otel_setup.catalogue.attributes import TRACE_KEPT
from otel_setup.config.sampling import SampleRule

_PARENT_BASED = "parentbased_"
_LOW_BITS = 32


class _FirstSpan(Sampler):
    """Decides on the first span of a trace: what somebody looks at, then the rules, then the sampler."""

    def __init__(
        self, rules: Sequence[SampleRule], otherwise: Sampler, watched: Callable[[Attributes], bool] | None
    ) -> None:
        self._rules = [(rule.span, TraceIdRatioBased(rule.ratio)) for rule in rules]
        self._otherwise = otherwise
        self._watched = watched

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        sampler: Sampler = ALWAYS_ON if self._watched and self._watched(attributes) else self._chosen(name)
        return sampler.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def _chosen(self, name: str) -> Sampler:
        return next((sampler for pattern, sampler in self._rules if fnmatchcase(name, pattern)), self._otherwise)

    def get_description(self) -> str:
        rules = ", ".join(f"{pattern}: {sampler.rate:g}" for pattern, sampler in self._rules)
        return f"{{{rules}}} else {self._otherwise.get_description()}" if rules else self._otherwise.get_description()


def make_sampler(
    name: str,
    ratio: float,
    rules: Sequence[SampleRule] = (),
    watched: Callable[[Attributes], bool] | None = None,
) -> Sampler:
    """The sampler of a configuration.

    Parameters:
        name: one of :data:`otel_setup.config.sampling.SAMPLERS`.
        ratio: of a ``traceidratio`` sampler.
        rules: shares by the name of a trace's first span.
        watched: whether somebody looks at what the first span's attributes name; then the trace is recorded.
    """
    bases = {"always_on": ALWAYS_ON, "always_off": ALWAYS_OFF, "traceidratio": TraceIdRatioBased(ratio)}
    first = _FirstSpan(rules, bases[name.removeprefix(_PARENT_BASED)], watched)
    return ParentBased(root=first) if name.startswith(_PARENT_BASED) else first


# --- exemplars --------------------------------------------------------------------------------------------------------


class Keeping:
    """Chooses ordinary traces by their id, and knows which are marked.

    A measurement may only point to a trace that is not thrown away later. Failed and slow work is marked where it is
    noticed; of the rest a share is chosen here, when a trace begins. A tail sampler keeps what is marked.

    Parameters:
        ratio: the share, from 0 to 1.
    """

    def __init__(self, ratio: float) -> None:
        self._bound = round(ratio * (1 << _LOW_BITS))

    def chooses(self, trace_id: int) -> bool:
        """Whether a trace is one of the share. Head sampling goes by higher bits, so the two are independent."""
        return (trace_id & ((1 << _LOW_BITS) - 1)) < self._bound


class KeepMarks(SpanProcessor):
    """Marks the first span that this process has of each chosen trace."""

    def __init__(self, keeping: Keeping) -> None:
        self._keeping = keeping

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        if (span.parent is None or span.parent.is_remote) and self._keeping.chooses(span.context.trace_id):
            span.set_attribute(TRACE_KEPT.name, True)


class KeptTraces(ExemplarFilter):
    """Lets a measurement point to its trace if that is marked."""

    def __init__(self, keeping: Keeping) -> None:
        self._keeping = keeping

    def should_sample(
        self, value: float, time_unix_nano: int, attributes: Attributes, context: Context
    ) -> bool:  # fmt: skip
        span = trace_api.get_current_span(context)
        spoken = span.get_span_context()
        if not spoken.trace_flags.sampled or not span.is_recording():
            return False
        return self._keeping.chooses(spoken.trace_id) or (
            isinstance(span, ReadableSpan) and TRACE_KEPT.name in (span.attributes or {})
        )


def make_exemplar_filter(name: str, keeping: Keeping) -> ExemplarFilter:
    """The exemplar filter of a configuration: ``name`` is one of :data:`otel_setup.config.sampling.EXEMPLARS`."""
    if name == "kept":
        return KeptTraces(keeping)
    if name == "trace_based":
        return TraceBasedExemplarFilter()
    return AlwaysOnExemplarFilter() if name == "always_on" else AlwaysOffExemplarFilter()
