"""The door for this user's commands to a running process: a Unix socket that nobody else can open.

One request and one answer to a connection, each one line of JSON; after the answer to ``events``, the events follow,
one a line, until either side closes. There is no other way in, and no network. The socket
lies in a directory of the user's own (mode 0700) and is the user's own (0600); who knocks is asked for by the kernel
(``SO_PEERCRED``), and turned away if it is somebody else.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import socket
import stat
import struct
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from otel_setup.control_streams import EventStreams
from otel_setup.diagnosis.close_look import CloseLook
from otel_setup.diagnosis.rules import Rule, Subject
from otel_setup.events.reader import EventReader
from otel_setup.events.stream import EventStream
from otel_setup.faults import Faults
from otel_setup.prometheus.forked import call_in_child

RUNTIME_DIR_VARIABLE = "OTEL_SETUP_RUNTIME_DIR"
"""Names the directory of the sockets, for the process and for the commands alike, where the usual one will not do."""
MAX_REQUEST = 4096
"""Bytes of one request."""
REQUEST_SECONDS = 1.0
"""How long a connection may take to say what it wants, and to take the answer."""

_SUFFIX = ".sock"
_BACKLOG = 8
_MS = 1000
_PEER = struct.Struct("3i")  # struct ucred: pid, uid, gid


class ControlError(ValueError):
    """What was asked for cannot be done; the text says why."""


def runtime_directories(environ: Mapping[str, str] | None = None) -> list[Path]:
    """Where sockets may lie, the preferred place first.

    A service has no ``XDG_RUNTIME_DIR`` where a login has one, so whoever looks for sockets looks everywhere.
    """
    environ = os.environ if environ is None else environ
    if chosen := environ.get(RUNTIME_DIR_VARIABLE):
        return [Path(chosen)]
    session = environ.get("XDG_RUNTIME_DIR", "")
    shared = Path(f"/tmp/otel-setup-{os.geteuid()}")  # noqa: S108 - it must be our own, or is not used
    return [*([Path(session) / "otel-setup"] if session.startswith("/") else []), shared]


def is_private(directory: Path) -> bool:
    """Whether a directory, and no link to one, is this user's own and closed to all others."""
    try:
        found = directory.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not stat.S_IMODE(found.st_mode) & 0o077


def _own_directory() -> Path:
    for directory in runtime_directories():
        with contextlib.suppress(OSError):
            directory.mkdir(mode=0o700, exist_ok=True)
            if is_private(directory):
                return directory
    raise OSError(f"none of {', '.join(map(str, runtime_directories()))} is a directory of this user alone (mode 0700)")


class ControlServer:
    """Answers commands in one daemon thread, until :meth:`stop`; also ends rules whose time is over.

    Parameters:
        look: what commands change.
        describe: says who this process is: service and instance.
        faults: counts what goes wrong in that thread.
        stream: the events that may be read here; None where none may.

    Raises:
        OSError: there is no place for the socket, or the system cannot tell who connects.
    """

    def __init__(
        self,
        look: CloseLook,
        describe: Callable[[], Mapping[str, str]],
        faults: Faults,
        stream: EventStream | None = None,
    ) -> None:
        if not hasattr(socket, "SO_PEERCRED"):
            raise OSError("this system does not tell who connects to a socket")
        self._look = look
        self._rules = look.rules
        self._describe = describe
        self._faults = faults
        self._streams = None if stream is None else EventStreams(stream)
        directory = _own_directory()
        _clear(directory)
        self.path = directory / f"{os.getpid()}{_SUFFIX}"
        self._listener = _listening(self.path)
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name="otel_setup-control", daemon=True)
        call_in_child(self._close_in_child)
        self._thread.start()

    def stop(self) -> None:
        """Closes the door and takes the socket away. Nothing happens the second time, or in a forked child."""
        if self._wake.fileno() < 0:
            return
        self._wake.close()  # the thread sees the end of the other one
        self._thread.join(REQUEST_SECONDS * 2)
        with contextlib.suppress(OSError):
            self.path.unlink()

    def _close_in_child(self) -> None:
        """The thread, and the socket's place, stay the parent's."""
        for ours in (self._listener, self._wake, self._woken):
            ours.close()
        if self._streams is not None:
            self._streams.close_in_child()

    def _serve(self) -> None:
        with self._listener, self._woken:
            while True:
                ready = self._ready()
                if self._woken.fileno() in ready:
                    break
                with self._faults.guard("runtime"):
                    if self._listener.fileno() in ready:
                        self._answer_next()
                    for rule in self._rules.expire():
                        self._look.ended(rule)
                if self._streams is not None:
                    with self._faults.guard("stream"):
                        self._streams.step()
            if self._streams is not None:
                self._streams.close()

    def _ready(self) -> set[int]:
        """Waits until there is something to do; the descriptors that are ready."""
        events = select.poll()  # select() fails where a server has more than a thousand sockets open
        events.register(self._listener, select.POLLIN)
        events.register(self._woken, select.POLLIN)
        for connection in self._streams.full if self._streams is not None else ():
            events.register(connection, select.POLLOUT)
        return {descriptor for descriptor, _ in events.poll(self._milliseconds())}

    def _milliseconds(self) -> float | None:
        """Until there is something to do, even if nobody asks for anything."""
        left = [seconds * _MS + 1 for _, seconds in self._rules.listed()]
        if not left and self._rules.active:
            return 0
        if self._streams is not None and (pause := self._streams.pause) is not None:
            left.append(pause * _MS)
        return min(left, default=None)

    def _answer_next(self) -> None:
        # Suppressed: whoever asked has gone, or does not come to the point.
        with contextlib.suppress(OSError), contextlib.ExitStack() as ours:
            connection = ours.enter_context(self._listener.accept()[0])
            if _user_of(connection) != os.geteuid():
                return
            connection.settimeout(REQUEST_SECONDS)
            answer, reader = self._answer(connection)
            if reader is not None:
                ours.callback(reader.close)
            connection.sendall(_line(answer))
            if reader is not None and self._streams is not None:
                self._streams.serve(connection, reader)
                ours.pop_all()

    def _answer(self, connection: socket.socket) -> tuple[dict[str, Any], EventReader | None]:
        """The answer, and for a request for events who reads them."""
        try:
            request = _request(_read_line(connection))
            if request.get("do") == "events":
                reader = self._reader(request)
                told = {"cursor": str(reader.cursor)}
            else:
                reader, told = None, self._do(request)
        except ValueError as refused:
            return {"ok": False, "error": str(refused)}, None
        return {"ok": True, "pid": os.getpid(), **self._describe(), **told}, reader

    def _reader(self, request: dict[str, Any]) -> EventReader:
        query = request.pop("query", "")
        request.pop("do")
        _nothing_else(request)
        if not isinstance(query, str):
            raise ControlError("query is a text, as after the question mark of a URL")
        if self._streams is None:
            raise ControlError("this process lets nobody read its events here")
        return self._streams.open(query)

    def _do(self, request: dict[str, Any]) -> dict[str, Any]:
        command = request.pop("do", None)
        if command == "start":
            seconds = _number(request.pop("seconds", None))
            self._look.began(self._rules.add(_subject(request), seconds), seconds)
        elif command == "stop":
            number = request.pop("rule", None)
            _nothing_else(request)
            if not (number is None or type(number) is int):
                raise ControlError("a rule is a whole number")
            stopped = self._rules.stop(number)
            if number is not None and not stopped:
                raise ControlError("there is no such rule")
            for rule in stopped:
                self._look.ended(rule)
        elif command == "list":
            _nothing_else(request)
        else:
            raise ControlError("no such command; there are start, stop, list and events")
        return {
            "rules": [_shown(*rule) for rule in self._rules.listed()],
            "streams": 0 if self._streams is None else len(self._streams),
        }


