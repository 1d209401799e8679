"""A fault that did not take place is told from one that did."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from faults import Fault, Hand, Hit, Said, heal, inject
from nemesis import Event


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


def test_who_tells_of_a_fault_is_a_part_of_the_cluster() -> None:
    host = fault(None)._replace(target="host")
    assert host.told_by == frozenset()
    for role, part in {"target": "hosts", "victim": "hosts", "supervisor": "hosts", "nimbus": "nimbus"}.items():
        assert host._replace(told=Said(role, "lost")).told_by == {part}


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
