"""``python -m otel_setup whois``: which pseudonym a player has, and whose a pseudonym is. For whoever has the key."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence

from otel_setup.privacy.keys import KEY_FILE_VARIABLE, default_key_file, read_key
from otel_setup.privacy.pseudonyms import Pseudonyms, looks_like_pseudonym
from otel_setup.text import clean_id

_PLACES = (
    f"The key is read from --key-file, else from the file that {KEY_FILE_VARIABLE} names,\n"
    "else from otel-setup/pseudonym.key in $XDG_CONFIG_HOME or ~/.config."
)


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns 0, 1 where no name has the pseudonym, or 2 where there is no key or no sense in it."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if (options.name is None) == (options.reverse is None):
        parser.error("say either a NAME or --reverse PSEUDONYM")
    if (options.reverse is None) != (options.names is None):
        parser.error("--reverse and --names go together: a pseudonym can only be found among names")
    try:
        key = read_key(options.key_file or default_key_file())
    except ValueError as problem:
        print(f"{parser.prog}: {problem}\n{_PLACES}\nIt must be the game server's own.", file=sys.stderr)
        return 2
    try:
        # The reserved words matter for texts alone, and making them costs start-up.
        pseudonyms = Pseudonyms(key.value, reserved=())
        if options.reverse is None:
            return _forward(options.name, pseudonyms)
        return _reverse(options.reverse, options.names, pseudonyms)
    except (OSError, ValueError) as problem:
        if isinstance(problem, BrokenPipeError):
            raise
        print(f"{parser.prog}: {problem}", file=sys.stderr)
        return 2


def _forward(name: str, pseudonyms: Pseudonyms) -> int:
    if pseudonyms.is_pseudonym(name):
        raise ValueError(f"{name} is a pseudonym already; whose it is: --reverse {name} --names FILE")
    if not clean_id(name):
        raise ValueError("the name is empty")
    print(pseudonyms.of(name))
    return 0


def _reverse(pseudonym: str, file: str, pseudonyms: Pseudonyms) -> int:
    if not looks_like_pseudonym(pseudonym):
        raise ValueError(f"{clean_id(pseudonym)!r} is no pseudonym; those are p_ and 16 hexadecimal digits")
    if not pseudonyms.is_pseudonym(pseudonym):
        raise ValueError(f"{pseudonym} was made with another key than this one")
    for name in _names(file):
        if pseudonyms.of(name) == pseudonym and not pseudonyms.is_pseudonym(name):
            print(clean_id(name))
            return 0
    print(f"none of the names in {file} has the pseudonym {pseudonym}", file=sys.stderr)
    return 1


def _names(file: str) -> Iterator[str]:
    """One name a line; ``-`` is standard input. Only a line feed ends a line: names may hold what Python calls ends."""
    source = sys.stdin.fileno() if file == "-" else file
    with open(source, encoding="utf-8", errors="replace", newline="\n", closefd=file != "-") as lines:
        for line in lines:
            yield line.removesuffix("\n").removesuffix("\r")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m otel_setup whois",
        description="The pseudonym under which a player appears in traces, logs and events.",
        epilog=(
            f"{_PLACES}\n\n"
            "examples:\n"
            "  python -m otel_setup whois player1\n"
            "  python -m otel_setup whois --reverse p_0123456789abcdef --names players.txt\n"
            "  python -m otel_setup whois -- -dash-"
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="the player's name")
    parser.add_argument("--key-file", metavar="F", help="file with the key (default: see below)")
    parser.add_argument("--reverse", metavar="PSEUDONYM", help="whose pseudonym it is, among --names")
    parser.add_argument("--names", metavar="FILE", help="candidates, one name a line; - for standard input")
    return parser
