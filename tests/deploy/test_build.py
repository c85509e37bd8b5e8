"""Generated files: committed as generated, the same every time, and accepted by the programs that read them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy import build
from deploy.__main__ import main
from deploy.collector import distribution
from deploy.collector.graph import Component, Pipeline, Role
from settings import Settings, parse
from tests.support.peers import require

ROLES = ("standalone", "events", "kafka-producer", "kafka-consumer")
FILES = ("manifest.yaml", "prometheus.yml", *(f"{role}.yaml" for role in ROLES))
COMMITTED = build.ROOT / "collector-config"
SECTIONS = ("receivers", "processors", "exporters", "connectors", "extensions")

# What changes every generated file that settings can change.
OTHER_SETTINGS = {
    "metrics": {"export_interval_seconds": 2.5},
    "events": {"collector_batch_milliseconds": 20, "queue_mebibytes": 5},
    "collector": {"otlp_http_port": 14318, "telemetry_port": 18888, "metrics_file": True},
    "prometheus": {"retention_days": 1, "promoted_attributes": ["service.name"]},
    "hub": {"enabled": True, "port": 14380},
    "kafka": {"port": 19092, "topic": "games.events", "group": "readers"},
}


def run(*command: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    return subprocess.run(
        [str(part) for part in command],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
    )


@pytest.fixture(params=["committed", "other settings"])
def generated(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder of generated files: the committed ones, and others."""
    if request.param == "committed":
        return COMMITTED
    build.write(build.generated(parse(OTHER_SETTINGS)), tmp_path)
    return tmp_path / "collector-config"


def trees(folder: Path = COMMITTED) -> dict[str, Any]:
    """The configuration of every role."""
    return {role: yaml.safe_load((folder / f"{role}.yaml").read_text()) for role in ROLES}


# --- as committed


def test_committed_files_are_what_the_generator_writes(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["build", "--check"])
    assert (code, capsys.readouterr().out) == (0, ""), "run: python -m deploy build"


