"""An application that has OpenTelemetry providers of its own, and wants to keep them.

Global providers can be set once in a process, so each case runs in a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from textwrap import dedent

from tests.otel_setup.receiver import receiving

APPLICATION = """
    import asyncio, json, logging, sys
    from opentelemetry import _logs, metrics, trace
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    spans, records, points = InMemorySpanExporter(), InMemoryLogRecordExporter(), InMemoryMetricReader()
    tracers, loggers = TracerProvider(), LoggerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    loggers.add_log_record_processor(SimpleLogRecordProcessor(records))
    trace.set_tracer_provider(tracers)
    _logs.set_logger_provider(loggers)
    metrics.set_meter_provider(MeterProvider([points]))
    own = metrics.get_meter("application").create_counter("application.things")

    import otel_setup

    async def play():
        monitor = otel_setup.get_enterprise_monitor()
        async with monitor.monitor_action_processing("game1", "play", "player1"):
            own.add(1)
"""


NEED_MORE = {
    "asyncio.event_loop.lag",
    "asyncio.event_loop.max_lag",
    "asyncio.task.count",
    "cpython.gc.pause.duration",
    "http.server.request.duration",
    "liap_tui.asyncio.tasks",
    "liap_tui.cpu.usage",
    "liap_tui.memory.growth_rate",
    "otel_setup.export.waiting",
}


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", dedent(APPLICATION) + dedent(script), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_foreign_providers_are_refused_with_the_ways_out() -> None:
    done = run("otel_setup.configure(collector=False)")
    assert done.returncode == 1
    assert "3 problems" in done.stderr
    for kind in ("tracer", "meter", "logger"):
        assert f"a global {kind} provider of opentelemetry.sdk" in done.stderr
    assert "configure(adopt=True)" in done.stderr
    assert "leave configure() out" in done.stderr


def test_adopted_providers_keep_their_exporters_and_get_ours() -> None:
    with receiving() as receiver:
        done = run(
            """
            telemetry = otel_setup.configure(collector=sys.argv[1], adopt=True)
            assert trace.get_tracer_provider() is tracers and _logs.get_logger_provider() is loggers
            asyncio.run(play())
            assert telemetry.shutdown(10)
            print(json.dumps({
                "spans": [span.name for span in spans.get_finished_spans()],
                "records": [record.log_record.event_name for record in records.get_finished_logs()],
                "metrics": sorted(
                    metric.name
                    for resource in points.get_metrics_data().resource_metrics
                    for scope in resource.scope_metrics
                    for metric in scope.metrics
                ),
            }))
            with trace.get_tracer("application").start_as_current_span("afterwards"):
                pass
            assert "afterwards" in [span.name for span in spans.get_finished_spans()], "theirs goes on"
            """,
            receiver.url,
        )
    assert done.returncode == 0, done.stderr
    events = ["action.queued", "action.processing", "action.completed"]
    assert '"spans": ["action.play_pieces"]' in done.stdout
    assert all(f'"{event}"' in done.stdout for event in events)
    assert '"metrics": ["application.things"]' in done.stdout, "theirs has its own metrics and not ours a second time"
    assert [span.name for span in receiver.spans()] == ["action.play_pieces"]
    assert [record.event_name for record in receiver.log_records()] == [*events, "producer.stopped"]
    assert "liap_tui.actions" in {metric.name for metric in receiver.metrics()}


def test_an_unconfigured_monitor_records_everything_through_foreign_providers() -> None:
    done = run(
        """
        asyncio.run(play())
        names = {
            metric.name
            for resource in points.get_metrics_data().resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }
        assert {"application.things", "liap_tui.actions"} <= names, names
        assert [span.name for span in spans.get_finished_spans()] == ["action.play_pieces"]
        assert len(records.get_finished_logs()) == 3
        """
    )
    assert done.returncode == 0, done.stderr


def test_what_is_no_sdk_provider_cannot_be_adopted() -> None:
    script = """
        import sys
        from opentelemetry import trace
        class Foreign(trace.TracerProvider):
            def get_tracer(self, *args, **kwargs):
                return trace.NoOpTracer()
        trace.set_tracer_provider(Foreign())
        import otel_setup
        otel_setup.configure(collector=False, adopt=True)
    """
    done = subprocess.run(
        [sys.executable, "-c", dedent(script)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "the global tracer provider is of __main__" in done.stderr
    assert "leave configure() out" in done.stderr


def test_logging_goes_its_own_way_unless_ours_is_asked_for() -> None:
    for options, expected in (("", 0), (", log_level='WARNING'", 1)):
        with receiving() as receiver:
            done = run(
                f"""
                telemetry = otel_setup.configure(collector=sys.argv[1], adopt=True{options})
                logging.getLogger("application").warning("a line")
                assert telemetry.shutdown(10)
                """,
                receiver.url,
            )
        assert done.returncode == 0, done.stderr
        lines = [record for record in receiver.log_records() if record.body.string_value == "a line"]
        assert len(lines) == expected


def test_every_signal_of_the_catalogue_arrives_at_foreign_providers() -> None:
    """But for what needs more than a game: a loop that is watched, an ASGI server, exports of ours, some minutes."""
    done = run(
        """
        from otel_setup.catalogue import EVENTS
        from tests.e2e.play import play_everything

        async def everything():
            monitor = otel_setup.get_enterprise_monitor()
            await play_everything(monitor)
            for event in EVENTS:
                await monitor.record_event(event.name)

        asyncio.run(everything())
        arrived = {
            metric.name
            for resource in points.get_metrics_data().resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }
        catalogue = otel_setup.get_enterprise_monitor().core.catalogue
        missing_metrics = {built.name for built in catalogue.metrics} - arrived
        published = {record.log_record.event_name for record in records.get_finished_logs()}
        missing_events = {str(event.name) for event in EVENTS} - published
        ended = sorted({span.name for span in spans.get_finished_spans()})
        print(json.dumps([sorted(missing_metrics), sorted(missing_events), ended]))
        """
    )
    assert done.returncode == 0, done.stderr
    metrics, events, spans = json.loads(done.stdout)
    assert set(metrics) <= NEED_MORE
    assert events == []
    assert spans == [
        "action.declare",
        "action.play_pieces",
        "phase.preparation",
        "save",
        "state_transition.preparation_to_round_start",
        "state_transition.waiting_to_preparation",
    ]
