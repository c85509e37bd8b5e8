"""The native stack of a role on this machine: a Collector and the stores that it sends to, started, watched, stopped.

One process of this project, the keeper, starts the programs as its children and stops them again, the Collector
first, so that it can still hand over what it has. What it knows is in a file of the data folder, which the other
commands read.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from alerts.groups import groups
from alerts.render import rule_file
from deploy import native, prometheus, tools
from deploy.alertmanager import running_alertmanager
from deploy.collector.check import check
from deploy.collector.graph import Role
from deploy.collector.roles import ROLES, MakeRole
from deploy.collector.variables import LOOPBACK
from deploy.generating import write
from deploy.jaeger import running_jaeger
from deploy.loki import running_loki
from deploy.ports import is_free, ports_of
from deploy.process import Process, ProcessError, http_get, running, wait_until
from deploy.tools.cache import cache_dir
from deploy.tools.recipes import RECIPES
from deploy.zipkin import running_zipkin
from otel_setup.catalogue import Catalogue
from settings import Settings

STATE = "stack.json"
KEEPER_LOG = "keeper.log"
START_SECONDS = 300.0
STOP_SECONDS = 120.0
_OK = 200

Start = Callable[[Settings, Path], AbstractContextManager[Any]]
"""Runs a program; yields what has its ``process``, or the process itself."""


class StackError(RuntimeError):
    """The stack cannot be started, or there is none; the text says what to do."""


@dataclass(frozen=True)
class Store:
    """A program that a role sends to.

    :param name: of the program
    :param section: of the settings, where its ports are
    :param tool: what ``python -m deploy tools`` builds it as; empty for this project's own
    :param start: runs it
    """

    name: str
    section: str
    tool: str
    start: Start


def _hub(settings: Settings, folder: Path) -> AbstractContextManager[Process]:
    command = [
        sys.executable,
        "-m",
        "otel_setup",
        "hub",
        f"--port={settings.hub.port}",
        f"--directory={folder / 'log'}",
    ]
    return running("the hub", command, folder / "hub.log", f"{_hub_url(settings)}/health")


def _hub_url(settings: Settings) -> str:
    return f"http://{LOOPBACK}:{settings.hub.port}"


def _remote_write(settings: Settings, folder: Path) -> AbstractContextManager[native.Prometheus]:
    return native.running_prometheus(settings, folder, ["--web.enable-remote-write-receiver"])


_PROMETHEUS = Store("prometheus", "prometheus", "prometheus", native.running_prometheus)
_KAFKA = Store("kafka", "kafka", "kafka", native.running_kafka)
STORES: Mapping[str, Store] = {
    "otlp_http/prometheus": _PROMETHEUS,
    "prometheus_remote_write": Store("prometheus", "prometheus", "prometheus", _remote_write),
    "otlp_grpc/jaeger": Store("jaeger", "jaeger", "jaeger", running_jaeger),
    "otlp_http/loki": Store("loki", "loki", "loki", running_loki),
    "otlp_http/hub": Store("hub", "hub", "", _hub),
    "zipkin": Store("zipkin", "zipkin", "zipkin", running_zipkin),
    "kafka/events": _KAFKA,
}
"""By the component of a role that needs it."""

_ALERTMANAGER = Store("alertmanager", "alertmanager", "alertmanager", running_alertmanager)
"""Beside every Prometheus."""


def role_named(name: str, settings: Settings, catalogue: Catalogue) -> tuple[MakeRole, Role]:
    """A role by its name, checked.

    :raises StackError: there is none of that name, or nobody can run it here
    :raises ConfigurationError: the settings make one that cannot work
    """
    made = {role.name: (make, role) for make in ROLES if not (role := make(settings, catalogue)).untested}
    if name not in made:
        raise StackError(f"there is no role {name!r} to run here; there are {', '.join(made)}")
    check(made[name][1], settings.collector.secrets)
    return made[name]


def stores_of(role: Role) -> list[Store]:
    """What a role sends to, or reads from, and what that sends to."""
    needed = {store.name: store for part in role.components if (store := STORES.get(part.id))}
    return [*needed.values(), *([_ALERTMANAGER] if _PROMETHEUS.name in needed else [])]


@dataclass(frozen=True)
class RunningRole:
    """A Collector and the stores of its role, on this machine.

    :ivar stores: what runs each of them, by the program's name
    """

    settings: Settings
    collector: native.Collector
    stores: Mapping[str, Any]

    @property
    def hub_url(self) -> str:
        """Where the hub is, if the role has one."""
        return _hub_url(self.settings)

    def server_environment(self) -> dict[str, str]:
        """Environment variables by which a game server on this machine reports to it."""
        return native.server_environment(self.settings, self.collector)


@contextmanager
def running_role(name: str, settings: Settings, catalogue: Catalogue, folder: Path) -> Iterator[RunningRole]:
    """Run a role and its stores until the end of the block, each with its data in a folder of its own.

    :raises StackError: there is no such role here
    :raises ConfigurationError: the settings make one that cannot work
    :raises ProcessError: a program does not start
    """
    make, role = role_named(name, settings, catalogue)
    needed = stores_of(role)
    if _ALERTMANAGER in needed:
        write_rules(settings, catalogue, folder / _PROMETHEUS.name / prometheus.RULES)
    with ExitStack() as everything:
        stores = {store.name: everything.enter_context(store.start(settings, folder / store.name)) for store in needed}
        store = stores.get(_PROMETHEUS.name)
        collector = everything.enter_context(
            native.running_collector(
                settings,
                folder / "collector",
                None if store is None else store.url,
                role=make,
                catalogue=catalogue,
            )
        )
        yield RunningRole(settings, collector, stores)


def write_rules(settings: Settings, catalogue: Catalogue, folder: Path) -> None:
    """Write the rules of this game for Prometheus, in place of those of an earlier one.

    :param folder: beside Prometheus's configuration: :data:`deploy.prometheus.RULES`
    :raises alerts.query.QueryError: where a rule asks for what the game's catalogue does not have
    """
    for earlier in folder.glob("*.yaml"):
        earlier.unlink()
    write({f"{group.name}.yaml": rule_file(group, settings) for group in groups(settings, catalogue)}, folder)


def data_dir(given: Path | None) -> Path:
    """Where everything is kept: ``given``, or a folder of the per-user cache."""
    return (given or cache_dir() / "stack").expanduser().resolve()


# --- the commands -----------------------------------------------------------------------------------------------------
def up(name: str, settings: Settings, catalogue: Catalogue, folder: Path, arguments: list[str]) -> dict[str, Any]:
    """Start the stack of a role in the background; returns its state once all of it answers.

    :param arguments: the command line that makes these settings and this catalogue
    :raises StackError: one runs already, a port is taken, or a program does not start
    """
    _, role = role_named(name, settings, catalogue)
    if (state := read(folder)) is not None and _lives(state["pid"]):
        raise StackError(f"the stack of role {state['role']} runs already, in {folder}: python -m deploy down")
    stores = stores_of(role)
    if taken := _taken(settings, ["collector", *(store.section for store in stores)]):
        raise StackError(f"taken by other programs: {', '.join(taken)}; other ports go into a settings file")
    for tool in _tools_of(role):
        tools.build(RECIPES[tool])
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / STATE).unlink(missing_ok=True)
    log = folder / KEEPER_LOG
    command = [sys.executable, "-m", "deploy", "keep", name, f"--data={folder}", *arguments]
    with log.open("wb") as output:
        keeper = subprocess.Popen(  # noqa: S603 - this program
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    wait_until(
        lambda: (folder / STATE).exists() or keeper.poll() is not None, bool, START_SECONDS, "the stack has started"
    )
    state = read(folder)
    if state is None:
        raise StackError(f"the stack did not start. {log} says:\n{log.read_text(errors='replace').strip()}")
    return state


def keep(name: str, settings: Settings, catalogue: Catalogue, folder: Path) -> None:
    """Run the stack of a role until this process is told to end (SIGTERM, SIGINT).

    :raises ProcessError: a program does not start
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    with running_role(name, settings, catalogue, folder) as role, ExitStack() as at_the_end:
        at_the_end.callback((folder / STATE).unlink, missing_ok=True)
        _write(folder, name, role)
        while True:
            signal.pause()


