"""What a Collector reads from its environment when it starts: addresses, folders and secrets, never in the files."""

from __future__ import annotations

BIND = "OTLP_BIND"
GRPC_PORT = "OTLP_GRPC_PORT"
HTTP_PORT = "OTLP_HTTP_PORT"
SERVICES_PORT = "OTLP_SERVICES_PORT"
INSTANCE = "OTELCOL_INSTANCE"
HEALTH_PORT = "OTELCOL_HEALTH_PORT"
OWN_LOGS_PORT = "OTELCOL_OWN_LOGS_PORT"
PAGES_PORT = "OTELCOL_ZPAGES_PORT"
TELEMETRY_PORT = "OTELCOL_TELEMETRY_PORT"
DATA_DIR = "OTELCOL_DATA_DIR"
PROMETHEUS_URL = "PROMETHEUS_URL"
REMOTE_WRITE_URL = "REMOTE_WRITE_URL"
JAEGER_ENDPOINT = "JAEGER_OTLP_ENDPOINT"
JAEGER_INSECURE = "JAEGER_OTLP_INSECURE"
LOKI_URL = "LOKI_URL"
ZIPKIN_URL = "ZIPKIN_URL"
CLICKHOUSE_ENDPOINT = "CLICKHOUSE_ENDPOINT"
CLICKHOUSE_USER = "CLICKHOUSE_USER"
CLICKHOUSE_PASSWORD = "CLICKHOUSE_PASSWORD"  # noqa: S105 - the variable's name
S3_REGION = "S3_REGION"
S3_BUCKET = "S3_BUCKET"
HUB_URL = "EVENTS_HUB_URL"
HUB_TOKEN = "EVENTS_HUB_TOKEN"  # noqa: S105 - the variable's name
KAFKA_BROKERS = "KAFKA_BROKERS"
TOKENS_FILE = "OTLP_TOKENS_FILE"
OWN_TOKEN_FILE = "OTLP_TOKEN_FILE"  # noqa: S105 - the variable's name
TLS_CERTIFICATE = "OTLP_TLS_CERTIFICATE"
TLS_KEY = "OTLP_TLS_KEY"
TLS_CLIENT_AUTHORITY = "OTLP_TLS_CLIENT_CA"
TLS_AUTHORITY = "OTLP_TLS_CA"

LOOPBACK = "127.0.0.1"
DEFAULT_DATA_DIR = "/var/lib/otelcol"
SECRETS_DIR = "/run/secrets"


def env(name: str, default: object) -> str:
    """A value that the Collector reads from its environment when it starts."""
    return f"${{env:{name}:-{default}}}"


def secret(name: str) -> str:
    """A value that the environment has to hold: there is no default for it."""
    return f"${{env:{name}}}"


def data_file(name: str) -> str:
    """A path in the Collector's data folder."""
    return f"{env(DATA_DIR, DEFAULT_DATA_DIR)}/{name}"


def secret_file(variable: str, name: str) -> str:
    """The path of a file that holds a secret."""
    return env(variable, f"{SECRETS_DIR}/{name}")


def own_bearer() -> str:
    """What this Collector puts into the head of its requests to others of the deployment, itself among them.

    The file holds one token. (The extension for tokens would refuse to send one without TLS, loopback or not.)
    """
    return f"Bearer ${{file:{secret_file(OWN_TOKEN_FILE, 'otlp_token')}}}"
