"""What spouts and sinks wrote is read again, also while they write."""

from __future__ import annotations

from typing import TYPE_CHECKING

from records import Ack, LedgerLine, Progress, read_run

if TYPE_CHECKING:
    from pathlib import Path


def test_lines_of_all_processes_are_read_in_order_of_time(tmp_path: Path) -> None:
    (tmp_path / "acked-0-11").write_text("4 7.5\n2 6.5\n")
    (tmp_path / "acked-1-12").write_text("3 7.0\n")
    (tmp_path / "failed-0-11").write_text("4 5.0\n")
    (tmp_path / "given-up-0-11").write_text("0 5.0\n")
    (tmp_path / "ledger-9-11").write_text("4 2 3 7.25 bad 0 21\n2 1 1 6.25 ok 1 22\n")
    run = read_run(tmp_path, 5, 2)
    assert run.acks == [Ack(2, 6.5, 11), Ack(3, 7.0, 12), Ack(4, 7.5, 11)]
    assert run.lines == [
        LedgerLine(2, 1, 1, 6.25, True, 9, 11, 1, 22), LedgerLine(4, 2, 3, 7.25, False, 9, 11, 0, 21),
    ]  # fmt: skip
    assert run.fails == [Ack(4, 5.0, 11)]
    assert run.given_up == {0}
    assert run.parts == 2


def test_a_line_that_is_not_whole_is_left_for_later(tmp_path: Path) -> None:
    file = tmp_path / "acked-0-11"
    file.write_text("4 7.5\n2 6")
    progress = Progress(tmp_path)
    assert read_run(tmp_path, 5).acks == [Ack(4, 7.5, 11)]
    assert progress.count() == 1
    file.write_text("4 7.5\n2 6.5\n4 8.5\n")
    assert progress.count() == 2


def test_progress_counts_each_number_once_whoever_acks_it(tmp_path: Path) -> None:
    progress = Progress(tmp_path)
    assert progress.count() == 0
    (tmp_path / "acked-0-11").write_text("1 1.0\n")
    (tmp_path / "acked-0-12").write_text("1 2.0\n2 2.0\n")
    (tmp_path / "given-up-0-12").write_text("3 2.0\n")
    assert progress.count() == 3
