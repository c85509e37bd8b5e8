"""``python -m otel_setup catalogue``: what it prints, writes, compares and refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from otel_setup.__main__ import COMMANDS, main

ROOT = Path(__file__).parents[3]
ARENA = f"{__package__}.arena:ARENA"
ARENA_WITH_SHOTS = f"{__package__}.arena:ARENA_WITH_SHOTS"


def run(*arguments: str, stdout: int = subprocess.PIPE, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, from the checkout."""
    return subprocess.run(
        [sys.executable, "-m", "otel_setup", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )


def output(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a successful command prints."""
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command says that makes no sense."""
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    assert left.value.code == 2
    return capsys.readouterr().err


def document(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """The JSON that the command prints."""
    found: dict[str, Any] = json.loads(output(capsys, "catalogue", "--format", "json", *arguments))
    return found


# --- the command line as a whole --------------------------------------------------------------------------------------
def test_alone_it_prints_every_command_with_an_example_on_a_line() -> None:
    done = run()
    assert done.returncode == 0
    assert done.stderr == ""
    for name in COMMANDS:
        assert any(line.startswith(f"  python -m otel_setup {name} ") for line in done.stdout.splitlines())


def test_an_unknown_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "catalogue" in refused(capsys, "catalog")


def test_a_reader_that_goes_away_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = run("catalogue", "--format", "json", stdout=writing)
    finally:
        os.close(writing)
    assert done.stderr == ""
    assert done.returncode == 141  # 128 + SIGPIPE


def test_a_terminal_that_lacks_a_character_shows_its_number() -> None:
    # The text of the close codes holds a section sign.
    done = run("catalogue", "--kind", "attributes", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 0
    assert "RFC 6455 \\xa77.4.1" in done.stdout


# --- the table --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("width", [72, 80, 120, 135, 160, 200])
def test_the_table_fits_the_terminal_and_loses_no_name(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    text = output(capsys, "catalogue")
    assert max(map(len, text.splitlines())) <= width
    words = set(text.replace(",", " ").split())
    assert {"liap_tui_state_transition_duration_seconds", "histogram", "from", "outcome"} <= words
    assert {"state_transition.{from}_to_{to}", "game.started", "correlation.id"} <= words


def test_piped_each_row_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    lines = output(capsys, "catalogue", "--kind", "metrics").splitlines()
    [line] = [line for line in lines if "liap_tui_state_transitions_total" in line]
    assert line.split()[:4] == ["liap_tui_state_transitions_total", "counter", "from,", "to"]
    assert line.endswith("Transitions that succeeded.")


def test_the_kind_chooses_what_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    shown = {kind: output(capsys, "catalogue", "--kind", kind) for kind in ("metrics", "spans", "events", "attributes")}
    marks = {
        "metrics": "games_active",
        "spans": "state_transition.{",
        "events": "game.started",
        "attributes": "game.id ",
    }
    for kind, mark in marks.items():
        assert [other for other, text in shown.items() if mark in text] == [kind]


# --- JSON -------------------------------------------------------------------------------------------------------------
def test_json_says_everything_about_a_metric(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys)
    [metric] = [m for m in found["metrics"] if m["name"] == "liap_tui.websocket.broadcast_time"]
    assert metric["prometheus"] == "liap_tui_websocket_broadcast_time"
    assert metric["series"] == [f"liap_tui_websocket_broadcast_time_{part}" for part in ("bucket", "sum", "count")]
    assert (metric["type"], metric["unit"], metric["labels"]) == ("histogram", "", [])
    assert (metric["zeros"], metric["business"], metric["own"]) == (0, False, False)
    # The measured median is 0.06 ms; the bounds are in milliseconds.
    assert metric["buckets"][0] < 0.06 < metric["buckets"][-1]


def test_json_gives_labels_their_values_and_counts_the_zeros(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, "--model", ARENA)
    [metric] = [m for m in found["metrics"] if m["prometheus"] == "arena_state_transitions_total"]
    phases = ["lobby", "fight", "storm", "podium"]
    assert [(label["name"], label["values"]) for label in metric["labels"]] == [("from", phases), ("to", phases)]
    assert metric["zeros"] == 4
    assert found["outside_a_closed_set"] == "other"
    assert found["game"] == {"name": "arena", "title": "Arena", "prefix": "arena"}


def test_json_gives_the_seed_names_their_aliases(capsys: pytest.CaptureFixture[str]) -> None:
    found = {m["seed_name"]: m["recording_rule_alias"] for m in document(capsys)["metrics"] if m["seed_name"]}
    assert found == {
        "state_errors": "liap_tui_state_errors",
        "websocket_connections.opened": "liap_tui_websocket_connections_opened",
        "websocket_connections.closed": "liap_tui_websocket_connections_closed",
    }


def test_json_says_where_an_attribute_stands(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, "--model", ARENA_WITH_SHOTS)
    [weapon] = [a for a in found["attributes"] if a["name"] == "weapon"]
    assert weapon["values"] == ["bow", "staff"]
    assert weapon["carried_by"] == {"metrics": ["arena.shots.fired"], "spans": [], "events": []}
    [player] = [a for a in found["attributes"] if a["name"] == "player.id"]
    assert (player["values"], player["identifies"], player["personal"]) == (None, True, True)
    assert player["carried_by"]["metrics"] == []
    assert "action.completed" in player["carried_by"]["events"]


def test_json_of_one_kind_holds_only_it(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, "--kind", "events")
    assert "events" in found
    assert not {"metrics", "spans", "attributes"} & set(found)
    [ended] = [event for event in found["events"] if event["name"] == "game.ended"]
    # INFO is severity number 9 in the logs data model.
    assert (ended["severity"], ended["severity_number"]) == ("INFO", 9)
    assert {"name": "game.winner_id", "key": "winner_id"} in ended["attributes"]


# --- another game -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("model", [ARENA, ARENA_WITH_SHOTS])
@pytest.mark.parametrize("form", ["table", "json", "weaver", "markdown"])
def test_nothing_of_another_game_names_the_default_one(
    form: str, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = [] if form == "table" else ["--out", str(tmp_path)]
    text = output(capsys, "catalogue", "--model", model, "--format", form, *out)
    if out:
        text = "".join(file.read_text(encoding="utf-8") for file in tmp_path.iterdir())
    assert "arena_games_active" in text
    assert "liap" not in text.lower()


def test_a_catalogue_brings_its_business_metrics_also_under_another_prefix(capsys: pytest.CaptureFixture[str]) -> None:
    assert "arena_shots_fired_total" in output(capsys, "catalogue", "--model", ARENA_WITH_SHOTS)
    text = output(capsys, "catalogue", "--model", ARENA_WITH_SHOTS, "--prefix", "colosseum")
    assert "colosseum_shots_fired_total" in text
    assert "arena_" not in text


# --- files and --check ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("form", ["json", "weaver", "markdown"])
def test_check_accepts_what_was_written_and_writes_nothing(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["catalogue", "--format", form, "--out", str(tmp_path / "new" / "folder")]
    assert main([*arguments, "--check"]) == 1
    assert not (tmp_path / "new").exists()
    assert main(arguments) == 0
    capsys.readouterr()
    assert main([*arguments, "--check"]) == 0
    assert capsys.readouterr().out == ""


def test_check_shows_a_changed_line_as_a_diff_and_leaves_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["catalogue", "--format", "markdown", "--out", str(tmp_path)]
    output(capsys, *arguments)
    page = tmp_path / "events.md"
    changed = page.read_text(encoding="utf-8").replace("A game began.", "A game was begun.")
    page.write_text(changed, encoding="utf-8")
    assert main([*arguments, "--check"]) == 1
    shown = capsys.readouterr()
    removed, added = (
        [line for line in shown.out.splitlines() if line.startswith(sign) and not line.startswith(sign * 3)]
        for sign in "-+"
    )
    assert "A game was begun." in removed[0]
    assert "A game began." in added[0]
    assert (len(removed), len(added)) == (1, 1)
    assert str(page) in shown.out
    assert page.read_text(encoding="utf-8") == changed


@pytest.mark.parametrize("damage", ["missing", "carriage returns", "no last line end", "not text"])
def test_check_sees_every_kind_of_difference(damage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["catalogue", "--format", "markdown", "--out", str(tmp_path)]
    output(capsys, *arguments)
    page = tmp_path / "spans.md"
    text = page.read_bytes()
    if damage == "missing":
        page.unlink()
    else:
        damaged = {"carriage returns": text.replace(b"\n", b"\r\n"), "no last line end": text[:-1], "not text": b"\xff"}
        page.write_bytes(damaged[damage])
    assert main([*arguments, "--check"]) == 1
    assert str(page) in capsys.readouterr().out


def test_a_folder_that_cannot_be_written_is_an_error_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert main(["catalogue", "--format", "json", "--out", str(tmp_path / "file" / "inside")]) == 1
    assert str(tmp_path / "file") in capsys.readouterr().err


def test_without_yaml_the_error_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    assert main(["catalogue", "--format", "weaver", "--out", str(tmp_path)]) == 1
    assert "otel-setup[generate]" in capsys.readouterr().err
    assert main(["catalogue", "--format", "json"]) == 0


# --- what makes no sense ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("mygame", ["'mygame'", "package:NAME"]),
        ("mygame:", ["'mygame:'", "package:NAME"]),
        (":GAME", ["':GAME'", "package:NAME"]),
        ("my game:GAME", ["'my game:GAME'", "package:NAME"]),
        ("no_such_package:GAME", ["'no_such_package:GAME'", "cannot import"]),
        (f"{__package__}.arena:NOTHING", ["NOTHING does not exist", "GameModel"]),
        (f"{__package__}.arena:NEITHER", ["NEITHER is a dict", "GameModel"]),
    ],
)
def test_a_model_that_cannot_be_used_is_refused(
    spec: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    text = refused(capsys, "catalogue", "--model", spec)
    for word in words:
        assert word in text


def test_a_model_whose_module_fails_is_refused_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken_game.py").write_text("raise RuntimeError('no dice')", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "RuntimeError: no dice" in refused(capsys, "catalogue", "--model", "broken_game:GAME")


def test_a_prefix_that_makes_no_names_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "'My Game'" in refused(capsys, "catalogue", "--prefix", "My Game")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--format", "weaver"], "--out DIR"),
        (["--format", "markdown"], "--out DIR"),
        (["--format", "markdown", "--out", "x", "--kind", "spans"], "--kind"),
        (["--format", "json", "--check"], "--out DIR"),
        (["--out", "x"], "--out"),
        (["--kind", "metric"], "metrics"),
        (["--format", "xml"], "json"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    arguments: list[str], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert word in refused(capsys, "catalogue", *arguments)
