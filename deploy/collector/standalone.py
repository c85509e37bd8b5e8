"""The role ``standalone``: one Collector for a whole deployment on one machine."""

from __future__ import annotations

from deploy.collector import blocks
from deploy.collector.graph import Pipeline, Role
from settings import Settings


def standalone(settings: Settings) -> Role:
    """Metrics to Prometheus; traces and logs to files."""
    collector = settings.collector
    receive, limit = (blocks.otlp(collector),), (blocks.memory_limiter(collector),)
    traces, logs, metrics = (blocks.json_lines(signal, collector) for signal in ("traces", "logs", "metrics"))
    metric_exporters = (blocks.prometheus(settings), *((metrics,) if collector.metrics_file else ()))
    return Role(
        name="standalone",
        about="One Collector for a whole deployment on one machine: metrics go to Prometheus, traces and logs to files "
        f"of OTLP JSON. Environment: {blocks.BIND}, {blocks.GRPC_PORT}, {blocks.HTTP_PORT}, {blocks.HEALTH_PORT}, "
        f"{blocks.TELEMETRY_PORT}, {blocks.DATA_DIR}, {blocks.PROMETHEUS_URL}.",
        pipelines=(
            Pipeline("metrics", receive, limit, metric_exporters),
            Pipeline("traces", receive, limit, (traces,)),
            Pipeline("logs", receive, limit, (logs,)),
        ),
        extensions=(blocks.health_check(collector),),
        telemetry=blocks.self_telemetry(collector),
        telemetry_why=blocks.SELF_TELEMETRY_WHY,
    )
