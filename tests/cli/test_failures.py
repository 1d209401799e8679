from __future__ import annotations

import click

from storm.cli.failures import failure_as_dict, failure_text
from storm.thrift.interface import storm_thrift


def test_a_failure_says_what_when_where_and_why() -> None:
    failure = storm_thrift().TupleFailure(
        task=3,
        message_id="('a', 7)",
        kind="timeout",
        component="split",
        text="not done within 30 s",
        age_secs=61.2,
        time_secs=1_700_000_000,
        host="h",
        port=6700,
    )
    first, second = click.unstyle(failure_text("words", failure)).splitlines()
    assert first.endswith("  ('a', 7)  of words, task 3 on h:6700")
    assert second == "  not done within 30 s, 1 m 1 s after its emit"
    assert failure_as_dict(failure)["component"] == "split"
    bare = storm_thrift().TupleFailure(message_id="7", text="why", time_secs=1_700_000_000)
    assert "0 s after" in failure_text("words", bare)


def test_what_users_named_moves_no_terminal() -> None:
    failure = storm_thrift().TupleFailure(
        time_secs=1, message_id="\x1b]0;mine\x07", task=1, text="b\rad\n", age_secs=1.0, host="h", port=1
    )
    shown = click.unstyle(failure_text("words", failure))
    assert r"\x1b]0;mine\x07" in shown
    assert r"  b\rad\n, 1 s after" in shown
