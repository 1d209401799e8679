from __future__ import annotations

from typing import Any

from storm import TaskHook
from storm.topology.failures import Failure
from storm.topology.task_hooks import (
    BoltAckInfo,
    BoltExecuteInfo,
    BoltFailInfo,
    EmitInfo,
    SpoutAckInfo,
    SpoutFailInfo,
)


def test_a_hook_hears_only_of_what_it_wants() -> None:
    class Emits(TaskHook):
        seen: list[Any] = []

        def emit(self, info: EmitInfo) -> None:
            self.seen.append(info)

    hook, tup = Emits(), None
    emitted = EmitInfo(["a"], "default", 3, (4,))
    hook.prepare({}, None)  # type: ignore[arg-type]
    hook.emit(emitted)
    hook.spout_ack(SpoutAckInfo("id", 3))
    hook.spout_fail(SpoutFailInfo("id", 3, Failure("timeout", None, "late")))
    hook.bolt_execute(BoltExecuteInfo(tup, 3, 0.5))  # type: ignore[arg-type]
    hook.bolt_ack(BoltAckInfo(tup, 3))  # type: ignore[arg-type]
    hook.bolt_fail(BoltFailInfo(tup, 3))  # type: ignore[arg-type]
    hook.cleanup()
    assert hook.seen == [emitted]
