"""What the generator refuses to write, and says so that one knows what to do; the Collector would not have said it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pytest

from deploy.collector import distribution
from deploy.collector.check import RECORDED, ConfigurationError, available_in, check
from deploy.collector.graph import Component, Pipeline, Role
from deploy.process import ProcessError
from tests.deploy.collectors import RUN_HERE, made, otelcol, run, running
from tests.support.peers import require

OTLP = Component("receivers", "otlp", {"protocols": {"http": {}}})
LIMIT = Component("processors", "memory_limiter", {"check_interval": "1s", "limit_mib": 100})
DEBUG = Component("exporters", "debug", {})
DISK = Component("extensions", "file_storage/disk", {"directory": "/tmp", "create_directory": True})


def role(*pipelines: Pipeline, extensions: Sequence[Component] = ()) -> Role:
    """A role of these pipelines."""
    return Role("small", "For tests.", pipelines, tuple(extensions), {}, "")


def through(
    *,
    of: str = "logs",
    receivers: Sequence[Component] = (OTLP,),
    processors: Sequence[Component] = (LIMIT,),
    exporters: Sequence[Component] = (DEBUG,),
) -> Pipeline:
    """A pipeline; one that works, where nothing is said."""
    return Pipeline(of, tuple(receivers), tuple(processors), tuple(exporters))


def join(name: str) -> Component:
    """A connector."""
    return Component("connectors", f"forward/{name}", {})


def waiting(name: str, storage: str, uses: Sequence[Component] = ()) -> Component:
    """An exporter whose queue is on disk."""
    queue = {"storage": storage, "sizer": "items", "queue_size": 1000}
    return Component("exporters", name, {"endpoint": "http://127.0.0.1:9", "sending_queue": queue}, uses=tuple(uses))


def problems(broken: Role, secrets: Sequence[str] = ()) -> list[str]:
    """What is said of a role that has to be refused."""
    with pytest.raises(ConfigurationError) as refused:
        check(broken, secrets)
    assert all(line.startswith("small: ") for line in str(refused.value).splitlines())
    return refused.value.problems


def test_a_role_that_works_is_not_refused() -> None:
    check(role(through()))


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        pytest.param(
            through(exporters=[Component("exporters", "otlphttp/store", {})]),
            "otlphttp/store: there is no such exporter 'otlphttp'; there are awss3, clickhouse, debug, ",
            id="an unknown exporter",
        ),
        pytest.param(
            through(processors=[Component("processors", "group_by_trace", {})]),
            "group_by_trace: there is no such processor 'group_by_trace'; there are ",
            id="an unknown processor",
        ),
        pytest.param(
            through(receivers=[Component("receivers", "file", {})]),
            "file: there is no such receiver 'file'; there are ",
            id="a type that is an exporter and no receiver",
        ),
        pytest.param(
            through(exporters=[waiting("otlp_http/store", "file_storage/gone")]),
            "otlp_http/store: its storage 'file_storage/gone' is no extension of this role",
            id="a dangling storage",
        ),
        pytest.param(
            through(
                receivers=[
                    Component("receivers", "otlp", {"protocols": {"http": {"auth": {"authenticator": "basicauth/x"}}}})
                ]
            ),
            "otlp: its authenticator 'basicauth/x' is no extension of this role",
            id="a dangling authenticator",
        ),
        pytest.param(through(receivers=[]), "pipeline logs has no receiver", id="no receiver"),
        pytest.param(through(exporters=[]), "pipeline logs has no exporter", id="no exporter"),
        pytest.param(
            through(receivers=[join("a")]), "forward/a: nothing goes into it", id="a connector from nowhere"
        ),
        pytest.param(
            through(exporters=[join("a")]), "forward/a: nobody takes what goes into it", id="a connector to nowhere"
        ),
        pytest.param(
            through(exporters=[Component("exporters", "otlp_http/v", {"headers": {"api-key": "${env:VENDOR_KEY}"}})]),
            "${env:VENDOR_KEY} has no default; name it in collector.secrets, so that nobody starts without it",
            id="a secret that nobody named",
        ),
        pytest.param(
            through(exporters=[Component("exporters", "otlp_http/v", {"headers": {"api-key": "k-123"}})]),
            "otlp_http/v: api-key holds a secret; write ${env:NAME} and name it in collector.secrets",
            id="a literal secret",
        ),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_and_said(broken: Pipeline, said: str) -> None:
    (problem,) = problems(role(broken))
    assert problem.startswith(said)


def test_two_pipelines_of_one_id_are_refused() -> None:
    assert problems(role(through(), through())) == ["pipeline logs is there twice"]


def test_two_exporters_on_one_storage_are_refused() -> None:
    both = [waiting(f"otlp_http/{name}", DISK.id, [DISK]) for name in ("one", "two")]
    assert problems(role(through(exporters=both))) == [
        "file_storage/disk: otlp_http/one and otlp_http/two would lock each other out of it; give each its own"
    ]


def test_one_exporter_in_two_pipelines_is_not_two() -> None:
    store = waiting("otlp_http/one", DISK.id, [DISK])
    check(role(through(exporters=[store]), through(of="traces", exporters=[store])))


def test_a_circle_of_pipelines_is_refused() -> None:
    there, back = join("there"), join("back")
    found = problems(
        role(
            through(receivers=[OTLP, back], exporters=[there]),
            through(of="logs/two", receivers=[there], exporters=[back, DEBUG]),
        )
    )
    assert found == ["pipeline logs flows into itself", "pipeline logs/two flows into itself"]


def test_pipelines_that_part_and_meet_again_are_no_circle() -> None:
    left, right = join("left"), join("right")
    check(role(through(exporters=[left, right]), through(of="logs/end", receivers=[left, right])))


@pytest.mark.parametrize(
    ("key", "value", "refused"),
    [
        ("Authorization", "Bearer abc", True),
        ("x-api-key", "abc", True),
        ("api_key", "abc", True),
        ("client_secret", "abc", True),
        ("password", "abc", True),
        ("password", "${env:VENDOR_KEY:-abc}", True),
        ("Authorization", "Bearer ${env:VENDOR_KEY}", False),
        ("password", "${file:/run/secrets/password}", False),
        ("password", "${file:${env:PASSWORD_FILE:-/run/secrets/password}}", False),
        ("Authorization", "Bearer ${env:OPTIONAL:-}", False),
        ("password", "", False),
        ("token_count", "12", False),
        ("monkey", "abc", False),
    ],
)
def test_secrets_are_known_by_the_whole_words_of_their_keys(key: str, value: str, refused: bool) -> None:
    for headers in ({key: value}, [{"name": key, "value": value}]):
        sending = role(through(exporters=[Component("exporters", "otlp_http/v", {"headers": headers})]))
        if refused:
            assert problems(sending) == [
                f"otlp_http/v: {key} holds a secret; write ${{env:NAME}} and name it in collector.secrets"
            ]
        else:
            check(sending, ["VENDOR_KEY"])


def test_everything_that_is_wrong_is_said_at_once() -> None:
    found = problems(
        role(
            through(receivers=[], exporters=[waiting("otlphttp/store", "file_storage/gone")]),
            through(exporters=[Component("exporters", "otlp_http/v", {"token": "${env:VENDOR_KEY}"})]),
        )
    )
    assert len(found) == 5
    for word in ("no such exporter 'otlphttp'", "twice", "receiver", "file_storage/gone", "VENDOR_KEY"):
        assert sum(word in problem for problem in found) == 1, word


@pytest.mark.parametrize("name", RUN_HERE)
def test_what_the_generator_writes_passes(name: str) -> None:
    check(made(name))


# --- against the real program


def written(broken: Role, folder: Path) -> Path:
    """A role's file."""
    file = folder / "broken.yaml"
    file.write_text(broken.render())
    return file


