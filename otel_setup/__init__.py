"""Observability for multiplayer game servers, centred on the OpenTelemetry Collector."""
