"""The tool builder: what it says and leaves behind when all goes well, when a toolchain is missing, when a build fails.

Shell scripts play Go, Java and Maven; the real ones build the tools that every other suite uses.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from deploy import tools, versions
from deploy.generating import ROOT
from deploy.process import wait_until

GO_MINIMUM = ".".join(map(str, versions.GO_MINIMUM))

# $STATE/go.version is what it claims to be; $STATE/fail, hang and nothing change how it compiles.
FAKE_GO = """#!/bin/sh
case "$1" in
version) echo "go version go$(cat "$STATE/go.version") linux/amd64" ;;
install) printf '#!/bin/sh\\nexit 0\\n' > "$GOBIN/builder"; chmod +x "$GOBIN/builder" ;;
build)
    if [ -e "$STATE/fail" ]; then echo "undefined: somethingMissing" >&2; exit 7; fi
    if [ -e "$STATE/hang" ]; then echo $$ > "$STATE/hang.pid"; exec sleep 300; fi
    while [ "$1" != "-o" ]; do shift; done
    [ -e "$STATE/nothing" ] || echo "the program" > "$2" ;;
esac
"""


# $STATE/java.version is what it claims to be.
FAKE_JAVA = """#!/bin/sh
echo "openjdk version \\"$(cat "$STATE/java.version")\\" 2025-01-01" >&2
"""

FAKE_MAVEN = """#!/bin/sh
for argument; do
    case "$argument" in
    -DoutputDirectory=*) folder=${argument#*=} ;;
    -Dartifact=io.zipkin:zipkin-server:*:jar:exec) jar=zipkin-server-exec.jar ;;
    esac
done
[ -n "$jar" ] || grep -q '<artifactId>kafka_2.13</artifactId>' pom.xml || exit 3
if [ -e "$STATE/fail" ]; then echo "Could not find artifact" ; exit 1; fi
mkdir -p "$folder"
[ -z "$jar" ] || echo "the program" > "$folder/$jar"
"""


class Machine:
    """A machine whose only Go, Java and Maven are fakes, with an empty cache and no package index."""

    def __init__(self, home: Path) -> None:
        self.state, self.cache = home / "state", home / "cache"
        self.state.mkdir()
        self.programs = programs = home / "bin"
        programs.mkdir()
        for name, script in (("go", FAKE_GO), ("java", FAKE_JAVA), ("mvn", FAKE_MAVEN)):
            (programs / name).write_text(script)
            (programs / name).chmod(0o755)
        self.say(version="1.99.0")
        (self.state / "java.version").write_text("21.0.1")
        self.environment = {
            **os.environ,
            "PATH": f"{programs}:{tools_without_java(home)}",
            "JAVA_HOME": "",
            "STATE": str(self.state),
            "OTEL_SETUP_CACHE": str(self.cache),
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(home),
        }

    def say(self, version: str) -> None:
        """Let the fake Go claim a version."""
        (self.state / "go.version").write_text(version)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start ``python -m deploy tools``."""
        return subprocess.Popen(
            [sys.executable, "-m", "deploy", "tools", *arguments],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run ``python -m deploy tools``; returns exit code, output and error output."""
        child = self.start(*arguments)
        out, err = child.communicate(timeout=60)
        return child.returncode, out, err

    def otelcol(self) -> Path | None:
        """The built program."""
        return tools.find("otelcol", self.cache)


def tools_without_java(home: Path) -> Path:
    """A folder of what the scripts call, so that a machine's own Java and Maven are not found."""
    folder = home / "system"
    folder.mkdir()
    for name in ("sh", "cat", "chmod", "dirname", "mkdir", "grep", "sleep"):
        (folder / name).symlink_to(shutil.which(name) or name)
    return folder


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_build_prints_one_line_a_stage_and_leaves_the_program_in_the_cache(machine: Machine) -> None:
    code, out, err = machine.run("collector")
    assert code == 0, err
    program = machine.otelcol()
    assert program is not None
    assert program.read_text() == "the program\n"
    assert out == f"otelcol {program}\n"
    lines = err.splitlines()
    assert [line.split("]")[1].split()[0] for line in lines] == ["1/3", "2/3", "3/3", "built"]
    assert all(line.startswith("[collector 0.158.0] ") and " s" in line for line in lines)
    assert not list((machine.cache / "work").iterdir()), "the working folder is removed after a success"


def test_a_second_run_builds_nothing(machine: Machine) -> None:
    machine.run("collector")
    (machine.state / "fail").touch()
    assert machine.run("collector") == (0, f"otelcol {machine.otelcol()}\n", "")


def test_the_list_says_what_is_built_without_building(machine: Machine) -> None:
    programs = ["otelcol", "prometheus", "promtool", "alertmanager", "amtool", "jaeger", "loki", "kafka", "zipkin"]
    assert machine.run("--list") == (0, "".join(f"{program} not built\n" for program in programs), "")
    assert machine.otelcol() is None


def test_a_failed_build_names_the_stage_the_log_and_the_reason(machine: Machine) -> None:
    (machine.state / "fail").touch()
    code, out, err = machine.run("collector")
    assert (code, out) == (1, "")
    assert "'compile otelcol" in err
    assert "exit code 7" in err
    log = next(Path(word.rstrip(":")) for word in err.split() if word.rstrip(":").endswith(".log"))
    assert "undefined: somethingMissing" in log.read_text()
    assert "undefined: somethingMissing" in err, "the end of the log is shown too"
    assert "Traceback" not in err
    assert machine.otelcol() is None


def test_a_build_that_yields_nothing_is_a_failure(machine: Machine) -> None:
    (machine.state / "nothing").touch()
    code, _, err = machine.run("collector")
    assert code == 1
    assert "did not yield otelcol" in err
    assert machine.otelcol() is None


def test_a_build_goes_on_after_a_failure(machine: Machine) -> None:
    (machine.state / "fail").touch()
    machine.run("collector")
    (machine.state / "fail").unlink()
    assert machine.run("collector")[0] == 0
    assert machine.otelcol() is not None


def test_without_a_new_enough_go_the_message_says_what_to_do(machine: Machine) -> None:
    machine.say(version="1.20.3")
    code, out, err = machine.run("collector")
    assert (code, out) == (2, "")
    assert "is 1.20.3" in err, "what was found"
    assert f"Go {GO_MINIMUM} or newer" in err, "what is needed"
    assert "put it on PATH" in err, "what to do"
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("version", "code"),
    [(GO_MINIMUM, 0), ("1.99", 0), ("1.24.13", 2), ("garbage", 2)],
)
def test_go_is_judged_by_its_version(machine: Machine, version: str, code: int) -> None:
    machine.say(version)
    assert machine.run("collector")[0] == code