def with_storage(of: Role, exporter: str, storage: str) -> Role:
    """A role in which an exporter's queue is in another storage."""

    def changed(part: Component) -> Component:
        if part.id != exporter:
            return part
        queue = part.config["sending_queue"]
        assert isinstance(queue, dict)
        return dataclasses.replace(part, config={**part.config, "sending_queue": {**queue, "storage": storage}})

    pipelines = tuple(
        dataclasses.replace(pipeline, exporters=tuple(map(changed, pipeline.exporters))) for pipeline in of.pipelines
    )
    return dataclasses.replace(of, pipelines=pipelines)


@pytest.mark.peer("otelcol")
@pytest.mark.parametrize("storage", ["file_storage/gone", "file_storage/jaeger"], ids=["dangling", "shared"])
def test_the_collector_notices_a_wrong_storage_only_when_it_starts_or_runs(tmp_path: Path, storage: str) -> None:
    """Which is why these are checked here: the day that this fails, that part of the check can go."""
    broken = with_storage(made("standalone"), "otlp_http/loki", storage)
    with pytest.raises(ConfigurationError):
        check(broken)
    assert otelcol("validate", written(broken, tmp_path), tmp_path).returncode == 0


@pytest.mark.peer("otelcol")
def test_with_a_dangling_storage_the_collector_does_not_start(tmp_path: Path) -> None:
    broken = with_storage(made("events"), "otlp_http/hub", "file_storage/gone")
    with (
        pytest.raises(ProcessError, match="no storage client extension found"),
        running(tmp_path, config=written(broken, tmp_path)),
    ):
        pytest.fail("it started")


@pytest.mark.peer("otelcol")
def test_the_record_of_components_is_what_the_built_collector_says() -> None:
    said = available_in(run(require("otelcol"), "components").stdout)
    ours = {section: set(types) for section, types in said.items()}
    assert {
        section: set(types) - distribution.ONLY_IN_CONTRIB.get(section, frozenset())
        for section, types in RECORDED.items()
    } == ours
    for section, types in distribution.ONLY_IN_CONTRIB.items():
        assert not types & ours[section], "it is built by now"
