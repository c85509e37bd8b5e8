"""Where the commands read events: a process of this machine, a hub, Kafka or a file, all in the same way."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import logging
import os
import select
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from otel_setup.cli.event_options import HUB_VARIABLE, since_of
from otel_setup.control import ControlError, ask, is_listening, listening_processes, runtime_directories
from otel_setup.events.cursor import Cursor
from otel_setup.events.filter import EventFilter
from otel_setup.events.record import SystemEvent
from otel_setup.events.subscriber import StreamClosed
from otel_setup.hub.query import From, Query, QueryError
from otel_setup.hub.settings import READER_TOKEN_VARIABLE, TOKEN_VARIABLE
from otel_setup.privacy.keys import default_key_file, read_key
from otel_setup.privacy.pseudonyms import Pseudonyms, looks_like_pseudonym
from otel_setup.text import clean_text

FAILED, NO_SENSE, INTERRUPTED = 1, 2, 130
"""Exit codes: reading failed; the arguments make no sense, or there is nothing to read; Ctrl-C."""
LOOK_SECONDS = 0.5
"""How often a command that waits for events looks whether anybody still reads what it prints."""
KAFKA_QUIET_SECONDS = 10.0
"""Where Kafka is read to its end: after so long without an event it counts as the end."""

KAFKA_HOLE_SECONDS = 3.0
"""The same where all was fetched: events may still wait for others before them, which takes up to 2 seconds."""

Placed = tuple[SystemEvent, Cursor | None]
Say = Callable[[str], object]


class SourceError(Exception):
    """There is nothing to read from, or reading failed; the text says what to do.

    Parameters:
        code: the command's exit code.
    """

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code


class Reader(Protocol):
    """What all sources are read by."""

    async def get_placed(self, max_n: int = 100, timeout: float | None = None) -> list[Placed]:  # noqa: ASYNC109
        """The next events, each with the cursor from which to go on after it, where it has one."""


@dataclass
class Source:
    """A source that was opened.

    Parameters:
        title: what is read, for people.
        reader: gives the events.
        kind: ``process``, ``hub``, ``kafka`` or ``file``.
    """

    title: str
    reader: Reader
    kind: str

    async def batches(self) -> AsyncIterator[list[Placed]]:
        """Events as they come; an empty list at times while none do. Ends where the source does.

        Raises:
            SourceError: reading failed.
        """
        while True:
            try:
                placed = await self.reader.get_placed(1000, LOOK_SECONDS)
            except StreamClosed as closed:
                if closed.__cause__ is not None:
                    raise SourceError(f"{self.title}: {clean_text(closed.__cause__)}") from closed
                return
            except (OSError, ControlError) as problem:
                raise SourceError(f"{self.title}: {clean_text(problem)}") from problem
            except Exception as problem:
                raise _explained(problem) from problem
            yield placed


@asynccontextmanager
async def opened(options: argparse.Namespace, query: Query, say: Say) -> AsyncIterator[Source]:
    """The source that the options choose.

    Parameters:
        query: what is wanted of it.
        say: told, in sentences, how the connection is.

    Raises:
        SourceError: there is none, or it cannot be read.
    """
    made = _made(options, query, say)
    try:
        await made.start()
    except ControlError as refused:
        raise SourceError(f"{made.title} refuses: {clean_text(refused)}") from refused
    except Exception as problem:
        raise _explained(problem) from problem
    try:
        yield made.source()
    finally:
        await made.end()
        if unreadable := getattr(made.reader, "unreadable", 0):
            say(f"{unreadable} lines of {made.title} hold no event")


@dataclass
class _Made:
    title: str
    kind: str
    reader: Any

    async def start(self) -> None:
        await self.reader.start()

    async def end(self) -> None:
        await self.reader.aclose()

    def source(self) -> Source:
        return Source(self.title, self.reader, self.kind)


def _made(options: argparse.Namespace, query: Query, say: Say) -> _Made:
    try:
        if options.kafka:
            return _kafka(options, query)
        if options.topic or options.group:
            raise SourceError("--topic and --group go with --kafka", NO_SENSE)
        url = options.hub or (not options.process and not options.file and os.environ.get(HUB_VARIABLE))
        if url:
            return _hub(str(url), options, query, say)
        if options.token_file:
            raise SourceError("--token-file is for a hub: name one with --hub", NO_SENSE)
        if options.file:
            return _file(Path(options.file), query)
        return _process(options.process, query)
    except ImportError as missing:
        raise SourceError(str(missing), NO_SENSE) from missing
    except (ValueError, TypeError) as problem:
        raise SourceError(clean_text(problem), NO_SENSE) from problem


# --- the kinds of sources --------------------------------------------------------------------------------------------


def _hub(url: str, options: argparse.Namespace, query: Query, say: Say) -> _Made:
    from otel_setup.clients.hub import HubEvents

    wanted, token = with_pseudonyms(query.event_filter), _token(options.token_file)
    events = HubEvents(
        url, wanted, token=token, since=since_of(query), live=query.live, speed=query.speed, on_status=say
    )
    return _Made(f"the hub at {events.url}", "hub", events)


def _token(file: str | None) -> str | None:
    if file is None:
        return os.environ.get(READER_TOKEN_VARIABLE) or os.environ.get(TOKEN_VARIABLE) or None
    try:
        token = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as problem:
        raise SourceError(f"the token's file {file} cannot be read: {_reason(problem)}", NO_SENSE) from problem
    if not token or not token.isascii() or not token.isprintable():
        raise SourceError(f"the token's file {file} holds no token", NO_SENSE)
    return token


def _kafka(options: argparse.Namespace, query: Query) -> _Made:
    if not options.topic or not options.group:
        raise SourceError("--kafka needs --topic T and --group G", NO_SENSE)
    if query.since not in (None, "oldest") and not isinstance(query.since, From):
        raise SourceError("Kafka is read from now, from the oldest or from a time on: --since oldest", NO_SENSE)
    from otel_setup.kafka import KafkaEvents

    logging.getLogger("aiokafka").addHandler(logging.NullHandler())  # what it says comes as an exception, too
    events = KafkaEvents(
        options.kafka,
        options.topic,
        options.group,
        event_filter=with_pseudonyms(query.event_filter),
        start="now" if query.since is None else "oldest",
    )
    return _Made(f"the topic {options.topic}", "kafka", _KafkaReader(events, query))


def _file(path: Path, query: Query) -> _Made:
    from otel_setup.clients.files import FileEvents

    wanted = with_pseudonyms(query.event_filter)
    try:
        events = FileEvents(path, wanted, since=since_of(query), live=query.live, speed=query.speed)
    except OSError as problem:
        raise SourceError(f"{path} cannot be read: {_reason(problem)}", NO_SENSE) from problem
    return _Made(str(path), "file", events)


def _process(wanted: str | None, query: Query) -> _Made:
    from otel_setup.clients.process import ProcessEvents

    pid, path = chosen_process(wanted)
    events = ProcessEvents(path, query.event_filter, since=since_of(query), live=query.live, speed=query.speed)
    return _Made(f"process {pid}", "process", events)


def chosen_process(wanted: str | None) -> tuple[int, Path]:
    """The process that a number or a service's name means, and its command socket; None is the only one there is.

    Raises:
        SourceError: there is none, or more than one.
    """
    alive = {pid: path for pid, path in listening_processes().items() if is_listening(path)}
    if not alive:
        places = " or ".join(map(str, runtime_directories()))
        raise SourceError(
            f"nothing to read from: no game process of this user listens (there is no socket in {places}), and no hub "
            f"is named (--hub URL, or the variable {HUB_VARIABLE})",
            NO_SENSE,
        )
    if wanted is not None and wanted.isdecimal():
        chosen = {pid: path for pid, path in alive.items() if pid == int(wanted)}
    else:
        services = _services(alive)
        chosen = {pid: path for pid, path in alive.items() if wanted in (None, services.get(pid))}
    if len(chosen) == 1:
        return next(iter(chosen.items()))
    named = ", ".join(f"{pid} {service}".strip() for pid, service in _services(alive).items())
    if not chosen:
        raise SourceError(f"no process {wanted!r:.80} listens; these do: {named}", NO_SENSE)
    raise SourceError(f"several processes listen: choose one by its number with --process: {named}", NO_SENSE)


def _services(alive: Mapping[int, Path]) -> dict[int, str]:
    found = {}
    for pid, path in alive.items():
        try:
            found[pid] = clean_text(ask(path, {"do": "list"})["service"])
        except (OSError, ControlError, KeyError):
            found[pid] = ""
    return found


class _KafkaReader:
    """Kafka's events as the other sources give theirs. The group keeps the place, so there is no cursor."""

    def __init__(self, events: Any, query: Query) -> None:
        self._events = events
        self._live = query.live
        self._from_ns = query.since.time_ns if isinstance(query.since, From) else 0
        self._quiet = 0.0

    async def start(self) -> None:
        await self._events.start()

    async def aclose(self) -> None:
        await self._events.aclose()

    async def get_placed(self, max_n: int = 100, timeout: float | None = None) -> list[Placed]:  # noqa: ASYNC109
        began = asyncio.get_running_loop().time()
        events = await self._events.get_events(max_n, timeout)
        self._quiet = 0.0 if events else self._quiet + asyncio.get_running_loop().time() - began
        if not self._live and self._quiet >= (KAFKA_HOLE_SECONDS if self._is_at_the_end() else KAFKA_QUIET_SECONDS):
            raise StreamClosed("Kafka has no more now")
        return [(event, None) for event in events if event.timestamp_ns >= self._from_ns]

    def _is_at_the_end(self) -> bool:
        partitions = self._events.statistics().get("partitions") or {}
        each = partitions.values() if isinstance(partitions, Mapping) else partitions
        return bool(partitions) and all(partition.get("behind") == 0 for partition in each)


