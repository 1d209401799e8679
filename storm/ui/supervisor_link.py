"""The way to supervisors, for the few things that they alone can tell: nothing is shared or kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from storm.thrift.client import ThriftClient
from storm.ui.call_threads import CallThreads

if TYPE_CHECKING:
    from collections.abc import Callable

THREADS = 4  # calls to supervisors at a time; further ones wait
TIMEOUT_SECS = 15.0  # a worker that is asked for its stacks has five
# A worker has thirty to count its heap, py-spy thirty to write a profile.
LONG_TIMEOUT_SECS, LONG = 45.0, {"getWorkerHeap", "dumpProfile", "stopProfile"}


class Supervisor(Protocol):
    """A client of one supervisor, as `ThriftClient`."""

    def call(self, method: str, *arguments: Any) -> Any: ...

    def close(self) -> None: ...


def connected(host: str, port: int, timeout_secs: float) -> Supervisor:
    """A client of the supervisor there; it connects when it is called."""
    return ThriftClient("Supervisor", host, port, timeout_secs)


class SupervisorLink:
    """`await link.ask(host, port, "getWorkerStacks", ...)`; it raises the StormError that came."""

    def __init__(self, connect: Callable[[str, int, float], Supervisor] = connected) -> None:
        self._connect = connect
        self._threads = CallThreads(THREADS, "supervisors")

    async def ask(self, host: str, port: int, method: str, *arguments: Any) -> Any:
        return await self._threads.run(self._ask, host, port, method, arguments)

    def close(self) -> None:
        """Whoever waits for a supervisor gets a ThriftConnectionError, and so does whoever asks from now on."""
        self._threads.close()

    def _ask(self, host: str, port: int, method: str, arguments: tuple[Any, ...]) -> Any:
        client = self._connect(host, port, LONG_TIMEOUT_SECS if method in LONG else TIMEOUT_SECS)
        try:
            return client.call(method, *arguments)
        finally:
            client.close()
