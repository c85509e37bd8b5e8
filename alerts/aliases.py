"""Names of the product's first document that the exported series cannot have, for dashboards that use them."""

from __future__ import annotations

from alerts.parts import Group, Recording
from alerts.query import Query
from otel_setup.catalogue.render import recording_rule_alias


def rules(query: Query) -> Group:
    """A recording for each such name, with all labels."""
    catalogue = query.catalogue
    named = ((recording_rule_alias(built, catalogue.prefix), built) for built in catalogue.metrics)
    return Group("aliases", tuple(Recording(alias, built.prometheus) for alias, built in named if alias))
