"""From declarations and a game model to the catalogue everything else derives from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

from otel_setup.catalogue.events import EVENTS
from otel_setup.catalogue.metrics import METRICS
from otel_setup.catalogue.prometheus_names import prometheus_label, prometheus_name, series_names
from otel_setup.catalogue.spans import SPANS
from otel_setup.catalogue.types import Attribute, Event, FromModel, Kind, LabelSet, Metric, Span
from otel_setup.game_model import LIAP_TUI, OTHER, GameModel

OWN_PREFIX = "otel_setup"
_WORD = r"[a-z][a-z0-9]*(_[a-z0-9]+)*"
_LABEL = re.compile(_WORD)
_METRIC_NAME = re.compile(rf"{_WORD}(\.{_WORD})*")


class CatalogueError(ValueError):
    """Declarations are not sound. ``problems`` lists everything that is wrong, one sentence each."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(problems))


@dataclass(frozen=True, kw_only=True)
class BuiltMetric:
    """A metric as one game exports it.

    ``declared`` is the declaration; ``name`` has the prefix; ``prometheus`` is the family in Prometheus; ``labels``
    maps each label to its allowed values (without ``other``), to none where something else bounds them; ``zeros`` are
    the label sets exported as 0 at the start.
    """

    declared: Metric
    name: str
    prometheus: str
    labels: Mapping[str, tuple[str, ...]]
    zeros: tuple[LabelSet, ...]
    business: bool = False

    @property
    def series(self) -> tuple[str, ...]:
        """Sample names in Prometheus."""
        return series_names(self.prometheus, self.declared.kind)

    @property
    def prometheus_labels(self) -> tuple[str, ...]:
        """The labels as Prometheus names them."""
        return tuple(map(prometheus_label, self.labels))


@dataclass(frozen=True)
class Catalogue:
    """Every metric, span, event and attribute of one game."""

    model: GameModel
    prefix: str
    metrics: tuple[BuiltMetric, ...]
    spans: tuple[Span, ...]
    events: tuple[Event, ...]

    def __getitem__(self, metric: Metric) -> BuiltMetric:
        """The built form of a declaration (found by its name)."""
        return self._by_name[metric.name]

    def business(self, name: str) -> BuiltMetric | None:
        """The game's own metric of that name, if it declared one."""
        built = self._by_name.get(name)
        return built if built is not None and built.business else None

    @cached_property
    def _by_name(self) -> Mapping[str, BuiltMetric]:
        return {built.declared.name: built for built in self.metrics}

    def attributes(self) -> Iterator[Attribute]:
        """Each distinct attribute, metrics' first."""
        seen: set[Attribute] = set()
        carriers: list[Metric | Span | Event] = [built.declared for built in self.metrics]
        for carrier in [*carriers, *self.spans, *self.events]:
            for attribute in carrier.attributes:
                if attribute not in seen:
                    seen.add(attribute)
                    yield attribute


def values_of(attribute: Attribute, model: GameModel) -> tuple[str, ...] | None:
    """An attribute's closed set in a game, or None where it is open."""
    if isinstance(attribute.values, FromModel):
        return attribute.values.values(model)
    return attribute.values


def build(model: GameModel = LIAP_TUI, prefix: str | None = None, extra: Sequence[Metric] = ()) -> Catalogue:
    """The catalogue of a game.

    Parameters:
        model: the game.
        prefix: of its metrics; the model's name where not given.
        extra: the game's own business metrics, declared in the same form, without the prefix.

    Raises:
        CatalogueError: naming every declaration that is not sound.
    """
    prefix = model.name if prefix is None else prefix
    problems = list(_problems(prefix, [*METRICS, *extra], model))
    if problems:
        raise CatalogueError(problems)
    metrics = [_built(metric, model, prefix, business=False) for metric in METRICS]
    metrics += [_built(metric, model, prefix, business=True) for metric in extra]
    return Catalogue(model, prefix, tuple(metrics), SPANS, EVENTS)


def _built(metric: Metric, model: GameModel, prefix: str, *, business: bool) -> BuiltMetric:
    name = _exported_name(metric, prefix)
    labels = {attribute.name: values_of(attribute, model) or () for attribute in metric.attributes}
    zeros: Iterable[LabelSet] = ()
    if metric.kind is Kind.COUNTER:
        zeros = metric.zeros(model) if metric.zeros else _whole_product(labels)
    return BuiltMetric(
        declared=metric,
        name=name,
        prometheus=prometheus_name(name, metric.unit, metric.kind),
        labels=labels,
        zeros=tuple(zeros),
        business=business,
    )


def _exported_name(metric: Metric, prefix: str) -> str:
    if metric.unprefixed:
        return metric.name
    return f"{OWN_PREFIX if metric.own else prefix}.{metric.name}"


def _whole_product(labels: Mapping[str, tuple[str, ...]]) -> Iterable[LabelSet]:
    return (dict(zip(labels, values, strict=True)) for values in product(*labels.values()))


def _problems(prefix: str, metrics: Sequence[Metric], model: GameModel) -> Iterator[str]:
    if not _METRIC_NAME.fullmatch(prefix):
        yield f"prefix {prefix!r} is not lower case words joined by dots or single underscores"
    names = [metric.name for metric in metrics]
    yield from (f"metric {name!r} is declared twice" for name in sorted({n for n in names if names.count(n) > 1}))
    yield from _naming_problems(prefix, metrics)
    for metric in metrics:
        where = f"metric {metric.name!r}"
        if not _METRIC_NAME.fullmatch(metric.name):
            yield f"{where}: the name is not lower case words joined by dots or single underscores"
        if metric.unit == "1":
            yield f"{where}: unit '1' gets different names by scrape and by OTLP; use '' or '{{game}}'"
        if (metric.kind is Kind.HISTOGRAM) != bool(metric.buckets):
            yield f"{where}: buckets belong to histograms, and each histogram needs them"
        if list(metric.buckets) != sorted(set(metric.buckets)):
            yield f"{where}: buckets must rise"
        for attribute in metric.attributes:
            if not (_METRIC_NAME if metric.unprefixed else _LABEL).fullmatch(attribute.name):
                yield f"{where}: label {attribute.name!r} is not lower case words joined by single underscores"
            if attribute.identifies or attribute.personal:
                yield f"{where}: {attribute.name!r} is an id; its series would grow with traffic"
            elif attribute.values is None and not attribute.bounded_by:
                yield f"{where}: label {attribute.name!r} needs a closed set of values"
            elif OTHER in (values_of(attribute, model) or ()):
                yield f"{where}: label {attribute.name!r} declares {OTHER!r}, which means outside the set"


def _naming_problems(prefix: str, metrics: Sequence[Metric]) -> Iterator[str]:
    """Names that Prometheus would not carry the same way everywhere, or would take for one another."""
    families: dict[str, str] = {}
    for metric in metrics:
        if metric.unit == "1":
            continue
        try:
            family = prometheus_name(_exported_name(metric, prefix), metric.unit, metric.kind)
        except ValueError as problem:
            yield str(problem)
            continue
        if (first := families.setdefault(family, metric.name)) != metric.name:
            yield f"metrics {first!r} and {metric.name!r} are both {family} in Prometheus"
