from __future__ import annotations

import selectors

from storm.supervisor.wakeup import Wakeup


def test_a_wait_is_ended_once_however_often_somebody_woke() -> None:
    wakeup = Wakeup()
    with selectors.DefaultSelector() as selector:
        key = selector.register(wakeup, selectors.EVENT_READ)
        assert selector.select(0) == []
        wakeup.wake()
        wakeup.wake()
        assert selector.select(None) == [(key, selectors.EVENT_READ)]
        wakeup.clear()
        assert selector.select(0) == []
        wakeup.clear()  # nobody has woken it
        wakeup.wake()
        assert len(selector.select(None)) == 1
