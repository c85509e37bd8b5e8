"""PromQL from the catalogue: a metric, a label or a value that does not exist is an error here, not an empty graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from deploy.duration import duration
from otel_setup.catalogue import Catalogue
from otel_setup.catalogue.prometheus_names import prometheus_label, series_names
from otel_setup.catalogue.types import Attribute, Kind, Metric
from otel_setup.game_model import OTHER
from settings import Settings

JOB, INSTANCE = "job", "instance"
"""What Prometheus makes of ``service.namespace/service.name`` and ``service.instance.id``."""

MINUTE, HOUR, DAY = 60, 3600, 86_400
Where = Mapping[Attribute, str | tuple[str, ...]]
"""The values that a label may have."""


class QueryError(ValueError):
    """An expression asks for what the catalogue does not have."""


@dataclass(frozen=True)
class Query:
    """Writes expressions for one game and one deployment."""

    catalogue: Catalogue
    settings: Settings

    def window(self, seconds: float) -> str:
        """A range's length, scaled as the settings say."""
        return span(seconds * self.settings.alerts.time_scale)

    def select(self, metric: Metric, where: Where | None = None, *, part: str = "", more: str = "") -> str:
        """A selector of series.

        :param part: of a histogram: ``bucket``, ``sum`` or ``count``
        :param more: further matchers as text, such as of ``le``
        :raises QueryError: for a part, label or value that there is not
        """
        built = self.catalogue[metric]
        name = f"{built.prometheus}_{part}" if part else built.prometheus
        if name not in series_names(built.prometheus, metric.kind):
            raise QueryError(
                f"{name}: there is no such series; there are {series_names(built.prometheus, metric.kind)}"
            )
        matchers = [self._matcher(metric, label, values) for label, values in (where or {}).items()]
        text = ",".join([*matchers, *([more] if more else [])])
        return f"{name}{{{text}}}" if text else name

    def _matcher(self, metric: Metric, label: Attribute, values: str | tuple[str, ...]) -> str:
        allowed = self.catalogue[metric].labels
        if label.name not in allowed:
            raise QueryError(f"{metric.name} has no label {label.name!r}; it has {', '.join(allowed) or 'none'}")
        wanted = (values,) if isinstance(values, str) else values
        if unknown := [value for value in wanted if value not in (*allowed[label.name], OTHER)]:
            raise QueryError(f"{metric.name}: {label.name} is never {', '.join(map(repr, unknown))}")
        name = prometheus_label(label.name)
        return f'{name}="{wanted[0]}"' if len(wanted) == 1 else f'{name}=~"{"|".join(wanted)}"'

    def rate(
        self,
        metric: Metric,
        seconds: float,
        where: Where | None = None,
        *,
        by: tuple[str, ...] = (JOB,),
        part: str = "",
    ) -> str:
        """Events a second over a window, summed up."""
        return f"sum by ({', '.join(by)}) (rate({self._counted(metric, where, part)}[{self.window(seconds)}]))"

    def increase(
        self,
        metric: Metric,
        seconds: float,
        where: Where | None = None,
        *,
        by: tuple[str, ...] = (JOB,),
        part: str = "",
    ) -> str:
        """Events within a window, summed up."""
        return f"sum by ({', '.join(by)}) (increase({self._counted(metric, where, part)}[{self.window(seconds)}]))"

    def _counted(self, metric: Metric, where: Where | None, part: str) -> str:
        if not (metric.kind.is_counter or part):
            raise QueryError(f"{metric.name} is no counter: it has no rate")
        return self.select(metric, where, part=part)

    def quantile(self, metric: Metric, quantile: float, seconds: float, *, by: tuple[str, ...] = (JOB,)) -> str:
        """A quantile of a histogram over a window."""
        if metric.kind is not Kind.HISTOGRAM:
            raise QueryError(f"{metric.name} is no histogram")
        inner = self.rate(metric, seconds, by=(*by, "le"), part="bucket")
        return f"histogram_quantile({quantile:g}, {inner})"

    def now(self, metric: Metric, where: Where | None = None, *, by: tuple[str, ...] = (JOB,)) -> str:
        """Present values, summed up. Servers that are gone are left out: see ``query.lookback-delta`` of Prometheus."""
        if metric.kind.is_counter or metric.kind is Kind.HISTOGRAM:
            raise QueryError(f"{metric.name} only rises: its present value says nothing")
        return f"sum by ({', '.join(by)}) ({self.select(metric, where)})"


def le(bound: float) -> str:
    """The matcher of a histogram's bucket. Whole bounds are ``15`` by OTLP and ``15.0`` where /metrics is scraped."""
    return f'le=~"{bound:.0f}|{bound:.0f}\\\\.0"' if bound == int(bound) else f'le="{bound:g}"'


def span(seconds: float) -> str:
    """``5m``, ``6h``, ``30d``, and otherwise seconds or milliseconds."""
    for size, unit in ((DAY, "d"), (HOUR, "h"), (MINUTE, "m")):
        if seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return duration(seconds)


def number(value: Decimal | float) -> str:
    """A number as people write it: ``0.0144``, never ``1.44e-02`` or ``0.01439999``."""
    exact = value if isinstance(value, Decimal) else Decimal(str(value))
    text = f"{exact:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
