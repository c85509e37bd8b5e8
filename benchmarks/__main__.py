"""Command line: ``python -m benchmarks [name ...] [--quick] [--json FILE] [--markdown FILE]``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from benchmarks import action, lateness, memory, report, scrape, sse, through_hub
from benchmarks.collector import run as collector
from benchmarks.stream import run as stream

BENCHMARKS: dict[str, Callable[..., report.Result]] = {
    "action": action.run,
    "lateness": lateness.run,
    "scrape": scrape.run,
    "memory": memory.run,
    "stream": stream.run,
    "sse": sse.run,
    "through_hub": through_hub.run,
    "collector": collector.run,
}


def main() -> None:
    """Runs the benchmarks that were named, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="What monitoring costs.")
    parser.add_argument("names", nargs="*", metavar="name", help=f"out of {', '.join(BENCHMARKS)}; all where none is")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds, for a first impression")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write figures and conditions for programs")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write conditions and tables for people")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    measured_under = report.conditions()
    print(*(f"{key}: {value}" for key, value in measured_under.items()), sep="\n")
    results = []
    for name in arguments.names or BENCHMARKS:
        result = BENCHMARKS[name](quick=arguments.quick)
        results.append(result)
        print(*map(report.as_text, result.tables), sep="\n", flush=True)
    if arguments.json:
        arguments.json.write_text(report.as_json(results, measured_under) + "\n", encoding="utf-8")
    if arguments.markdown:
        arguments.markdown.write_text(report.as_markdown(results, measured_under), encoding="utf-8")


if __name__ == "__main__":
    main()
