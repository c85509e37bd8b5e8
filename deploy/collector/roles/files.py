"""The role ``files``: a Collector for one's desk, which needs no store but Prometheus."""

from __future__ import annotations

from deploy.collector import exporters, processors, receivers
from deploy.collector.graph import Pipeline, Role
from deploy.collector.roles import common
from otel_setup.catalogue import Catalogue
from settings import Settings


def files(settings: Settings, _catalogue: Catalogue) -> Role:
    """Traces and logs to files of OTLP JSON, as they come; metrics to Prometheus; events also to the hub."""
    receive, limit = (receivers.otlp(settings),), (processors.memory_limiter(settings),)
    traces, logs, metrics = (exporters.json_lines(settings, signal) for signal in ("traces", "logs", "metrics"))
    copies = (metrics,) if settings.collector.metrics_file else ()
    pipelines = [
        Pipeline("metrics", receive, limit, (exporters.prometheus(settings), *copies)),
        Pipeline("traces", receive, limit, (traces,)),
        Pipeline("logs", receive, limit, (logs,)),
    ]
    about = "A Collector for one's desk: traces and logs go to files of OTLP JSON as they come, metrics to Prometheus"
    if settings.hub.enabled:
        pipelines.append(
            Pipeline("logs/events", receive, (*limit, processors.only_events()), (exporters.hub(settings),))
        )
        about += ", events also to the hub"
    return common.role(settings, "files", f"{about}.", pipelines)
