"""How samples of tuples are read: from supervisors, each worker's once for all who look, and never waited for long."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from storm.errors import NotServedError, StormError, TopologyNotAliveError

if TYPE_CHECKING:
    from storm.clock import Clock
    from storm.ui.supervisor_link import SupervisorLink

READ_BYTES = 16_384  # from the end of a worker's file: some 50 to 150 samples
FRESH_SECS = 2.0  # what was read is shown so long to all
PATIENCE_SECS = (
    2.0  # a page does not wait longer for a supervisor; the call goes on, and the next rendering looks again
)
KEPT_SECS = 60.0  # of workers for which nobody asks any more

Place: TypeAlias = tuple[str, int, str, int]  # host, the supervisor's port, topology, the worker's port


class Told(NamedTuple):
    """The last whole lines of a worker's samples; `problem`: why there are none, empty where all is well."""

    lines: tuple[str, ...] = ()
    problem: str = ""


class SamplesReader:
    """For all pages of one UI. A worker is asked by one call at a time."""

    def __init__(self, supervisors: SupervisorLink, clock: Clock) -> None:
        self._supervisors = supervisors
        self._clock = clock
        self._asked: dict[Place, tuple[float, asyncio.Task[Told]]] = {}

    async def last(self, host: str, supervisor_port: int, topology_id: str, port: int) -> Told:
        """Of the worker on `port` of that host. `supervisor_port` 0: its supervisor is gone."""
        if not supervisor_port:
            return Told(problem="its supervisor is gone: nobody can read its samples")
        place, now = (host, supervisor_port, topology_id, port), self._clock.now()
        self._forget(now)
        asked = self._asked.get(place)
        if asked is None or (asked[1].done() and now - asked[0] >= FRESH_SECS):
            asked = self._asked[place] = (now, asyncio.create_task(self._read(place)))
        done, _ = await asyncio.wait({asked[1]}, timeout=PATIENCE_SECS)
        return asked[1].result() if done else Told(problem="its supervisor has not answered yet")

    def _forget(self, now: float) -> None:
        for place, (at, task) in list(self._asked.items()):
            if task.done() and now - at > KEPT_SECS:
                del self._asked[place]

    async def _read(self, place: Place) -> Told:
        host, supervisor_port, topology_id, port = place
        try:
            part = await self._supervisors.ask(
                host, supervisor_port, "readWorkerEvents", topology_id, host, port, -READ_BYTES, READ_BYTES
            )
        except TopologyNotAliveError:  # nothing was sampled yet
            return Told()
        except NotServedError:
            return Told(problem="its supervisor is of an older release, which cannot show samples")
        except StormError as error:
            return Told(problem=" ".join(str(error).split()))
        return Told(_whole_lines(part.data, part.offset))


def _whole_lines(data: bytes, offset: int) -> tuple[str, ...]:
    """`offset`: where `data` begins in the file."""
    if offset > 0:
        data = data.partition(b"\n")[2]
    return tuple(line.decode(errors="replace") for line in data.split(b"\n")[:-1])
