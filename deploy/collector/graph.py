"""The parts of a Collector configuration, and how they become one.

A configuration is described by its pipelines alone: what a pipeline names is defined, and nothing else is, so the
result holds neither an unused component nor a dangling name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from deploy.yaml_text import document

Kind = Literal["receivers", "processors", "exporters", "connectors", "extensions"]
Signal = Literal["traces", "metrics", "logs"]
SECTIONS: tuple[Kind, ...] = ("extensions", "receivers", "processors", "connectors", "exporters")

_VARIABLE = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)(:-)?")


@dataclass(frozen=True)
class Component:
    """One configured component.

    :param kind: the section it is defined in
    :param id: ``type`` or ``type/name``
    :param config: its configuration
    :param why: a comment above it, for what a reader cannot see from the keys
    :param uses: extensions that the configuration refers to
    """

    kind: Kind
    id: str
    config: Mapping[str, object]
    why: str = ""
    uses: tuple[Component, ...] = ()


@dataclass(frozen=True)
class Pipeline:
    """One pipeline; ``id`` is the signal (``metrics``) or signal and name (``logs/events``)."""

    id: str
    receivers: tuple[Component, ...]
    processors: tuple[Component, ...]
    exporters: tuple[Component, ...]

    @property
    def components(self) -> tuple[Component, ...]:
        """All of them, in the order that data takes."""
        return (*self.receivers, *self.processors, *self.exporters)

    @property
    def signal(self) -> str:
        """What flows through it."""
        return self.id.partition("/")[0]


@dataclass(frozen=True)
class Role:
    """The complete configuration of one role that a Collector plays.

    :param name: the file's name
    :param about: what the role does, for the head of the file
    :param image: a public image in which it runs
    :param untested: why nobody has run it here, where that is so
    :param pipelines: its pipelines
    :param extensions: extensions that no component refers to
    :param telemetry: how the Collector reports on itself
    :param telemetry_why: the comment above that
    """

    name: str
    about: str
    pipelines: tuple[Pipeline, ...]
    extensions: tuple[Component, ...]
    telemetry: Mapping[str, object]
    telemetry_why: str
    image: str = ""
    untested: str = ""
    components: tuple[Component, ...] = field(init=False)

    def __post_init__(self) -> None:
        used = [component for pipeline in self.pipelines for component in pipeline.components]
        extensions = [*self.extensions, *(extension for component in used for extension in component.uses)]
        unique: dict[tuple[Kind, str], Component] = {}
        for component in (*extensions, *used):
            if unique.setdefault((component.kind, component.id), component) != component:
                raise ValueError(f"{self.name}: two different {component.kind} are called {component.id}")
        object.__setattr__(self, "components", tuple(unique.values()))

    def tree(self) -> dict[str, object]:
        """The configuration as the Collector reads it."""
        result: dict[str, object] = {}
        for section in SECTIONS:
            if defined := {part.id: dict(part.config) for part in self.components if part.kind == section}:
                result[section] = defined
        result["service"] = {
            "extensions": [part.id for part in self.components if part.kind == "extensions"],
            "telemetry": dict(self.telemetry),
            "pipelines": {
                pipeline.id: {
                    "receivers": [part.id for part in pipeline.receivers],
                    "processors": [part.id for part in pipeline.processors],
                    "exporters": [part.id for part in pipeline.exporters],
                }
                for pipeline in self.pipelines
            },
        }
        return result

    @property
    def environment(self) -> tuple[str, ...]:
        """The variables that it reads when it starts, in the order in which they occur."""
        return tuple(dict.fromkeys(name for name, _ in _VARIABLE.findall(repr(self.tree()))))

    @property
    def secrets(self) -> tuple[str, ...]:
        """Those of them for which there is no default: without them it must not start."""
        found = _VARIABLE.findall(repr(self.tree()))
        return tuple(dict.fromkeys(name for name, default in found if not default))

    def render(self) -> str:
        """The configuration file's text."""
        comments: dict[tuple[str, ...], str] = {(part.kind, part.id): part.why for part in self.components if part.why}
        comments["service", "telemetry"] = self.telemetry_why
        about = [f"UNTESTED: {self.untested}"] if self.untested else []
        about += [self.about, f"Image: {self.image}", f"Environment: {', '.join(self.environment)}."]
        if self.secrets:
            about.append(f"No start without {', '.join(self.secrets)}.")
        return document(self.tree(), about, comments)
