"""Every file that is generated from the rules, and what they are held to."""

from __future__ import annotations

from alerts.groups import groups
from alerts.render import KUBERNETES, kubernetes, rule_file
from otel_setup.catalogue import Catalogue
from settings import Settings

FOLDER = "alerts"
RULES = f"{FOLDER}/rules"


def generated(settings: Settings, catalogue: Catalogue) -> dict[str, str]:
    """The text of every generated file by its path in the source tree.

    :raises alerts.query.QueryError: where a rule asks for what the game's catalogue does not have
    """
    every = groups(settings, catalogue)
    files = {f"{RULES}/{group.name}.yaml": rule_file(group, settings) for group in every}
    return files | {f"{FOLDER}/{KUBERNETES}": kubernetes(every, settings, f"{catalogue.prefix}-alerts")}