def test_check_fails_with_a_diff_where_a_file_was_edited(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(COMMITTED, tmp_path / "collector-config")
    edited = tmp_path / "collector-config" / "standalone.yaml"
    edited.write_text(edited.read_text().replace("check_interval: 1s", "check_interval: 9s"))
    (tmp_path / "collector-config" / "prometheus.yml").unlink()
    assert main(["build", "--check", "--out", str(tmp_path)]) == 1
    diff = capsys.readouterr().out
    assert "-    check_interval: 9s\n+    check_interval: 1s\n" in diff
    assert "+++ collector-config/prometheus.yml (generated)" in diff
    assert "manifest.yaml" not in diff
    assert "check_interval: 9s" in edited.read_text(), "check writes nothing"


@pytest.mark.parametrize("seed", ["0", "1"])
def test_every_run_writes_the_same_bytes(tmp_path: Path, seed: str) -> None:
    done = run(
        sys.executable, "-m", "deploy", "build", "--out", tmp_path, PYTHONHASHSEED=seed, PYTHONPATH=str(build.ROOT)
    )
    assert done.returncode == 0, done.stderr
    for name in FILES:
        assert (tmp_path / "collector-config" / name).read_bytes() == (COMMITTED / name).read_bytes()


def test_nothing_generated_lies_about_unchecked(tmp_path: Path) -> None:
    assert sorted(path.name for path in COMMITTED.iterdir()) == sorted(FILES)


# --- the Collector


@pytest.mark.parametrize("role", ROLES)
def test_the_collector_accepts_the_configuration(generated: Path, role: str, tmp_path: Path) -> None:
    config = generated / f"{role}.yaml"
    done = run(require("otelcol"), "validate", f"--config={config}", OTELCOL_DATA_DIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr


def test_the_collector_would_refuse_a_wrong_key(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text((COMMITTED / "standalone.yaml").read_text().replace("num_consumers:", "consumers:"))
    done = run(require("otelcol"), "validate", f"--config={broken}", OTELCOL_DATA_DIR=str(tmp_path))
    assert done.returncode != 0
    assert "consumers" in done.stderr


def test_every_component_of_the_configuration_is_in_the_built_collector(generated: Path) -> None:
    in_binary = yaml.safe_load(run(require("otelcol"), "components").stdout)
    for role, configured in trees(generated).items():
        for section in SECTIONS:
            available = {component["name"] for component in in_binary[section]}
            used = {name.split("/")[0] for name in configured.get(section, {})}
            assert used <= available, (role, section)


def test_the_built_collector_holds_exactly_the_manifests_components() -> None:
    in_binary = yaml.safe_load(run(require("otelcol"), "components").stdout)
    manifest = yaml.safe_load((COMMITTED / "manifest.yaml").read_text())
    for section in SECTIONS:
        wanted = {component["gomod"] for component in manifest[section]}
        assert {component["module"] for component in in_binary[section]} == wanted, section
    assert in_binary["buildinfo"]["version"] == manifest["dist"]["version"]


def resolved(role: str, tmp_path: Path, **environment: str) -> dict[str, Any]:
    """A committed configuration as the Collector resolves it, without secrets."""
    done = run(
        require("otelcol"), "print-config", "--mode=redacted", f"--config={COMMITTED / f'{role}.yaml'}",
        OTELCOL_DATA_DIR=str(tmp_path), **environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    tree = yaml.safe_load(done.stdout)
    assert isinstance(tree, dict)
    return tree


@pytest.mark.parametrize("role", ROLES)
def test_every_server_of_the_collector_listens_on_loopback_by_default(role: str, tmp_path: Path) -> None:
    tree = resolved(role, tmp_path)
    assert tree["extensions"]["health_check"]["endpoint"] == "127.0.0.1:13133"
    if otlp := tree["receivers"].get("otlp"):
        servers = [otlp["protocols"][protocol]["endpoint"] for protocol in ("grpc", "http")]
        assert servers == ["127.0.0.1:4317", "127.0.0.1:4318"]
    reader = tree["service"]["telemetry"]["metrics"]["readers"][0]["pull"]["exporter"]["prometheus"]
    assert (reader["host"], reader["port"]) == ("127.0.0.1", 8888)


@pytest.mark.parametrize(("role", "exporter"), [("events", "otlp_http/hub"), ("kafka-consumer", "otlp_http/hub")])
def test_where_the_hub_is_comes_from_the_environment(role: str, exporter: str, tmp_path: Path) -> None:
    assert resolved(role, tmp_path)["exporters"][exporter]["endpoint"] == "http://127.0.0.1:4380"
    elsewhere = resolved(role, tmp_path, **{"EVENTS_HUB_URL": "http://127.0.0.1:9", "EVENTS_HUB_TOKEN": "very secret"})
    assert elsewhere["exporters"][exporter]["endpoint"] == "http://127.0.0.1:9"
    assert "very secret" not in yaml.safe_dump(elsewhere)


@pytest.mark.parametrize(
    ("role", "section"), [("kafka-producer", "exporters"), ("kafka-consumer", "receivers")], ids=["to", "from"]
)
def test_where_kafka_is_comes_from_the_environment(role: str, section: str, tmp_path: Path) -> None:
    assert resolved(role, tmp_path)[section]["kafka/events"]["brokers"] == ["127.0.0.1:9092"]
    several = resolved(role, tmp_path, KAFKA_BROKERS="one:9092,two:9092")
    assert several[section]["kafka/events"]["brokers"] == ["one:9092", "two:9092"]


def test_memory_is_limited_first_and_nothing_is_batched_outside_a_queue(generated: Path) -> None:
    for role, tree in trees(generated).items():
        for name, pipeline in tree["service"]["pipelines"].items():
            assert pipeline["processors"][0] == "memory_limiter", (role, name)
        assert "batch" not in tree["processors"], role


def test_what_goes_over_the_network_waits_on_disk_and_is_retried_for_ever(generated: Path) -> None:
    checked = 0
    for role, tree in trees(generated).items():
        exporters = {name: config for name, config in tree["exporters"].items() if not name.startswith("file/")}
        assert exporters, role
        for name, config in exporters.items():
            checked += 1
            assert config["retry_on_failure"]["max_elapsed_time"] == "0s", (role, name)
            if role == "kafka-consumer":
                assert not config["sending_queue"]["enabled"], "what waits does so in Kafka"
                continue
            queue = config["sending_queue"]
            assert queue["storage"] in tree["extensions"], (role, name)
            assert queue["storage"] in tree["service"]["extensions"], (role, name)
            assert queue["num_consumers"] == 1, (role, name)
            assert "batch" in queue, (role, name)
    assert checked >= len(ROLES)


def test_what_is_read_from_kafka_is_marked_only_once_it_is_delivered(generated: Path) -> None:
    receiver = trees(generated)["kafka-consumer"]["receivers"]["kafka/events"]
    assert receiver["message_marking"] == {"after": True, "on_error": False, "on_permanent_error": False}
    assert receiver["initial_offset"] == "earliest"
    assert (receiver["error_backoff"]["enabled"], receiver["error_backoff"]["max_elapsed_time"]) == (True, "0s")


def test_both_sides_of_kafka_mean_one_topic(generated: Path) -> None:
    sides = trees(generated)
    written = sides["kafka-producer"]["exporters"]["kafka/events"]["logs"]
    read = sides["kafka-consumer"]["receivers"]["kafka/events"]["logs"]
    assert read == {"topics": [written["topic"]], "encoding": written["encoding"]}


def test_files_are_bounded() -> None:
    for name, config in trees()["standalone"]["exporters"].items():
        if name.startswith("file/"):
            assert config["rotation"]["max_megabytes"] > 0
            assert config["rotation"]["max_backups"] > 0


def test_two_components_of_one_name_are_refused() -> None:
    limiters = [Component("processors", "memory_limiter", {"limit_mib": size}) for size in (1, 2)]
    pipelines = tuple(Pipeline(f"logs/{index}", (), (limiter,), ()) for index, limiter in enumerate(limiters))
    with pytest.raises(ValueError, match="two different processors are called memory_limiter"):
        Role("broken", "", pipelines, (), {}, "")


def test_the_manifest_names_modules_once() -> None:
    listed = [module for modules in distribution.COMPONENTS.values() for module in modules]
    assert len(set(listed)) == len(listed)


# --- Prometheus


def test_promtool_accepts_the_configuration(generated: Path) -> None:
    done = run(require("promtool"), "check", "config", generated / "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_would_refuse_a_wrong_key(tmp_path: Path) -> None:
    broken = tmp_path / "prometheus.yml"
    broken.write_text((COMMITTED / "prometheus.yml").read_text().replace("translation_strategy", "strategy"))
    assert run(require("promtool"), "check", "config", broken).returncode != 0


def test_prometheus_scrapes_the_collector_where_it_listens() -> None:
    scraped = yaml.safe_load((COMMITTED / "prometheus.yml").read_text())["scrape_configs"]
    targets = [target for job in scraped for static in job["static_configs"] for target in static["targets"]]
    assert targets == [f"127.0.0.1:{Settings().collector.telemetry_port}"]
