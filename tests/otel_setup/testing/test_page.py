"""docs/testing.md: its files are written as they stand and its tests run by pytest, with the outcome the page tells."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.markdown import ROOT, Page

PAGE = Page(ROOT / "docs" / "testing.md")
FILES = {
    block.text.partition("\n")[0].removeprefix("# "): block.text for block in PAGE.blocks if block.info == "python"
}


@pytest.fixture
def page(pytester: pytest.Pytester) -> pytest.Pytester:
    """A folder with what the page says of the configuration, and its game."""
    assert "`asyncio_mode = auto`" in PAGE.text
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")
    pytester.path.joinpath("game.py").write_text(FILES["game.py"])
    pytester.syspathinsert()
    return pytester


def run(pytester: pytest.Pytester, *names: str) -> pytest.RunResult:
    for name in names:
        Path(pytester.path, name).write_text(FILES[name])
    return pytester.runpytest_inprocess("-p", "otel_setup.testing", *(name for name in names if name != "conftest.py"))


def test_every_block_is_run_or_shown() -> None:
    assert set(FILES) == {
        *("game.py", "test_game.py", "test_wrong.py", "test_story.py", "conftest.py", "test_chess.py"),
        *("notifier.py", "test_notifier.py"),
    }
    assert [block.language for block in PAGE.blocks if block.info != "python"] == ["text"]


def test_the_tests_of_the_page_pass(page: pytest.Pytester) -> None:
    run(page, "test_game.py", "test_story.py").assert_outcomes(passed=4)


def test_a_game_with_a_model_of_its_own(page: pytest.Pytester) -> None:
    run(page, "conftest.py", "test_chess.py").assert_outcomes(passed=1)


def test_a_reader_of_events_is_tested_as_the_page_says(page: pytest.Pytester) -> None:
    page.path.joinpath("notifier.py").write_text(FILES["notifier.py"])
    run(page, "test_notifier.py").assert_outcomes(passed=3)


def test_a_notifier_that_forgets_its_cursor_is_found_out(page: pytest.Pytester) -> None:
    forgetful = FILES["notifier.py"].replace("self.cursor = subscriber.cursor", "pass")
    page.path.joinpath("notifier.py").write_text(forgetful)
    result = run(page, "test_notifier.py")
    result.assert_outcomes(passed=2, failed=1)
    assert "'notifier' missed 1 of 2 events" in result.stdout.str()


def test_what_is_wrong_fails_with_the_messages_that_are_shown(page: pytest.Pytester) -> None:
    result = run(page, "test_wrong.py")
    result.assert_outcomes(failed=2)
    (shown,) = [block.text for block in PAGE.blocks if block.language == "text"]
    for line in shown.splitlines():
        assert line in result.stdout.str(), line
