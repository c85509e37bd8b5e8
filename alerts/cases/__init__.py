"""What every alert must do, written by hand and held against the generated rules by ``promtool test rules``.

Thresholds, labels and texts are typed here a second time on purpose: a test that took them from the rules would agree
with any of them. Only a game's prefix, its actions and phases, and where links lead are filled in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from alerts.cases import absence, canary, game, pipeline, runtime, seed, slo
from alerts.cases.case import Case, Game

GROUPS: Mapping[str, Callable[[Game], tuple[Case, ...]]] = {
    "slo": slo.cases,
    "absence": absence.cases,
    "canary": canary.cases,
    "game": game.cases,
    "runtime": runtime.cases,
    "pipeline": pipeline.cases,
    "seed": seed.cases,
}
"""The cases of each group of rules."""
