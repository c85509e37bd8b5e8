"""The plugin in a game's own test-suite: found, isolated, at work with asyncio and in several processes."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

PLUGIN = "otel_setup.testing"
INI = "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    """An empty suite that loads the plugin by its conftest.py."""
    pytester.makeini(INI)
    pytester.makeconftest(f"pytest_plugins = [{PLUGIN!r}]\n")
    return pytester


def test_importing_the_product_imports_no_pytest() -> None:
    code = (
        "import sys, otel_setup, otel_setup.asgi; sys.exit('pytest' in sys.modules or 'unittest.mock' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_pytest_finds_it_by_itself(pytester: pytest.Pytester) -> None:
    found = [point for point in entry_points(group="pytest11") if point.value == PLUGIN]
    if not found:
        pytest.skip("this checkout was installed before it had an entry point; make setup")
    assert found[0].name == PLUGIN, "or pytest_plugins would load it a second time"
    pytester.makepyfile("def test_it(telemetry): assert telemetry.story() == 'nothing happened'")
    pytester.runpytest_subprocess(timeout=60).assert_outcomes(passed=1)


def test_naming_it_after_it_was_imported_warns_of_nothing(suite: pytest.Pytester) -> None:
    suite.makeconftest(f"from otel_setup.testing import Recording\npytest_plugins = [{PLUGIN!r}]\n")
    suite.makepyfile("def test_it(telemetry): pass")
    suite.runpytest_subprocess("-W", "error::pytest.PytestAssertRewriteWarning", timeout=60).assert_outcomes(passed=1)


def test_no_test_sees_another_one(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        """
        import asyncio, threading
        import pytest
        from opentelemetry import baggage, context, metrics, trace
        from otel_setup import get_correlation_id, get_enterprise_monitor, set_correlation_id

        tracer = trace.get_tracer("game")
        matches = metrics.get_meter("game").create_counter("matches")
        left = []

        def leave_everything_behind():
            set_correlation_id("corr_left")
            context.attach(baggage.set_baggage("table", "7"))
            context.attach(trace.set_span_in_context(tracer.start_span("open")))
            matches.add(1)
            left.append(tracer.start_span("late"))
            thread = threading.Thread(target=tracer.start_span("in a thread").end)
            thread.start()
            thread.join()

        def see_nothing(telemetry):
            for span in left:
                span.end()
            assert get_correlation_id() is None
            assert baggage.get_all() == {}
            assert not trace.get_current_span().get_span_context().is_valid
            assert telemetry.story() == "nothing happened"
            assert telemetry.logs() == [] and telemetry.points("matches") == []
            telemetry.assert_metric("games_started_total", 0)

        async def tell(telemetry):
            see_nothing(telemetry)
            telemetry.clock.advance(60)
            await get_enterprise_monitor().record_game_start("g1", "r1", player_count=2, bot_count=0)
            telemetry.assert_metric("games_started_total", 1)
            leave_everything_behind()

        @pytest.mark.parametrize("time", range(2))
        def test_plain(telemetry, time):
            asyncio.run(tell(telemetry))
            leave_everything_behind()

        @pytest.mark.parametrize("time", range(2))
        async def test_async(telemetry, time):
            await tell(telemetry)

        @pytest.mark.parametrize("time", range(2))
        @pytest.mark.asyncio(loop_scope="module")
        async def test_async_on_one_loop(telemetry, time):
            await tell(telemetry)

        def test_plain_again(telemetry):
            see_nothing(telemetry)
        """
    )
    suite.runpytest_inprocess().assert_outcomes(passed=7)


def test_async_fixtures_record_into_the_same_test(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        """
        import pytest

        @pytest.fixture
        async def game(telemetry):
            await telemetry.monitor.record_game_start("g1", "r1", player_count=2, bot_count=0)
            yield "g1"
            telemetry.clock.advance(3)
            await telemetry.monitor.record_game_end("g1", winner_id="Ann")
            assert telemetry.assert_event("game.ended").data["game_seconds"] == 3.0

        async def test_it(game, telemetry):
            telemetry.assert_event("game.started", game_id=game)
        """
    )
    suite.runpytest_inprocess().assert_outcomes(passed=1)


def test_the_options_of_the_suite_are_obeyed(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        """
        import pytest

        @pytest.fixture(scope="session")
        def telemetry_options():
            return {"prefix": "chess", "service": "chess-server"}

        async def test_it(telemetry):
            await telemetry.monitor.record_game_start("g1", "r1", player_count=2, bot_count=0)
            assert telemetry.monitor.service_name == "chess-server"
            telemetry.assert_metric("chess_games_started_total", 1)
        """
    )
    suite.runpytest_inprocess().assert_outcomes(passed=1)


def test_wrong_options_end_in_an_error_that_names_them(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        """
        import pytest

        @pytest.fixture(scope="session")
        def telemetry_options():
            return {"prefix": "Not A Prefix"}

        def test_it(telemetry): pass
        """
    )
    result = suite.runpytest_inprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*Not A Prefix*"])


def test_the_story_stands_under_a_failed_test_and_under_no_other(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        """
        import pytest

        async def act(telemetry, player, times):
            for _ in range(times):
                async with telemetry.monitor.monitor_action_processing("g1", "declare", player):
                    pass

        async def test_passes(telemetry):
            await act(telemetry, "Ann", 1)

        async def test_fails(telemetry):
            await act(telemetry, "Ben", 30)
            assert False

        def test_fails_without():
            assert False

        @pytest.fixture
        async def lobby(telemetry):
            await act(telemetry, "Cid", 1)
            assert False

        def test_cannot_begin(lobby):
            pass
        """
    )
    result = suite.runpytest_inprocess("-rP")
    result.assert_outcomes(passed=1, failed=2, errors=1)
    told = result.stdout.str()
    assert told.count("what the monitoring saw") == 2
    assert told.count("▸ action.declare game_id='g1' player_id='Cid'") == 1
    assert "(60 lines before these)" in told  # of 30 spans with 3 events each
    assert told.count("▸ action.declare game_id='g1' player_id='Ben'") == 15
    assert "'Ann'" not in told.partition("what the monitoring saw")[2]


def test_it_works_in_several_processes(suite: pytest.Pytester) -> None:
    pytest.importorskip("xdist")
    suite.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("number", range(8))
        async def test_it(telemetry, number):
            await telemetry.monitor.record_game_start("g1", "r1", player_count=2, bot_count=0)
            assert telemetry.events()[0].event_id.startswith("test-")
            telemetry.assert_metric("games_started_total", 1)
        """
    )
    suite.runpytest_subprocess("-n", "2", timeout=120).assert_outcomes(passed=8)
