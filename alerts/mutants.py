"""Are the cases any good? Rules are spoilt one by one, and the cases have to notice.

A comparison is flipped, a label dropped, a threshold doubled, a window halved, a condition left out. What is spoilt and
not noticed has survived: a case is missing, or it makes no difference.
"""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from alerts.cases.case import Kind
from alerts.promtool import RULES, TESTS, TIMEOUT_SECONDS
from deploy.generating import write

FLIPPED = {">": "<", ">=": "<", "==": "!=", "<": ">", "<=": ">", "!=": "=="}
_COMPARISON = re.compile(r"(?<= )(>=|<=|==|!=|>|<)(?= )")
_THRESHOLD = re.compile(r"(?<=[<>=] )\d+(?:\.\d+)?\b")
_BY = re.compile(r"\b(by|on) \(?([a-z_, ]+)\)")
_MATCHERS = re.compile(r"\{([^{}]+)\}")
_MATCHER = re.compile(r'[a-z_]+(?:=~|!~|!=|=)"(?:[^"\\]|\\.)*"')
_WINDOW = re.compile(r"(?:(?<=\[)|(?<=offset ))(\d+)(ms|s|m|h|d)\b")
_MILLISECONDS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}

EXPLAINED: Mapping[tuple[str, str], str] = {}
"""Why it makes no difference, by a rule's name and what was done to it."""


Rule = Mapping[str, Any]
"""A rule as it is in its file."""


@dataclass(frozen=True)
class Mutant:
    """A rule that was spoilt.

    :param number: its place in its group
    :param name: of the alert or the recording, with those of its labels that tell it from others
    :param change: what was done
    """

    number: int
    name: str
    change: str
    rule: Rule


def mutants(rules: Sequence[Rule]) -> Iterator[Mutant]:
    """Every rule of a group, spoilt in every way, one at a time."""
    for number, rule in enumerate(rules):
        labels = rule.get("labels", {})
        own = [labels[key] for key in ("slo", "long") if key in labels]
        name = " ".join([rule.get("alert") or rule["record"], *own])
        for change, spoilt in _spoilt(rule):
            yield Mutant(number, name, change, spoilt)


def _spoilt(rule: Rule) -> Iterator[tuple[str, Rule]]:
    for change, text in _expressions(rule["expr"]):
        yield change, {**rule, "expr": text}
    labels = rule.get("labels", {})
    for label in labels:
        yield f"label {label} dropped", {**rule, "labels": {k: v for k, v in labels.items() if k != label}}
    for span in ("for", "keep_firing_for"):
        if span in rule:
            yield f"{span} {rule[span]} halved", {**rule, span: _half(rule[span])}


def _expressions(expr: str) -> Iterator[tuple[str, str]]:
    def put(match: re.Match[str], text: str) -> str:
        return expr[: match.start()] + text + expr[match.end() :]

    for match in _COMPARISON.finditer(expr):
        yield f"{_near(expr, match)} flipped", put(match, FLIPPED[match[0]])
    for match in _THRESHOLD.finditer(expr):
        yield f"{_near(expr, match)} doubled", put(match, f"{float(match[0]) * 2 or 1:.12g}")
    for match in _BY.finditer(expr):
        labels = match[2].split(", ")
        for label in labels:
            rest = ", ".join(other for other in labels if other != label)
            yield f"{_near(expr, match)} without {label}", put(match, f"{match[1]} ({rest})")
    for match in _MATCHERS.finditer(expr):
        matchers = _MATCHER.findall(match[1])
        for matcher in matchers:
            rest = ",".join(other for other in matchers if other != matcher)
            yield f"{_near(expr, match)} without {matcher}", put(match, f"{{{rest}}}" if rest else "")
    for match in _WINDOW.finditer(expr):
        yield f"{_near(expr, match)} halved", put(match, _half(match[0]))
    lines = expr.splitlines()
    for index, line in enumerate(lines):
        if line.startswith(("and ", "unless ")):
            yield f"line {index + 1} left out", "\n".join(lines[:index] + lines[index + 1 :])


