"""Those we are compared with in the same run: which load of theirs is like which case of ours."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

import apache_storm
import python_rivals

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from case import Options, Result


class Rival(NamedTuple):
    name: str
    about: str
    loads_of: Callable[[str], list[str]]  # their loads that are like a case of ours; none where nothing is
    run: Callable[[str, Options], Result]


def plain(case: str) -> tuple[str, set[str]]:
    """The load and its traits: "batch-hop-acked-2w-local" is "hop", {"acked", "2w", "local"}."""
    load, *traits = case.removeprefix("batch-").split("-")
    known = {"acked", "unacked", "2w", "local", "tuned", "latency"}
    return (load, set(traits)) if set(traits) <= known else ("", set())


def loop_loads(case: str) -> list[str]:
    load, traits = plain(case)
    if load not in {"hop", "words", "words8"} or "latency" in traits or not traits & {"acked", "unacked"}:
        return []
    if "2w" not in traits:
        return [load]
    return [f"{load}-2w", f"{load}-2w-wire"] if load == "hop" else [f"{load}-2w"]


def bytewax_loads(case: str) -> list[str]:
    load, traits = plain(case)
    if load not in {"words", "words8"}:
        return []
    return [f"{load}-2w" if "2w" in traits else load]


def storm_loads(case: str) -> list[str]:
    """Storm's default shuffle stays in the worker where it can, its tuned one does not: like against like."""
    if case in {"recovery", "memory"}:
        return [case]
    load, traits = plain(case)
    if load not in {"hop", "words", "words8"} or not traits:
        return []
    if "latency" in traits:
        return ["hop-latency"]
    base = f"{load}-{'unacked' if 'unacked' in traits else 'acked'}"
    if "2w" not in traits:
        return [base, f"{base}-tuned"]
    if load != "hop":
        return [f"{base}-2w", f"{base}-2w-tuned"]
    return [f"{base}-2w" if "local" in traits else f"{base}-2w-tuned"]


ALL = [
    Rival(
        "loop", "a bare Python loop of the same user work, without a framework", loop_loads, python_rivals.run_bare_loop
    ),
    Rival("bytewax", "Bytewax, source batches of 100, unacked", bytewax_loads, python_rivals.run_bytewax),
    Rival("storm", "Apache Storm", storm_loads, apache_storm.measured),
]
BY_NAME = {rival.name: rival for rival in ALL}
NAMES = list(BY_NAME)


def checked(text: str) -> list[str]:
    """The names in "loop,bytewax"; ends the program where one is not known. A rival that cannot run is left out."""
    names = [name for name in text.split(",") if name]
    if unknown := [name for name in names if name not in BY_NAME]:
        sys.exit(f"--against knows {', '.join(NAMES)}, not {', '.join(unknown)}")
    reasons = {"storm": apache_storm.missing, "bytewax": python_rivals.bytewax_missing}
    for name in list(names):
        if name in reasons and (reason := reasons[name]()):
            print(f"--against {name} is left out: {reason}", file=sys.stderr)
            names.remove(name)
    return names


def of_each_round(against: Sequence[str]) -> list[Rival]:
    """Those that run in turn with our own cases."""
    return [BY_NAME[name] for name in against if name != "storm"]


def loads(rival: Rival, cases: Sequence[str]) -> list[str]:
    """All that are like one of these cases; each once."""
    return list(dict.fromkeys(load for case in cases for load in rival.loads_of(case)))
