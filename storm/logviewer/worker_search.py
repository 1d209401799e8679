"""Searches all logs of a topology's workers on this host for the newest records with a text."""

from __future__ import annotations

import contextlib
import os
import re
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO

from storm.http.problems import Problem
from storm.log_lines import records
from storm.logviewer import log_files
from storm.logviewer.logs import CURRENT_LOG, LogName
from storm.logviewer.searching import from_the_end
from storm.supervisor.log_viewer import FoundRecord, FoundRecords

if TYPE_CHECKING:
    from pathlib import Path

    from storm.log_lines import Record
    from storm.logviewer.logs import Worker
    from storm.logviewer.reading import Budget
    from storm.logviewer.searching import Wanted

# Not what was packed: that can be read from its beginning only.
LOG_FILE = re.compile(rf"{re.escape(CURRENT_LOG)}(\.\d{{1,4}})?")
BEFORE_BYTES, AFTER_BYTES = 16 << 10, 4 << 10  # around a place, in which its record is looked for
SHOWN_CHARS = 2_000  # of a record
HEAD_CHARS = 300  # of its first line, where it is shown in part


def newest_records(artifacts: Path, topology_id: str, wanted: Wanted, budget: Budget) -> FoundRecords:
    """At most `wanted.matches` of them. A log that is gone meanwhile, or cannot be read, is passed over."""
    found: dict[Worker, list[FoundRecord]] = {}
    is_cut = False
    files = [one for one in log_files.found_logs(artifacts, topology_id) if LOG_FILE.fullmatch(one.name)]
    for file in log_files.newest_first(files):
        of_worker = found.setdefault(file.worker, [])
        left = wanted.matches - len(of_worker)  # the newest of all are among the newest of each
        if left <= 0 or budget.is_spent:
            is_cut = True
            continue
        name = LogName(file.worker, file.name)
        with contextlib.suppress(Problem, OSError), log_files.open_worker_log(artifacts, name) as opened:
            in_file, is_part = _in_file(opened, name, wanted._replace(matches=left), budget)
            of_worker += in_file
            is_cut |= is_part
    every = sorted(chain.from_iterable(found.values()), key=lambda one: one.time, reverse=True)
    return FoundRecords(every[: wanted.matches], is_cut or len(every) > wanted.matches)


def _in_file(file: BinaryIO, name: LogName, wanted: Wanted, budget: Budget) -> tuple[list[FoundRecord], bool]:
    """The last records with the text, the last one first; whether there may be more."""
    found: list[FoundRecord] = []
    for match in from_the_end(file, wanted.needle, budget):
        if found and match.offset >= found[-1].offset:
            continue  # in the same record
        if len(found) == wanted.matches:
            return found, True
        begin = max(0, match.offset - BEFORE_BYTES)
        data = os.pread(file.fileno(), match.end + AFTER_BYTES - begin, begin)
        if data[match.offset - begin : match.end - begin] != wanted.needle:
            return found, True  # the log was emptied meanwhile, to be written anew
        offset, record = record_around(data, match.offset - begin, begins_line=begin == 0)
        text = excerpt(record, len(data[offset : match.offset - begin].decode(errors="replace")))
        found.append(FoundRecord(name.worker.port, name.file, begin + offset, record.time, text))
    return found, budget.is_spent


def record_around(data: bytes, at: int, *, begins_line: bool) -> tuple[int, Record]:
    """(where it begins, the record) in which byte `at` of a part of a log is. `begins_line`: so does the part."""
    begin = 0 if begins_line else data.find(b"\n", 0, at) + 1
    lines = data[begin:].removesuffix(b"\n").split(b"\n")
    line = 0
    for record in records([each.decode(errors="replace") for each in lines]):
        count = len(record.lines)
        end = begin + sum(len(each) + 1 for each in lines[line : line + count])
        if at < end:
            return begin, record
        begin, line = end, line + count
    raise AssertionError("byte `at` is in the data, so one of the records has it")


def excerpt(record: Record, at: int) -> str:
    """The record as its log has it; of a long one its first line's beginning and what is around character `at`."""
    text = "\n".join(record.lines)
    if len(text) <= SHOWN_CHARS:
        return text
    around = (SHOWN_CHARS - HEAD_CHARS) // 2
    if at + around <= SHOWN_CHARS:
        return f"{text[:SHOWN_CHARS]} …"
    head = record.lines[0][:HEAD_CHARS]
    tail = " …" if at + around < len(text) else ""
    return f"{head} …\n… {text[at - around : at + around]}{tail}"
