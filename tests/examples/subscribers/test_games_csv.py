"""The table of finished games: what it holds, whatever players are called, and whatever ends the program."""

from __future__ import annotations

import asyncio
import csv
import json
from pathlib import Path

import pytest

from examples.subscribers.games_csv import COLUMNS, WANTED, GamesFile, cell, collect, main
from otel_setup import SystemEvent
from otel_setup.testing import EventStreamTester


@pytest.fixture
def tester() -> EventStreamTester:
    return EventStreamTester()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "games.csv"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


class Run:
    """One life of the program."""

    def __init__(self, tester: EventStreamTester, path: Path) -> None:
        self.tester, self.path = tester, path

    async def __aenter__(self) -> Run:
        self.games = GamesFile(self.path)
        since = self.games.cursor or "oldest"
        self.subscriber = await self.tester.stream.subscribe("games", WANTED, since=since)
        self.task = asyncio.create_task(collect(self.subscriber, self.games))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        self.subscriber.close()
        self.games.close()


def end(tester: EventStreamTester, game: str, **data: object) -> SystemEvent:
    told = {"winner_id": "Ada", "final_scores": {"Ada": 50}, "abandoned": False, "game_seconds": 61.5, **data}
    return tester.publish("game.ended", game=game, room=f"room of {game}", **told)


async def test_each_game_is_a_row(tester: EventStreamTester, path: Path) -> None:
    async with Run(tester, path):
        tester.publish("game.started", game="g1")
        end(tester, "g1")
        end(tester, "g2", winner_id=["Ada", "Ben"], final_scores={"Ada": 51, "Ben": 51})
        end(tester, "g3", winner_id=None, final_scores={}, abandoned=True)
        await tester.settle()
    first, second, third = rows(path)
    assert tuple(first) == COLUMNS
    assert first == {
        "ended": "2030-01-01T12:00:00+00:00",
        "game": "g1",
        "room": "room of g1",
        "outcome": "completed",
        "winners": '["Ada"]',
        "scores": '{"Ada": 50}',
        "seconds": "61.5",
        "missing": "",
        "cursor": "test-2",
    }
    assert (json.loads(second["winners"]), json.loads(second["scores"])) == (["Ada", "Ben"], {"Ada": 51, "Ben": 51})
    assert (third["outcome"], third["winners"]) == ("abandoned", "[]")


async def test_started_again_it_goes_on_without_a_repeat_and_without_a_hole(
    tester: EventStreamTester, path: Path
) -> None:
    played = 0
    for _ in range(5):
        async with Run(tester, path):
            for _ in range(3):
                end(tester, f"g{played}")
                tester.publish("game.started")
                played += 1
            await tester.settle()
        end(tester, f"g{played}")  # while it does not run
        played += 1
    async with Run(tester, path):
        await tester.settle()
    assert [row["game"] for row in rows(path)] == [f"g{number}" for number in range(played)]
    tester.assert_nothing_missed()


@pytest.mark.parametrize("cut", range(1, 60, 7))
async def test_a_row_that_was_torn_by_a_kill_is_written_again(tester: EventStreamTester, path: Path, cut: int) -> None:
    async with Run(tester, path):
        for number in range(3):
            end(tester, f"g{number}")
        await tester.settle()
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    async with Run(tester, path):
        await tester.settle()
    assert path.read_bytes() == whole


async def test_where_the_stream_has_a_hole_a_row_says_so_once(tester: EventStreamTester, path: Path) -> None:
    async with Run(tester, path):
        end(tester, "g1")
        tester.gap(4)
        end(tester, "g2")
        await tester.settle()
    async with Run(tester, path):
        await tester.settle()
    assert [(row["game"], row["outcome"], row["missing"]) for row in rows(path)] == [
        ("g1", "completed", ""),
        ("", "missing", "4"),
        ("g2", "completed", ""),
    ]


async def test_what_was_overwritten_while_it_did_not_run_is_said(path: Path) -> None:
    tester = EventStreamTester(history_size=10, queue_size=10)
    async with Run(tester, path):
        end(tester, "g0")
        await tester.settle()
    for number in range(1, 31):
        end(tester, f"g{number}")
    async with Run(tester, path):
        await tester.settle()
    told = rows(path)
    assert [(row["outcome"], row["missing"]) for row in told[:2]] == [("completed", ""), ("missing", "20")]
    assert [row["game"] for row in told[2:]] == [f"g{number}" for number in range(21, 31)]


async def test_after_a_restart_of_the_stream_the_hole_has_no_known_size(tester: EventStreamTester, path: Path) -> None:
    async with Run(tester, path):
        end(tester, "g1")
        await tester.settle()
    tester.restart()
    end(tester, "g2")
    for _ in range(2):
        async with Run(tester, path):
            await tester.settle()
    assert [(row["game"], row["missing"]) for row in rows(path)] == [("g1", ""), ("", "unknown"), ("g2", "")]


FORMULAS = ["=1+2", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "'=1", '"=1', "＝1", "=cmd|' /C calc'!A0"]


@pytest.mark.parametrize("hostile", FORMULAS)
async def test_no_cell_is_a_formula(tester: EventStreamTester, path: Path, hostile: str) -> None:
    async with Run(tester, path):
        end(tester, hostile, winner_id=hostile, final_scores={hostile: hostile}, game_seconds=hostile)
        await tester.settle()
    assert path.read_text().count("\n") == 2
    with path.open(newline="", encoding="utf-8") as file:
        _, row = csv.reader(file)
    for text in row:
        assert text.strip(" \t\r\n'\"")[:1] not in tuple("=+-@＝＋－＠") or text.startswith("'"), text
        assert text.isprintable()


def test_ordinary_text_stays_as_it_is() -> None:
    for text in ("Ada", "rené-7", "2030-01-01T12:00:00+00:00", '["Ada"]', "61.5", "李雷", ""):
        assert cell(text) == text


async def test_a_name_of_ten_kilobytes_fits_into_a_spreadsheet(tester: EventStreamTester, path: Path) -> None:
    async with Run(tester, path):
        end(tester, "g1", final_scores={f"{number}" + "x" * 1000: 1 for number in range(100)})
        end(tester, "g2")
        await tester.settle()
    assert max(len(text) for row in rows(path) for text in row.values()) < 32_767
    with GamesFile(path) as games:
        assert games.cursor is not None


async def test_two_do_not_write_into_one_table(path: Path) -> None:
    with GamesFile(path), pytest.raises(BlockingIOError):
        GamesFile(path)


def test_another_file_is_left_alone(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path.write_text("my diary\nsecond line\n")
    assert main(["--file", str(path), "--hub", "http://127.0.0.1:1"]) == 1
    assert "is there and no table of games" in capsys.readouterr().err
    assert path.read_text() == "my diary\nsecond line\n"


def test_a_row_without_a_cursor_is_not_guessed_at(path: Path) -> None:
    GamesFile(path).close()
    with path.open("a") as file:
        file.write("added,by,hand,,,,,,\n")
    with pytest.raises(ValueError, match="its last row has no cursor"):
        GamesFile(path)
