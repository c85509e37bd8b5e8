"""What stands on the OpenTelemetry SDK: providers, exporters, and the proxies installed as global providers."""