def test_kafka_is_fetched_and_its_launcher_put_beside_it(machine: Machine) -> None:
    code, out, err = machine.run("kafka")
    assert code == 0, err
    launcher = tools.find("kafka", machine.cache)
    assert out == f"kafka {launcher}\n"
    assert launcher is not None
    assert os.access(launcher, os.X_OK)
    assert (launcher.parent / "lib").is_dir()


def test_zipkin_is_fetched_and_its_launcher_starts_what_was_fetched(machine: Machine) -> None:
    code, _, err = machine.run("zipkin")
    assert code == 0, err
    launcher = tools.find("zipkin", machine.cache)
    assert launcher is not None
    (machine.programs / "java").write_text('#!/bin/sh\necho "$@"\n')
    said = subprocess.run([launcher, "-Xmx1m"], capture_output=True, text=True, check=True, env=machine.environment)
    options, _, jar = said.stdout.strip().partition(" -jar ")
    assert options == "-Xmx1m"
    assert Path(jar).read_text() == "the program\n"


@pytest.mark.parametrize("program", ["kafka", "zipkin"])
def test_a_fetch_that_fails_says_what_maven_said(machine: Machine, program: str) -> None:
    (machine.state / "fail").touch()
    code, _, err = machine.run(program)
    assert code == 1
    assert "Could not find artifact" in err
    assert tools.find(program, machine.cache) is None


@pytest.mark.parametrize(
    ("missing", "java", "said"),
    [
        ("mvn", "21", "Java 21 and no mvn on PATH"),
        ("java", "21", "no Java that runs and Maven"),
        (None, "11.0.2", "Java 11 and Maven"),
        (None, "1.8.0_392", "Java 8 and Maven"),
    ],
)
def test_without_java_or_maven_the_message_says_what_to_install(
    machine: Machine, missing: str | None, java: str, said: str
) -> None:
    (machine.state / "java.version").write_text(java)
    if missing:
        (machine.programs / missing).unlink()
    code, out, err = machine.run("kafka")
    assert (code, out) == (2, "")
    assert said in err
    assert "Java 17 or newer and Maven" in err
    assert "apt-get install default-jre-headless maven" in err
    assert "Traceback" not in err


def test_a_killed_build_leaves_no_program_and_no_second_build_beside_it(machine: Machine) -> None:
    (machine.state / "hang").touch()
    first = machine.start("collector")
    compiler = int(await_text(machine.state / "hang.pid", str.strip))
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=60)
    assert machine.otelcol() is None

    (machine.state / "hang").unlink()
    second = machine.start("collector")
    assert second.stderr is not None
    assert "another build is running" in second.stderr.readline(), "the orphaned compiler still holds the lock"
    assert machine.otelcol() is None
    os.kill(compiler, signal.SIGKILL)
    second.communicate(timeout=60)
    assert second.returncode == 0
    assert machine.otelcol() is not None


def test_an_unknown_tool_is_refused_with_the_known_ones(machine: Machine) -> None:
    code, _, err = machine.run("grafana")
    assert code == 2
    assert "unknown tool grafana; there are collector, prometheus, alertmanager, jaeger, loki, kafka, zipkin" in err


def test_prometheus_releases_map_to_their_module_versions() -> None:
    # https://pkg.go.dev/github.com/prometheus/prometheus?tab=versions: release 3.5.0 is module v0.305.0.
    assert versions.prometheus_module_version("3.5.0") == "v0.305.0"


def test_what_decides_a_build_decides_its_folder(tmp_path: Path) -> None:
    recipe = tools.PROGRAMS["otelcol"]
    folders = {
        tools.home(variant, tmp_path)
        for variant in (recipe, replace(recipe, inputs="other components"), replace(recipe, version="0.159.0"))
    }
    assert len(folders) == 3


def await_text(path: Path, accept: Callable[[str], object]) -> str:
    """The text of a file once it is there and ``accept`` says yes."""
    return wait_until(lambda: path.read_text() if path.exists() else "", accept, 30, f"{path} is written")
