"""What a supervisor's record says of slots whose workers died lately, or wait for what takes long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storm.cluster.records import BUILDING_ENVIRONMENT, FETCHING, SlotFailure
from storm.supervisor.slot import ITS_CODE, ITS_ENVIRONMENT, SlotState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from storm.supervisor.slot_runner import SlotRunner

FAILURES_SHOWN_MAX = 100  # slots in a record, each with the end of its log: a record has at most 1 MB
WAITING_SHOWN_MAX = 1_000  # that wait and did not fail: each is short
STATES = {ITS_ENVIRONMENT: BUILDING_ENVIRONMENT, ITS_CODE: FETCHING}
FAILURE_CHARS_MAX = 1_000  # of a reason, and of the last lines; the whole is among the errors of the topology


def slot_failures(slots: SlotRunner, now: float, wall_secs: int) -> Iterator[SlotFailure]:
    """Those that wait first. `now` is the clock's second, `wall_secs` the same moment by the wall clock."""
    preparing = slots.preparing(now)
    failing = slots.failing(now)
    also_fail = {slot.port for slot, _ in failing}
    waiting = [(slot, text) for port, (slot, text) in preparing.items() if port not in also_fail]
    for slot, text in waiting[:WAITING_SHOWN_MAX]:
        if slot.assignment is not None:
            since = wall_secs - round(now - slot.entered_at)
            yield SlotFailure(slot.port, slot.assignment.topology_id, STATES[text], 0, f"waits for {text}", "", since)
    for slot, failure in failing[:FAILURES_SHOWN_MAX]:
        backs_off = slot.state is SlotState.BACKING_OFF
        yield SlotFailure(
            port=slot.port,
            topology_id=failure.topology_id,
            state=STATES[preparing[slot.port][1]] if slot.port in preparing else slot.state.value,
            deaths=slot.deaths,
            reason=failure.reason[:FAILURE_CHARS_MAX],
            last_lines=failure.last_lines[-FAILURE_CHARS_MAX:],
            wall_secs=wall_secs - round(now - failure.at),
            retry_wall_secs=wall_secs + round(max(0.0, slot.due_at - now)) if backs_off else None,
            lacks_environment=failure.lacks_environment,
        )
