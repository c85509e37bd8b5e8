"""What is installed from the wheel: the runtime, whole, and nothing with a name that could surprise anybody."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, tracked.stdout.split("\0")):
        target = source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        folder,
        source,
    ]
    subprocess.run(command, check=True, timeout=120)
    (built,) = folder.glob("*.whl")
    return built


def test_it_holds_the_runtime_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"otel_setup"}
    assert "otel_setup/py.typed" in names
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "otel_setup").rglob("*.py")}
    assert modules <= set(names)


def test_it_works_where_it_is_installed(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", site, wheel]
    subprocess.run(install, check=True, timeout=120)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(site)}
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    where = run("-c", "import otel_setup; print(otel_setup.__file__); otel_setup.get_enterprise_monitor().core")
    assert where.stdout.strip() == str(site / "otel_setup" / "__init__.py"), where.stderr
    assert run("-m", "otel_setup", "catalogue").returncode == 0
    alerts = run("-c", "import otel_setup; otel_setup.create_alert_rules()")
    assert "belongs to the generators, which an installed package does not hold" in alerts.stderr
    demo = run("-m", "otel_setup", "demo")
    assert (demo.returncode, demo.stderr.strip()) == (
        2,
        "The demo runs from a checkout of the project, in its top folder: make demo",
    )
