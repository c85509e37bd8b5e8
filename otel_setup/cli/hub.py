"""``python -m otel_setup hub``: takes the events of a whole fleet from the Collector, keeps them and shows them."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from otel_setup.cli.options import catalogue_of
from otel_setup.game_model import LIAP_TUI
from otel_setup.hub.settings import (
    READER_TOKEN_VARIABLE,
    TOKEN_VARIABLE,
    HubError,
    HubSettings,
    default_directory,
)

_CANNOT = 2
_LOG_FORMAT = "%(asctime)s %(levelname)s %(message)s"
_KINDS: dict[str, Any] = {"int": int, "float": float, "str": str, "Path | None": Path}
_METAVARS = {"int": "N", "float": "SECONDS", "str": "TEXT", "Path | None": "PATH"}


def main(arguments: Sequence[str]) -> int:
    """Run the command until SIGTERM or Ctrl-C; returns 0, or 2 where the hub cannot start."""
    parser = _parser()
    options = vars(parser.parse_args(arguments))
    named = options.pop("model")
    logging.basicConfig(level=logging.INFO, format=_LOG_FORMAT, stream=sys.stderr)
    try:
        settings, model = HubSettings(**options), catalogue_of(named, None).model
    except ValueError as problem:
        parser.error(str(problem))
    try:
        try:
            from otel_setup.hub.server import serve
        except ModuleNotFoundError as missing:
            raise HubError(f"this needs {missing.name}: pip install 'otel-setup[hub]'") from missing
        serve(settings, os.environ, model)
    except HubError as problem:
        print(f"{parser.prog}: {problem}", file=sys.stderr)
        return _CANNOT
    return 0


def _hosts(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m otel_setup hub",
        description=(
            "Takes the events of all game servers from the Collector (OTLP logs over HTTP), puts them\n"
            "in order, accounts for every one that is missing, keeps them on disk, and shows them to\n"
            "people and programs: live, from any point of the past, or replayed at their own speed."
        ),
        epilog=(
            f"Tokens may also stand in the variables {TOKEN_VARIABLE} and {READER_TOKEN_VARIABLE}.\n"
            f"The log is in {_shown(default_directory())} where nothing else is said.\n"
            "SIGTERM and Ctrl-C end the hub in good order. Exit codes: 0 ended, 2 it cannot start.\n\n"
            "examples:\n"
            "  python -m otel_setup hub\n"
            "  python -m otel_setup hub --memory --port 0\n"
            "  python -m otel_setup hub --host 0.0.0.0 --generate-token --directory events\n"
            "  curl -N 'http://127.0.0.1:4380/events/stream?type=game.*&since=30m'"
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--model",
        metavar="package:NAME",
        help=f"the game of the views, a GameModel or a Catalogue (default: {LIAP_TUI.title})",
    )
    for setting in fields(HubSettings):
        flag = f"--{setting.name.replace('_', '-')}"
        about = str(setting.metadata["help"]).replace("%", "%%")
        assert setting.default is not MISSING  # noqa: S101 - every setting has one
        default = argparse.SUPPRESS  # what is not given is the settings' own
        if setting.type == "bool":
            parser.add_argument(flag, action="store_true", default=default, help=about)
            continue
        shown = setting.default if setting.default not in (None, ()) else "none"
        kind = str(setting.type)
        metavar = "N" if "hours" in setting.name else _METAVARS.get(kind, "NAMES")
        parser.add_argument(
            flag,
            metavar=metavar,
            type=_KINDS.get(kind, _hosts),
            choices=None,  # the settings say what is wrong, all of it at once
            default=default,
            help=f"{about} (default: {shown})",
        )
    return parser


def _shown(path: Path) -> str:
    """Without the name of whoever asks, so that the help is the same for everybody."""
    return f"~/{path.relative_to(Path.home())}" if path.is_relative_to(Path.home()) else str(path)
