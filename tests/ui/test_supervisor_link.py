from __future__ import annotations

import asyncio
from typing import Any

import pytest

from storm.errors import ThriftConnectionError
from storm.ui.supervisor_link import SupervisorLink


class SupervisorStandIn:
    def __init__(self) -> None:
        self.closed = 0

    def call(self, method: str, *arguments: Any) -> Any:
        return method, arguments

    def close(self) -> None:
        self.closed += 1


def test_each_call_has_a_connection_of_its_own() -> None:
    supervisor, asked = SupervisorStandIn(), []

    def connect(host: str, port: int) -> SupervisorStandIn:
        asked.append((host, port))
        return supervisor

    link = SupervisorLink(connect)
    assert asyncio.run(link.ask("a", 6628, "getHostReport", [])) == ("getHostReport", ([],))
    assert (asked, supervisor.closed) == ([("a", 6628)], 1)
    link.close()


def test_a_supervisor_that_is_not_there_is_told() -> None:
    link = SupervisorLink()
    with pytest.raises(ThriftConnectionError, match="nothing listens there"):
        asyncio.run(link.ask("127.0.0.1", 1, "getHostReport", []))
    link.close()
