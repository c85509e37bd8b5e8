"""EventLogger: which events its calls publish. Names and fields are those of the API that it continues."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from otel_setup.catalogue import Severity
from otel_setup.correlation import clear_correlation, correlated
from otel_setup.events.filter import EventFilter
from otel_setup.events.logger import EventLogger
from otel_setup.events.record import SystemEvent
from otel_setup.events.stream import EventStream

from .helpers import run_without_waiting

CURRENT = "corr_00000000000000aa"


@pytest.fixture(autouse=True)
def _no_correlation() -> Iterator[None]:
    clear_correlation()
    yield
    clear_correlation()


@pytest.fixture
def stream() -> EventStream:
    return EventStream()


@pytest.fixture
def logger(stream: EventStream) -> EventLogger:
    return EventLogger(stream)


def only(stream: EventStream) -> SystemEvent:
    (event,) = stream.get_history()
    return event


def test_a_transition_that_succeeded(stream: EventStream, logger: EventLogger) -> None:
    run_without_waiting(logger.log_state_transition("game123", "PREPARATION", "DECLARATION"))
    logged = only(stream)
    assert (logged.event_type, logged.game_id, logged.severity) == (
        "state.transition.complete",
        "game123",
        Severity.INFO,
    )
    assert logged.data == {"from_state": "PREPARATION", "to_state": "DECLARATION", "success": True}


def test_a_transition_that_failed(stream: EventStream, logger: EventLogger) -> None:
    run_without_waiting(logger.log_state_transition("game123", "TURN", "SCORING", success=False, error="no piles"))
    logged = only(stream)
    assert (logged.event_type, logged.severity) == ("state.transition.failed", Severity.ERROR)
    assert logged.data == {"from_state": "TURN", "to_state": "SCORING", "success": False, "error": "no piles"}


@pytest.mark.parametrize(
    ("status", "name", "severity"),
    [
        ("queued", "action.queued", Severity.DEBUG),
        ("processing", "action.processing", Severity.DEBUG),
        ("completed", "action.completed", Severity.INFO),
        ("failed", "action.failed", Severity.ERROR),
        ("FAILED", "action.failed", Severity.ERROR),
        ("On Hold!", "action.on_hold", Severity.INFO),
        ("\x1b[31m", "action.31m", Severity.INFO),
        ("", "action.other", Severity.INFO),
        ("等待", "action.other", Severity.INFO),
        (None, "action.other", Severity.INFO),
    ],
)
def test_an_action_is_named_by_its_status(
    stream: EventStream, logger: EventLogger, status: Any, name: str, severity: Severity
) -> None:
    run_without_waiting(logger.log_action("game123", "play_piece", "player1", status))
    logged = only(stream)
    assert (logged.event_type, logged.severity) == (name, severity)
    assert logged.data == {"action_type": "play_piece", "status": name.removeprefix("action.")}
    assert (logged.game_id, logged.player_id) == ("game123", "player1")


def test_an_actions_data_is_added_and_replaces_nothing(stream: EventStream, logger: EventLogger) -> None:
    data = {"duration_ms": 2.5, "status": "mine", "pieces": [1, 2]}
    run_without_waiting(logger.log_action("g", "declare", "p", "completed", data=data))
    assert only(stream).data == {
        "action_type": "declare",
        "status": "completed",
        "duration_ms": 2.5,
        "pieces": [1, 2],
    }
    data["pieces"].append(3)  # type: ignore[attr-defined]
    assert only(stream).data["pieces"] == [1, 2]


class BrokenMapping(Mapping[str, int]):
    def __getitem__(self, key: str) -> int:
        raise RuntimeError("broken")

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("broken")

    def __len__(self) -> int:
        return 1


class BrokenText:
    def __str__(self) -> str:
        raise RuntimeError("broken")


@pytest.mark.parametrize("data", [[1, 2], "text", 5, BrokenMapping(), {"x": BrokenText()}, {BrokenText(): 1}])
def test_any_data_is_taken(stream: EventStream, logger: EventLogger, data: Any) -> None:
    run_without_waiting(logger.log_action("g", "declare", "p", "completed", data=data))
    assert only(stream).data["status"] == "completed"
    assert len(only(stream).data) == 3
    only(stream).to_json()


def test_an_error(stream: EventStream, logger: EventLogger) -> None:
    run_without_waiting(
        logger.log_error("ValueError", "no such piece", game_id="g", player_id="p", stack_trace="Traceback\n  line 1")
    )
    logged = only(stream)
    assert (logged.event_type, logged.severity) == ("error.occurred", Severity.ERROR)
    assert (logged.game_id, logged.player_id) == ("g", "p")
    assert logged.data == {
        "error_type": "ValueError",
        "error_message": "no such piece",
        "stack_trace": "Traceback\n  line 1",
    }


def test_an_error_of_no_game(stream: EventStream, logger: EventLogger) -> None:
    run_without_waiting(logger.log_error("HighMemoryUsage", "RSS is 1203 MB"))
    logged = only(stream)
    assert (logged.game_id, logged.player_id) == (None, None)
    assert logged.data == {"error_type": "HighMemoryUsage", "error_message": "RSS is 1203 MB"}


def test_of_a_long_stack_trace_the_end_is_kept(stream: EventStream, logger: EventLogger) -> None:
    trace = "\n".join(f"frame {number}" for number in range(5000)) + "\nValueError: here it is"
    run_without_waiting(logger.log_error("ValueError", "m", stack_trace=trace))
    kept = only(stream).data["stack_trace"]
    assert len(kept) == 2048
    assert kept.startswith("…")
    assert kept.endswith("frame 4999\nValueError: here it is")
    assert only(stream).to_dict()["data"]["stack_trace"] == kept


def test_hostile_text_is_cleaned_on_the_way_in(stream: EventStream, logger: EventLogger) -> None:
    name = "eve\x1b[2J\u202e" + "x" * 10_000
    run_without_waiting(logger.log_action(name, name, name, name, data={name: name}))
    run_without_waiting(logger.log_error(name, name, game_id=name, player_id=name, stack_trace=name))
    for logged in stream.get_history():
        held = repr(dict(logged.data)) + str(logged.game_id) + str(logged.player_id) + logged.event_type
        assert "\x1b" not in held
        assert "\u202e" not in held
        assert len(held) < 10_000


def calls(logger: EventLogger, correlation_id: Any) -> None:
    run_without_waiting(logger.log_state_transition("g", "a", "b", correlation_id=correlation_id))
    run_without_waiting(logger.log_action("g", "declare", "p", "queued", correlation_id=correlation_id))
    run_without_waiting(logger.log_error("E", "m", correlation_id=correlation_id))


@pytest.mark.parametrize(
    ("passed", "expected"), [(None, CURRENT), ("mine", "mine"), ("evil\nheader", CURRENT), (5, CURRENT)]
)
def test_the_correlation_is_the_one_passed_or_the_current_one(
    stream: EventStream, logger: EventLogger, passed: Any, expected: str
) -> None:
    with correlated(CURRENT):
        calls(logger, passed)
    assert [each.correlation_id for each in stream.get_history()] == [expected] * 3


def test_without_correlation_there_is_none(stream: EventStream, logger: EventLogger) -> None:
    calls(logger, None)
    assert [each.correlation_id for each in stream.get_history()] == [None] * 3


def test_default_metadata_is_on_every_event(stream: EventStream) -> None:
    metadata = {"server": "eu-1"}
    calls(EventLogger(stream, metadata), None)
    metadata["server"] = "changed"
    assert [dict(each.metadata) for each in stream.get_history()] == [{"server": "eu-1"}] * 3
    assert only_metadata(stream) == {"server": "eu-1"}


def only_metadata(stream: EventStream) -> Any:
    return stream.get_history()[0].to_dict()["metadata"]


def test_metadata_that_is_no_mapping_is_refused(stream: EventStream) -> None:
    with pytest.raises(TypeError, match="default_metadata is"):
        EventLogger(stream, "server")  # type: ignore[arg-type]


async def test_what_is_logged_reaches_subscribers_and_goes_through_the_publisher(stream: EventStream) -> None:
    reader = await stream.subscribe(event_filter=EventFilter(player_ids={"p"}))
    calls(EventLogger(stream), None)
    assert (await reader.get_event(timeout=0)).event_type == "action.queued"  # type: ignore[union-attr]
    published: list[SystemEvent] = []
    stream.publisher = published.append
    calls(EventLogger(stream), None)
    assert len(published) == 3
    assert stream.get_statistics()["total_events"] == 3


def test_a_failing_stream_is_not_the_games_business(stream: EventStream, logger: EventLogger) -> None:
    stream.publisher = lambda _: 1 / 0
    calls(logger, None)
    assert stream.faults == 3
