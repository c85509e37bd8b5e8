"""How each tool is built, in stages: from Go modules, or from Maven's artifacts."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import yaml

from deploy import versions
from deploy.collector import distribution
from deploy.process import Command
from deploy.tools import kafka
from deploy.tools.golang import ensure_go, environment, go_json
from deploy.tools.stage import Stages

STRIPPED = "-s -w"


@dataclass(frozen=True)
class Recipe:
    """One buildable tool.

    :param name: what ``python -m deploy tools`` calls it
    :param version: its release
    :param binaries: the commands it yields
    :param stages: how many stages ``build`` runs
    :param inputs: all that decides what comes out; part of the cache key
    :param toolchain: finds the command that builds it: (cache, where progress goes, descriptor of the build lock)
    :param build: runs the stages: (that command, working folder, folder for the binaries, stages)
    """

    name: str
    version: str
    binaries: tuple[str, ...]
    stages: int
    inputs: str
    toolchain: Callable[[Path, TextIO, int], Path]
    build: Callable[[Path, Path, Path, Stages], None]


# remove_all_sd leaves out Prometheus's service discovery and with it the SDKs of a dozen clouds; grpcnotrace leaves out
# a dependency that keeps the linker from dropping unused methods.
COLLECTOR_TAGS = "grpcnotrace,remove_all_sd"
PROMETHEUS_TAGS = "remove_all_sd"
PROMETHEUS_MODULE = "github.com/prometheus/prometheus"


def build_collector(go: Path, work: Path, out: Path, stages: Stages) -> None:
    """Generate the distribution's main package with the Collector's builder and compile it."""
    builder = f"{distribution.CORE}/cmd/builder@v{versions.COLLECTOR}"
    stages.run("fetch the Collector's builder", [go, "install", builder], work, environment() | {"GOBIN": str(work)})

    source = work / "source"
    source.mkdir(exist_ok=True)
    manifest = work / "manifest.yaml"
    manifest.write_text(yaml.safe_dump(distribution.manifest(output_path=str(source), go=str(go))))
    # The builder would also tidy and download modules that only tests or other systems need, and fail where one of
    # them is missing. So it writes the source alone, and `go build` fetches what the program is linked from.
    generate: Command = [work / "builder", "--skip-compilation", "--skip-get-modules", f"--config={manifest}"]
    stages.run("generate its source", generate, work, environment())
    (source / "go.mod").write_text(go_mod_text(distribution.modules()))

    build: Command = [go, "build", "-trimpath", f"-ldflags={STRIPPED}", f"-tags={COLLECTOR_TAGS}"]
    stages.run(
        f"compile {distribution.BINARY} (minutes when cold)",
        [*build, "-o", out / distribution.BINARY, "."],
        source,
        environment(),
    )


def build_prometheus(go: Path, work: Path, out: Path, stages: Stages) -> None:
    """Compile Prometheus and promtool.

    Prometheus's module replaces others, which ``go install`` refuses; a module of our own that repeats its
    requirements, replacements and checksums builds the same program. There is no web page in it: the page's assets
    are not part of the Go module. The HTTP API is whole.
    """
    version = versions.prometheus_module_version()
    module = f"{PROMETHEUS_MODULE}@{version}"
    stages.run("fetch its source", [go, "mod", "download", module], work, environment())
    described = json.loads(go_json(go, ["mod", "download", "-json", module], work, environment()))
    (work / "go.mod").write_text(wrapper(go, work, PROMETHEUS_MODULE, version, Path(described["GoMod"])))
    (work / "go.sum").write_text((Path(described["Dir"]) / "go.sum").read_text())
    flags = f"-ldflags={STRIPPED} -X github.com/prometheus/common/version.Version={versions.PROMETHEUS}"
    for command in ("prometheus", "promtool"):
        package = f"{PROMETHEUS_MODULE}/cmd/{command}"
        build: Command = [go, "build", "-trimpath", flags, f"-tags={PROMETHEUS_TAGS}", "-o", out / command, package]
        stages.run(f"compile {command}", build, work, environment())


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


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="collector",
            version=versions.COLLECTOR,
            binaries=(distribution.BINARY,),
            stages=3,
            inputs=json.dumps([distribution.manifest(), COLLECTOR_TAGS, STRIPPED]),
            toolchain=ensure_go,
            build=build_collector,
        ),
        Recipe(
            name="prometheus",
            version=versions.PROMETHEUS,
            binaries=("prometheus", "promtool"),
            stages=3,
            inputs=json.dumps([PROMETHEUS_TAGS, STRIPPED]),
            toolchain=ensure_go,
            build=build_prometheus,
        ),
        Recipe(
            name="kafka",
            version=versions.KAFKA,
            binaries=(kafka.PROGRAM,),
            stages=1,
            inputs=kafka.INPUTS,
            toolchain=kafka.ensure_maven,
            build=kafka.build,
        ),
    )
}
