"""Rules about rooms, games and players: what fits, when they end, how many there may be."""

from __future__ import annotations

import threading

import pytest

from otel_setup.diagnosis.rules import MAX_RULES, MAX_SECONDS, DebugRules, Subject


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rules(clock: Clock) -> DebugRules:
    rooms = {"game1": "room1", "game2": "room2"}
    return DebugRules(rooms.get, lambda name: name if name.startswith("p_") else f"p_{name}", clock)


def test_without_a_rule_nobody_looks(rules: DebugRules) -> None:
    assert not rules.active
    assert not rules.wants("room1", "game1", "ada")


@pytest.mark.parametrize(
    ("subject", "asked", "fits"),
    [
        (Subject(room_id="room1"), ("room1", None, None), True),
        (Subject(room_id="room1"), (None, "game1", None), True),  # by the room its game is played in
        (Subject(room_id="room1"), ("room2", "game1", None), False),  # what is told wins
        (Subject(room_id="room1"), (None, "game2", "ada"), False),
        (Subject(room_id="room1"), (None, None, None), False),
        (Subject(game_id="game1"), ("room9", "game1", None), True),
        (Subject(game_id="game1"), ("room1", None, None), False),
        (Subject(player_id="ada"), (None, "game9", "ada"), True),
        (Subject(player_id="p_ada"), (None, None, "ada"), True),  # as traces and logs show her
        (Subject(player_id="ada"), (None, None, "p_ada"), True),
        (Subject(player_id="ada"), (None, None, "bob"), False),
        (Subject(player_id="ada"), ("room1", "game1", None), False),
        (Subject("room1", None, "ada"), (None, "game1", "ada"), True),
        (Subject("room1", None, "ada"), (None, "game2", "ada"), False),
        (Subject("room1", "game1", "ada"), ("room1", "game1", "bob"), False),
        (Subject(room_id="room\x001"), ("room\N{REPLACEMENT CHARACTER}1", None, None), True),  # as events keep it
    ],
)
def test_whom_a_rule_fits(
    rules: DebugRules, subject: Subject, asked: tuple[str | None, str | None, str | None], fits: bool
) -> None:
    rules.add(subject, 60)
    assert rules.wants(*asked) is fits


def test_a_rule_ends_by_itself(rules: DebugRules, clock: Clock) -> None:
    rule = rules.add(Subject(room_id="room1"), 60)
    clock.now += 59
    assert rules.wants("room1")
    assert rules.expire() == []
    clock.now += 1
    assert not rules.wants("room1"), "though nobody has taken it out yet"
    assert rules.listed() == []
    assert rules.expire() == [rule]
    assert not rules.active


def test_the_same_subject_again_prolongs_and_never_shortens(rules: DebugRules, clock: Clock) -> None:
    first = rules.add(Subject(room_id="room1"), 600)
    assert rules.add(Subject(room_id="room1"), 60).number == first.number
    assert [seconds for _, seconds in rules.listed()] == [600]
    clock.now += 300
    rules.add(Subject(room_id="room1"), 900)
    assert [seconds for _, seconds in rules.listed()] == [900]


@pytest.mark.parametrize("seconds", [0, -1, MAX_SECONDS + 1, float("nan"), float("inf")])
def test_times_that_are_refused(rules: DebugRules, seconds: float) -> None:
    with pytest.raises(ValueError, match="at most"):
        rules.add(Subject(room_id="room1"), seconds)
    assert not rules.active


@pytest.mark.parametrize("subject", [(), ("", "", ""), (None, "", None)])
def test_a_rule_about_nobody_is_refused(subject: tuple[str | None, ...]) -> None:
    with pytest.raises(ValueError, match="needs a room"):
        Subject(*subject)


def test_rules_are_bounded_and_those_that_ended_do_not_count(rules: DebugRules, clock: Clock) -> None:
    for number in range(MAX_RULES):
        rules.add(Subject(room_id=f"room{number}"), 60)
    with pytest.raises(ValueError, match="already"):
        rules.add(Subject(room_id="one-more"), 60)
    clock.now += 60
    rules.add(Subject(room_id="one-more"), 60)
    assert [rule.subject.room_id for rule, _ in rules.listed()] == ["one-more"]


def test_one_rule_or_all_are_stopped(rules: DebugRules) -> None:
    first, second, third = (rules.add(Subject(room_id=f"room{number}"), 60) for number in range(3))
    assert rules.stop(second.number) == [second]
    assert rules.stop(second.number) == []
    assert rules.stop() == [first, third]
    assert not rules.active


def test_rules_change_while_others_ask() -> None:
    rules = DebugRules()
    wrong: list[str] = []
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            if not rules.wants("always"):
                wrong.append("the rule that stays was missed")

    rules.add(Subject(room_id="always"), 60)
    askers = [threading.Thread(target=ask) for _ in range(3)]
    for asker in askers:
        asker.start()
    for _ in range(300):
        rules.stop(rules.add(Subject(room_id="now and then"), 60).number)
    ended.set()
    for asker in askers:
        asker.join()
    assert wrong == []
