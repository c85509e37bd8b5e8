"""A deployment's own settings: files over files, and exporters, processors and labels that no generated file knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy import ports
from deploy.__main__ import main
from deploy.collector.roles import standalone
from deploy.process import ProcessError, wait_until
from settings import Settings, SettingsError, load, parse
from tests.deploy.collectors import RUN_HERE, otelcol, post, request, running
from tests.support.kafka_otlp import StubHub, stub_hub

KEY = "VENDOR_KEY"
VALUE = "k-12345"
NAME = "otlp_http/vendor"


def vendor(url: str = "https://otlp.vendor.example", **collector: Any) -> dict[str, Any]:
    """Settings of a deployment that sends everything to a vendor too, labels it, and leaves probes out."""
    return {
        "collector": {
            "exporters": {
                NAME: {
                    "signals": ["traces", "metrics", "logs"],
                    "config": {"endpoint": url, "headers": {"api-key": f"${{env:{KEY}}}"}},
                }
            },
            "processors": {
                "filter/probes": {
                    "signals": ["logs"],
                    "config": {"error_mode": "ignore", "log_conditions": ['log.body == "probe"']},
                }
            },
            "labels": {"deployment.environment.name": "staging"},
            "secrets": [KEY],
            **collector,
        }
    }


def file(folder: Path, name: str, tree: object) -> Path:
    """A settings file."""
    path = folder / name
    path.write_text(yaml.safe_dump(tree))
    return path


def built(folder: Path, *files: Path) -> Path:
    """Build with these settings; returns the folder of what was written."""
    options = [word for path in files for word in ("--settings", str(path))]
    assert main(["build", *options, "--out", str(folder)]) == 0
    return folder / "collector-config"


# --- files over files


def test_a_second_file_overrides_key_by_key_and_lists_as_a_whole(tmp_path: Path) -> None:
    base = file(tmp_path, "base.yaml", {
        "collector": {"labels": {"deployment.environment.name": "production", "team": "games"}, "queue_items": 1000},
        "agent": {"gateways": ["one", "two"]},
        "prometheus": {"retention_days": 30},
    })  # fmt: skip
    over = file(tmp_path, "over.yaml", {
        "collector": {"labels": {"deployment.environment.name": "staging"}},
        "agent": {"gateways": ["three"]},
    })  # fmt: skip
    settings = load(base, over)
    assert settings.collector.labels == {"deployment.environment.name": "staging", "team": "games"}
    assert settings.collector.queue_items == 1000
    assert settings.agent.gateways == ("three",)
    assert settings.prometheus.retention_days == 30
    assert load(over, base).agent.gateways == ("one", "two"), "the last one wins"
    assert load(base, file(tmp_path, "empty.yaml", None)) == load(base)


def test_extensions_of_several_files_are_all_there(tmp_path: Path) -> None:
    base, over = (
        file(tmp_path, "base.yaml", vendor()),
        file(tmp_path, "over.yaml", {"collector": {"exporters": {NAME: {"config": {"timeout": "3s"}}, "debug": {}}}}),
    )
    exporters = load(base, over).collector.exporters
    assert set(exporters) == {NAME, "debug"}
    assert exporters[NAME].signals == ("traces", "metrics", "logs")
    assert set(exporters[NAME].config) == {"endpoint", "headers", "timeout"}


def test_what_is_wrong_is_said_of_the_file_that_it_is_in(tmp_path: Path) -> None:
    good = file(tmp_path, "good.yaml", {"prometheus": {"retention_days": 30}})
    bad = file(tmp_path, "bad.yaml", {"prometheus": {"retention_day": 30}})
    for order in ((good, bad), (bad, good)):
        with pytest.raises(SettingsError, match="retention_day: unknown key") as refused:
            load(*order)
        assert str(refused.value).startswith(f"{bad}: ")
        assert str(good) not in str(refused.value)


def test_several_files_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = file(tmp_path, "base.yaml", {"zipkin": {"port": 1111}, "loki": {"port": 2222}})
    over = file(tmp_path, "over.yaml", {"zipkin": {"port": 3333}})
    folder = built(tmp_path / "out", base, over)
    assert ":3333}" in (folder / "zipkin.yaml").read_text()
    assert ":2222}" in (folder / "standalone.yaml").read_text()
    missing = tmp_path / "gone.yaml"
    assert main(["build", "--settings", str(base), "--settings", str(missing), "--out", str(tmp_path / "no")]) == 2
    assert capsys.readouterr().err.startswith(f"{missing}: cannot be read")
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    ("collector", "expected"),
    [
        ({"labels": {"team": 7}}, "collector.labels.team: expected text, got 7"),
        ({"labels": ["team"]}, "collector.labels: expected a mapping"),
        (
            {"exporters": {NAME: {"signal": ["logs"]}}},
            f"collector.exporters.{NAME}.signal: unknown key; allowed here: ",
        ),
        ({"exporters": {NAME: {"signals": ["log"]}}}, f"collector.exporters.{NAME}.signals: expected a list of traces"),
        ({"exporters": {NAME: {"config": "x"}}}, f"collector.exporters.{NAME}.config: expected a mapping"),
        ({"processors": {"filter/x": None}}, "collector.processors.filter/x: expected a mapping"),
        ({"secrets": KEY}, "collector.secrets: expected a list"),
    ],
)
def test_a_wrong_extension_is_refused_with_its_key(collector: dict[str, Any], expected: str) -> None:
    with pytest.raises(SettingsError) as refused:
        parse({"collector": collector})
    (problem,) = refused.value.problems
    assert problem.startswith(expected)


# --- a vendor, a label and a processor


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of what is generated for a deployment with a vendor."""
    folder = tmp_path_factory.mktemp("extended")
    return built(folder, file(folder, "settings.yaml", vendor()))


