from __future__ import annotations

import asyncio
from typing import Any

import pytest

from storm.errors import ThriftConnectionError
from storm.ui.supervisor_link import LONG_TIMEOUT_SECS, TIMEOUT_SECS, SupervisorLink


class SupervisorStandIn:
    def __init__(self) -> None:
        self.closed = 0

    def call(self, method: str, *arguments: Any) -> Any:
        return method, arguments

    def close(self) -> None:
        self.closed += 1


def test_each_call_has_a_connection_of_its_own() -> None:
    supervisor, asked = SupervisorStandIn(), []

    def connect(host: str, port: int, timeout_secs: float) -> SupervisorStandIn:
        asked.append((host, port, timeout_secs))
        return supervisor

    link = SupervisorLink(connect)
    assert asyncio.run(link.ask("a", 6628, "getHostReport", [])) == ("getHostReport", ([],))
    assert (asked, supervisor.closed) == ([("a", 6628, TIMEOUT_SECS)], 1)
    asyncio.run(link.ask("a", 6628, "getWorkerHeap", "w-1-1", 6700))
    assert (asked[1:], supervisor.closed) == ([("a", 6628, LONG_TIMEOUT_SECS)], 2)
    link.close()


def test_a_supervisor_that_is_not_there_is_told() -> None:
    link = SupervisorLink()
    with pytest.raises(ThriftConnectionError, match="nothing listens there"):
        asyncio.run(link.ask("127.0.0.1", 1, "getHostReport", []))
    link.close()
