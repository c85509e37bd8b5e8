"""The roles that carry events alone: to the hub, or through Kafka where one machine is outgrown."""

from __future__ import annotations

from deploy.collector import exporters, processors, receivers
from deploy.collector.graph import Component, Pipeline, Role
from deploy.collector.roles import common
from otel_setup.catalogue import Catalogue
from settings import Settings


def events(settings: Settings, _catalogue: Catalogue) -> Role:
    """Events from game servers to the hub."""
    about = "A Collector for events alone: from game servers to the hub; other log records end here."
    return _role(settings, "events", about, exporters.hub(settings))


def kafka_producer(settings: Settings, _catalogue: Catalogue) -> Role:
    """Events from game servers to Kafka."""
    about = "A Collector for events alone: from game servers to Kafka; other log records end here."
    return _role(settings, "kafka-producer", about, exporters.to_kafka(settings))


def kafka_consumer(settings: Settings, _catalogue: Catalogue) -> Role:
    """Events from Kafka to the hub."""
    pipeline = Pipeline(
        "logs/events",
        (receivers.from_kafka(settings),),
        (processors.memory_limiter(settings),),
        (exporters.hub_from_kafka(settings),),
    )
    return common.role(
        settings,
        "kafka-consumer",
        "A Collector that reads events from Kafka for the hub; several share the topic's partitions.",
        [pipeline],
    )


def _role(settings: Settings, name: str, about: str, exporter: Component) -> Role:
    memory, *others = common.taken_in(settings, "logs")
    pipeline = Pipeline(
        "logs/events", (receivers.otlp(settings),), (memory, processors.only_events(), *others), (exporter,)
    )
    return common.role(settings, name, about, [pipeline])
