"""One player, one pseudonym: keyed, stable, bounded; never a name left, and nothing else touched."""

from __future__ import annotations

import re
import threading
import uuid
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_setup.catalogue import attributes as a
from otel_setup.catalogue import build
from otel_setup.catalogue.build import values_of
from otel_setup.privacy import PERSONAL, Pseudonyms, vocabulary
from otel_setup.privacy.names import MAX_LEADS, MAX_SYMBOL_NAMES
from tests.otel_setup.privacy.helpers import KEY, NAMES

SHAPE = re.compile(r"p_[0-9a-f]{16}")


@pytest.fixture
def names() -> Pseudonyms:
    return Pseudonyms(KEY)


def test_one_name_has_one_pseudonym_for_a_key_and_another_for_another_key(names: Pseudonyms) -> None:
    mine, same, other = names.of("player1"), Pseudonyms(KEY).of("player1"), Pseudonyms(KEY + b"!").of("player1")
    assert SHAPE.fullmatch(mine)
    assert mine == same
    assert mine != other
    assert mine != names.of("player2")


def test_the_pseudonym_never_changes_from_one_release_to_the_next() -> None:
    """Computed by the rule in the module's text, with ``hmac`` and ``hashlib`` alone: who noted one relies on it."""
    assert Pseudonyms(b"0123456789abcdef").of("player1") == "p_f2ed7b8c9320c212"


def test_raw_and_kept_form_of_a_name_are_one_player(names: Pseudonyms) -> None:
    assert names.of("player\x001") == names.of("player\N{REPLACEMENT CHARACTER}1")
    assert names.of(17) == names.of("17")


def test_a_pseudonym_stays_and_one_that_a_player_made_up_does_not(names: Pseudonyms) -> None:
    pseudonym = names.of("player1")
    fresh = Pseudonyms(KEY)  # has never seen the name
    assert fresh.of(pseudonym) == pseudonym
    assert fresh.of("p_0123456789abcdef") != "p_0123456789abcdef"
    assert Pseudonyms(KEY + b"!").of(pseudonym) != pseudonym


def test_no_name_gives_no_pseudonym(names: Pseudonyms) -> None:
    assert names.of("") == names.of(None) == ""
    assert names.of_value(None) is None


def test_what_is_remembered_is_bounded_and_what_was_forgotten_counts() -> None:
    names = Pseudonyms(KEY, max_cached=10)
    first = names.of("keeper")
    for n in range(100):
        names.of(f"visitor{n}")
        assert names.of("keeper") == first
        assert len(names) <= 10
    assert names.evictions == 91
    assert names.text("visitor1 left") == "visitor1 left"
    assert "visitor99" not in names.text("visitor99 left")
    assert "keeper" not in names.text("keeper left")
    assert names.of("visitor1") == Pseudonyms(KEY).of("visitor1")


def test_forgetting_everything_leaves_nothing_behind() -> None:
    names = Pseudonyms(KEY, max_cached=1)
    for name in (*NAMES, "!!!", "...bob", "bob"):
        names.of(name)
    names.of("last-one")
    index = names._names
    assert list(index._whole) == ["last-one"]
    assert list(index._cores) == ["last-one"]
    assert list(index._lengths) == list(index._counts) == ["last"]
    assert not index._symbols
    assert index._hidden == 0


def test_off_changes_nothing() -> None:
    names = Pseudonyms.off()
    attributes = {"player.id": "player1", "game.final_scores": {"player1": 3}, "note": "player1 won"}
    assert names.of("player1") == "player1"
    assert names.of_value({"player1": 3}) == {"player1": 3}
    assert names.pseudonymised(attributes) == attributes
    assert names.text("player1 won") == "player1 won"


def test_the_key_does_not_show() -> None:
    assert "key" not in repr(Pseudonyms(KEY))


def test_threads_agree_while_names_come_and_go() -> None:
    names = Pseudonyms(KEY, max_cached=20)
    expected = {f"player {n}": Pseudonyms(KEY).of(f"player {n}") for n in range(60)}
    wrong: list[object] = []

    def work(offset: int) -> None:
        try:
            for n in range(600):
                name = f"player {(n * 7 + offset) % 60}"
                made = names.pseudonymised({"player.id": name, "note": "a player 7 b"})
                if made["player.id"] != expected[name] or made["note"] not in (
                    "a player 7 b",
                    f"a {expected['player 7']} b",
                ):
                    wrong.append(made)
        except Exception as fault:
            wrong.append(fault)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(names) == 20


# --- data that is made of names --------------------------------------------------------------------------------------


