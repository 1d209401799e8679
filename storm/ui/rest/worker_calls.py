"""What only a worker's supervisor can tell or do: asked for by topology and host:port, as the API names workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storm.config.addresses import joined
from storm.errors import StormError
from storm.http.problems import Problem
from storm.metrics.stats_records import ALL_TIME
from storm.thrift.interface import storm_thrift

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from storm.thrift.interface import Struct
    from storm.ui.nimbus_link import NimbusLink
    from storm.ui.rest.log_links import Reads
    from storm.ui.supervisor_link import SupervisorLink

DUMP_BYTES_MAX = 64 << 20  # twice what a profile may have
PART_BYTES = 256 << 10  # a supervisor gives no more in one answer


async def found_worker(nimbus: NimbusLink, topology_id: str, host_port: str) -> Struct:
    """The WorkerSummary of the worker there. Raises Problem 404."""
    page = await nimbus.ask("getTopologyPageInfo", topology_id, ALL_TIME, True)
    found = [one for one in page.workers or [] if host_port in {f"{one.host}:{one.port}", joined(one.host, one.port)}]
    if not found:
        raise Problem(404, f"No worker of {topology_id} is on {host_port[:100]}.")
    return found[0]


async def profiles(nimbus: Reads, topology_id: str, component: str) -> list[Struct]:
    """ProfileRequests to end the profiles that go on of workers that run the component."""
    stop = storm_thrift().ProfileAction.JPROFILE_STOP
    found: list[Struct] = await nimbus.read("getComponentPendingProfileActions", topology_id, component, stop)
    return found


class WorkerCalls:
    """Of one worker."""

    def __init__(self, nimbus: NimbusLink, supervisors: SupervisorLink, topology_id: str, worker: Struct) -> None:
        self._nimbus = nimbus
        self._supervisors = supervisors
        self._topology_id = topology_id
        self._worker = worker

    async def ask(self, method: str, *arguments: Any) -> Any:
        """The supervisor's answer. Raises Problem 503 where it is gone, StormError as it says."""
        worker = self._worker
        summaries = (await self._nimbus.read("getClusterInfo")).supervisors or []
        ports = [one.thrift_port for one in summaries if one.supervisor_id == worker.supervisor_id]
        if not ports or not ports[0]:
            raise Problem(503, f"The supervisor on {worker.host} is gone: nobody can ask the worker.")
        return await self._supervisors.ask(worker.host, ports[0], method, self._topology_id, worker.port, *arguments)

    async def dump(self, name: str) -> tuple[int, AsyncIterator[bytes]]:
        """What was kept under this name beside the worker's log: its size in bytes, and its parts, each asked for when
        it is wanted, so that many large ones are not held at a time. Raises Problem or StormError, the parts too.
        """
        first = await self.ask("readWorkerDump", name, 0, PART_BYTES)
        size = min(first.size, DUMP_BYTES_MAX)
        return size, self._parts(name, first.data, size)

    async def _parts(self, name: str, data: bytes, size: int) -> AsyncIterator[bytes]:
        given = 0
        while given < size:
            if given:
                data = (await self.ask("readWorkerDump", name, given, PART_BYTES)).data
            if not data:
                raise StormError(f"{name} on {self._worker.host} has become shorter while it was read")
            data = data[: size - given]
            given += len(data)
            yield data
