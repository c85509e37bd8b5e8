"""The function of the product's first document, and what is written to the files."""

from __future__ import annotations

from pathlib import Path

import yaml

import otel_setup

RULES = Path(__file__).parents[2] / "alerts" / "rules"


def test_it_gives_the_alerts_of_the_files() -> None:
    groups = [group for file in RULES.glob("*.yaml") for group in yaml.safe_load(file.read_text())["groups"]]
    written = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    given = otel_setup.create_alert_rules()
    key = str
    assert sorted(given, key=key) == sorted(written, key=key)
    first_four = {"HighMemoryUsage", "HighErrorRate", "NoActiveGames", "ConnectionDrops"}
    assert first_four <= {rule["alert"] for rule in given}
