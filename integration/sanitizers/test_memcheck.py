"""A report of memcheck, read: which of its errors are in our modules."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import ParseError

import pytest
from fewer_examples import LIMIT, fewer
from hypothesis import settings
from memcheck import errors_in

XML = """\
<?xml version="1.0"?>
<valgrindoutput>
<error>
  <kind>InvalidRead</kind><what>Invalid read of size 8</what>
  <stack>
    <frame><ip>0x1</ip><obj>/lib/libc.so.6</obj><fn>memcpy</fn></frame>
    <frame><ip>0x2</ip><obj>/opt/storm/executor/pending.so</obj><fn>Pending_fold</fn></frame>
  </stack>
  <auxwhat>Address is 0 bytes after a block of size 8</auxwhat>
</error>
<error>
  <kind>Leak_DefinitelyLost</kind><xwhat><text>64 bytes are lost</text><leakedbytes>64</leakedbytes></xwhat>
  <stack><frame><ip>0x3</ip><obj>/opt/storming/other.so</obj><fn>init</fn></frame><frame><ip>0x4</ip></frame></stack>
</error>
</valgrindoutput>
"""


def test_errors_are_told_with_their_stacks() -> None:
    read, lost = errors_in(XML)
    lines = ["InvalidRead: Invalid read of size 8", "    memcpy (libc.so.6)", "    Pending_fold (pending.so)"]
    assert str(read).splitlines() == lines
    assert (lost.kind, lost.text) == ("Leak_DefinitelyLost", "64 bytes are lost")


def test_only_what_passes_through_our_modules_is_ours() -> None:
    assert [error.is_in(Path("/opt/storm")) for error in errors_in(XML)] == [True, False]


def test_a_report_that_was_cut_short_is_no_clean_one() -> None:
    with pytest.raises(ParseError):
        errors_in(XML[:200])


def test_no_test_draws_more_examples_than_the_limit() -> None:
    assert fewer(settings(max_examples=60)).max_examples == min(60, LIMIT)
    assert fewer(settings(max_examples=1)).max_examples == 1
