"""``python -m otel_setup debug``: more events and all traces of one room, game or player, while the process runs."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from otel_setup.cli.table import table, terminal_width
from otel_setup.control import ControlError, ask, is_listening, listening_processes, runtime_directories
from otel_setup.diagnosis.rules import MAX_RULES, MAX_SECONDS
from otel_setup.text import clean_text

_DONE, _REFUSED, _NO_PROCESS = 0, 1, 2
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)([smh]?)")
_DEFAULT = "10m"
_ALL = "all"


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns 0, 1 where a process refuses, or 2 where none listens or it is not clear which."""
    parser = _parser()
    options = parser.parse_args(arguments)
    subject = {name: getattr(options, name) for name in ("room", "game", "player") if getattr(options, name)}
    if sum((bool(subject), options.list, options.stop is not None)) != 1:
        parser.error("say whom to look at (--room, --game, --player), or --list, or --stop")
    if subject:
        request: dict[str, Any] = {"do": "start", **subject, "seconds": options.duration}
    elif options.list:
        request = {"do": "list"}
    else:
        request = {"do": "stop"} | ({} if options.stop == _ALL else {"rule": options.stop})
    try:
        chosen = _chosen(options.pid, every=options.all or options.list)
    except LookupError as problem:
        print(f"{parser.prog}: {problem.args[0]}", file=sys.stderr)
        return _NO_PROCESS
    return _ask_each(chosen, request, parser.prog)


def _chosen(pid: int | None, *, every: bool) -> dict[int, Path]:
    """The processes that are meant, with their sockets.

    Raises:
        LookupError: none listens, or there are several and nobody said which.
    """
    alive = {number: path for number, path in listening_processes().items() if is_listening(path)}
    names = ", ".join(map(str, alive))
    if not alive:
        places = " or ".join(map(str, runtime_directories()))
        raise LookupError(
            f"no process of this user listens: there is no socket in {places}. A game server listens from its "
            "configure() on, where the option control_socket is on. Run this command as the same user, on the same "
            "machine and in the same container."
        )
    if pid is not None and pid not in alive:
        raise LookupError(f"process {pid} does not listen; these do: {names}")
    if pid is None and len(alive) > 1 and not every:
        raise LookupError(f"several processes listen: choose one with --pid, or all with --all: {names}")
    return alive if pid is None else {pid: alive[pid]}


def _ask_each(chosen: Mapping[int, Path], request: dict[str, Any], name: str) -> int:
    code, answers = _DONE, []
    for pid, path in chosen.items():
        try:
            answers.append(ask(path, request))
        except ControlError as refused:
            print(f"{name}: process {pid}: {clean_text(refused)}", file=sys.stderr)
            code = _REFUSED
        except OSError as gone:
            print(f"{name}: process {pid} does not answer ({gone})", file=sys.stderr)
            code = code or _NO_PROCESS
    if answers:
        print(_as_table(answers), end="")
    return code


def _as_table(answers: Sequence[dict[str, Any]]) -> str:
    sections = {}
    for answer in answers:
        rows = [(str(rule["rule"]), _duration(rule["seconds"]), _subject_of(rule)) for rule in answer["rules"]] or [
            ("-", "-", "nobody is looked at closely")
        ]
        sections[f"process {answer['pid']}, {clean_text(answer['service'])} {clean_text(answer['instance'])}"] = rows
    return table(("rule", "still", "whom"), sections, terminal_width())


def _subject_of(rule: dict[str, Any]) -> str:
    return ", ".join(f"{kind} {clean_text(rule[kind])}" for kind in ("room", "game", "player") if rule[kind])


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _seconds(text: str) -> float:
    found = _DURATION.fullmatch(text)
    seconds = float(found[1]) * _UNITS[found[2]] if found else 0.0
    if not 0 < seconds <= MAX_SECONDS:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 90s, 10m or 1h, up to {MAX_SECONDS / 3600:g}h")
    return seconds


def _rule(text: str) -> int | str:
    if text == _ALL or (text.isdecimal() and len(text) < len(str(sys.maxsize))):
        return _ALL if text == _ALL else int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is neither a rule's number nor {_ALL}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m otel_setup debug",
        description=(
            "Looks closely at one room, game or player of a running game server: every trace\n"
            "is recorded, and further events of severity DEBUG tell of socket messages, of waits\n"
            "in the queue, of callbacks that hold the event loop for a moment, and of the inner\n"
            "steps of transitions and actions, those that the game names with handle.step() among\n"
            "them. It ends by itself."
        ),
        epilog=(
            "Of --room, --game and --player what is given must all be so. A process takes\n"
            f"{MAX_RULES} rules at once. It is reached by a socket that only this user can open, on\n"
            "this machine; see the option control_socket.\n"
            "Exit codes: 0 done, 1 refused, 2 no process listens.\n\n"
            "examples:\n"
            "  python -m otel_setup debug --room room1 --for 10m\n"
            "  python -m otel_setup debug --player p_0123456789abcdef --for 1h --all\n"
            "  python -m otel_setup debug --list\n"
            "  python -m otel_setup debug --stop"
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--room", metavar="X", help="the room's id")
    parser.add_argument("--game", metavar="G", help="the game's id")
    parser.add_argument("--player", metavar="P", help="the player's name, or the pseudonym that traces and logs show")
    parser.add_argument(
        "--for",
        dest="duration",
        metavar="TIME",
        type=_seconds,
        default=_DEFAULT,
        help="how long (default: %(default)s)",
    )
    parser.add_argument("--list", action="store_true", help="show who is looked at, in every process")
    parser.add_argument("--stop", nargs="?", const=_ALL, metavar="RULE", type=_rule, help="end one rule, or all")
    parser.add_argument("--pid", metavar="N", type=int, help="which process, where several listen")
    parser.add_argument("--all", action="store_true", help="every process that listens: whichever has the room")
    return parser