def _near(expr: str, match: re.Match[str]) -> str:
    """Where in an expression something was changed, so that a person finds it."""
    number = expr[: match.start()].count(match[0]) + 1
    return f"{match[0]} ({number})" if expr.count(match[0]) > 1 else match[0]


def _half(span: str) -> str:
    digits = span.rstrip("smhd")
    return f"{int(digits) * _MILLISECONDS[span.removeprefix(digits)] // 2}ms"


class Fate(StrEnum):
    """What became of a mutant."""

    NOTICED = "noticed"
    SURVIVED = "survived"
    INVALID = "invalid"
    """Prometheus does not take it, so that it says nothing of the cases."""


class Hunt:
    """Holds spoilt rules against the cases of their group.

    :param promtool: the program
    :param files: texts by path, as from :func:`alerts.build.generated`
    :param group: of which group
    """

    def __init__(self, promtool: Path, files: Mapping[str, str], group: str) -> None:
        self._promtool = promtool
        self._path = f"{RULES}/{group}.yaml"
        tests = re.compile(rf"{re.escape(TESTS)}/{group}(_\w+)?\.yaml")
        self._tests = {name: text for name, text in files.items() if tests.fullmatch(name)}
        self._group: dict[str, Any] = yaml.safe_load(files[self._path])["groups"][0]

    @property
    def mutants(self) -> tuple[Mutant, ...]:
        """Every rule, spoilt in every way, one at a time."""
        return tuple(mutants(self._group["rules"]))

    def fate(self, mutant: Mutant) -> Fate:
        """What became of one."""
        rules = [mutant.rule if number == mutant.number else rule for number, rule in enumerate(self._group["rules"])]
        text = yaml.safe_dump({"groups": [{**self._group, "rules": rules}]}, width=10_000)
        with TemporaryDirectory(prefix="mutant-") as name:
            folder = Path(name)
            write({self._path: text} | self._tests, folder)
            if not self._passes("check", "rules", folder / self._path):
                return Fate.INVALID
            # Most are noticed where it should fire; the other cases take longer.
            for kind in (Kind.FIRES, "more|resolves|below|absent"):
                for test in sorted(self._tests):
                    run = f"--run=^({self._about(mutant)}) .({kind}).:"
                    if not self._passes("test", "rules", run, folder / test):
                        return Fate.NOTICED
        return Fate.SURVIVED

    def _about(self, mutant: Mutant) -> str:
        """The alerts whose cases may notice: itself, or those that name the labels of a recording."""
        if "alert" in mutant.rule:
            return str(mutant.rule["alert"])
        labels = [f'{key}="{value}"' for key, value in self._group["rules"][mutant.number].get("labels", {}).items()]
        alerts = [rule for rule in self._group["rules"] if "alert" in rule]
        return "|".join(sorted({rule["alert"] for rule in alerts if all(label in rule["expr"] for label in labels)}))

    def _passes(self, *arguments: object) -> bool:
        command = [str(self._promtool), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, check=False, timeout=TIMEOUT_SECONDS)  # noqa: S603 - promtool
        return done.returncode == 0


def report(promtool: Path, files: Mapping[str, str], groups: Sequence[str]) -> int:
    """Print what became of every mutant of some groups, and how many there were.

    :returns: the exit code: 1 where any survived that :data:`EXPLAINED` does not know, or is invalid
    """
    fates: Counter[Fate] = Counter()
    unexplained = 0
    for group in groups:
        hunt = Hunt(promtool, files, group)
        for mutant in hunt.mutants:
            fate = hunt.fate(mutant)
            fates[fate] += 1
            why = EXPLAINED.get((mutant.name, mutant.change), "") if fate is Fate.SURVIVED else ""
            unexplained += fate is not Fate.NOTICED and not why
            print(f"{fate}: {group}: {mutant.name}: {mutant.change}{': ' if why else ''}{why}", flush=True)
    print(f"{fates.total()} mutants: {', '.join(f'{fates[fate]} {fate}' for fate in Fate)}; {unexplained} unexplained")
    return 1 if unexplained else 0
