"""Compiles commands of Go modules that ``go install`` refuses to, because they replace other modules.

A module of our own that repeats a module's requirements, replacements and checksums builds the same program. What is
not part of a Go module is missing from it: the pages of Prometheus and Jaeger. The HTTP APIs are whole.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from deploy.process import Command
from deploy.tools.golang import environment, go_json
from deploy.tools.stage import Stages

STRIPPED = "-s -w"

# remove_all_sd leaves out Prometheus's service discovery and with it the SDKs of a dozen clouds; grpcnotrace leaves out
# a dependency that keeps the linker from dropping unused methods.
TAGS = "grpcnotrace,remove_all_sd"


@dataclass(frozen=True)
class Module:
    """Commands of one Go module.

    :param path: the module's
    :param version: the module's
    :param commands: the last parts of ``cmd/...``, which are also the programs' names
    :param version_variables: what the program's own build sets, for what it says of itself: values by variables
    :param tags: build tags
    """

    path: str
    version: str
    commands: tuple[str, ...]
    version_variables: tuple[tuple[str, str], ...]
    tags: str = TAGS

    @property
    def inputs(self) -> str:
        """All that decides what comes out."""
        return json.dumps([*astuple(self), STRIPPED])

    def build(self, go: Path, work: Path, out: Path, stages: Stages) -> None:
        """Fetch the module and compile its commands, together: what they share is compiled once, and they are linked
        side by side.
        """
        module = f"{self.path}@{self.version}"
        stages.run("fetch its source", [go, "mod", "download", module], work, environment())
        described = json.loads(go_json(go, ["mod", "download", "-json", module], work, environment()))
        (work / "go.mod").write_text(wrapper(go, work, self.path, self.version, Path(described["GoMod"])))
        (work / "go.sum").write_text((Path(described["Dir"]) / "go.sum").read_text())
        values = "".join(f" -X {variable}={value}" for variable, value in self.version_variables)
        build: Command = [go, "build", "-trimpath", f"-ldflags={STRIPPED}{values}", f"-tags={self.tags}", "-o", out]
        packages = [f"{self.path}/cmd/{command}" for command in self.commands]
        title = f"compile {' and '.join(self.commands)} (minutes when cold)"
        stages.run(title, [*build, *packages], work, environment())


def wrapper(go: Path, work: Path, module: str, version: str, go_mod: Path) -> str:
    """The go.mod of a module that requires ``module`` and repeats its requirements and replacements."""
    original = json.loads(go_json(go, ["mod", "edit", "-json", str(go_mod)], work, environment()))
    required = {entry["Path"]: entry["Version"] for entry in original["Require"]}
    # A replacement without a version is a folder of the original's own repository: it does not exist here.
    replaced = [entry for entry in original.get("Replace") or [] if "Version" in entry["New"]]
    lines = [
        *(f"replace {spelled(entry['Old'])} => {spelled(entry['New'])}" for entry in replaced),
        *(f"exclude {spelled(entry)}" for entry in original.get("Exclude") or []),
    ]
    return go_mod_text(required | {module: version}, original["Go"], lines)


def spelled(entry: dict[str, str]) -> str:
    """A module as go.mod spells it: its path and, where it has one, its version."""
    return " ".join([entry["Path"], *filter(None, [entry.get("Version")])])


def go_mod_text(required: dict[str, str], go_line: str = "1.25", more: Sequence[str] = ()) -> str:
    """A go.mod; ``go build -mod=mod`` adds what the requirements need in turn."""
    requirements = [f"require {module} {version}" for module, version in sorted(required.items())]
    return "\n".join(["module otel-setup.invalid/build", f"go {go_line}", *requirements, *more, ""])
