"""What was promised, as ratios to Apache Storm in one run and as limits, and whether it is reached."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TextIO

from case import Result
from table import figure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

RECORDED = Path(__file__).resolve().parent / "recorded" / "apache_storm.json"


class Bar(NamedTuple):
    """Our best of `ours` must reach `factor` times Storm's best of `theirs`; the other Storm cases are shown."""

    row: str
    ours: tuple[str, ...]
    default: tuple[str, ...]
    tuned: tuple[str, ...]
    theirs: tuple[str, ...]
    factor: float


class Limit(NamedTuple):
    """What `read` finds in our result of a case must not be above `most`."""

    row: str
    case: str
    storm_case: str
    read: Callable[[Result], float]
    most: float
    unit: str


HOPS = ("hop-acked", "hop-acked-tuned")
HOPS_2W = ("hop-acked-2w", "hop-acked-2w-tuned")
HOPS_LOCAL = ("hop-acked-2w-local", "hop-acked-2w-local-tuned")
WORDS = ("words-acked", "words-acked-tuned")
WORDS_2W = ("words-acked-2w", "words-acked-2w-tuned")
WORDS_LOCAL = ("words-acked-2w-local", "words-acked-2w-local-tuned")
UNACKED, UNACKED_2W, UNACKED_TUNED = ("hop-unacked",), ("hop-unacked-2w",), ("hop-unacked-tuned",)
CROSSING = ("hop-unacked-2w-tuned",)
WORDS_U, WORDS_U_TUNED = ("words-unacked",), ("words-unacked-tuned",)
WORDS_U_2W, WORDS_U_2W_TUNED = ("words-unacked-2w",), ("words-unacked-2w-tuned",)

BARS = [
    Bar("hop-acked, one worker", HOPS, HOPS[:1], HOPS[1:], HOPS[1:], 1.5),
    Bar("hop-acked, node", HOPS + HOPS_2W + HOPS_LOCAL, HOPS[:1], HOPS[1:], HOPS + HOPS_2W, 2.5),
    Bar("hop-acked-2w, stays local", HOPS_LOCAL, HOPS_2W[:1], (), HOPS_2W[:1], 3),
    Bar("hop-acked-2w, half crosses", HOPS_2W, (), HOPS_2W[1:], HOPS_2W[1:], 3),
    Bar("hop-unacked, a call per tuple", UNACKED, UNACKED, UNACKED_TUNED, UNACKED, 0.5),
    Bar("hop-unacked, batch overrides", ("batch-hop-unacked",), UNACKED, UNACKED_TUNED, UNACKED, 1),
    Bar("hop-unacked-2w, local, a call per tuple", ("hop-unacked-2w-local",), UNACKED_2W, (), UNACKED_2W, 0.5),
    Bar("hop-unacked-2w, local, batch overrides", ("batch-hop-unacked-2w-local",), UNACKED_2W, (), UNACKED_2W, 1),
    Bar("hop-unacked-2w, crossing, a call per tuple", UNACKED_2W, (), CROSSING, CROSSING, 0.5),
    Bar("hop-unacked-2w, crossing, batch overrides", ("batch-hop-unacked-2w",), (), CROSSING, CROSSING, 1),
    Bar("words-acked, one worker", WORDS, WORDS[:1], WORDS[1:], WORDS[1:], 1.2),
    Bar("words-acked, node", WORDS + WORDS_2W + WORDS_LOCAL, WORDS[:1], WORDS[1:], WORDS + WORDS_2W, 1.5),
    Bar("words-acked-2w", WORDS_2W, WORDS_2W[:1], WORDS_2W[1:], WORDS_2W, 3),
    Bar("words-unacked, one worker", WORDS_U, WORDS_U, WORDS_U_TUNED, WORDS_U, 0.5),
    Bar("words-unacked-2w", WORDS_U_2W, WORDS_U_2W, WORDS_U_2W_TUNED, WORDS_U_2W + WORDS_U_2W_TUNED, 1),
]  # fmt: skip

UI_PAGES = (
    "ui-page-cluster", "ui-page-topology", "ui-page-component", "ui-page-worker", "ui-page-worker-wide",
    "ui-page-supervisor", "ui-page-owners",
)  # fmt: skip

