"""What a Collector says of itself: metrics to be scraped, and its log, which goes where all logs go."""

from __future__ import annotations

from collections.abc import Mapping

from deploy.collector import variables as v
from settings import Settings

WHY = (
    "Metrics are scraped by Prometheus, so that `up` says whether it runs. All three without_* are spelled out, "
    "because their defaults change names: this way counters end in _total here as they do everywhere else."
)
SERVICE = "otelcol"


def telemetry(settings: Settings, role: str, *, logs: bool) -> Mapping[str, object]:
    """The ``service::telemetry`` section.

    :param role: what this Collector is there for
    :param logs: whether its log goes into its own pipeline of logs
    """
    result: dict[str, object] = {
        "resource": {
            "attributes": [
                {"name": "service.name", "value": SERVICE},
                {"name": "service.namespace", "value": role},
            ]
        },
        "metrics": {
            "readers": [
                {
                    "pull": {
                        "exporter": {
                            "prometheus": {
                                "host": v.LOOPBACK,
                                "port": v.env(v.TELEMETRY_PORT, settings.collector.telemetry_port),
                                "without_scope_info": True,
                                "without_type_suffix": False,
                                "without_units": False,
                            }
                        }
                    }
                }
            ]
        },
    }
    if logs:
        exporter: dict[str, object] = {
            "protocol": "http/protobuf",
            "endpoint": f"http://{v.LOOPBACK}:{v.env(v.OWN_LOGS_PORT, settings.collector.own_logs_port)}",
        }
        if settings.collector.tokens:
            exporter["headers"] = [{"name": "Authorization", "value": v.own_bearer()}]
        result["logs"] = {"processors": [{"batch": {"exporter": {"otlp": exporter}}}]}
    return result
