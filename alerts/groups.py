"""All groups of rules, in the order in which an operator reads them."""

from __future__ import annotations

from alerts import absence, aliases, canary, game, pipeline, runtime, seed, slo
from alerts.parts import Alert, Group
from alerts.query import Query
from alerts.render import as_rule
from otel_setup.catalogue import Catalogue, build
from settings import Settings


def groups(settings: Settings, catalogue: Catalogue) -> tuple[Group, ...]:
    """Every rule of a game in a deployment.

    :raises alerts.query.QueryError: where a rule asks for what the game's catalogue does not have
    """
    query = Query(catalogue, settings)
    return tuple(part.rules(query) for part in (slo, absence, canary, game, runtime, pipeline, seed, aliases))


def alerts(settings: Settings, catalogue: Catalogue) -> tuple[Alert, ...]:
    """Every alert, of all groups."""
    return tuple(alert for group in groups(settings, catalogue) for alert in group.alerts)


def create_alert_rules(settings: Settings | None = None, catalogue: Catalogue | None = None) -> list[dict[str, object]]:
    """All alerts as Prometheus takes them: ``alert``, ``expr``, ``for``, ``labels`` and ``annotations`` of each.

    :param settings: the defaults where not given
    :param catalogue: of Liap Tui where not given
    """
    settings = settings or Settings()
    every = groups(settings, catalogue or build())
    return [as_rule(alert, settings, group.team) for group in every for alert in group.alerts]
