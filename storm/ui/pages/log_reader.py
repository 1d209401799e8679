"""How workers' logs are read and searched: by their supervisors, each search by one call for all who look, and never
waited for long.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from storm.errors import NotAuthorizedError, NotServedError, StormError
from storm.log_names import WORKER_LOG
from storm.ui.pages.log_part import part
from storm.ui.rest.log_search import RECORDS_MAX
from storm.ui.rest.requests import TEXT_BYTES_MAX

if TYPE_CHECKING:
    from storm.clock import Clock
    from storm.thrift.interface import Struct
    from storm.ui.pages.log_part import Part, Wanted
    from storm.ui.supervisor_link import SupervisorLink

PATIENCE_SECS = 8.0  # a page does not wait longer; the search goes on, and who asks again finds what it found
SEARCHING_MAX = 4  # supervisors that are searching at a time; further ones wait
KEPT_SECS = 10.0  # what was found, for whoever asks again, once all supervisors have answered

Supervisor: TypeAlias = tuple[str, int]  # host, port of its Thrift service


class Told(NamedTuple):
    """What a supervisor found, the newest first. `is_cut`: there may be more. `problem`: why nothing is known; empty
    where all is well. `is_late`: who asks again may find it.
    """

    records: tuple[Struct, ...] = ()
    is_cut: bool = False
    problem: str = ""
    is_late: bool = False


class LogReader:
    """For all pages of one UI. A supervisor searches for one text at a time."""

    def __init__(self, supervisors: SupervisorLink, clock: Clock) -> None:
        self._supervisors = supervisors
        self._clock = clock
        self._free = asyncio.Semaphore(SEARCHING_MAX)
        self._searches: dict[Supervisor, _Search] = {}
        self._asked: set[Supervisor] = set()  # those that are searching now

    async def read(self, at: Supervisor, topology_id: str, port: int, wanted: Wanted) -> Part:
        """Of a log of the worker on `port`. Raises StormError: TopologyNotAliveError where there is none,
        NotServedError where the supervisor reads no log that was put aside.
        """
        place: tuple[Any, ...] = (topology_id, at[0], port)
        method = "readWorkerLog"
        if wanted.file != WORKER_LOG:
            place, method = (topology_id, port, wanted.file), "readWorkerDump"  # as all that lies beside the log
        try:
            found = await self._supervisors.ask(*at, method, *place, *wanted.asked())
        except NotAuthorizedError as error:
            if wanted.file == WORKER_LOG:
                raise
            refusal = f"the supervisor on {at[0]} does not read {wanted.file}, as one of an older release: {error}"
            raise NotServedError(refusal) from error
        return part(wanted, found.data, found.offset, found.size)

    def deadline(self) -> float:
        """For searches that begin now, and for those that follow them, on the event loop's clock."""
        return asyncio.get_running_loop().time() + PATIENCE_SECS

    async def search(self, at: Supervisor, topology_id: str, text: str, deadline: float) -> Told:
        """Of all workers of the topology that have been there. A port of 0: the supervisor is gone. Where its turn has
        not come yet, a newer search takes the place of an older one.
        """
        assert 0 < len(text.encode(errors="replace")) <= TEXT_BYTES_MAX
        if not at[1]:
            return Told(problem="the supervisor is gone: nobody can search its logs")
        self._forget()
        what, under_way = (topology_id, text), self._searches.get(at)
        if under_way is not None and under_way.what != what and not under_way.task.done():
            if at in self._asked:
                return Told((), False, "the supervisor is searching for something else: ask again in a moment", True)
            under_way.task.cancel()
        if under_way is None or under_way.what != what:
            under_way = self._searches[at] = _Search(what, asyncio.create_task(self._found(at, what)), self._clock)
        secs = max(0.0, deadline - asyncio.get_running_loop().time())
        done, _ = await asyncio.wait({under_way.task}, timeout=secs)
        if not done:
            return Told((), False, "the supervisor is still searching: ask again", True)
        if under_way.task.cancelled():
            return Told((), False, "another search took its turn at the supervisor: ask again", True)
        return under_way.task.result()

    def _forget(self) -> None:
        """What was found a while ago: all of one search at once, for who asks again wants what is still missing."""
        ended: dict[tuple[str, str], float] = {}
        for search in self._searches.values():
            ended[search.what] = max(search.done_at, ended.get(search.what, float("-inf")))
        old = {what for what, at in ended.items() if self._clock.now() - at >= KEPT_SECS}
        self._searches = {at: search for at, search in self._searches.items() if search.what not in old}

    async def _found(self, at: Supervisor, what: tuple[str, str]) -> Told:
        try:
            async with self._free:
                self._asked.add(at)
                try:
                    found = await self._supervisors.ask(*at, "searchWorkerLogs", *what, RECORDS_MAX)
                finally:
                    self._asked.discard(at)
        except NotServedError:
            return Told(problem="the supervisor cannot search logs: it is of an older release")
        except StormError as error:
            return Told(problem=" ".join(str(error).split()))
        return Told(tuple(found.records), found.is_cut)


class _Search:
    """`what`: topology and text. `done_at`: when the answer came; infinity: not yet."""

    def __init__(self, what: tuple[str, str], task: asyncio.Task[Told], clock: Clock) -> None:
        self.what = what
        self.task = task
        self.done_at = float("inf")
        self._clock = clock
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[Told]) -> None:
        self.done_at = self._clock.now()
