"""What callgrind wrote, read; figures compared with recorded ones."""

from __future__ import annotations

import callgrind
import pytest
from callgrind import YARDSTICK, by_function, callers, compare, instructions

DUMP = """\
# callgrind format
events: Ir
summary: 130

fn=(0) main
cfn=(1) loop
calls=0 0
0 130

fn=(1)
16 20
cfi=(2) list.c
cfn=(2) append
calls=3 40
16 90
+2 5

fn=(2)
40 60
* 10

fn=(3) append'2
41 20
cfn=(1)
calls=1 1
41 7

fn=(4) emit
1 15
totals: 130
"""


def test_the_sum_of_a_dump() -> None:
    assert instructions(DUMP) == 130


def test_a_dump_that_was_cut_short() -> None:
    with pytest.raises(ValueError, match="cut short"):
        instructions(DUMP[:50])


def test_what_functions_took_themselves() -> None:
    assert by_function(DUMP) == {"append": 90, "loop": 25, "emit": 15}
    assert by_function(DUMP).total() == instructions(DUMP)


def test_who_called_a_function_and_how_often() -> None:
    assert callers(DUMP, "append") == {"loop": 3}
    assert callers(DUMP, "loop") == {"append": 1}


def test_growth_is_measured_against_the_record() -> None:
    bare, hop, new = compare({YARDSTICK: 101.0, "hop": 150.0, "new": 7.0}, {YARDSTICK: 100.0, "hop": 120.0})
    assert (bare.growth, hop.growth, new.growth) == (pytest.approx(0.01), pytest.approx(0.25), 0.0)
    assert "+25.0 % (120)" in str(hop)
    assert "not recorded" in str(new)


def test_another_build_of_python_is_not_compared(capsys: pytest.CaptureFixture[str]) -> None:
    findings = compare({YARDSTICK: 110.0, "hop": 500.0}, {YARDSTICK: 100.0, "hop": 120.0})
    assert [finding.growth for finding in findings] == [0.0, 0.0]
    assert "another Python" in capsys.readouterr().out


def test_the_yardstick_is_among_what_is_counted() -> None:
    assert YARDSTICK in callgrind.COUNTS
