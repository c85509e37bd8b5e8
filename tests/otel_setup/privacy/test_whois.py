"""``whois``: the holder of the key finds each player, and nobody else does."""

from __future__ import annotations

from pathlib import Path

import pytest

from otel_setup.cli import whois
from otel_setup.privacy import KEY_FILE_VARIABLE, Pseudonyms
from otel_setup.text import clean_id
from tests.otel_setup.privacy.helpers import KEY, NAMES, logs_about


@pytest.fixture
def key_file(tmp_path: Path) -> str:
    file = tmp_path / "key"
    file.write_bytes(KEY + b"\n")
    return str(file)


def test_it_finds_each_player_of_exported_records(key_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    for name in NAMES:
        record = logs_about(name)[0].log_record
        exported = Pseudonyms(KEY).pseudonymised(record.attributes or {})
        assert whois.main(["--key-file", key_file, "--", name]) == 0
        assert capsys.readouterr().out == f"{exported['player.id']}\n"


def test_it_finds_whose_a_pseudonym_is(tmp_path: Path, key_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    one_line = [name for name in NAMES if "\n" not in name]
    names = tmp_path / "names"
    names.write_text("\n".join(one_line), encoding="utf-8", newline="")
    for name in one_line[:20]:
        reverse = ["--reverse", Pseudonyms(KEY).of(name), "--names", str(names), "--key-file", key_file]
        assert whois.main(reverse) == 0
        assert capsys.readouterr().out == f"{clean_id(name)}\n"
    nobody = Pseudonyms(KEY).of("nobody")
    assert whois.main(["--reverse", nobody, "--names", str(names), "--key-file", key_file]) == 1
    assert nobody in capsys.readouterr().err


def test_without_a_key_it_says_where_it_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(KEY_FILE_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert whois.main(["ada"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    for place in ("--key-file", KEY_FILE_VARIABLE, str(tmp_path / "otel-setup/pseudonym.key")):
        assert place in captured.err
    assert list(tmp_path.iterdir()) == []  # a key that was made now would answer wrongly


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["{pseudonym}"], "is a pseudonym already"),
        (["--reverse", "ada", "--names", "x"], "'ada' is no pseudonym"),
        (["--reverse", "p_0123456789abcdef", "--names", "x"], "another key"),
        (["--reverse", "{pseudonym}", "--names", "/nowhere"], "/nowhere"),
        ([""], "empty"),
    ],
)
def test_what_makes_no_sense_is_refused(
    arguments: list[str], says: str, key_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pseudonym = Pseudonyms(KEY).of("ada")
    assert whois.main([*(one.format(pseudonym=pseudonym) for one in arguments), "--key-file", key_file]) == 2
    captured = capsys.readouterr()
    assert says in captured.err
    assert captured.out == ""


@pytest.mark.parametrize("arguments", [[], ["ada", "--reverse", "p_0"], ["--reverse", "p_0"], ["ada", "--names", "x"]])
def test_arguments_that_do_not_go_together_are_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        whois.main(arguments)
    assert caught.value.code == 2
