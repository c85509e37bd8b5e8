"""Every file that is generated from the rules, and what they are held to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from alerts.cases import GROUPS
from alerts.cases.case import game_of
from alerts.cases.render import case_files
from alerts.groups import groups
from alerts.parts import Group
from alerts.promtool import TESTS
from alerts.render import KUBERNETES, kubernetes, rule_file
from alerts.runbooks import generated_runbooks
from otel_setup.catalogue import Catalogue
from settings import Settings
from settings.alerts import AlertSettings

FOLDER = "alerts"
RULES = f"{FOLDER}/rules"


def generated(settings: Settings, catalogue: Catalogue) -> dict[str, str]:
    """The text of every generated file by its path in the source tree.

    :raises alerts.query.QueryError: where a rule asks for what the game's catalogue does not have
    """
    every = groups(settings, catalogue)
    files = {f"{RULES}/{group.name}.yaml": rule_file(group, settings) for group in every}
    files[f"{FOLDER}/{KUBERNETES}"] = kubernetes(every, settings, f"{catalogue.prefix}-alerts")
    return files | _cases(settings, catalogue, every) | generated_runbooks(settings, catalogue)


def _cases(settings: Settings, catalogue: Catalogue, every: Sequence[Group]) -> dict[str, str]:
    """The cases are written for the default thresholds: with others there are none, rather than wrong ones."""
    given = settings.alerts
    if given != replace(AlertSettings(), runbooks_url=given.runbooks_url, grafana_url=given.grafana_url):
        return {}
    game = game_of(settings, catalogue)
    files: dict[str, str] = {}
    for group in every:
        if group.name not in GROUPS:
            continue  # it has no alerts
        there = {alert.name for alert in group.alerts}
        cases = [case for case in GROUPS[group.name](game) if case.alert in there]
        files |= {f"{TESTS}/{name}": text for name, text in case_files(group.name, cases).items()}
    return files
