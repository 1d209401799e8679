from __future__ import annotations

from storm.diagnosis.facts import Component, Fault, Insight
from storm.ui.pages.graph import ARROW, Stream, drawing, shortened, shown_rate
from storm.ui.pages.graph_layout import BOX_WIDTH

WORDS = Component("words", is_spout=True, executors=2, emitted=60_000, complete_ms=2.5)
SPLIT = Component("split", is_spout=False, executors=4, executed=60_000, capacity=0.97, execute_ms=1.25)
COUNT = Component("count", is_spout=False, capacity=0.2)
STREAMS = [
    Stream("words", "split", "default", "shuffle", 100.0),
    Stream("split", "count", "default", "fields (word)", 400.0, failed=3),
]


def test_a_box_says_in_words_what_its_colour_says() -> None:
    found = drawing([WORDS, SPLIT, COUNT], STREAMS, 600)
    boxes = {node.name: node for node in found.nodes}
    assert [(name, node.level, node.share) for name, node in boxes.items()] == [
        ("count", "calm", 0.2),
        ("split", "bad", 0.97),
        ("words", "", None),
    ]
    assert boxes["split"].figure == "97 % busy · 1.250 ms"
    assert boxes["split"].title == "bolt split, 4 executors, busy 97 % of the time, execute latency 1.250 ms"
    assert boxes["count"].figure == "20 % busy · – ms"  # it has executed nothing that was timed
    assert boxes["words"].figure == "100/s emitted"
    assert boxes["words"].title.startswith("spout words, 2 executors, emits 100 tuples a second")
    assert boxes["words"].is_spout
    assert not boxes["count"].is_spout


def test_levels_go_by_capacity() -> None:
    levels = [
        drawing([SPLIT._replace(capacity=capacity)], [], 600).nodes[0].level for capacity in (0.49, 0.5, 0.8, 0.9, 3.0)
    ]
    assert levels == ["calm", "busy", "warn", "bad", "bad"]
    assert drawing([SPLIT._replace(capacity=3.0)], [], 600).nodes[0].share == 1.0


def test_lines_are_wide_by_rate_and_say_stream_grouping_and_rate() -> None:
    by_rate = drawing([WORDS, SPLIT, COUNT], STREAMS, 600).lines
    assert [(line.source, line.label, line.width) for line in by_rate] == [
        ("split", "400/s", 6.0),
        ("words", "100/s", 3.8),
    ]
    assert by_rate[0].title == "split to count: stream default, fields (word): 400 tuples a second, 3 failed"
    assert [line.has_failures for line in by_rate] == [True, False]
    assert [line.stream for line in by_rate] == ["default", "default"]


def test_streams_between_the_same_two_are_one_line() -> None:
    both = [*STREAMS, Stream("words", "split", "side", "all", 50.0)]
    [line] = [line for line in drawing([WORDS, SPLIT, COUNT], both, 600).lines if line.source == "words"]
    assert line.label == "150/s"
    assert line.stream == ""
    assert "stream default, shuffle" in line.title
    assert "stream side, all" in line.title


def test_a_line_on_which_nothing_flows_is_idle() -> None:
    [line] = drawing([WORDS, SPLIT], [STREAMS[0]._replace(rate=0.0)], 600).lines
    assert (line.is_idle, line.label, line.width) == (True, "0/s", 1.5)


def test_lines_end_where_their_arrow_begins() -> None:
    found = drawing([WORDS, SPLIT], STREAMS[:1], 600)
    box = next(node for node in found.nodes if node.name == "split")
    [line] = found.lines
    assert line.arrow.startswith(f"M{box.x:g} ")
    assert line.path.split("C")[1].split()[-2] == f"{box.x - ARROW:g}"


def test_labels_do_not_lie_upon_one_another() -> None:
    """Many to many: where there is no room for one, only its title says the rate."""
    spouts = [Component(f"s{i}", is_spout=True) for i in range(6)]
    bolts = [Component(f"b{i}", is_spout=False) for i in range(6)]
    streams = [Stream(s.name, b.name, "default", "shuffle", 1.0) for s in spouts for b in bolts]
    lines = drawing([*spouts, *bolts], streams, 600).lines
    places = [line.label_at for line in lines if line.label_at]
    assert 6 < len(places) <= 36
    assert all(
        abs(one.x - other.x) >= 54 or abs(one.y - other.y) >= 15 for i, one in enumerate(places) for other in places[:i]
    )


def test_a_bolt_that_feeds_itself_has_a_loop_above_it() -> None:
    [line] = drawing([COUNT], [Stream("count", "count", "again", "shuffle", 1.0)], 600).lines
    box = drawing([COUNT], [], 600).nodes[0]
    assert line.label_at is not None
    assert line.label_at.y < box.y
    assert box.x < line.label_at.x < box.x + BOX_WIDTH


def test_trouble_is_written_into_the_box() -> None:
    held = Insight(2, {"back-pressure": 1}, "back pressure: the queues of 'count' are full", full=1)
    node = drawing([SPLIT._replace(error=Fault("ValueError: x", 12), failed=7, insight=held)], [], 600).nodes[0]
    assert node.marks == ("error", "queue full")
    assert node.has_error
    assert "last error: ValueError: x" in node.title
    assert "7 failed" in node.title
    assert "back pressure" in node.title
    old = drawing([SPLIT._replace(error=Fault("ValueError: x", 700), failed=7)], [], 600).nodes[0]
    assert (old.marks, old.has_error) == (("7 failed",), False)


def test_a_spout_that_may_not_emit_more_says_so() -> None:
    node = drawing([WORDS._replace(insight=Insight(2, {"max-pending": 2}, "text", silent=2))], [], 600).nodes[0]
    assert node.marks == ("max pending",)


def test_streams_of_what_is_not_shown_are_left_out() -> None:
    assert drawing([WORDS], STREAMS, 600).lines == ()


def test_long_names_are_shortened_and_whole_in_the_title() -> None:
    name = "a" * 60
    node = drawing([COUNT._replace(name=name)], [], 600).nodes[0]
    assert node.label == shortened(name) == "a" * 20 + "…"
    assert name in node.title


def test_a_worker_that_just_started_has_no_rate() -> None:
    assert drawing([WORDS], [], 0).nodes[0].figure == "0/s emitted"


def test_rates_have_three_digits() -> None:
    rates = [0, 0.01, 0.5, 12.34, 999, 1_234, 56_789, 999_600, 1.5e6, 2e9]
    assert [shown_rate(rate) for rate in rates] == [
        "0/s", "<0.1/s", "0.5/s", "12.3/s", "999/s", "1.23k/s", "56.8k/s", "1000k/s", "1.5M/s", "2G/s",
    ]  # fmt: skip


def test_a_long_drawing_is_scrolled_and_not_made_smaller() -> None:
    def chain(count: int) -> bool:
        bolts = [Component(f"b{i}", is_spout=False) for i in range(count)]
        streams = [Stream(f"b{i}", f"b{i + 1}", "default", "shuffle", 1.0) for i in range(count - 1)]
        return drawing(bolts, streams, 600).is_long

    assert [chain(count) for count in (1, 6, 7)] == [False, False, True]
