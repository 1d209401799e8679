"""Faults last so long that what they are about comes to pass, or so short that it does not."""

from __future__ import annotations

import pytest
from timers import BY_NAME, Timers, past_reassignment, past_session, patient, within_session


@pytest.mark.parametrize("timers", BY_NAME.values(), ids=str)
def test_a_fault_is_shorter_or_longer_than_what_it_is_named_for(timers: Timers) -> None:
    assert 0 < within_session(timers)[0] < within_session(timers)[1] < timers.session_secs
    assert timers.session_secs < past_session(timers)[0] < past_session(timers)[1]
    silent = timers.session_secs + timers.executor_secs
    assert silent < past_reassignment(timers)[0] < past_reassignment(timers)[1]


def test_a_nimbus_is_made_more_patient_and_never_less() -> None:
    for timers in BY_NAME.values():
        more, less = patient(timers, int(timers.executor_secs) + 5), patient(timers, int(timers.executor_secs) - 5)
        assert more.executor_secs == more.settings["nimbus.task.timeout.secs"] == timers.executor_secs + 5
        assert less == timers
