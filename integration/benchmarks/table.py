"""The tables that people read."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, TextIO

import rivals

if TYPE_CHECKING:
    from case import Result

ROLES = ("worker", "zookeeper", "nimbus", "supervisor")


def figure(value: float | None) -> str:
    """Three significant digits for what is small, all of them for what is large; a dash for what is not there."""
    if value is None or math.isnan(value):
        return "-"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def print_table(results: list[Result], out: TextIO = sys.stdout) -> None:
    """A line for each result: median, minimum and maximum of its windows, and what they cost."""
    print(
        f"{'case':28}{'median':>12}{'min':>12}{'max':>12} {'unit':9}{'CPU s/M':>8}{'p50 ms':>9}{'p99':>9}{'p99.9':>9}"
        f"{'failed':>8}  resident MB: {', '.join(ROLES)}",
        file=out,
    )
    for result in results:
        times = "".join(f"{figure(result.latency_ms.get(share)):>9}" for share in ("p50", "p99", "p99.9"))
        memory = [figure(result.rss_mb[role]) for role in ROLES if role in result.rss_mb]
        memory += [f"{role} {figure(value)}" for role, value in result.rss_mb.items() if role not in ROLES]
        print(
            f"{result.case:28}{figure(result.median):>12}{figure(result.minimum):>12}{figure(result.maximum):>12}"
            f" {result.unit:9}{figure(result.cpu_secs_per_million):>8}{times}{result.failed:>8}  {', '.join(memory)}",
            file=out,
        )
        if result.notes:
            print(f"{'':30}{result.notes}", file=out)


def print_rivals(results: list[Result], rivalry: dict[str, list[Result]], out: TextIO = sys.stdout) -> None:
    """What the rivals did in this run, and how much faster we were."""
    for name, loads in rivalry.items():
        by_load = {result.case: result for result in loads}
        print(f"\nagainst {rivals.BY_NAME[name].about}, in this run", file=out)
        print(f"{'case':28}{'ours':>12}{'theirs':>12}{'ratio':>8}{'CPU s/M':>9}{'theirs':>8}  their case", file=out)
        for result in results:
            for load in rivals.BY_NAME[name].loads_of(result.case):
                if load not in by_load:
                    continue
                their = by_load[load]
                print(
                    f"{result.case:28}{figure(result.median):>12}{figure(their.median):>12}"
                    f"{result.median / their.median:>8.2f}{figure(result.cpu_secs_per_million):>9}"
                    f"{figure(their.cpu_secs_per_million):>8}  {load}{f' ({their.notes})' if their.notes else ''}",
                    file=out,
                )
