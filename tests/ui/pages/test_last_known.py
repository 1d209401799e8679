from __future__ import annotations

from storm.ui.pages.last_known import Known, LastKnown


def test_the_last_answer_is_kept_until_nimbus_says_otherwise() -> None:
    known = LastKnown()
    known.put("a", Known(1, 10.0, 100))
    known.put("a", Known(2, 12.0, 102))
    assert known.get("a") == Known(2, 12.0, 102)
    known.forget("a")
    known.forget("a")
    assert known.get("a") is None


def test_what_nobody_looked_at_for_longest_makes_room() -> None:
    known = LastKnown(count_max=2)
    for call in ("a", "b"):
        known.put(call, Known(call, 0.0, 0))
    known.get("a")
    known.put("c", Known("c", 0.0, 0))
    assert (known.get("a") is None, known.get("b") is None, known.get("c") is None) == (False, True, False)
