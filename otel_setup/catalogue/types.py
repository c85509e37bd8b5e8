"""The kinds of things a catalogue declares: attributes, metrics, spans, events.

A declaration is written once, without the game's prefix and without its closed value sets; ``build()`` fills both in
from a :class:`~otel_setup.game_model.GameModel`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum

from otel_setup.game_model import GameModel

LabelSet = Mapping[str, str]


class Kind(StrEnum):
    """The instruments of the OpenTelemetry metrics API."""

    COUNTER = "counter"
    HISTOGRAM = "histogram"
    GAUGE = "gauge"
    OBSERVABLE_COUNTER = "observable_counter"
    OBSERVABLE_UP_DOWN_COUNTER = "observable_up_down_counter"
    OBSERVABLE_GAUGE = "observable_gauge"

    @property
    def is_counter(self) -> bool:
        """Whether the values only rise, so that Prometheus names them ``_total``."""
        return self in (Kind.COUNTER, Kind.OBSERVABLE_COUNTER)

    @property
    def is_observable(self) -> bool:
        """Whether the value is read by a callback when somebody collects."""
        return self.value.startswith("observable")


class FromModel(Enum):
    """A closed value set that each game model fills in."""

    PHASES = "phases"
    ACTION_TYPES = "action types"
    MESSAGES = "socket message types"
    SEATS = "seat numbers, from 0"

    def values(self, model: GameModel) -> tuple[str, ...]:
        """The set's values in a game."""
        if self is FromModel.PHASES:
            return model.phases
        if self is FromModel.ACTION_TYPES:
            return model.action_types
        if self is FromModel.MESSAGES:
            return tuple(dict.fromkeys(model.messages_in + model.messages_out))
        return tuple(str(seat) for seat in range(model.seats or 0))


class AttributeType(StrEnum):
    """Types of attribute values (OpenTelemetry common/AnyValue)."""

    STRING = "string"
    INT = "int"
    DOUBLE = "double"
    BOOLEAN = "boolean"
    MAP = "any"


@dataclass(frozen=True, kw_only=True)
class Attribute:
    """One attribute of a metric, span or event.

    Parameters:
        name: the OpenTelemetry attribute name; on a metric it is the label.
        description: one sentence.
        type: the value's type.
        values: a closed set; None means open, which no metric may have unless ``bounded_by`` says why it stays small.
        key: the short name under which ``SystemEvent.data`` holds it; empty means ``name``.
        identifies: True for ids, whose number grows with traffic: refused on metrics.
        personal: True where the value is a player's name: pseudonymised wherever it leaves the process.
        bounded_by: on a label, what keeps an open set small, e.g. the routes an application declares.
        examples: for the reference.
    """

    name: str
    description: str
    type: AttributeType = AttributeType.STRING
    values: tuple[str, ...] | FromModel | None = None
    key: str = ""
    identifies: bool = False
    personal: bool = False
    bounded_by: str = ""
    examples: tuple[str | int | float | bool, ...] = ()

    @property
    def data_key(self) -> str:
        """The attribute's key in ``SystemEvent.data``."""
        return self.key or self.name


@dataclass(frozen=True, kw_only=True)
class Deprecation:
    """Since which version a name is deprecated, and what replaces it."""

    since: str
    replaced_by: str


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric.

    Parameters:
        name: OpenTelemetry name without the game's prefix, which ``build()`` puts before it.
        kind: the instrument.
        unit: UCUM unit; ``""`` where the seed's name carries it already. Never ``1`` on a gauge: Prometheus's OTLP
            receiver appends ``_ratio`` to those, the Python exporter does not.
        description: what is counted or measured, one sentence.
        moves: what it means when it moves.
        attributes: the only labels it may carry, each with a closed value set.
        buckets: upper bounds of a histogram, in ``unit``.
        zeros: which label sets a counter exports as 0 from the start, as a function of the model. None: the whole
            product of its closed sets, so that the first event of a kind is visible to ``increase()``.
        seed_name: the name the product's first document gave it, where Prometheus cannot carry that exactly.
        own: True for the product's own health: prefixed ``otel_setup`` in every game.
        unprefixed: True for what the semantic conventions name, and ours in their style: exported under ``name`` in
            every game. Its labels are attributes' names, in which Prometheus turns dots into underscores.
        deprecated: set when a newer metric replaces it.
    """

    name: str
    kind: Kind
    unit: str
    description: str
    moves: str
    attributes: tuple[Attribute, ...] = ()
    buckets: tuple[float, ...] = ()
    zeros: Callable[[GameModel], Iterable[LabelSet]] | None = field(default=None, compare=False)
    seed_name: str | None = None
    own: bool = False
    unprefixed: bool = False
    deprecated: Deprecation | None = None


class SpanKind(StrEnum):
    """Kinds of spans (OpenTelemetry trace API, "SpanKind")."""

    INTERNAL = "internal"
    SERVER = "server"
    CONSUMER = "consumer"


@dataclass(frozen=True, kw_only=True)
class Span:
    """One kind of span.

    Parameters:
        name: with ``{placeholders}`` that take values of closed sets only.
        kind: where it stands in a trace.
        description: what the span covers.
        attributes: what it carries.
    """

    name: str
    description: str
    attributes: tuple[Attribute, ...]
    kind: SpanKind = SpanKind.INTERNAL


class Severity(Enum):
    """Severities of events, with their OpenTelemetry severity numbers (logs data model)."""

    DEBUG = 5
    INFO = 9
    WARN = 13
    ERROR = 17


@dataclass(frozen=True, kw_only=True)
class Event:
    """One kind of event: a log record with ``event_name``.

    Parameters:
        name: the event name.
        description: what happened.
        severity: of the log record.
        attributes: what it may carry. Callers' further data travel in one map attribute.
    """

    name: str
    description: str
    severity: Severity = Severity.INFO
    attributes: tuple[Attribute, ...] = ()
