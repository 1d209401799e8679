from __future__ import annotations

from storm.ui.pages.last_known import KEPT_SECS, Known, LastKnown


def test_the_last_answer_is_kept_until_nimbus_says_otherwise() -> None:
    known = LastKnown()
    known.put("a", Known(1, 10.0, 100))
    known.put("a", Known(2, 12.0, 102))
    assert known.get("a", 12.0) == Known(2, 12.0, 102)
    known.forget("a")
    known.forget("a")
    assert known.get("a", 12.0) is None


def test_what_nobody_looked_at_for_longest_makes_room() -> None:
    known = LastKnown(count_max=2)
    for call in ("a", "b"):
        known.put(call, Known(call, 0.0, 0))
    known.get("a", 12.0)
    known.put("c", Known("c", 0.0, 0))
    assert (known.get("a", 12.0) is None, known.get("b", 12.0) is None, known.get("c", 12.0) is None) == (
        False,
        True,
        False,
    )


def test_what_nobody_has_looked_at_for_long_is_forgotten_however_old_the_rest_is() -> None:
    known = LastKnown()
    known.put("a", Known("a", 0.0, 0))
    known.put("b", Known("b", 0.0, 0))
    assert known.get("a", KEPT_SECS - 1) == Known("a", 0.0, 0)
    assert known.get("b", KEPT_SECS) is None
    assert known.get("a", 2 * KEPT_SECS - 2) == Known("a", 0.0, 0)
    assert known.get("a", 3 * KEPT_SECS - 2) is None