def test_maps_keyed_by_players_become_lists(names: Pseudonyms) -> None:
    ada, bob = names.of("ada"), names.of("bob")
    assert names.of_value({"ada": 3, "bob": -1.5}) == [{"player": ada, "score": 3}, {"player": bob, "score": -1.5}]
    assert names.of_value(["ada", "bob"]) == [ada, bob]
    assert names.of_value("ada") == ada
    assert names.of_value([{"player": "ada", "is_bot": True}]) == [{"player": ada, "is_bot": True}]
    assert names.of_value({"ada": [10, 20]}) == [{"player": ada, "score": [10, 20]}]
    assert names.of_value([17, 18]) == [names.of("17"), names.of("18")]


def test_a_player_called_like_a_field_is_a_player(names: Pseudonyms) -> None:
    assert names.of_value({"player": 3, "is_bot": 4}) == [
        {"player": names.of("player"), "score": 3},
        {"player": names.of("is_bot"), "score": 4},
    ]


NESTED = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.binary(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9) | st.just("player"), inner, max_size=4)
    ),
    max_leaves=20,
)


def texts_in(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for key, item in value.items() for text in (*texts_in(key), *texts_in(item))]
    if isinstance(value, list | tuple):
        return [text for item in value for text in texts_in(item)]
    return [value] if isinstance(value, str) else []


@settings(max_examples=200, deadline=None)
@given(NESTED)
def test_in_data_made_of_names_no_other_text_is_left(value: Any) -> None:
    names = Pseudonyms(KEY, reserved=())
    made = names.of_value(value)
    fields = {"player", "score", "is_bot", ""}
    assert all(text in fields or names.is_pseudonym(text) for text in texts_in(made))
    assert names.of_value(made) == made


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(PERSONAL | {"note", "error.message", "game.id", "players"})), NESTED))
def test_any_attributes_once_or_twice_are_the_same(attributes: dict[str, Any]) -> None:
    names = Pseudonyms(KEY)
    names.pseudonymised(attributes)
    once = names.pseudonymised(attributes)
    assert names.pseudonymised(once) == once


def test_data_without_end_is_cut_and_counted(names: Pseudonyms) -> None:
    deep: Any = "ada"
    for _ in range(2000):
        deep = [{"player": deep}]
    made = names.of_value(deep)
    assert "ada" not in texts_in(made)
    assert names.cut == 1
    assert names.of_value(made) == made
    assert len(names.of_value([f"p{n}" for n in range(5000)])) == 1024
    assert names.cut == 2
    names.of("ada")
    for _ in range(2000):
        deep = {"x": deep}
    assert "ada" not in texts_in(names.free_form(deep))
    assert names.cut == 3


# --- attributes ------------------------------------------------------------------------------------------------------


def test_every_attribute_that_the_catalogue_calls_personal_is(names: Pseudonyms) -> None:
    declared = {attribute.name for attribute in build().attributes() if attribute.personal}
    assert declared == PERSONAL
    made = names.pseudonymised(dict.fromkeys(declared - {a.EXTRA.name}, "ada"))
    assert set(made.values()) == {names.of("ada")}


def test_short_names_are_replaced_where_they_stand_alone(names: Pseudonyms) -> None:
    bo = names.of("Bo")
    assert names.pseudonymised({"event.data": {"next": "Bo", "Bo": 3, "text": "Bo went"}})["event.data"] == {
        "next": bo,
        bo: 3,
        "text": "Bo went",
    }


def test_unknown_names_are_found_by_the_key_they_stand_under(names: Pseudonyms) -> None:
    made = names.pseudonymised({"player_id": "carol", "event.data": {"players": ["dave"], "final_scores": {"eve": 1}}})
    assert made["player_id"] == names.of("carol")
    assert made["event.data"]["players"] == [names.of("dave")]
    assert made["event.data"]["final_scores"] == [{"player": names.of("eve"), "score": 1}]
    assert names.pseudonymised({"players": 4}) == {"players": 4}


def test_two_keys_that_become_one_lose_nothing(names: Pseudonyms) -> None:
    ada = names.of("ada")
    assert names.free_form({"ada": 1, ada: 2}) == {ada: 1, f"{ada} 2": 2}
    assert names.pseudonymised({"x.ada": 1, f"x.{ada}": 2}) == {f"x.{ada}": 1, f"x.{ada} 2": 2}


def test_a_user_may_call_further_attributes_personal(names: Pseudonyms) -> None:
    assert names.pseudonymised({"enduser.id": "zoe"}, PERSONAL | {"enduser.id"}) == {"enduser.id": names.of("zoe")}


