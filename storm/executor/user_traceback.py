"""What a person reads of an exception in a component: its own frames, not those of the system around it."""

from __future__ import annotations

import os
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType

OUR_DIRECTORY = os.path.dirname(os.path.abspath(__file__))


def user_traceback(error: BaseException, work: str = "") -> str:
    """The traceback of `error` and of what it came from, without our frames; ends without a newline.

    `work`: one line that stands in their place, above the frames of `error`. What happened stays the last line.
    """
    told = traceback.TracebackException.from_exception(error)
    _without_ours(told)
    if work:
        told.stack = _BelowWork(work, told.stack)
    return "".join(told.format()).rstrip("\n")


def user_stack(frames: Iterable[FrameType]) -> str:
    """A stack, outermost frame first, as in a traceback and without our frames; empty if there is no other."""
    theirs = [(frame, frame.f_lineno) for frame in frames if not is_ours(frame.f_code.co_filename)]
    lines = traceback.StackSummary.extract(iter(theirs)).format()
    return "Stack (most recent call last):\n" + "".join(lines).rstrip("\n") if lines else ""


class _BelowWork(traceback.StackSummary):
    """Frames below a line that is none."""

    _place = traceback.FrameSummary("", 0, "", lookup_line=False)

    def __init__(self, work: str, frames: Iterable[traceback.FrameSummary]) -> None:
        super().__init__([self._place, *frames])
        self._work = work

    def format_frame_summary(self, frame_summary: traceback.FrameSummary, **more: Any) -> str:
        if frame_summary is self._place:
            return f"  {self._work}\n"
        return super().format_frame_summary(frame_summary, **more)


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
