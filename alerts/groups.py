"""All groups of rules, in the order in which an operator reads them."""

from __future__ import annotations

from alerts import absence, game, pipeline, runtime, seed, slo
from alerts.parts import Alert, Group
from alerts.query import Query
from otel_setup.catalogue import Catalogue
from settings import Settings


def groups(settings: Settings, catalogue: Catalogue) -> tuple[Group, ...]:
    """Every rule of a game in a deployment.

    :raises alerts.query.QueryError: where a rule asks for what the game's catalogue does not have
    """
    query = Query(catalogue, settings)
    return tuple(part.rules(query) for part in (slo, absence, game, runtime, pipeline, seed))


def alerts(settings: Settings, catalogue: Catalogue) -> tuple[Alert, ...]:
    """Every alert, of all groups."""
    return tuple(alert for group in groups(settings, catalogue) for alert in group.alerts)
