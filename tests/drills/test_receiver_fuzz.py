"""The hub's decoder under mutated requests: it decodes or refuses, at once and in little memory, whatever comes.

`OTEL_SETUP_FUZZ_SECONDS` says for how long, and what is kept between runs is in the cache of the built tools; so each
run begins where the last one ended.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.tools.cache import cache_dir
from tests.drills.proof import ROOT, Finding, write_proof
from tests.drills.receiver_fuzz import MEGABYTES, SECONDS_A_BODY

SECONDS = float(os.environ.get("OTEL_SETUP_FUZZ_SECONDS", "180"))
CORPUS = ROOT / "tests" / "data" / "receiver_corpus"

pytestmark = [pytest.mark.drill, pytest.mark.timeout(SECONDS + 120)]


def test_no_request_hurts_the_hub(pytestconfig: pytest.Config) -> None:
    state: Path = cache_dir() / "receiver_fuzz"
    done = subprocess.run(
        [sys.executable, "-m", "tests.drills.receiver_fuzz", str(CORPUS), str(state), str(SECONDS)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (state / "account.json").exists(), done.stderr
    account = json.loads((state / "account.json").read_text())
    last = account["last"]
    assert account["findings"] == [], f"bodies are in {state}; {done.stderr}"
    assert done.returncode == 0, done.stderr
    assert last["executions"] > 10 * SECONDS, "too few to prove anything"
    write_proof(
        pytestconfig,
        "receiver-fuzz",
        "Mutated export requests, protobuf and JSON, with gzip and without, given to the hub's decoder. A finding is "
        "anything but events or a refusal, events that are not clean, records that are not accounted for, and the "
        "bounds below. Runs add up.",
        [
            Finding("requests, all runs", None, f"{account['executions']:,}"),
            Finding("time, all runs", None, f"{account['seconds'] / 60:.0f} min in {account['runs']} runs"),
            Finding("kinds of answers seen", None, str(len(account["seen"]))),
            Finding("findings", "0", str(len(account["findings"]))),
            Finding(
                "slowest request, this run",
                f"below {SECONDS_A_BODY:.0f} s of CPU",
                f"{last['slowest_ms'] / 1000:.3f} s",
            ),
            Finding("growth of the process, this run", f"below {MEGABYTES} MB", f"{last['grown_mb']} MB"),
        ],
    )