@pytest.mark.peer("otelcol")
@pytest.mark.parametrize("role", RUN_HERE)
def test_the_collector_accepts_what_a_deployment_adds(extended: Path, role: str, tmp_path: Path) -> None:
    done = otelcol("validate", extended / f"{role}.yaml", tmp_path, VENDOR_KEY=VALUE)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_a_deployment_adds_is_in_the_pipelines_of_its_signals(extended: Path) -> None:
    text = (extended / "standalone.yaml").read_text()
    tree = yaml.safe_load(text)
    pipelines = tree["service"]["pipelines"]
    sending = {name for name, pipeline in pipelines.items() if NAME in pipeline["exporters"]}
    assert sending == {"metrics", "traces/kept", "logs"}
    filtered = {name for name, pipeline in pipelines.items() if "filter/probes" in pipeline["processors"]}
    assert filtered == {"logs"}
    labelled = {name for name, pipeline in pipelines.items() if "resource/labels" in pipeline["processors"]}
    assert labelled >= {"metrics", "metrics/host", "traces", "logs"}
    assert tree["exporters"][NAME]["retry_on_failure"]["max_elapsed_time"] == "0s"
    assert f"# No start without {KEY}." in text.splitlines()
    assert VALUE not in text


def test_an_exporter_of_a_deployments_own_keeps_what_it_says_of_its_queue(tmp_path: Path) -> None:
    settings = vendor()
    settings["collector"]["exporters"][NAME]["config"]["sending_queue"] = {"enabled": False}
    tree = yaml.safe_load((built(tmp_path, file(tmp_path, "s.yaml", settings)) / "standalone.yaml").read_text())
    assert tree["exporters"][NAME]["sending_queue"] == {"enabled": False}
    assert "file_storage/otlp_http_vendor" not in tree["extensions"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"secrets": []}, f"${{env:{KEY}}} has no default; name it in collector.secrets"),
        ({"exporters": {"otlphttp/vendor": {"signals": ["logs"]}}}, "there is no such exporter 'otlphttp'"),
        (
            {"exporters": {NAME: {"signals": ["logs"], "config": {"headers": {"api-key": VALUE}}}}},
            f"{NAME}: api-key holds a secret",
        ),
        (
            {"exporters": {NAME: {"signals": ["logs"], "config": {"sending_queue": {"storage": "file_storage/loki"}}}}},
            "would lock each other out of it",
        ),
    ],
    ids=["a secret not named", "an unknown exporter", "a literal secret", "the storage of another"],
)
def test_the_build_refuses_with_a_message_and_writes_nothing(
    change: dict[str, Any], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = file(tmp_path, "settings.yaml", vendor(**change))
    assert main(["build", "--settings", str(settings), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "standalone: " in error
    assert VALUE not in error
    assert not (tmp_path / "out").exists()


@pytest.mark.peer("otelcol")
@pytest.mark.parametrize("environment", [{}, {KEY: ""}], ids=["not there", "empty"])
def test_without_its_secret_no_collector_starts(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(KEY, raising=False)
    settings = ports.free_settings(parse(vendor()))
    with (
        pytest.raises(ProcessError, match=f"the Collector needs {KEY} in its environment"),
        running(tmp_path, standalone, settings, **environment),
    ):
        pytest.fail("it started")


def bodies(store: StubHub) -> list[str]:
    """The texts of all log records that a store has, in their order."""
    return [
        record.body.string_value
        for request in list(store.bodies)
        for resource in request.resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]


def labels(store: StubHub) -> set[str]:
    """The values that the label has in what a store has."""
    return {
        next((item.value.string_value for item in resource.resource.attributes if item.key == name), "")
        for name in ["deployment.environment.name"]
        for request in list(store.bodies)
        for resource in request.resource_logs
    }


def send(settings: Settings, headers: dict[str, str], *texts: str) -> None:
    """Send a log record of each text, which has to be accepted."""
    for text in texts:
        body = request("logs", text).SerializeToString()
        assert post(settings.collector.otlp_http_port, "logs", headers, body) == 200


@pytest.mark.peer("otelcol")
@pytest.mark.parametrize("end", ["stopped", "killed"])
def test_the_vendor_gets_everything_labelled_and_with_its_key_also_what_came_while_it_was_away(
    end: str, tmp_path: Path
) -> None:
    (port,) = ports.free_ports(1)
    tree = vendor(f"http://127.0.0.1:{port}")
    tree["collector"]["exporters"][NAME]["signals"] = ["logs"]  # the stand-in decodes logs alone
    settings = ports.free_settings(parse(tree))
    with running(tmp_path, standalone, settings, VENDOR_KEY=VALUE) as collector:
        send(settings, collector.headers, "one", "probe", "two")
        if end == "killed":  # either way, what waits does so on disk
            collector.process.kill()
    with stub_hub(port) as store, running(tmp_path, standalone, settings, VENDOR_KEY=VALUE) as collector:
        send(settings, collector.headers, "three", "probe", "four")
        wait_until(
            lambda: sorted(bodies(store)), lambda seen: seen == ["four", "one", "three", "two"], 30, "all is there"
        )
        assert {headers.get("Api-Key") for headers in store.headers} == {VALUE}
        assert labels(store) == {"staging"}
        collector.process.kill()