def status(folder: Path) -> list[tuple[str, str, str, str]] | None:
    """Name, state, address and log of each program; None where there is no stack."""
    state = read(folder)
    if state is None:
        return None
    return [(p["name"], _health(p), p["ready"], p["log"]) for p in state["programs"]]


def down(folder: Path) -> bool:
    """Stop the stack, in order, and wait until it is gone; whether there was one.

    :raises TimeoutError: it did not end
    """
    state = read(folder)
    if state is None or not _lives(state["pid"]):
        (folder / STATE).unlink(missing_ok=True)
        return False
    os.kill(state["pid"], signal.SIGTERM)
    wait_until(lambda: _lives(state["pid"]), lambda lives: not lives, STOP_SECONDS, "the stack has ended")
    return True


def read(folder: Path) -> dict[str, Any] | None:
    """What the keeper wrote when everything answered."""
    with suppress(FileNotFoundError):
        state: dict[str, Any] = json.loads((folder / STATE).read_text())
        return state
    return None


def _write(folder: Path, name: str, role: RunningRole) -> None:
    programs = {"collector": role.collector, **role.stores}
    processes = {key: getattr(program, "process", program) for key, program in programs.items()}
    state = {
        "pid": os.getpid(),
        "role": name,
        "programs": [
            {"name": key, "pid": process.pid, "ready": process.ready, "log": str(process.log)}
            for key, process in processes.items()
        ],
        "environment": role.server_environment(),
    }
    partial = folder / f"{STATE}.partial"
    partial.touch(mode=0o600)  # it holds a token
    partial.write_text(json.dumps(state, indent=2) + "\n")
    partial.rename(folder / STATE)


def missing_tools(name: str, settings: Settings, catalogue: Catalogue) -> list[str]:
    """What ``python -m deploy tools`` has to build yet for a role to run; errors as of :func:`role_named`."""
    _, role = role_named(name, settings, catalogue)
    return [tool for tool in _tools_of(role) if any(tools.find(program) is None for program in RECIPES[tool].binaries)]


def _tools_of(role: Role) -> list[str]:
    return ["collector", *(store.tool for store in stores_of(role) if store.tool)]


def _end(number: int, _frame: object) -> None:
    raise SystemExit(0)


def _taken(settings: Settings, sections: list[str]) -> list[str]:
    found = []
    for section in dict.fromkeys(sections):
        of = getattr(settings, section)
        found += [f"{section}.{port} ({getattr(of, port)})" for port in ports_of(of) if not is_free(getattr(of, port))]
    return found


def _lives(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False


def _health(program: Mapping[str, Any]) -> str:
    if not _lives(program["pid"]):
        return "ended"
    if not program["ready"]:
        return "runs"
    try:
        code, _ = http_get(program["ready"])
    except OSError:
        return "does not answer"
    return "ok" if code == _OK else f"answers {code}"


__all__ = [
    "ProcessError",
    "RunningRole",
    "StackError",
    "data_dir",
    "down",
    "keep",
    "missing_tools",
    "role_named",
    "running_role",
    "status",
    "stores_of",
    "up",
    "write_rules",
]
