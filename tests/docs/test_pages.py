"""The pages name what there is: files, links and commands; and nothing of the machine they were written on."""

from __future__ import annotations

import re

import pytest

from tests.docs.markdown import ROOT, Page, pages

PAGES = {page.name: page for page in pages()}

FORBIDDEN = {
    "a path of somebody's machine": re.compile(r"(?<![\w.])/(?:work|root|home|Users|tmp)/"),
    "the host of a package registry or mirror": re.compile(
        r"\b(?:pypi|pythonhosted|npmjs|docker|ghcr|quay|crates)\.(?:org|io|com)\b|\bproxy\.golang\b"
    ),
}
FILE = re.compile(r"(?:[\w.-]+/)*[\w.-]+\.(?:py|md|toml|ya?ml|lock|jsonl|gz|txt|json)|(?:[\w.-]+/)+")
"""What a code span must look like to be taken for a file or, with a slash at its end, a folder of the checkout."""
ELSEWHERE = {"docs/acceptance.md": "names tests from their own folder; test_acceptance.py looks for them"}


def test_the_pages_that_the_readme_promises_are_there() -> None:
    assert {"README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/acceptance.md", "docs/input-rules.md"} <= set(
        PAGES
    )


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    page, dead = PAGES[name], []
    for line, target in page.links:
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.path.parent / path).resolve() if path else page.path
        if not there.exists() or not there.is_relative_to(ROOT):
            dead.append(f"{name}:{line}: {target}: no such file")
        elif anchor and anchor not in Page(there).anchors:
            dead.append(f"{name}:{line}: {target}: no such heading")
    assert not dead, "\n".join(dead)


@pytest.mark.parametrize("name", sorted(PAGES.keys() - ELSEWHERE.keys()))
def test_files_are_there(name: str) -> None:
    """Named from the checkout's top, or from the page's own folder."""
    page = PAGES[name]
    missing = [
        f"{name}:{line}: {text}"
        for line, text in page.code_spans
        if FILE.fullmatch(text) and not any((folder / text).exists() for folder in (ROOT, page.path.parent))
    ]
    assert not missing, "\n".join(missing)


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_said_of_the_machine_they_were_written_on(name: str) -> None:
    found = [
        f"{name}:{number}: {what}: {line.strip()}"
        for number, line in enumerate(PAGES[name].text.splitlines(), start=1)
        for what, pattern in FORBIDDEN.items()
        if pattern.search(line)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "line", ["see /work/" + "x", "in /root/" + ".cache", "from https://pypi" + ".org/x", "ghcr" + ".io/a/b"]
)
def test_the_words_that_are_looked_for_would_be_found(line: str) -> None:
    assert any(pattern.search(line) for pattern in FORBIDDEN.values())


def test_ordinary_addresses_are_not_taken_for_registries() -> None:
    line = "https://opentelemetry.io/docs/ and https://prometheus.io, http://localhost:4318/metrics, collector/work/"
    assert not any(pattern.search(line) for pattern in FORBIDDEN.values())
