from __future__ import annotations

import signal

import pytest

from storm.cli.interrupts import ENDING_SIGNALS, interrupt_on_signals


@pytest.mark.usefixtures("interrupts")
def test_a_closed_terminal_ends_it_as_ctrl_c_does_unless_it_was_started_by_nohup() -> None:
    for number in ENDING_SIGNALS:  # whoever runs the tests may have some ignored
        signal.signal(number, signal.SIG_DFL)
    interrupt_on_signals()
    for number in ENDING_SIGNALS:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    interrupt_on_signals()
    signal.raise_signal(signal.SIGHUP)
