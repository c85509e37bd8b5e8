"""Where the key of the pseudonyms comes from: given, a file, or a file of the user's own that is made once.

Processes that share the key give a player the same pseudonym. On one machine the user's file sees to that; a fleet
sets ``OTEL_SETUP_PSEUDONYM_KEY_FILE``, or passes the key.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

KEY_FILE_VARIABLE = "OTEL_SETUP_PSEUDONYM_KEY_FILE"
"""Environment variable with the path of the key's file."""
MIN_KEY_BYTES = 16
"""A shorter key could be found by trying."""
MAX_KEY_BYTES = 4096
"""A longer file is not a key."""

_MAKE_ONE = 'make one with: python -c "import secrets; print(secrets.token_hex(32))"'
_FOLDER, _FILE = "otel-setup", "pseudonym.key"


@dataclass(frozen=True)
class Key:
    """A key and where it came from, for reports; ``kept`` is False where it ends with the process."""

    value: bytes = field(repr=False)
    source: str
    kept: bool = True


def given_key(value: bytes | str) -> Key:
    """A key that was passed.

    Raises:
        ValueError: where it is too short.
    """
    raw = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else bytes(value)
    return Key(_checked(raw, "the pseudonym key"), "given")


def default_key_file() -> Path:
    """The file that ``OTEL_SETUP_PSEUDONYM_KEY_FILE`` names, else the user's own.

    Raises:
        ValueError: where the user has no home directory.
    """
    if named := os.environ.get(KEY_FILE_VARIABLE):
        return Path(named)
    if (configured := os.environ.get("XDG_CONFIG_HOME")) and Path(configured).is_absolute():
        return Path(configured, _FOLDER, _FILE)
    try:
        return Path.home() / ".config" / _FOLDER / _FILE
    except RuntimeError as problem:
        raise ValueError(f"no home directory to look for the pseudonym key in; set {KEY_FILE_VARIABLE}") from problem


def read_key(path: str | os.PathLike[str]) -> Key:
    """The key in a file; spaces and line breaks around it do not count.

    Raises:
        ValueError: where the file cannot be read, or holds no key.
    """
    try:
        with open(path, "rb") as file:
            raw = file.read(MAX_KEY_BYTES + 1)
    except FileNotFoundError as problem:
        raise ValueError(f"pseudonym key file {os.fspath(path)!r} does not exist; {_MAKE_ONE}") from problem
    except (OSError, ValueError) as problem:  # ValueError: a zero byte in the path
        reason = getattr(problem, "strerror", None) or problem
        raise ValueError(
            f"pseudonym key file {os.fspath(path)!r} cannot be read ({reason}); let this user read it, "
            f"or name another one in {KEY_FILE_VARIABLE}"
        ) from problem
    what = f"pseudonym key file {os.fspath(path)!r}"
    if len(raw) > MAX_KEY_BYTES:
        raise ValueError(f"{what} has more than {MAX_KEY_BYTES} bytes and is no key; {_MAKE_ONE}")
    return Key(_checked(raw.strip(), what), f"file {os.fspath(path)}")


def find_key() -> Key:
    """The key in the default place, which is made where there is none yet.

    A file that ``OTEL_SETUP_PSEUDONYM_KEY_FILE`` names must be there. Where the user's own file cannot be made, as in
    a container whose file system is read-only, the key is a random one that ends with the process.

    Raises:
        ValueError: where the file is there and is no key.
    """
    if os.environ.get(KEY_FILE_VARIABLE):
        return read_key(default_key_file())
    try:
        path = default_key_file()
    except ValueError as problem:
        return _passing(str(problem))
    try:
        if not path.exists():
            _make(path)
    except OSError as problem:
        return _passing(f"{path} cannot be made: {problem.strerror or problem}")
    return read_key(path)


def _passing(reason: str) -> Key:
    return Key(secrets.token_bytes(32), f"random, for this process alone ({reason})", kept=False)


def _make(path: Path) -> None:
    """Makes a key file in one step: whoever sees it sees all of it, and of several makers the first one wins."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{_FILE}-")  # readable by its owner alone
    try:
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(name, path)
    finally:
        os.unlink(name)


def _checked(key: bytes, what: str) -> bytes:
    if len(key) < MIN_KEY_BYTES:
        raise ValueError(f"{what} has {len(key)} bytes; at least {MIN_KEY_BYTES} are needed; {_MAKE_ONE}")
    return key
