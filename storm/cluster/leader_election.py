"""Which Nimbus leads: the one whose candidate node is the oldest, as long as its connection is sure.

Each Nimbus keeps an ephemeral sequential node below /leader-lock, and the one with the lowest number leads. A lock
alone is not mutual exclusion: a Nimbus may be paused, lose its session and go on without knowing. So each of its
writes is carried out only while its candidate node is there: that node is its *fence*.

That the node is there is enough. As long as it is, nobody who stands later gets a lower number, so who was the first
once stays the first. And no node of that path is ever made again, also where ZooKeeper lost its data and counts from
zero: the path has a random number, drawn whenever a Nimbus stands. A version would not do, for it is counted too.

Who takes office says so in /leader-info. Nimbuses of older releases are fenced by the version of that node.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import threading
from typing import TYPE_CHECKING

from storm.cluster import paths, record_codec
from storm.cluster.records import NimbusInfo
from storm.cluster.storage import ConnectionState
from storm.errors import BadVersionError, NoNodeError, NotLeaderError, RecordError

if TYPE_CHECKING:
    import random

    from storm.cluster.storage import StateStorage, Watch

logger = logging.getLogger(__name__)


class LeaderElection:
    """One Nimbus's part in the election. `step`, `leave` belong to one thread; any thread may ask the rest.

    `info.host` and `info.port` are this Nimbus's own: a candidate with both is taken for its earlier life.
    """

    def __init__(self, storage: StateStorage, info: NimbusInfo, rng: random.Random, wake: Watch = lambda: None) -> None:
        """`rng` must not be another Nimbus's: it names candidates. `wake` is called, from any thread, when the answer
        may have changed: then call `step`.
        """
        self._storage = storage
        self._info = info
        self._data = record_codec.encode(info)
        self._rng = rng
        self._wake = wake
        self._path: str | None = None
        self.term = 0  # how often it took office
        self._lock = threading.Lock()  # guards the two below, which the connection's thread resets
        self._fence: str | None = None
        self._losses = 0
        storage.add_listener(self._connection_changed)

    @property
    def info(self) -> NimbusInfo:
        """The Nimbus that stands here."""
        return self._info

    def is_leader(self) -> bool:
        """Whether this Nimbus leads, as far as it can know: not while its connection is unsure."""
        return self._fence is not None

    def fence(self) -> str:
        """The node without which none of the leader's writes may be carried out. Raises NotLeaderError."""
        fence = self._fence
        if fence is None:
            raise NotLeaderError(f"The Nimbus at {self._info.address} does not lead now.")
        return fence

    def step(self) -> bool:
        """Stand as a candidate if not yet, look who is first, take office if that is this one; `is_leader()`.

        To be called when woken and every few seconds. Raises CoordinationError.
        """
        losses = self._losses
        candidates = self._candidates(self._wake)
        if self._path is None or self._path not in candidates:
            self._resign()
            self._path = self._stand(candidates)
            candidates = self._candidates(self._wake)
        candidates = self._with_one_own(candidates, self._path)
        if not candidates or candidates[0] != self._path:
            self._resign()
            return False
        if self._fence is not None:
            return True
        try:
            self._storage.fenced(self._path).put(paths.LEADER_INFO, self._data)
        except BadVersionError:  # its candidate is gone since it was seen: look again
            self._wake()
            return False
        with self._lock:
            if self._losses == losses:
                self._fence = self._path
                self.term += 1
        if self._fence is not None:
            logger.info("This Nimbus, %s, leads now (candidate %s).", self._info.address, self._path)
        return self.is_leader()

    def leader(self) -> NimbusInfo | None:
        """The Nimbus that leads or is about to; None while there is none. Raises CoordinationError."""
        for path in self._candidates(None):
            info = self._candidate(path)
            if info is not None:
                return dataclasses.replace(info, is_leader=True)
        return None

    def leave(self) -> None:
        """Give up leadership and candidature; the next `step` stands again, behind all others.

        Raises CoordinationError; then the candidature may last until the session ends.
        """
        self._resign()
        if self._path is not None:
            self._storage.delete(self._path)
            self._path = None

    def _connection_changed(self, state: ConnectionState) -> None:
        if state is not ConnectionState.CONNECTED:
            with self._lock:
                self._losses += 1
                self._fence = None
        self._wake()

    def _resign(self) -> None:
        with self._lock:
            self._fence = None

    def _candidates(self, watch: Watch | None) -> list[str]:
        """The candidates' paths, the oldest first."""
        numbered = ((paths.sequence_number(node), node) for node in self._storage.children(paths.LEADER_LOCK, watch))
        return [f"{paths.LEADER_LOCK}/{node}" for _, node in sorted((n, node) for n, node in numbered if n is not None)]

    def _with_one_own(self, candidates: list[str], path: str) -> list[str]:
        """The candidates, this Nimbus's only once: the oldest, or the one by which it leads.

        A create whose answer was lost can be carried out twice, where it was looked for on a server that was not as
        far; and who waits for its own first candidate waits for ever.
        """
        own = [each for each in candidates if paths.without_number(each) == paths.without_number(path)]
        if self._fence is None and own:
            self._path = own[0]
        ghosts = [each for each in own if each != self._path]
        for ghost in ghosts:
            self._storage.delete(ghost)
        return [each for each in candidates if each not in ghosts]

    def _candidate(self, path: str) -> NimbusInfo | None:
        there = self._storage.get(path)
        if there is None:
            return None
        try:
            return record_codec.decode(NimbusInfo, there.data, path)
        except RecordError as e:
            if path == self._path:
                return self._write_anew(path, there.version, e)
            logger.warning("%s It is passed over.", e)
            return None

    def _write_anew(self, path: str, version: int, why: RecordError) -> NimbusInfo:
        """Somebody wrote over this Nimbus's own candidate, and nobody would find it."""
        logger.warning("%s It is this Nimbus's own, and is written anew.", why)
        with contextlib.suppress(BadVersionError, NoNodeError):  # others may have: then it is looked at again
            self._storage.set(path, self._data, version)
        return self._info

    def _stand(self, candidates: list[str]) -> str:
        """Create this Nimbus's candidate; remove those that it left in an earlier life or by a lost answer.

        One that is younger than this Nimbus stays: two that claim one address by mistake must not remove
        each other in turn.
        """
        me = (self._info.host, self._info.port)
        for path in candidates:
            other = self._candidate(path)
            if other is not None and (other.host, other.port) == me:
                if other.start_wall_secs > self._info.start_wall_secs:
                    logger.warning("Another Nimbus that calls itself %s:%d stands for election.", *me)
                else:
                    self._storage.delete(path)
        prefix = paths.candidate(self._info.address, f"{self._rng.getrandbits(64):016x}")
        return self._storage.create(prefix, self._data, ephemeral=True, sequential=True)
