"""A fault that did not take place is told from one that did."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from faults import Fault, Hand, Hit, Said, heal, inject
from nemesis import Event
from network_faults import cut_link, cut_nimbus_off, cut_one_way
from process_faults import PROCESS_FAULTS, kill_nimbus, pause_daemon


def hand() -> Hand:
    nothing: Any = None
    return Hand(nothing, nothing, Hit(Event(0.0, "f", "all", 0.0)))


def test_who_may_be_away_by_another_fault_is_not_asked_whether_all_is_well() -> None:
    asked = []
    load: Any = SimpleNamespace(is_settled=lambda: asked.append(True) or True)
    nothing: Any = None
    hit, other = Hit(Event(0.0, "f", "all", 0.0)), Event(0.0, "g", "nimbus", 9.0)
    one = Hand(nothing, load, hit, going_on := [other, hit.event])
    one.look_first()
    assert (one.is_alone, hit.settled, asked) == (False, False, [])
    going_on.remove(other)
    one.look_first()
    assert (one.is_alone, hit.settled, asked) == (True, True, [True])


@pytest.mark.parametrize(
    ("answers", "beside", "leads"),
    [
        (["target"], False, True),
        (["other"], False, False),
        ([None, "other"], False, False),  # it was being chosen
        ([None, "target"], False, True),
        ([None, None], False, True),  # nobody says so: the target may be it
        ([None], True, True),  # who would say so may be away
        (["other"], True, False),
    ],
)
def test_whether_the_target_leads_is_waited_for_where_no_other_fault_goes_on(
    answers: list[str | None], *, beside: bool, leads: bool
) -> None:
    left = list(answers)

    def wait(condition: Any, what: str, secs: float) -> Any:
        if (found := condition()) is None:
            raise AssertionError(what)
        return found

    site: Any = SimpleNamespace(leader=lambda: left.pop(0), wait=wait, daemon=lambda name: name)
    hit = Hit(Event(0.0, "nimbus-killed", "target", 1.0))
    going_on = [Event(0.0, "g", "all", 9.0), hit.event] if beside else [hit.event]
    load: Any = SimpleNamespace(grace_secs=1.0)
    assert Hand(site, load, hit, going_on).leads() == leads
    assert left == []
    assert hit.at > 0


class Cluster:
    """A site of Nimbuses alone, of which one leads."""

    def __init__(self, leading: str, *names: str) -> None:
        self.nimbuses = [SimpleNamespace(name=name, end=lambda number: None) for name in names]
        self.leading = leading
        self.network: Any = SimpleNamespace(place=lambda name: name, drop=lambda some, others: None)
        self.supervisors: dict[str, Any] = {}
        self.zookeepers: list[Any] = []
        self.zookeeper_proxies: dict[Any, Any] = {}

    def daemon(self, name: str) -> Any:
        return next(nimbus for nimbus in self.nimbuses if nimbus.name == name)

    def leader(self) -> Any:
        return self.daemon(self.leading)


@pytest.mark.parametrize("act", [kill_nimbus, cut_nimbus_off])
@pytest.mark.parametrize(
    ("leading", "names", "counts_from_blow", "need_not_lead"),
    [("n1", ["n1", "n2"], True, False), ("n2", ["n1", "n2"], False, True), ("n1", ["n1"], False, False)],
)
def test_the_blow_counts_for_a_leader_that_another_nimbus_stands_by(
    act: Any, leading: str, names: list[str], *, counts_from_blow: bool, need_not_lead: bool
) -> None:
    site: Any = Cluster(leading, *names)
    hit = Hit(Event(0.0, "f", "n1", 1.0))
    act(Hand(site, SimpleNamespace(grace_secs=1.0), hit, [hit.event]))  # type: ignore[arg-type]
    assert (hit.from_blow, hit.back is not None) == (counts_from_blow, need_not_lead)


@pytest.mark.parametrize("act", [cut_link, cut_one_way])
def test_a_link_that_is_cut_is_told_in_both_directions(act: Any) -> None:
    site: Any = Cluster("n1", "n1")
    hit = Hit(Event(0.0, "f", "a-b", 1.0))
    act(Hand(site, SimpleNamespace(), hit))  # type: ignore[arg-type]
    assert hit.links == {("a", "b"), ("b", "a")}


@pytest.mark.parametrize("stands", [True, False])
def test_a_daemon_that_did_not_stand_still_was_not_paused(*, stands: bool) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        try:

            def send(number: signal.Signals) -> None:
                if stands or number != signal.SIGSTOP:
                    process.send_signal(number)

            one, daemon = hand(), SimpleNamespace(pid=process.pid, send=send)
            inject(fault(lambda hand: pause_daemon(hand, daemon)), one)  # type: ignore[arg-type]
            if stands:
                os.waitpid(process.pid, os.WUNTRACED)  # it may be on no core at the moment, and stop later
            heal(one)
        finally:
            process.kill()
    assert bool(one.hit.problem) != stands


def test_who_tells_of_a_fault_is_a_part_of_the_cluster() -> None:
    host = fault(None)._replace(target="host")
    assert host.told_by == frozenset()
    roles = {"target": "hosts", "victim": "hosts", "supervisor": "hosts", "nimbus": "nimbus"}
    roles |= {"worker": "workers", "target's workers": "workers"}
    for role, part in roles.items():
        assert host._replace(told=Said(role, "lost")).told_by == {part}


@pytest.mark.parametrize(
    ("how", "is_wrong"),
    [
        ("was killed by signal 15", True),
        ("exited with code 1", True),
        ("ended (its exit code went to the supervisor that started it)", False),  # of each that it adopted
    ],
)
def test_of_a_worker_that_is_told_to_end_no_supervisor_says_that_it_died(how: str, *, is_wrong: bool) -> None:
    [never] = [each.never for each in PROCESS_FAULTS if each.name == "worker-terminated"]
    assert never is not None
    pattern = never.pattern.replace("{port}", "6700")
    assert bool(re.search(pattern, f"The worker on port 6700 {how}: it is started again")) == is_wrong


def fault(inject: Any) -> Fault:
    return Fault("f", "-", "a fault", "cluster", inject)


def test_what_can_be_proved_is_well_and_is_asked_before_it_is_healed() -> None:
    order = []

    def act(hand: Hand) -> None:
        hand.hit.undo.append(lambda: order.append("undone"))
        hand.hit.proofs.append(("it is so", lambda: order.append("asked") or True))

    one = hand()
    inject(fault(act), one)
    heal(one)
    assert order == ["asked", "undone"]
    assert one.hit.problem == ""


@pytest.mark.parametrize("answer", ["no", "error"])
def test_what_cannot_be_proved_did_not_take_place_and_is_undone_all_the_same(answer: str) -> None:
    undone = []

    def holds() -> bool:
        if answer == "error":
            raise OSError("broken")
        return False

    def act(hand: Hand) -> None:
        hand.hit.undo.append(lambda: undone.append(True))
        hand.hit.proofs.append(("a bit was turned", holds))

    one = hand()
    inject(fault(act), one)
    heal(one)
    assert undone == [True]
    assert "did not take place" in one.hit.problem
    assert "a bit was turned" in one.hit.problem


def test_what_could_not_be_injected_is_said_and_no_proof_of_it_asked_for() -> None:
    def act(hand: Hand) -> None:
        hand.hit.proofs.append(("it is so", lambda: pytest.fail("nobody needs to know")))
        raise OSError("no such link")

    one = hand()
    inject(fault(act), one)
    heal(one)
    assert one.hit.problem == "could not be injected: OSError: no such link"
