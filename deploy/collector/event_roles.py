"""The roles of Collectors that carry events alone: to the hub, or through Kafka where one machine is outgrown."""

from __future__ import annotations

from deploy.collector import blocks
from deploy.collector.graph import Pipeline, Role
from settings import Settings

PIPELINE = "logs/events"


def events(settings: Settings) -> Role:
    """Events from game servers to the hub."""
    return _role(
        settings,
        "events",
        "A Collector for events alone: from game servers to the hub; other log records end here.",
        Pipeline(
            PIPELINE,
            (blocks.otlp(settings.collector),),
            (blocks.memory_limiter(settings.collector), blocks.only_events()),
            (blocks.hub(settings),),
        ),
        [*blocks.SERVER_VARIABLES, *blocks.HUB_VARIABLES],
    )


def kafka_producer(settings: Settings) -> Role:
    """Events from game servers to Kafka."""
    return _role(
        settings,
        "kafka-producer",
        "A Collector beside game servers: their events to Kafka; other log records end here.",
        Pipeline(
            PIPELINE,
            (blocks.otlp(settings.collector),),
            (blocks.memory_limiter(settings.collector), blocks.only_events()),
            (blocks.to_kafka(settings),),
        ),
        [*blocks.SERVER_VARIABLES, blocks.KAFKA_BROKERS],
    )


def kafka_consumer(settings: Settings) -> Role:
    """Events from Kafka to the hub."""
    return _role(
        settings,
        "kafka-consumer",
        "A Collector beside the hub: events from Kafka. Several share the topic's partitions between them.",
        Pipeline(
            PIPELINE,
            (blocks.from_kafka(settings),),
            (blocks.memory_limiter(settings.collector),),
            (blocks.hub_from_kafka(settings),),
        ),
        [*blocks.OWN_VARIABLES, *blocks.HUB_VARIABLES, blocks.KAFKA_BROKERS],
    )


def _role(settings: Settings, name: str, about: str, pipeline: Pipeline, variables: list[str]) -> Role:
    return Role(
        name=name,
        about=f"{about} Environment: {', '.join(variables)}.",
        pipelines=(pipeline,),
        extensions=(blocks.health_check(settings.collector),),
        telemetry=blocks.self_telemetry(settings.collector),
        telemetry_why=blocks.SELF_TELEMETRY_WHY,
    )
