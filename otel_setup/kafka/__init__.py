"""Reading events from Kafka, where one machine is outgrown; needs the extra ``kafka``."""

from __future__ import annotations

from otel_setup.kafka.events import KafkaEvents

__all__ = ["KafkaEvents"]
