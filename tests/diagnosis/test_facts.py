from __future__ import annotations

from storm.diagnosis.facts import Component, Insight, Severity, Trouble, worst, worst_first


def test_of_equals_the_first_stays_first() -> None:
    found = [Trouble(Severity.NOTE, "a"), Trouble(Severity.WARNING, "b"), Trouble(Severity.NOTE, "c")]
    assert [one.what for one in worst_first(found)] == ["b", "a", "c"]
    assert (worst(found), worst([])) == (Severity.WARNING, None)


def test_a_spout_is_silent_if_no_executor_emits() -> None:
    spout = Component("s", is_spout=True)
    assert spout.is_silent
    assert not spout._replace(emitted=1).is_silent
    assert not spout._replace(insight=Insight(2, silent=1)).is_silent
    assert spout._replace(emitted=1, insight=Insight(2, silent=2)).is_silent
    assert not spout._replace(is_spout=False).is_silent
