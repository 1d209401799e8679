"""What a call to ZooKeeper leaves behind in this process."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest
from kazoo.exceptions import NoNodeError
from kazoo.handlers.threading import SequentialThreadingHandler

from storm.clock import SystemClock
from storm.cluster.zookeeper_session import Call


def test_an_error_keeps_nothing_alive_that_only_the_collector_would_find() -> None:
    """A worker asks for a node that is not there every few seconds, and its collector hardly ever runs."""
    call = Call(SystemClock(), deadline=float("inf"), closed=threading.Event())
    result = SequentialThreadingHandler().async_result()
    result.set_exception(NoNodeError("/none"))
    left = weakref.ref(result)
    gc.disable()
    try:
        with pytest.raises(NoNodeError, match="/none") as raised:
            call.wait(result)
        del result, raised
        assert left() is None
    finally:
        gc.enable()
