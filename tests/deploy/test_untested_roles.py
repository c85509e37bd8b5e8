"""Roles that nobody can run here: their exporters' keys against those that the components' documentation names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from deploy import build
from deploy.generating import ROOT

# Of the exporters' README and configuration in opentelemetry-collector-contrib, and of exporterhelper's README for what
# all exporters share.
SHARED = {
    "timeout",
    "sending_queue.storage",
    "sending_queue.sizer",
    "sending_queue.queue_size",
    "sending_queue.num_consumers",
    "sending_queue.batch.flush_timeout",
    "sending_queue.batch.min_size",
    "sending_queue.batch.max_size",
}
RETRYING = {f"retry_on_failure.{key}" for key in ("enabled", "initial_interval", "max_interval", "max_elapsed_time")}
CLICKHOUSE = {
    "endpoint",
    "username",
    "password",
    "database",
    "connection_params",
    "ttl",
    "create_schema",
    "async_insert",
    "cluster_name",
    "logs_table_name",
    "traces_table_name",
}
S3 = {
    "marshaler",
    "encoding",
    *(
        f"s3uploader.{key}"
        for key in (
            "region",
            "s3_bucket",
            "s3_prefix",
            "s3_base_prefix",
            "s3_partition_format",
            "file_prefix",
            "endpoint",
            "role_arn",
            "s3_force_path_style",
            "storage_class",
            "compression",
            "retry_mode",
            "retry_max_attempts",
            "retry_max_backoff",
            "unique_key_func_name",
        )
    ),
}
DOCUMENTED = {"clickhouse": ("clickhouse", SHARED | RETRYING | CLICKHOUSE), "s3": ("awss3", SHARED | S3)}


def paths(tree: dict[str, Any], above: str = "") -> Iterator[str]:
    """Every key that holds a value, with those above it."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from paths(value, f"{above}{key}.")
        else:
            yield f"{above}{key}"


@pytest.mark.parametrize("role", DOCUMENTED)
def test_only_documented_keys_are_used_and_the_file_says_that_it_is_untested(role: str) -> None:
    text = (ROOT / build.COLLECTOR_DIR / f"{role}.yaml").read_text()
    exporter, documented = DOCUMENTED[role]
    used = set(paths(yaml.safe_load(text)["exporters"][exporter]))
    assert used <= documented
    assert len(used) > 10
    assert text.splitlines()[1].startswith("# UNTESTED: ")


def test_no_other_role_is_untested() -> None:
    for file in (ROOT / build.COLLECTOR_DIR).glob("*.yaml"):
        assert ("UNTESTED" in file.read_text()) == (file.stem in DOCUMENTED), file.name