def with_pseudonyms(wanted: EventFilter | None) -> EventFilter | None:
    """A filter that also finds the players by their pseudonyms, where this user has the key."""
    if wanted is None or not wanted.player_ids:
        return wanted
    try:
        pseudonyms = Pseudonyms(read_key(default_key_file()).value, reserved=())
    except ValueError:
        return wanted
    names = {name for name in wanted.player_ids if not looks_like_pseudonym(name)}
    return dataclasses.replace(wanted, player_ids=wanted.player_ids | {pseudonyms.of(name) for name in names})


# --- for the commands ------------------------------------------------------------------------------------------------


def run(name: str, command: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Runs a command; what goes wrong becomes one sentence and an exit code, and Ctrl-C ends it quietly."""
    try:
        return asyncio.run(command())
    except KeyboardInterrupt:
        return INTERRUPTED
    except SourceError as problem:
        print(f"{name}: {clean_text(problem)}", file=sys.stderr)
        return problem.code
    except QueryError as problem:
        print(f"{name}: {clean_text(problem)}", file=sys.stderr)
        return NO_SENSE
    except BrokenPipeError:
        raise
    except OSError as problem:
        print(f"{name}: {clean_text(problem)}", file=sys.stderr)
        return FAILED


def is_read(descriptor: int = 1) -> bool:
    """Whether anybody still reads what is printed: a pipe whose reader is gone says so without being written to."""
    poll = select.poll()
    poll.register(descriptor, 0)
    return not any(found & select.POLLERR for _, found in poll.poll(0))


def _explained(problem: Exception) -> SourceError:
    if isinstance(problem, SourceError):
        return problem
    if isinstance(problem, FileNotFoundError | ConnectionError | TimeoutError):
        return SourceError(clean_text(problem) or "it does not answer")
    return SourceError(clean_text(problem) or type(problem).__name__)


def _reason(problem: Exception) -> str:
    return getattr(problem, "strerror", None) or str(problem)
