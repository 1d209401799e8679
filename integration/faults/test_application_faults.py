"""The report of a call that does not return is read for all that it has to say."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
from application_faults import STUCK_SECS, stuck_report, wrong_report
from faults import Hand, Hit
from nemesis import Event
from network import Loopback

REPORT = f"""component 'forward', task 6, has been in one call for 3 s (topology.executor.stuck.secs is {STUCK_SECS})
It works on [1641, 1, 1, '319b0f99'] from 'numbers' (task 11), stream 'default'
Stack (most recent call last):
  File "/code/numbered.py", line 152, in execute
    act()
  File "/code/numbered.py", line 197, in spin
    while True:
"""


@pytest.mark.parametrize("known_as", [None, "10.77.1.2"])
def test_a_report_is_found_by_the_address_that_the_worker_is_known_by(known_as: str | None) -> None:
    settings = {} if known_as is None else {"storm.local.hostname": known_as}
    error = SimpleNamespace(host=known_as or "127.0.0.1", port=6700, wall_secs=int(time.time()) + 1, text=REPORT)
    state = SimpleNamespace(errors=lambda topology_id, component: [error])
    supervisors = {"a": SimpleNamespace(settings=settings)}
    site: Any = SimpleNamespace(state=state, supervisors=supervisors, network=Loopback())
    load: Any = SimpleNamespace(topology_id="numbers-1")
    hand = Hand(site, load, Hit(Event(0.0, "bolt-spins", "topology", 0.0), at=time.monotonic()))
    worker: Any = SimpleNamespace(host="a", port=6700)
    assert stuck_report(hand, worker) == REPORT


def test_a_whole_report_is_well() -> None:
    assert wrong_report(REPORT, "spin", {1640, 1642}) == []
    assert wrong_report(REPORT.replace("stream 'default'", "stream 'default' and 3 more"), "spin", set()) == []


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("'forward'", "'numbers'", "lacks the component"),
        (", task 6", "", "lacks the component"),
        ("It works on [1641, 1, 1, '319b0f99'] from 'numbers' (task 11), stream 'default'\n", "", "the tuple"),
        ("for 3 s", "for 7 s", "says 7 s"),
        ("for 3 s", "for 2 s", "says 2 s"),
        ("1641", "1640", "acked before"),
        ("in spin", "in execute", "the line of `spin`"),
    ],
)
def test_what_a_report_lacks_is_told(old: str, new: str, word: str) -> None:
    [found] = wrong_report(REPORT.replace(old, new), "spin", {1640})
    assert word in found
