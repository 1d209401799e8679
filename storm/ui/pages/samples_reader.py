"""How samples of tuples are read: from supervisors, each worker's once for all who look, and never waited for long."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from storm.errors import NotServedError, StormError, TopologyNotAliveError
from storm.ui.rest.samples import ALL, dropped

if TYPE_CHECKING:
    from storm.clock import Clock
    from storm.ui.rest.samples import Of
    from storm.ui.supervisor_link import SupervisorLink

NEAR_BYTES = 16 << 10  # from the end of a worker's file: some 50 to 150 samples
# Where those that are meant are fewer than FEW among these: a supervisor gives no more in one answer.
FAR_BYTES, FEW = 256 << 10, 20
FRESH_SECS = 2.0  # what was read is shown so long to all
PATIENCE_SECS = (
    2.0  # a page does not wait longer for a supervisor; the call goes on, and the next rendering looks again
)
KEPT_SECS = 10.0  # of workers for which nobody asks any more

Place: TypeAlias = tuple[str, int, str, int]  # host, the supervisor's port, topology, the worker's port


class Told(NamedTuple):
    """The last whole lines of a worker's samples, which are all of its file or not; `problem`: why there are none,
    empty where all is well. `dropped`: how many samples, of whichever component, were too many for these lines."""

    lines: tuple[str, ...] = ()
    problem: str = ""
    is_all: bool = True
    dropped: int = 0


class SamplesReader:
    """For all who ask one UI. A worker is asked for the same by one call at a time, whichever samples are meant."""

    def __init__(self, supervisors: SupervisorLink, clock: Clock) -> None:
        self._supervisors = supervisors
        self._clock = clock
        self._asked: dict[tuple[Place, int], tuple[float, asyncio.Task[Told]]] = {}

    async def last(self, place: Place, of: Of = ALL) -> Told:
        """Those that are meant, of one worker. Where the supervisor's port is 0 it is gone."""
        if not place[1]:
            return Told(problem="its supervisor is gone: nobody can read its samples")
        near = await self._told(place, NEAR_BYTES)
        found = _only(near, of)
        if of == ALL or near.is_all or len(found.lines) >= FEW:
            return found
        far = await self._told(place, FAR_BYTES)
        return found if far.problem else _only(far, of)

    async def _told(self, place: Place, length: int) -> Told:
        now = self._clock.now()
        self._forget(now)
        asked = self._asked.get((place, length))
        if asked is None or (asked[1].done() and now - asked[0] >= FRESH_SECS):
            asked = self._asked[place, length] = (now, asyncio.create_task(self._read(place, length)))
        done, _ = await asyncio.wait({asked[1]}, timeout=PATIENCE_SECS)
        return asked[1].result() if done else Told(problem="its supervisor has not answered yet")

    def _forget(self, now: float) -> None:
        for key, (at, task) in list(self._asked.items()):
            if task.done() and now - at > KEPT_SECS:
                del self._asked[key]

    async def _read(self, place: Place, length: int) -> Told:
        host, supervisor_port, topology_id, port = place
        try:
            part = await self._supervisors.read(
                host, supervisor_port, "readWorkerEvents", topology_id, host, port, -length, length
            )
        except TopologyNotAliveError:  # nothing was sampled yet
            return Told()
        except NotServedError:
            return Told(problem="its supervisor is of an older release, which cannot show samples")
        except StormError as error:
            return Told(problem=" ".join(str(error).split()))
        lines = _whole_lines(part.data, part.offset)
        return Told(lines, is_all=part.offset <= 0, dropped=dropped(lines))


def _only(told: Told, of: Of) -> Told:
    return told if of == ALL else told._replace(lines=tuple(line for line in told.lines if of.takes(line)))


def _whole_lines(data: bytes, offset: int) -> tuple[str, ...]:
    """`offset`: where `data` begins in the file."""
    if offset > 0:
        data = data.partition(b"\n")[2]
    return tuple(line.decode(errors="replace") for line in data.split(b"\n")[:-1])
