"""Each environment variable, set alone, changes what is seen from outside the process, and is named as the source."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from otel_setup.config import OPTIONS
from otel_setup.config.destinations import FIELDS
from tests.e2e.environment_app import PLAYER
from tests.e2e.environment_looks import KEY
from tests.e2e.environment_runs import ROOT, SIGNALS, Row, Run, Surroundings
from tests.e2e.environment_table import PSEUDONYM_KEY, ROWS
from tests.support.certificates import make_certificates
from tests.support.peers import free_ports

AT_ONCE = 2
"""Servers that run at a time: each spends most of its time on imports."""

# A run, by what it depends on: many variables have the same run without.
Key = tuple[object, ...]


def key_of(row: Row, value: str | None) -> Key:
    meanwhile = row.meanwhile if value or not row.meanwhile_without else row.meanwhile_without
    changed = (row.variable, value) if value else ()
    return *changed, *sorted(row.base.items()), row.arguments, meanwhile


def values_of(row: Row) -> list[str | None]:
    return [row.value, None, *([row.reported] if row.reported else [])]


@pytest.fixture(scope="module")
def runs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[Key, Future[Run]]]:
    """The runs of all tests that were chosen, begun two at a time."""
    home = tmp_path_factory.mktemp("home")
    surroundings = Surroundings(make_certificates(home / "certificates"), home)
    chosen: list[Row] = [
        item.callspec.params.get("row", PSEUDONYM_KEY) if hasattr(item, "callspec") else PSEUDONYM_KEY
        for item in request.session.items
        if item.fspath == request.node.fspath and "runs" in getattr(item, "fixturenames", ())
    ]
    wanted = {key_of(row, value): (row, value) for row in chosen for value in values_of(row)}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        ports = free_ports(len(wanted))
        yield {
            key: pool.submit(surroundings.run, row, value, port)
            for (key, (row, value)), port in zip(wanted.items(), ports, strict=True)
        }


def result(runs: Mapping[Key, Future[Run]], row: Row, value: str | None) -> Run:
    return runs[key_of(row, value)].result()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.variable)
def test_it_changes_what_is_seen(row: Row, runs: Mapping[Key, Future[Run]]) -> None:
    with_it, without = result(runs, row, row.value), result(runs, row, None)
    assert (row.observe(with_it), row.observe(without)) == (row.with_it, row.without), with_it.errors


@pytest.mark.parametrize("row", [*ROWS, PSEUDONYM_KEY], ids=lambda row: row.variable)
def test_the_report_names_it_as_the_source(row: Row, runs: Mapping[Key, Future[Run]]) -> None:
    run, without = result(runs, row, row.reported or row.value), result(runs, row, None)
    assert any(row.variable in line.split() and "environment" in line.split() for line in run.report()), run.errors
    assert row.variable in row.base or not any(row.variable in line.split() for line in without.report())


def test_the_key_of_the_pseudonyms_is_the_one_it_says(runs: Mapping[Key, Future[Run]], tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(KEY)
    whois = [sys.executable, "-m", "otel_setup", "whois", PLAYER, "--key-file", str(file)]
    expected = subprocess.run(whois, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    with_it, without = result(runs, PSEUDONYM_KEY, KEY), result(runs, PSEUDONYM_KEY, None)
    assert PSEUDONYM_KEY.observe(with_it) == {expected}
    assert PSEUDONYM_KEY.observe(without) not in ({expected}, set())


def test_the_table_is_complete() -> None:
    read = {name for option in OPTIONS for name, _ in option.environment}
    for option in OPTIONS:
        if option.name in FIELDS:
            read |= {
                name.replace("OTEL_EXPORTER_OTLP_", f"OTEL_EXPORTER_OTLP_{signal.upper()}_")
                for name, _ in option.environment
                for signal in SIGNALS
            }
    in_the_table = [row.variable for row in (*ROWS, PSEUDONYM_KEY)]
    assert sorted(read) == sorted(in_the_table)
