"""Where nobody looks closely, a debug hook costs the question whether anybody does: counted in executed bytecodes.

Beside the product stands a build of it from which every line marked ``# debug hook`` is taken out.
"""

from __future__ import annotations

import ast
import asyncio
import gc
import sys
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import pytest

from otel_setup import blocks, recorder, tracing
from otel_setup.telemetry import current_core
from otel_setup.testing import recording

MARK = "# debug hook"
QUESTION = 4
"""Bytecodes of ``if core.debug.active:``: a local, two attributes, a jump."""
MODULES = (tracing, blocks, recorder)


def source_of(module: ModuleType) -> list[str]:
    return Path(str(module.__file__)).read_text().splitlines()


def without_hooks(module: ModuleType, **names: Any) -> ModuleType:
    """A module without its marked lines, in which some names stand for others."""
    text = "\n".join("" if line.endswith(MARK) else line for line in source_of(module))
    made = ModuleType(module.__name__)
    made.__file__ = module.__file__
    exec(compile(text, f"{module.__file__} without hooks", "exec"), made.__dict__)  # noqa: S102 - our own source
    vars(made).update(names)
    return made


@pytest.fixture(scope="module")
def bare() -> dict[str, ModuleType]:
    spans = without_hooks(tracing)
    return {
        "blocks": without_hooks(blocks, SpanScope=spans.SpanScope),
        "recorder": without_hooks(recorder),
    }


def as_is() -> dict[str, ModuleType]:
    return {"blocks": blocks, "recorder": recorder}


async def act(build: dict[str, ModuleType]) -> None:
    core = current_core()
    block = build["blocks"].ActionBlock(core, "g1", "declare", "Ada", None, core.waiting.capture())
    async with block as handle:
        handle.outcome("accepted")


async def move(build: dict[str, ModuleType]) -> None:
    async with build["blocks"].TransitionBlock(current_core(), "g1", "WAITING", "PREPARATION", None):
        pass


async def receive(build: dict[str, ModuleType]) -> None:
    await build["recorder"].Recorder(current_core).record_socket_message("c1", "receive", "play", 12)


class Counted:
    """What a piece of work executes: bytecodes by line."""

    def __init__(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.lines: Counter[tuple[str, int]] = Counter()
        for _ in range(3):  # what is done once, or remembered, is done
            asyncio.run(work())
        coroutine = work()
        gc.collect()
        gc.disable()
        before = sys.gettrace()
        sys.settrace(self._enter)
        try:
            coroutine.send(None)
        except StopIteration:
            pass
        finally:
            sys.settrace(before)
            gc.enable()

    def _enter(self, frame: FrameType, _event: str, _argument: object) -> Any:
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._count

    def _count(self, frame: FrameType, event: str, _argument: object) -> Any:
        if event == "opcode":
            self.lines[frame.f_code.co_filename, frame.f_lineno] += 1
        return self._count

    @property
    def total(self) -> int:
        return sum(self.lines.values())


def marked_lines() -> dict[tuple[str, int], str]:
    return {
        (str(module.__file__), number): line.strip()
        for module in MODULES
        for number, line in enumerate(source_of(module), 1)
        if line.endswith(MARK)
    }


@pytest.mark.parametrize(("work", "hooks"), [(act, 2), (move, 5), (receive, 1)])
def test_each_hook_costs_one_question(
    work: Callable[[dict[str, ModuleType]], Coroutine[Any, Any, None]], hooks: int, bare: dict[str, ModuleType]
) -> None:
    """One of the hooks of an action, and of a transition, is that of its span."""
    with recording():
        assert not current_core().debug.active
        present, absent = Counted(lambda: work(as_is())), Counted(lambda: work(bare))
        marked = marked_lines()
        passed = {place: count for place, count in present.lines.items() if place in marked}
        assert len(passed) == hooks
        assert all(marked[place].startswith("if ") for place in passed), "nothing below a question is executed"
        assert 0 < present.total - absent.total <= QUESTION * hooks, (present.total, absent.total)


def test_the_count_is_the_same_each_time() -> None:
    with recording():
        assert len({Counted(lambda: act(as_is())).total for _ in range(3)}) == 1


def test_a_step_that_the_game_names_costs_as_little() -> None:
    with recording():

        async def step() -> None:
            blocks.Handle().step("cards dealt", cards=32)

        counted = Counted(step)
        inside = [
            count for (file, number), count in counted.lines.items() if "_tell_step is not None" in line(file, number)
        ]
        assert len(inside) == 1
        assert inside[0] <= QUESTION + 2, "with the way back to the game"


def line(file: str, number: int) -> str:
    return Path(file).read_text().splitlines()[number - 1] if Path(file).is_file() else ""


def test_whoever_asks_whether_somebody_looks_is_marked() -> None:
    """Else it would escape the count."""
    package = Path(blocks.__file__).parent
    asking = {
        (str(path), node.lineno)
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.If | ast.IfExp | ast.BoolOp)
        and "debug.active" in ast.unparse(getattr(node, "test", node))
        if path.name != "close_look.py"
    }
    assert asking
    assert asking == {place for place, text in marked_lines().items() if text.startswith("if ")}


def test_nothing_but_hooks_is_marked() -> None:
    """A marked line is a question or stands below one."""
    for module in MODULES:
        lines = source_of(module)
        for number, text in enumerate(lines):
            if text.endswith(MARK) and not text.strip().startswith("if core.debug.active"):
                assert lines[number - 1].endswith(MARK), text


def test_the_count_sees_a_costly_hook() -> None:
    """The measure itself: work that asks through a property is found out."""

    class Costly:
        @property
        def active(self) -> bool:
            return bool(())

    costly, plain = Costly(), type("Plain", (), {"active": False})()

    async def ask(whom: Any) -> None:
        if whom.active:
            raise AssertionError

    assert Counted(lambda: ask(costly)).total > Counted(lambda: ask(plain)).total + QUESTION
