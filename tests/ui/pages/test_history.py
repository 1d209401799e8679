from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storm.ui.pages.history import (
    COMPONENTS_MAX,
    KEEP_SECS,
    LOOK_SECS,
    LOOKS_MAX,
    TOPOLOGIES_MAX,
    History,
    Look,
    Rates,
    rates,
    sparkline,
    wait_secs,
)


def look(at: float, emitted: int = 0, acked: int = 0, failed: int = 0, ms: float = 0.0, **workers: int) -> Look:
    return Look(at, emitted, acked, failed, ms, workers or {"a": int(at)})


def test_rates_are_differences_a_second() -> None:
    found = rates(look(100, 1_000, 500, 10, 2.0), look(110, 1_500, 700, 12, 3.0))
    assert found == Rates(110, 50.0, 20.0, 0.2, (3.0 * 700 - 2.0 * 500) / 200)


def test_where_nothing_was_acked_there_is_no_latency() -> None:
    found = rates(look(100, 10, 5), look(110, 20, 5))
    assert found is not None
    assert (found.acked, found.complete_ms) == (0.0, None)


@pytest.mark.parametrize(
    "later",
    [
        look(110, 2_000, 700, a=3),  # its worker is another process, which counted far in the meantime
        look(400, 9_000, 8_000, a=250),  # the same, and it is up for longer than that one was
        look(110, 1_400, 600, a=110, b=5),  # one more worker tells of itself
        look(110, 1_400, 600, b=110),  # another worker
        look(110, 900, 600),  # counts fell
        look(100, 1_400, 600),  # no time has passed
    ],
)
def test_looks_that_cannot_be_compared_make_a_gap(later: Look) -> None:
    assert rates(look(100, 1_000, 500), later) is None


def test_a_worker_that_starts_again_makes_a_gap_and_then_rates_again() -> None:
    history = History()
    for each in (look(0, 100, a=50), look(15, 250, a=65), look(30, 20, a=4), look(45, 170, a=19)):
        history.put("t", each)
    assert [None if one is None else one.emitted for one in history.rates("t")] == [10.0, None, 10.0]


def test_a_rate_is_over_three_looks_for_figures_come_in_steps() -> None:
    history = History()
    for number, emitted in enumerate((0, 120, 300, 450, 630)):  # of 10 a second, told of every 3 s
        history.put("t", look(number * 15, emitted))
    assert [one.emitted for one in history.rates("t") if one] == [8.0, 10.0, 10.0, pytest.approx(510 / 45)]


def test_a_nimbus_that_heard_of_no_worker_yet_makes_no_burst() -> None:
    """After its restart it counts nothing, and then all that workers counted since they began."""
    history = History()
    nothing = Look(15, 0, 0, 0, 0.0, {})
    for each in (look(0, 1_000_000, a=50), nothing, look(30, 1_000_300, a=80), look(45, 1_000_450, a=95)):
        history.put("t", each)
    assert [None if one is None else one.emitted for one in history.rates("t")] == [None, 10.0, 10.0]


def test_the_last_hour_is_kept() -> None:
    history = History()
    for number in range(1_000):
        history.put("t", look(number * LOOK_SECS, number, a=number))
    assert len(history.rates("t")) == LOOKS_MAX - 1
    assert history.looked_at("t") == 999 * LOOK_SECS
    history.put("t", look(999 * LOOK_SECS + KEEP_SECS + 1))
    assert history.rates("t") == []


def test_what_is_gone_is_forgotten() -> None:
    history = History()
    history.put("old", look(1))
    history.put("new", look(1))
    history.keep(["new", "newer"])
    assert (history.looked_at("old"), history.looked_at("new")) == (None, 1)


def test_not_more_are_looked_at_than_is_cheap_and_the_same_ones_again() -> None:
    history = History()
    ids = [str(number) for number in range(TOPOLOGIES_MAX + 50)]
    first = history.chosen(ids)
    assert first == ids[:TOPOLOGIES_MAX]
    for topology_id in first:
        history.put(topology_id, look(1))
    assert set(history.chosen(["earlier", *ids])) == set(first)


def test_components_have_rates_of_their_own_and_go_with_their_topology() -> None:
    history = History()
    for at, executed in ((0, 100), (15, 250)):
        its = look(at, 0, executed, 0, 2.0, a=50 + at)._replace(busy_percent=70.0 + at)
        history.put("t", look(at, at, a=50 + at), {"split": its})
    [rate] = history.rates("t", "split")
    assert rate is not None
    assert (rate.acked, rate.complete_ms, rate.busy_percent) == (10.0, 2.0, 85.0)
    assert history.rates("t", "count") == []
    history.keep(["other"])
    assert history.rates("t", "split") == history.rates("t") == []


def test_components_are_bounded_and_those_that_are_looked_at_stay_so() -> None:
    history = History()
    for at in (0, 15):
        for number in range(COMPONENTS_MAX + 1):
            history.put(f"t{number}", look(at, a=50 + at), {"split": look(at, a=50 + at)})
    numbers = (0, COMPONENTS_MAX - 1, COMPONENTS_MAX)
    assert [len(history.rates(f"t{number}", "split")) for number in numbers] == [1, 1, 0]


@given(st.floats(0, 1_000))
def test_nimbus_is_asked_for_a_hundredth_of_the_time_at_most(round_secs: float) -> None:
    assert wait_secs(round_secs) >= LOOK_SECS
    assert round_secs <= 0.0100001 * wait_secs(round_secs)


def test_a_sparkline_goes_from_nought_to_the_greatest_value() -> None:
    line = sparkline([(0.0, 5.0), (1_800.0, 10.0), (3_600.0, 0.0)], 3_600.0, 200, 40)
    assert line.path == "M0 20L100 2L200 38"
    assert line.area == "M0 40L0 20L100 2L200 38L200 40Z"
    assert (line.now, line.least, line.most) == (0.0, 0.0, 10.0)


def test_a_young_history_fills_the_width_and_says_how_long_it_is() -> None:
    line = sparkline([(100.0, 1.0), (130.0, 2.0), (160.0, 2.0)], 160.0, 200, 40)
    assert line.path == "M0 20L100 2L200 2"
    assert line.secs == 60


def test_gaps_break_a_sparkline() -> None:
    line = sparkline([(3_000.0, 5.0), None, (3_300.0, 5.0), (3_600.0, 5.0), None], 3_600.0, 200, 40)
    assert line.path.count("M") == 2
    assert line.now is None


def test_a_single_value_is_a_dot_that_is_seen() -> None:
    assert sparkline([(3_600.0, 5.0)], 3_600.0, 200, 40).path == "M200 2L201 2"


def test_nothing_makes_no_line() -> None:
    line = sparkline([None, (0.0, 1.0)], KEEP_SECS + 1)
    assert (line.path, line.now) == ("", None)


def test_what_is_always_nought_lies_at_the_bottom() -> None:
    assert sparkline([(3_000.0, 0.0), (3_600.0, 0.0)], 3_600.0, 120, 40).path == "M0 38L120 38"
