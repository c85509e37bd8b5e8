"""What a role's configuration must not have, and the Collector itself would not say, or only once it runs.

``otelcol validate`` builds no extensions, so it accepts a queue whose storage nobody defines; and where it is not
built, a name that does not exist would go unnoticed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

import yaml

from deploy.collector import distribution
from deploy.collector.graph import Role

Available = Mapping[str, Collection[str]]
"""The types of components that a Collector holds, by section."""

RECORDED: Available = {
    section: {*types, *distribution.ONLY_IN_CONTRIB.get(section, ())}
    for section, types in distribution.COMPONENTS.items()
}
"""What this project's distribution and the public image hold, as far as roles use it."""

_REFERENCES = ("storage", "authenticator")
_SECRET_KEY = re.compile(r"(?i)(^|[._-])(password|secret|token|api[._-]?key|authorization|credentials?)$")

_FROM_FILE = re.compile(r"\$\{file:(\$\{[^}]*\}|[^{}])*\}")
_DEFAULT = re.compile(r":-[^}$]")


class ConfigurationError(ValueError):
    """A role cannot be generated; ``problems`` says all that is wrong with it."""

    def __init__(self, role: str, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(f"{role}: {problem}" for problem in problems))


def available_in(said: str) -> Available:
    """What ``otelcol components`` says of a binary."""
    tree = yaml.safe_load(said)
    return {section: {component["name"] for component in tree[section]} for section in distribution.COMPONENTS}


def check(role: Role, secrets: Collection[str] = (), available: Available = RECORDED) -> None:
    """Refuse a role that cannot work.

    :param secrets: the environment variables that the settings name as secrets
    :param available: what the Collector that will run it holds
    :raises ConfigurationError: with all problems at once
    """
    problems = [
        *_unknown(role, available),
        *_pipelines(role),
        *_connectors(role),
        *_dangling(role),
        *_shared_storage(role),
        *_secrets(role, secrets),
    ]
    if problems:
        raise ConfigurationError(role.name, problems)


def _unknown(role: Role, available: Available) -> Iterator[str]:
    for part in role.components:
        kind, known = part.id.partition("/")[0], available[part.kind]
        if kind not in known:
            what = part.kind.removesuffix("s")
            yield f"{part.id}: there is no such {what} {kind!r}; there are {', '.join(sorted(known))}"


def _pipelines(role: Role) -> Iterator[str]:
    ids = [pipeline.id for pipeline in role.pipelines]
    yield from (f"pipeline {name} is there twice" for name in sorted({name for name in ids if ids.count(name) > 1}))
    for pipeline in role.pipelines:
        for what, parts in (("receiver", pipeline.receivers), ("exporter", pipeline.exporters)):
            if not parts:
                yield f"pipeline {pipeline.id} has no {what}"


def _connectors(role: Role) -> Iterator[str]:
    """Each joins pipelines, in one direction."""
    into: dict[str, list[str]] = {}
    out_of: dict[str, list[str]] = {}
    for pipeline in role.pipelines:
        for part in pipeline.exporters:
            if part.kind == "connectors":
                into.setdefault(part.id, []).append(pipeline.id)
        for part in pipeline.receivers:
            if part.kind == "connectors":
                out_of.setdefault(part.id, []).append(pipeline.id)
    for name in sorted(into.keys() ^ out_of.keys()):
        yield f"{name}: {'nothing goes into it' if name in out_of else 'nobody takes what goes into it'}"
    follows = {
        source: {target for name, sources in into.items() if source in sources for target in out_of.get(name, ())}
        for source in (pipeline.id for pipeline in role.pipelines)
    }
    for name, next_ones in follows.items():
        reached, waiting = set[str](), [*next_ones]
        while waiting:
            reached.add(current := waiting.pop())
            waiting += follows[current] - reached
        if name in reached:
            yield f"pipeline {name} flows into itself"


def _dangling(role: Role) -> Iterator[str]:
    extensions = {part.id for part in role.components if part.kind == "extensions"}
    for part in role.components:
        for key, value in _leaves(part.config):
            if key in _REFERENCES and value not in extensions:
                yield f"{part.id}: its {key} {value!r} is no extension of this role"


def _shared_storage(role: Role) -> Iterator[str]:
    users: dict[object, list[str]] = {}
    for part in role.components:
        for key, value in _leaves(part.config):
            if key == "storage":
                users.setdefault(value, []).append(part.id)
    for storage, parts in users.items():
        if len(parts) > 1:
            yield f"{storage}: {' and '.join(parts)} would lock each other out of it; give each its own"


def _secrets(role: Role, named: Collection[str]) -> Iterator[str]:
    for name in role.secrets:
        if name not in named:
            yield f"${{env:{name}}} has no default; name it in collector.secrets, so that nobody starts without it"
    for part in role.components:
        for key, value in _leaves(part.config):
            if _SECRET_KEY.search(str(key)) and isinstance(value, str) and _holds_words(value):
                yield f"{part.id}: {key} holds a secret; write ${{env:NAME}} and name it in collector.secrets"


def _holds_words(secret: str) -> bool:
    """Whether it is written here, if only as a default, and not read from the environment or a file."""
    return bool(secret) and ("${" not in secret or bool(_DEFAULT.search(_FROM_FILE.sub("", secret))))


def _leaves(tree: object) -> Iterator[tuple[str, object]]:
    """Every value that is no mapping and no list, with the key that it stands under."""
    if isinstance(tree, Mapping):
        if tree.keys() == {"name", "value"}:  # as headers can be written
            yield str(tree["name"]), tree["value"]
        for key, value in tree.items():
            if isinstance(value, Mapping | list | tuple):
                yield from _leaves(value)
            else:
                yield str(key), value
    elif isinstance(tree, list | tuple):
        for item in tree:
            yield from _leaves(item)
