"""The rules of Liap Tui, against what the game's description says."""

from __future__ import annotations

from itertools import product

import pytest

from examples.common.chance import seeded
from examples.liap_tui import rules, strategy
from examples.liap_tui.round import Outcome, Round
from examples.liap_tui.rules import Phase

LEGAL = {
    ("waiting", "preparation"),
    ("preparation", "round_start"),
    ("round_start", "declaration"),
    ("declaration", "turn"),
    ("turn", "turn_results"),
    ("turn_results", "turn"),
    ("turn_results", "scoring"),
    ("scoring", "preparation"),
    ("scoring", "game_over"),
}
PLAYERS = ["North", "East", "South", "West"]


def test_exactly_the_described_transitions_are_legal() -> None:
    allowed = {(a.lower(), b.lower()) for a, b in product(Phase, Phase) if b in rules.NEXT[a]}
    assert allowed == LEGAL


def test_there_are_32_pieces_and_each_hand_gets_eight() -> None:
    hands = rules.deal(seeded("deal"))
    assert [len(hand) for hand in hands] == [8, 8, 8, 8]
    dealt = sorted(piece for hand in hands for piece in hand)
    assert len(dealt) == 32
    assert dealt == sorted(rules.ALL_PIECES)
    assert dealt.count("soldier_red") == 5
    assert dealt.count("general_black") == 1
    assert dealt.count("horse_red") == 2


@pytest.mark.parametrize(
    ("declared", "captured", "multiplier", "score", "outcome"),
    [
        (3, 3, 1, 8, "hit"),
        (1, 1, 1, 6, "hit"),
        (8, 8, 2, 26, "hit"),
        (0, 0, 1, 3, "zero_kept"),
        (0, 0, 3, 9, "zero_kept"),
        (0, 2, 1, -2, "missed"),
        (5, 1, 2, -8, "missed"),
        (1, 4, 1, -3, "missed"),
    ],
)
def test_score_of_a_round(declared: int, captured: int, multiplier: int, score: int, outcome: str) -> None:
    assert rules.score(declared, captured, multiplier) == score
    assert rules.declaration_outcome(declared, captured) == outcome


def test_nobody_wins_below_fifty_and_ties_have_several_winners() -> None:
    assert rules.winners({"North": 49, "East": 12, "South": -3, "West": 0}) == []
    assert rules.winners({"North": 50, "East": 12, "South": -3, "West": 0}) == ["North"]
    assert rules.winners({"North": 50, "East": 57, "South": 51, "West": 0}) == ["East"]
    assert rules.winners({"North": 52, "East": 12, "South": 52, "West": 50}) == ["North", "South"]


@pytest.mark.parametrize(
    ("pieces", "kind"),
    [
        (["horse_red"], "single"),
        (["horse_red", "horse_red"], "pair"),
        (["horse_red", "horse_black"], None),
        (["soldier_red"] * 3, "3_soldiers"),
        (["soldier_black"] * 5, "5_soldiers"),
        (["general_red", "advisor_red", "elephant_red"], "straight"),
        (["chariot_black", "horse_black", "cannon_black"], "straight"),
        (["chariot_black", "horse_black", "cannon_red"], None),
        (["advisor_red", "elephant_red", "chariot_red"], None),
        (["chariot_red", "horse_red", "cannon_red"] * 2, "double_straight"),
        ([], None),
    ],
)
def test_kinds_of_play(pieces: list[str], kind: str | None) -> None:
    assert rules.play_type(pieces) == kind


def test_a_turn_is_won_by_the_same_kind_worth_more() -> None:
    pair, better = ["cannon_red"] * 2, ["chariot_black"] * 2
    mixed = ["general_red", "advisor_black"]  # worth most, but no pair
    assert rules.turn_winner([("North", pair), ("East", mixed), ("South", better), ("West", mixed)]) == "South"
    equal = [("North", ["horse_red"]), ("East", ["horse_red"])]
    assert rules.turn_winner(equal) == "North"


def test_a_hand_is_weak_up_to_nine_points() -> None:
    assert rules.is_weak(["elephant_black", "soldier_red"])
    assert not rules.is_weak(["elephant_red", "soldier_red"])


def _declared_round() -> Round:
    table = Round(1, PLAYERS, starter="North")
    table.deal(seeded("round"))
    table.undecided.clear()
    table.begin_declarations()
    return table


def test_declarations_go_in_order_from_the_starter() -> None:
    table = _declared_round()
    assert table.declare("East", 2) is Outcome.REJECTED
    for wrong in (9, -1, 1.0, True, "2", None):
        assert table.declare("North", wrong) is Outcome.INVALID
    for player in PLAYERS:
        assert table.current == player
        assert table.declare(player, 0) is Outcome.ACCEPTED
    assert table.current is None
    assert table.declare("North", 0) is Outcome.REJECTED


def test_plays_need_the_starters_number_and_pieces_of_ones_own() -> None:
    table = _declared_round()
    for player in PLAYERS:
        table.declare(player, 0)
    table.begin_turn()
    weakest = {player: hand[-1] for player, hand in table.hands.items()}
    assert table.play("East", [weakest["East"]]) is Outcome.REJECTED
    absent = next(piece for piece in rules.POINTS if piece not in table.hands["North"])
    for wrong in ([], [absent], [weakest["North"]] * 7, "horse_red", [3], None, table.hands["North"][:6]):
        assert table.play("North", wrong) is Outcome.INVALID
    assert table.play("North", [weakest["North"]]) is Outcome.ACCEPTED
    assert table.play("East", table.hands["East"][:2]) is Outcome.INVALID
    assert table.play("East", [weakest["East"]]) is Outcome.ACCEPTED


def test_a_redeal_raises_the_multiplier_and_its_taker_starts() -> None:
    table = Round(2, PLAYERS, starter="North")
    table.deal(seeded("round"))
    table.undecided[:] = ["South", "West"]
    assert table.answer_redeal("East", accept=True) is Outcome.REJECTED
    assert table.answer_redeal("South", accept=True) is Outcome.ACCEPTED
    assert table.answer_redeal("South", accept=False) is Outcome.REJECTED
    assert table.answer_redeal("West", accept=False) is Outcome.ACCEPTED
    assert table.redeal_wanted
    table.deal(seeded("again"))
    assert (table.multiplier, table.starter) == (2, "South")
    table.undecided.clear()
    assert not table.redeal_wanted


def test_a_round_played_out_gives_away_eight_piles() -> None:
    """The strategy only makes plays that the table accepts, and every round ends."""
    for seed in range(25):
        table = Round(1, PLAYERS, starter=None)
        table.deal(seeded("whole", seed))
        assert "general_red" in table.hands[table.starter]
        table.begin_declarations()
        while player := table.current:
            table.declare(player, strategy.declaration(table.hands[player], starts=player == table.starter))
        turns = 0
        while not table.all_played:
            table.begin_turn()
            while player := table.current:
                wanted = table.declared[player] - table.captured[player]
                pieces = strategy.choose_play(table.hands[player], table.required, table.to_beat, wanted)
                assert table.play(player, pieces) is Outcome.ACCEPTED
            table.end_turn()
            turns += 1
        assert sum(table.captured.values()) == 8
        assert turns <= 8
