"""Stacks read, summed up and drawn."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from flame_graph import boxes, kind_of, read_stacks, running, svg, top_self, top_total, tree_of

TEXT = """\
main (run.py);step (storm/executor/lane.py);__pyx_f_emit (collectors.so) 6
main (run.py);step (storm/executor/lane.py) 3
main (run.py);step (storm/executor/lane.py);step (storm/executor/lane.py) 1
"""
STEP, EMIT, MAIN = "step (storm/executor/lane.py)", "__pyx_f_emit (collectors.so)", "main (run.py)"


def test_what_is_no_stack_is_refused() -> None:
    with pytest.raises(ValueError, match="'main;step'"):
        read_stacks("main;step")


def test_threads_that_wait_are_left_out() -> None:
    waiting = f"{MAIN};PyThread_acquire_lock_timed (libpython.so);sem_wait (libc.so) 7\n"
    assert running(read_stacks(waiting + TEXT)) == read_stacks(TEXT)


def test_own_time_is_that_of_the_innermost() -> None:
    assert top_self(read_stacks(TEXT), 5) == [(EMIT, 60.0), (STEP, 40.0)]
    assert top_self(read_stacks(TEXT), 1) == [(EMIT, 60.0)]


def test_a_recursion_counts_once_in_the_total() -> None:
    assert dict(top_total(read_stacks(TEXT), 5)) == {MAIN: 100.0, STEP: 100.0, EMIT: 60.0}


def test_boxes_stand_on_their_callers() -> None:
    found = {(box.name, box.depth): (box.start, box.count) for box in boxes(tree_of(read_stacks(TEXT)))}
    assert found == {(MAIN, 0): (0, 10), (STEP, 1): (0, 10), (EMIT, 2): (0, 6), (STEP, 2): (6, 1)}


def test_whose_code_it_is() -> None:
    assert [kind_of(name) for name in (EMIT, MAIN, STEP, "memcpy (libc.so.6)")] == ["ours", "python", "ours", "native"]


def test_the_picture_is_xml_with_a_tooltip_a_box() -> None:
    picture = ElementTree.fromstring(svg(read_stacks("<a> & b;c 1\n<a> & b;d 9999\n"), "1 < 2"))
    titles = [title.text for title in picture.iter("{http://www.w3.org/2000/svg}title")]
    assert titles == ["<a> & b: 100.0 % (10,000)", "d: 100.0 % (9,999)"]
