"""How each tool is built, in stages: from Go modules, or from Maven's artifacts."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import yaml

from deploy import versions
from deploy.collector import distribution
from deploy.process import Command
from deploy.tools import kafka, zipkin
from deploy.tools.golang import ensure_go, environment
from deploy.tools.java import ensure_maven
from deploy.tools.modules import STRIPPED, TAGS, Module, go_mod_text
from deploy.tools.stage import Stages


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

    build: Command = [go, "build", "-trimpath", f"-ldflags={STRIPPED}", f"-tags={TAGS}"]
    stages.run(
        f"compile {distribution.BINARY} (minutes when cold)",
        [*build, "-o", out / distribution.BINARY, "."],
        source,
        environment(),
    )


PROMETHEUS_VERSION_VARIABLE = "github.com/prometheus/common/version.Version"

MODULES = {
    "prometheus": Module(
        "github.com/prometheus/prometheus",
        versions.prometheus_module_version(),
        ("prometheus", "promtool"),
        ((PROMETHEUS_VERSION_VARIABLE, versions.PROMETHEUS),),
    ),
    "alertmanager": Module(
        "github.com/prometheus/alertmanager",
        f"v{versions.ALERTMANAGER}",
        ("alertmanager", "amtool"),
        ((PROMETHEUS_VERSION_VARIABLE, versions.ALERTMANAGER),),
    ),
    "jaeger": Module(
        "github.com/jaegertracing/jaeger",
        f"v{versions.JAEGER_MODULE}",
        ("jaeger",),
        (("github.com/jaegertracing/jaeger/internal/version.latestVersion", f"v{versions.JAEGER}"),),
    ),
    "loki": Module(
        "github.com/grafana/loki/v3",
        f"v{versions.LOKI}",
        ("loki",),
        (("github.com/grafana/loki/v3/pkg/util/build.Version", versions.LOKI),),
    ),
}


def module_recipe(name: str, version: str) -> Recipe:
    """The recipe of commands of a Go module."""
    module = MODULES[name]
    return Recipe(name, version, module.commands, 2, module.inputs, ensure_go, module.build)


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="collector",
            version=versions.COLLECTOR,
            binaries=(distribution.BINARY,),
            stages=3,
            inputs=json.dumps([distribution.manifest(), TAGS, STRIPPED]),
            toolchain=ensure_go,
            build=build_collector,
        ),
        module_recipe("prometheus", versions.PROMETHEUS),
        module_recipe("alertmanager", versions.ALERTMANAGER),
        module_recipe("jaeger", versions.JAEGER),
        module_recipe("loki", versions.LOKI),
        Recipe(
            name="kafka",
            version=versions.KAFKA,
            binaries=(kafka.PROGRAM,),
            stages=1,
            inputs=kafka.INPUTS,
            toolchain=ensure_maven,
            build=kafka.build,
        ),
        Recipe(
            name="zipkin",
            version=versions.ZIPKIN,
            binaries=(zipkin.PROGRAM,),
            stages=1,
            inputs=zipkin.INPUTS,
            toolchain=ensure_maven,
            build=zipkin.build,
        ),
    )
}