def _listening(path: Path) -> socket.socket:
    """A socket that appears at its place once it is the user's alone and listens."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(new))
        new.chmod(0o600)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
        new.replace(path)
    except OSError:
        listener.close()
        raise
    return listener


def _clear(directory: Path) -> None:
    """Takes away the sockets of processes that were killed."""
    for path in _sockets_in(directory):
        if not is_listening(path):
            path.unlink(missing_ok=True)


def _user_of(connection: socket.socket) -> int:
    _, uid, _ = _PEER.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    return int(uid)


def _read_line(connection: socket.socket) -> bytes:
    read = b""
    ends = time.monotonic() + REQUEST_SECONDS
    while b"\n" not in read:
        connection.settimeout(max(0.001, ends - time.monotonic()))
        more = connection.recv(MAX_REQUEST)
        read += more
        if not more:
            break
        if len(read) > MAX_REQUEST:
            raise ControlError(f"a request has at most {MAX_REQUEST} bytes")
    return read.partition(b"\n")[0]


# --- requests ---------------------------------------------------------------------------------------------------------


def _request(line: bytes) -> dict[str, Any]:
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        raise ControlError("a request is one line of JSON") from None
    if not isinstance(request, dict):
        raise ControlError("a request is a map")
    return request


def _subject(request: dict[str, Any]) -> Subject:
    ids = {name: request.pop(name, None) for name in ("room", "game", "player")}
    _nothing_else(request)
    if not all(value is None or isinstance(value, str) for value in ids.values()):
        raise ControlError("room, game and player are texts")
    return Subject(ids["room"], ids["game"], ids["player"])


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ControlError("a number is missing")
    return float(value)


def _nothing_else(request: dict[str, Any]) -> None:
    if request:
        raise ControlError("the request holds what this command does not take")


def _shown(rule: Rule, seconds: float) -> dict[str, Any]:
    subject = rule.subject
    ids = {"room": subject.room_id, "game": subject.game_id, "player": subject.player_id}
    return {"rule": rule.number, **ids, "seconds": round(seconds, 1)}


def _line(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode() + b"\n"


# --- the other side ---------------------------------------------------------------------------------------------------


def listening_processes() -> dict[int, Path]:
    """The sockets of this user's processes, by process id; some may be left over from processes that were killed."""
    private = [directory for directory in reversed(runtime_directories()) if is_private(directory)]
    return {int(path.stem): path for directory in private for path in _sockets_in(directory)}


def is_listening(path: Path) -> bool:
    """Whether somebody listens at a socket, even if too busy to answer now."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knocking:
        knocking.setblocking(False)
        try:
            knocking.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True
    return True


def _sockets_in(directory: Path) -> list[Path]:
    return [path for path in sorted(directory.glob(f"*{_SUFFIX}")) if path.stem.isdecimal()]


def ask(path: Path, request: Mapping[str, Any], timeout: float = 5.0) -> dict[str, Any]:
    """Sends a request to a process and gives its answer.

    Raises:
        ControlError: the process refuses, with its reason.
        OSError: no process listens there, or it does not answer within ``timeout`` seconds.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        connection.connect(str(path))
        connection.sendall(_line(dict(request)))
        connection.shutdown(socket.SHUT_WR)
        read = b""
        while more := connection.recv(MAX_REQUEST):
            read += more
    try:
        answer = json.loads(read)
    except ValueError:
        raise OSError("it went away without an answer") from None
    if not answer.get("ok"):
        raise ControlError(str(answer.get("error")))
    return dict(answer)