def test_ids_and_closed_sets_cannot_be_changed_by_a_players_name(names: Pseudonyms) -> None:
    catalogue = build()
    for text in ("game123", "room456", "turn", "accepted", "GET", "production", "/rooms/{room}", "ValueError"):
        names.of(text)
    attributes = {
        "game.id": "game123",
        "room.id": "room456",
        "state.from": "turn",
        "action.outcome": "accepted",
        "http.request.method": "GET",
        "http.route": "/rooms/{room}",
        "error.type": "ValueError",
        "deployment.environment.name": "production",
    }
    assert names.pseudonymised(attributes) == attributes
    words = {word for attribute in catalogue.attributes() for word in values_of(attribute, catalogue.model) or ()}
    assert words <= vocabulary(catalogue)
    for phase in catalogue.model.phases:
        names.of(f"state_transition.turn_to_{phase}")
        assert names.text(f"state_transition.turn_to_{phase}") == f"state_transition.turn_to_{phase}"
    names.of("!turn")
    assert names.text("!turn is over") == "!turn is over"
    assert names.pseudonymised({"player.id": "turn"})["player.id"] != "turn"


# --- text ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("alice", "alice's turn, said alice.", "{}'s turn, said {}."),
        ("alice", "malice alice2 alice_b Alice", None),
        ("Max Müller", "Max Müllers; Max Müller; Max", "Max Müllers; {}; Max"),
        ("小明", "玩家小明离开了", "玩家{}离开了"),
        ("철수", "철수가 나갔다", "{}가 나갔다"),
        ("-=bob=-", "x -=bob=- y bob", "x {} y bob"),
        ("!!!", "wow !!! you", "wow {} you"),
        ("🎮🎮", "<🎮🎮>", "<{}>"),
        ("a\nb", "KeyError: 'a\\nb' and a\nb", "KeyError: '{}' and {}"),
        ("Zoë", '{"name": "Zo\\u00eb"}', '{{"name": "{}"}}'),
        ("two words", "/p?name=two+words", "/p?name={}"),
        ("two words", "/p/two%20words", "/p/{}"),
        ("two words", "C:\\new 100% a+b", None),
        ("Al", "Al and Al", None),
        ("80", "port 80", None),
        ("1234567", "id 1234567", "id {}"),
    ],
)
def test_names_are_found_in_text_as_whole_words(name: str, text: str, expected: str | None) -> None:
    names = Pseudonyms(KEY)
    pseudonym = names.of(name)
    assert names.text(text) == (text if expected is None else expected.format(pseudonym, pseudonym))


def test_of_two_names_the_longer_one_is_meant(names: Pseudonyms) -> None:
    short, long, dotted = names.of("Anna"), names.of("Anna Maria"), names.of("..Anna")
    assert names.text("Anna Maria and Anna and ..Anna") == f"{long} and {short} and {dotted}"


def test_names_that_cannot_all_be_looked_for_are_counted() -> None:
    names = Pseudonyms(KEY)
    for n in range(MAX_SYMBOL_NAMES + 5):
        names.of("!?" * (n % 60 + 2) + "." * (n // 60))
    assert names.unsearched == 5
    for n in range(1, MAX_LEADS + 4):
        names.of("!" * n + "bob")
    assert names.unsearched == 8
    bob = names.of("bob")
    assert names.text("so bob left") == f"so {bob} left"


def test_a_text_without_end_is_cut_before_it_is_searched(names: Pseudonyms) -> None:
    names.of("alice")
    text = names.text("x " * 100_000 + "alice")
    assert len(text) == 65_536
    assert names.cut == 1


def test_versions_ids_and_numbers_are_left_alone(names: Pseudonyms) -> None:
    for name in ("1", "2", "1.2", "2.3", "123", "abc", "e29b", "550e8400", "446655440000", "deadbeef"):
        names.of(name)
    texts = [
        "1.2.3",
        "550e8400-e29b-41d4-a716-446655440000",
        str(uuid.UUID(int=0xABC)),
        "0af7651916cd43dd8448eb211c80319c",
        "0xdeadbeef1",
        "recipient_count",
    ]
    assert [names.text(text) for text in texts] == texts


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(min_size=3, max_size=12), min_size=1, max_size=6), st.data())
def test_text_is_the_same_once_or_twice_and_rest_stays(people: list[str], data: st.DataObject) -> None:
    names = Pseudonyms(KEY, reserved=())
    for name in people:
        names.of(name)
    pieces = data.draw(st.lists(st.sampled_from(people) | st.sampled_from(["won", "(", ") ", "x"]), max_size=8))
    text = " | ".join(pieces)
    once = names.text(text)
    assert names.text(once) == once
