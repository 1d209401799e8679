from __future__ import annotations

from dataclasses import replace

import pytest

from storm.cluster.records import SupervisorInfo
from storm.supervisor.registration import Claim, Holder, look, why_refused

OWN = SupervisorInfo("n1", "h1", (6700,), (), 6628, 0, "1", local_dir="/var/storm", home="home-1", incarnation="run-2")
COPY = replace(OWN, host="h2", local_dir="/var/copy", home="home-2", incarnation="run-9")


@pytest.mark.parametrize(
    "there",
    [
        None,
        (OWN, 7),
        (replace(OWN, host="renamed", incarnation="run-1"), 7),  # a former run, whose session has not ended yet
        (replace(OWN, home="", incarnation=""), 7),  # a release that did not tell
    ],
)
def test_what_nobody_has_or_a_former_run_left_is_ours_at_once(there: tuple[SupervisorInfo, int] | None) -> None:
    assert look(OWN, there, None) == (Claim.OURS, None)


def test_another_directorys_record_is_waited_for_until_its_session_ends() -> None:
    claim, holder = look(OWN, (COPY, 3), None)
    assert (claim, holder) == (Claim.HELD, Holder("run-9", 3))
    assert look(OWN, (COPY, 3), holder) == (Claim.HELD, holder)
    assert look(OWN, None, holder) == (Claim.OURS, None)


@pytest.mark.parametrize("written", [(COPY, 4), (replace(COPY, incarnation="run-10"), 0)])
def test_one_that_writes_lives(written: tuple[SupervisorInfo, int]) -> None:
    assert look(OWN, written, Holder("run-9", 3)).claim is Claim.TAKEN


def test_the_refusal_names_both_and_what_to_do() -> None:
    text = why_refused(OWN, COPY)
    assert "on host h2 with local directory /var/copy" in text
    assert "Remove supervisor/node-id" in text
    assert "/var/storm of this one, on host h1" in text
