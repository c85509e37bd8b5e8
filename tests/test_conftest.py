"""What tests/conftest.py promises of every run, be it in one process or in several."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
SEVERAL = ("-n", "2", "--dist", "loadfile")


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    """An empty suite with our conftest.py and pyproject.toml."""
    shutil.copy(TESTS / "conftest.py", pytester.path)
    shutil.copy(TESTS.parent / "pyproject.toml", pytester.path)
    (pytester.path / "allowed_skips.txt").write_text("test_skipped.py::test_allowed: why it may be\n")
    return pytester


@pytest.mark.parametrize(
    ("processes", "ci", "result"),
    [
        (SEVERAL, "true", pytest.ExitCode.TESTS_FAILED),
        (SEVERAL, "", pytest.ExitCode.OK),
        ((), "true", pytest.ExitCode.TESTS_FAILED),
    ],
    ids=["several in CI", "several elsewhere", "one in CI"],
)
def test_in_ci_what_is_skipped_without_leave_fails_the_run_and_is_named(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, processes: tuple[str, ...], ci: str, result: int
) -> None:
    monkeypatch.setenv("CI", ci)
    suite.makepyfile(
        test_skipped="""
        import pytest

        def test_passes():
            pass

        def test_allowed():
            pytest.skip("a good reason")

        def test_forbidden():
            pytest.skip("a bad reason")
        """
    )
    ran = suite.runpytest_subprocess(*processes, "test_skipped.py", timeout=200)
    assert ran.ret == result
    ran.assert_outcomes(passed=1, skipped=2)
    told = ran.stdout.str()
    assert "a good reason" in told
    assert "a bad reason" in told
    _, _, named = told.partition("skipped, but not listed in tests/allowed_skips.txt")
    assert ("test_skipped.py::test_forbidden" in named) == (ci == "true")
    assert "test_allowed" not in named


def test_nothing_runs_beside_a_test_that_must_be_alone(suite: pytest.Pytester) -> None:
    """Two processes write down what begins and ends; a test that is alone lets the other one time to do so."""
    record = suite.path / "record.txt"
    suite.makepyfile(
        marks=f"""
        import time
        from contextlib import contextmanager
        from pathlib import Path

        RECORD = Path({str(record)!r})

        def mark(line):
            with RECORD.open("a") as file:
                file.write(line + "\\n")

        @contextmanager
        def marked(name):
            mark("begin " + name)
            yield
            mark("end " + name)

        def meet(me, other):
            mark("here " + me)
            while "here " + other not in RECORD.read_text():
                time.sleep(0.01)
        """,
        test_alone="""
        import time
        import pytest
        from marks import marked, meet

        def test_others_may_run_at_once():
            meet("one", "the other")

        @pytest.mark.alone
        @pytest.mark.parametrize("number", range(5))
        def test_alone(number):
            with marked("alone"):
                time.sleep(0.1)
        """,
        test_others="""
        import pytest
        from marks import marked, meet

        def test_others_may_run_at_once():
            meet("the other", "one")

        @pytest.mark.parametrize("number", range(100))
        def test_other(number):
            with marked("other"):
                pass
        """,
    )
    suite.runpytest_subprocess(*SEVERAL, "test_alone.py", "test_others.py", timeout=200).assert_outcomes(passed=107)
    lines = record.read_text().splitlines()
    begun = [number for number, line in enumerate(lines) if line == "begin alone"]
    assert [lines[number + 1] for number in begun] == ["end alone"] * 5
