"""What the roles have in common: how data comes in, and what stands beside the pipelines."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from deploy import versions
from deploy.collector import exporters, extensions, own_telemetry, processors, receivers
from deploy.collector.graph import Component, Pipeline, Role, Signal
from otel_setup.catalogue import Catalogue
from settings import Settings

MakeRole = Callable[[Settings, Catalogue], Role]
"""Makes a role's configuration for a deployment and a game."""

IMAGE = f"otel/opentelemetry-collector-contrib:{versions.COLLECTOR}"
"""The public image that holds every component; the project's own distribution is smaller."""


def taken_in(settings: Settings, signal: Signal, *, machine: bool = True) -> tuple[Component, ...]:
    """The processors of a pipeline into which data comes from outside.

    :param machine: whether who sends is on this machine, so that its name is theirs
    """
    return (
        processors.memory_limiter(settings),
        # Before anything that reads texts: a pattern takes seconds for a text of megabytes.
        processors.limits(settings),
        processors.redaction(),
        *((processors.machine(),) if machine else ()),
        *processors.labels(settings),
        *processors.added(settings, signal),
    )


def sent(settings: Settings, signal: Signal, *own: Component) -> tuple[Component, ...]:
    """The exporters of a pipeline: the role's own, and what the deployment adds."""
    return (*own, *exporters.added(settings, signal))


def machine_metrics(settings: Settings, *own: Component) -> Pipeline:
    """The machine's own load."""
    steps = (
        processors.memory_limiter(settings),
        processors.machine(),
        processors.machine_as_service(),
        *processors.labels(settings),
    )
    return Pipeline("metrics/host", (receivers.host_metrics(settings),), steps, own)


def own_log(settings: Settings, store: Component) -> Pipeline:
    """This Collector's own log, to where all logs go."""
    steps = (processors.memory_limiter(settings), processors.no_loop([store]))
    return Pipeline("logs/own", (receivers.own_log(settings),), steps, (store,))


def role(
    settings: Settings,
    name: str,
    about: str,
    pipelines: Iterable[Pipeline],
    *,
    own_log_to: Component | None = None,
    untested: str = "",
) -> Role:
    """A role, with what stands beside its pipelines.

    :param own_log_to: the exporter of logs that gets its own log as well; None where it only goes to standard error
    :param untested: why nobody has run it here, where that is so
    """
    all_pipelines = (*pipelines, *((own_log(settings, own_log_to),) if own_log_to else ()))
    return Role(
        name=name,
        about=about,
        pipelines=all_pipelines,
        extensions=(extensions.health_check(settings.collector), extensions.pages(settings.collector)),
        telemetry=own_telemetry.telemetry(settings, name, logs=own_log_to is not None),
        telemetry_why=own_telemetry.WHY,
        image=IMAGE,
        untested=untested,
    )
