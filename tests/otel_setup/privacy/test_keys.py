"""The key: found, made once, or refused with what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from otel_setup.privacy import KEY_FILE_VARIABLE, Key, default_key_file, find_key, given_key, keys, read_key


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(KEY_FILE_VARIABLE, raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_it_is_made_once_for_its_user_alone(home: Path) -> None:
    first, second = find_key(), find_key()
    file = home / ".config/otel-setup/pseudonym.key"
    assert file == default_key_file()
    assert first == second == read_key(file)
    assert len(bytes.fromhex(first.value.decode())) == 32
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert os.listdir(file.parent) == ["pseudonym.key"]
    assert first.kept
    assert str(file) in first.source


def test_who_comes_second_leaves_the_first_ones_key(home: Path) -> None:
    first = find_key()
    keys._make(default_key_file())  # as does a process that looked before the first one had made it
    assert find_key() == first
    assert os.listdir(default_key_file().parent) == ["pseudonym.key"]


def test_a_key_that_is_there_needs_no_place_to_write(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = find_key()
    monkeypatch.setattr(keys.tempfile, "mkstemp", lambda **_: pytest.fail("wrote something"))
    assert find_key() == first


def test_many_processes_that_start_at_once_have_one_key(home: Path) -> None:
    code = "from otel_setup.privacy.keys import find_key; print(find_key().value.decode())"
    processes = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    found = {process.communicate(timeout=60)[0] for process in processes}
    assert len(found) == 1
    assert found.pop().strip() == (home / ".config/otel-setup/pseudonym.key").read_text().strip()


def test_the_environment_says_where(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "elsewhere"))
    assert default_key_file() == home / "elsewhere/otel-setup/pseudonym.key"
    monkeypatch.setenv(KEY_FILE_VARIABLE, str(home / "named"))
    with pytest.raises(ValueError, match="named' does not exist"):
        find_key()
    (home / "named").write_text("  0123456789abcdef\n")
    assert find_key() == Key(b"0123456789abcdef", f"file {home / 'named'}")


def test_where_none_can_be_kept_it_ends_with_the_process(home: Path) -> None:
    (home / ".config").write_text("a file where a folder should be")
    first, second = find_key(), find_key()
    assert not first.kept
    assert "this process alone" in first.source
    assert ".config" in first.source
    assert first.value != second.value


@pytest.mark.parametrize(
    ("content", "says"), [(b"short\n", "5 bytes; at least 16"), (b"", "0 bytes"), (b"x" * 5000, "more than 4096 bytes")]
)
def test_a_file_that_holds_no_key_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=says) as caught:
        read_key(file)
    assert str(file) in str(caught.value)
    assert "make one with" in str(caught.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"cannot be read .*{KEY_FILE_VARIABLE}"):
        read_key(tmp_path)
    with pytest.raises(ValueError, match="cannot be read"):
        read_key("a\0b")


def test_a_broken_file_of_the_users_own_is_not_replaced(home: Path) -> None:
    find_key()
    file = default_key_file()
    file.write_text("short")
    with pytest.raises(ValueError, match="5 bytes"):
        find_key()
    assert file.read_text() == "short"


def test_a_given_key_is_text_or_bytes_and_does_not_show() -> None:
    assert given_key("0123456789abcdef").value == given_key(b"0123456789abcdef").value == b"0123456789abcdef"
    assert "0123" not in repr(given_key("0123456789abcdef"))
    with pytest.raises(ValueError, match="3 bytes"):
        given_key("abc")