LIMITS = [
    Limit("hop-latency p50", "hop-latency", "hop-latency", lambda result: result.latency_ms["p50"], 0.6, "ms"),
    Limit("hop-latency p99", "hop-latency", "hop-latency", lambda result: result.latency_ms["p99"], 5, "ms"),
    Limit("worker killed, both ack again, p50", "recovery", "recovery", lambda result: result.median, 2, "s"),
    Limit("worker killed, both ack again, max", "recovery", "recovery", lambda result: result.maximum, 5, "s"),
    Limit("submit to first tuple", "submit-to-first", "submit-to-first", lambda result: result.median, 3, "s"),
    Limit("memory of ZooKeeper", "memory", "memory", lambda result: result.rss_mb["zookeeper"], 30, "MB"),
    Limit("memory of Nimbus", "memory", "memory", lambda result: result.rss_mb["nimbus"], 50, "MB"),
    Limit("memory of a supervisor", "memory", "memory", lambda result: result.rss_mb["supervisor"], 50, "MB"),
    Limit("memory of a worker", "memory", "memory", lambda result: result.rss_mb["worker"], 50, "MB"),
    *(Limit(f"{page} p99", page, "", lambda result: result.latency_ms["p99"], 150, "ms") for page in UI_PAGES),
    *(Limit(f"{page}, its size", page, "", lambda result: result.others["kB"], 300, "kB") for page in UI_PAGES),
    Limit("a topology is watched, CPU", "ui-watched", "", lambda result: result.others.get("cost", math.nan), 1, "%"),
]
PEERS = [("words-acked", "words"), ("words-acked-2w", "words-2w")]  # ours acked, Bytewax's not


def cases() -> list[str]:
    """All that the bars need."""
    return list(dict.fromkeys([name for bar in BARS for name in bar.ours] + [limit.case for limit in LIMITS]))


def best(names: Iterable[str], results: dict[str, Result]) -> Result | None:
    found = [results[name] for name in names if name in results and not math.isnan(results[name].median)]
    return max(found, key=lambda result: result.median, default=None)


def recorded() -> list[Result]:
    told = json.loads(RECORDED.read_text())["results"]
    return [Result(case, one["unit"], tuple(one["rates"]), one.get("cpu_secs_per_million"), one.get("rss_mb", {}),
                   one.get("latency_ms", {})) for case, one in told.items()]  # fmt: skip


def print_bars(
    results: list[Result], storm: list[Result], bytewax: list[Result], with_recorded: bool, out: TextIO = sys.stdout
) -> None:
    """Each bar. Figures of Storm from another run stand only where this run has none, when asked for, with a star.

    So have ratios to them, and what follows from these.
    """
    ours = {result.case: result for result in results}
    theirs = {result.case: result for result in storm}
    starred = {result.case: result for result in recorded() if result.case not in theirs} if with_recorded else {}
    print(
        f"\n{'bar':44}{'ours':>12}{'Storm':>13}{'tuned':>13}{'ratio':>8}{'bar':>6}  {'':12}{'CPU s/M':>8}{'Storm':>8}",
        file=out,
    )
    for bar in BARS:
        print_bar(bar, ours, {**starred, **theirs}, starred.keys(), out)
    for limit in LIMITS:
        print_limit(limit, ours, {**starred, **theirs}, starred.keys(), out)
    print(f"{'words-multilang':44}{'not measured: there are no components in other languages yet'}", file=out)
    peers = {result.case: result for result in bytewax}
    for case, load in PEERS:
        mine, peer = ours.get(case), peers.get(load)
        if mine and peer:
            ratio = mine.median / peer.median
            print(f"{case + ' against Bytewax, unacked':44}{figure(mine.median):>12}{figure(peer.median):>13}{'':13}"
                  f"{ratio:>8.2f}{'1':>6}  {verdict(ratio > 1)}", file=out)  # fmt: skip
    if starred:
        print(f"* recorded on another run: {json.loads(RECORDED.read_text())['about']}", file=out)


def verdict(is_reached: bool | None) -> str:
    return {True: "reached", False: "NOT REACHED", None: "-"}[is_reached]


def print_bar(bar: Bar, ours: dict[str, Result], storm: dict[str, Result], starred: Iterable[str], out: TextIO) -> None:
    mine, their = best(bar.ours, ours), best(bar.theirs, storm)
    ratio = mine.median / their.median if mine and their and their.median else None
    star = "*" if ratio is not None and their and their.case in starred else ""
    print(
        f"{bar.row:44}{figure(mine and mine.median):>12}{storm_figure(best(bar.default, storm), starred):>13}"
        f"{storm_figure(best(bar.tuned, storm), starred):>13}{figure(ratio) + star:>8}{bar.factor:>6g}  "
        f"{verdict(None if ratio is None else ratio >= bar.factor) + star:12}"
        f"{figure(mine and mine.cpu_secs_per_million):>8}{figure(their and their.cpu_secs_per_million):>8}",
        file=out,
    )


def print_limit(
    limit: Limit, ours: dict[str, Result], storm: dict[str, Result], starred: Iterable[str], out: TextIO
) -> None:
    mine, their = ours.get(limit.case), storm.get(limit.storm_case)
    value = limit.read(mine) if mine else None
    star = "*" if their and their.case in starred else ""
    print(
        f"{limit.row + ', ' + limit.unit:44}{figure(value):>12}"
        f"{(figure(limit.read(their)) + star) if their else '-':>13}{'':13}{'':8}{limit.most:>6g}  "
        f"{verdict(None if value is None else value <= limit.most)}",
        file=out,
    )


def storm_figure(result: Result | None, starred: Iterable[str]) -> str:
    if result is None:
        return "-"
    return figure(result.median) + ("*" if result.case in starred else "")
