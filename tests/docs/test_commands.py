"""Every command on the pages exists: as a target of the Makefile, or as a module with these options.

Long ones are not run. What takes options is asked for its help, in which each option must stand.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache

import pytest

from tests.docs.markdown import ROOT, pages

SHELL = ("sh", "bash", "console")
OTHERS = {"weaver", "git", "cd", ".", "curl", "cat", "pytest"}
"""Programs that are not this project's; nothing is checked of them."""
ANYWHERE = ("make ", "python -m ", ".venv/bin/")
"""How a command begins that stands within a line of text."""
SUBCOMMANDS = {"otel_setup", "deploy", "examples.liap_tui", "examples.arena"}
"""Modules whose first argument is a command with options of its own."""


def commands() -> Iterator[tuple[str, str]]:
    """Where each command stands, and the command."""
    for page in pages():
        for block in page.blocks:
            if block.language in SHELL:
                for offset, line in enumerate(block.text.replace("\\\n", " ").splitlines(), start=1):
                    if line.strip() and not line.startswith("#"):
                        yield f"{page.name}:{block.line + offset}", line
        for line_number, span in page.code_spans:
            if span.startswith(ANYWHERE):
                yield f"{page.name}:{line_number}", span


COMMANDS = {f"{where} {text}": text for where, text in commands()}


@cache
def makefile() -> str:
    return (ROOT / "Makefile").read_text(encoding="utf-8")


@cache
def help_of(module: str, subcommand: str | None) -> str:
    words = [sys.executable, "-m", module, *([subcommand] if subcommand else []), "--help"]
    done = subprocess.run(words, cwd=ROOT, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{' '.join(words[1:])}: {done.stderr}"
    return done.stdout


def check(words: Sequence[str]) -> None:
    """Asserts that one simple command exists."""
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    program, arguments = words[0].removeprefix(".venv/bin/"), list(words[1:])
    if program == "make":
        check_make(arguments)
    elif program in ("python", "python3") and arguments[:1] == ["-m"]:
        check_module(arguments[1], arguments[2:])
    else:
        assert program in OTHERS, f"{program}: neither a target, nor a module, nor a program the pages may use"


def check_make(arguments: Sequence[str]) -> None:
    for argument in arguments:
        name, is_variable, _ = argument.partition("=")
        if is_variable:
            assert f"$({name})" in makefile(), f"the Makefile knows no variable {name}"
        else:
            assert re.search(rf"^{re.escape(name)}:", makefile(), re.MULTILINE), f"there is no target {name}"


def check_module(module: str, arguments: Sequence[str]) -> None:
    assert importlib.util.find_spec(module), f"there is no module {module}"
    if module in OTHERS:
        return
    options = [argument.partition("=")[0] for argument in arguments if argument.startswith("-")]
    for subcommand in subcommands(module, arguments):
        if not options and subcommand is None:
            continue  # nothing to ask for, and not every module does nothing when asked
        text = help_of(module, subcommand)
        for option in options:
            assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", text), f"{module} {subcommand}: no {option}"


def subcommands(module: str, arguments: Sequence[str]) -> list[str | None]:
    """What is named after the module: a command, several as ``a|b``, or none; ``COMMAND`` stands for any."""
    first = arguments[0] if module in SUBCOMMANDS and arguments else "-"
    return [None] if first.startswith("-") or first.isupper() else [*first.replace("\\|", "|").split("|")]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_exists(command: str) -> None:
    text = re.split(r"\s\|\s", COMMANDS[command])[0].removeprefix("$ ")  # what it is piped into is the shell's
    check(shlex.split(text, comments=True))


def test_commands_are_found() -> None:
    assert {"make demo", "python -m deploy build"} <= set(COMMANDS.values())


@pytest.mark.parametrize(
    "wrong",
    [
        "make everything",
        "make demo DURATIONS=5",
        "python -m otel_setup nonsense",
        "python -m otel_setup catalogue --nonsense",
        "python -m no_such_module",
        "frobnicate",
    ],
)
def test_a_command_that_does_not_exist_is_found_out(wrong: str) -> None:
    with pytest.raises((AssertionError, ModuleNotFoundError)):
        check(shlex.split(wrong))
