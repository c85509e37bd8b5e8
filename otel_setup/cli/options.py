"""Options that several commands and generators take, and what they mean."""

from __future__ import annotations

import argparse
import importlib

from otel_setup.catalogue import Catalogue, build
from otel_setup.game_model import LIAP_TUI, GameModel


class OptionError(ValueError):
    """An option's value makes no sense; the text says what is accepted. Commands exit with 2."""


def add_game_options(parser: argparse.ArgumentParser) -> None:
    """``--model`` and ``--prefix``, which say whose catalogue is meant."""
    parser.add_argument(
        "--model",
        metavar="package:NAME",
        help=f"a GameModel, or a Catalogue where the game has its own metrics (default: {LIAP_TUI.title})",
    )
    parser.add_argument("--prefix", metavar="P", help="of the metrics' names (default: the model's name)")


def catalogue_of(model: str | None, prefix: str | None) -> Catalogue:
    """The catalogue that ``--model`` and ``--prefix`` ask for.

    Raises:
        OptionError: where the model cannot be found, or the catalogue is not sound.
    """
    found = LIAP_TUI if model is None else _named(model)
    try:
        if isinstance(found, GameModel):
            return build(found, prefix)
        business = [metric.declared for metric in found.metrics if metric.business]
        return found if prefix is None else build(found.model, prefix, business)
    except ValueError as problem:
        raise OptionError(str(problem)) from problem


def _named(spec: str) -> GameModel | Catalogue:
    module_name, colon, name = spec.partition(":")
    if not colon or not name.isidentifier() or not all(part.isidentifier() for part in module_name.split(".")):
        raise OptionError(f"--model {spec!r} is not of the form package:NAME, such as mygame.model:GAME")
    try:
        module = importlib.import_module(module_name)
    except Exception as problem:
        # The game's own code runs here, and whatever it raises is an answer to the option.
        raise OptionError(
            f"--model {spec!r}: cannot import {module_name!r} ({type(problem).__name__}: {problem})"
        ) from problem
    found = getattr(module, name, None)
    if not isinstance(found, GameModel | Catalogue):
        what = f"is a {type(found).__name__}" if hasattr(module, name) else "does not exist"
        raise OptionError(f"--model {spec!r}: {name} {what}; expected a GameModel or a Catalogue")
    return found
