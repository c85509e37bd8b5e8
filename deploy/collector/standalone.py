"""The role ``standalone``: one Collector for a whole deployment on one machine."""

from __future__ import annotations

from deploy.collector import blocks
from deploy.collector.graph import Pipeline, Role
from settings import Settings

# A hub that is not there must not disturb: once the queue for it is full, the receiver refuses every log record,
# events and others, because the senders' requests hold both. So there is no queue where there is no hub.


def standalone(settings: Settings) -> Role:
    """Metrics to Prometheus; traces and logs to files; events also to the hub, where the settings have one."""
    collector = settings.collector
    receive, limit = (blocks.otlp(collector),), (blocks.memory_limiter(collector),)
    traces, logs, metrics = (blocks.json_lines(signal, collector) for signal in ("traces", "logs", "metrics"))
    metric_exporters = (blocks.prometheus(settings), *((metrics,) if collector.metrics_file else ()))
    pipelines = [
        Pipeline("metrics", receive, limit, metric_exporters),
        Pipeline("traces", receive, limit, (traces,)),
        Pipeline("logs", receive, limit, (logs,)),
    ]
    variables = [*blocks.SERVER_VARIABLES, blocks.PROMETHEUS_URL]
    about = "metrics go to Prometheus, traces and logs to files of OTLP JSON"
    if settings.hub.enabled:
        pipelines.append(Pipeline("logs/events", receive, (*limit, blocks.only_events()), (blocks.hub(settings),)))
        variables += blocks.HUB_VARIABLES
        about += ", events also to the hub"
    return Role(
        name="standalone",
        about=f"One Collector for a whole deployment on one machine: {about}. Environment: {', '.join(variables)}.",
        pipelines=tuple(pipelines),
        extensions=(blocks.health_check(collector),),
        telemetry=blocks.self_telemetry(collector),
        telemetry_why=blocks.SELF_TELEMETRY_WHY,
    )
