"""What a person reads of an exception in a component: its own frames, not those of the system around it."""

from __future__ import annotations

import os
import traceback

OUR_DIRECTORY = os.path.dirname(os.path.abspath(__file__))


def user_traceback(error: BaseException) -> str:
    """The traceback of `error` and of what it came from, without our frames; ends without a newline."""
    told = traceback.TracebackException.from_exception(error)
    _without_ours(told)
    return "".join(told.format()).rstrip("\n")


def _without_ours(told: traceback.TracebackException | None) -> None:
    seen = set()
    while told is not None and id(told) not in seen:
        seen.add(id(told))
        kept = [frame for frame in told.stack if not is_ours(frame.filename)]
        told.stack = traceback.StackSummary.from_list(kept)
        for inner in told.exceptions or ():
            _without_ours(inner)
        told = told.__cause__ if told.__cause__ is not None else told.__context__


def is_ours(filename: str) -> bool:
    """Whether a frame of this file is the system's. Compiled modules give names relative to the package's parent."""
    return filename.startswith((OUR_DIRECTORY + os.sep, "storm/executor/"))
