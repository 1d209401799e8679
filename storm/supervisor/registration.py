"""Whose a supervisor's id is: what to do about the record that stands under it in ZooKeeper.

The id is kept in the local directory, so a copy of the directory makes a second supervisor of the same id. Both would
launch the workers of both. Whether the holder of a record lives is not guessed from hosts or process ids, which
containers and cloned machines share: who lives rewrites its record on each heartbeat.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from storm.cluster.records import SupervisorInfo


class Claim(Enum):
    """Whether the id may be used."""

    OURS = "nobody else has it: write our record"
    HELD = "another directory's supervisor had it and may live: wait until its session ends or it writes again"
    TAKEN = "another directory's supervisor has it and lives: this one must end"


class Holder(NamedTuple):
    """Another supervisor with our id, as it was first seen: a later write of anybody but us proves that one lives."""

    incarnation: str
    version: int


class Look(NamedTuple):
    """`holder` is to be given to the next look."""

    claim: Claim
    holder: Holder | None


def look(own: SupervisorInfo, there: tuple[SupervisorInfo, int] | None, holder: Holder | None) -> Look:
    """One look at the record `there`, with its version; None: there is none.

    Who has the lock of a directory is the only one alive there, so a record of the same home is one's own, left by a
    former run. A record without a home comes from a release that did not tell.
    """
    if there is None or there[0].incarnation == own.incarnation or there[0].home in {"", own.home}:
        return Look(Claim.OURS, None)
    seen = Holder(there[0].incarnation, there[1])
    if holder is None:
        return Look(Claim.HELD, seen)
    return Look(Claim.HELD if seen == holder else Claim.TAKEN, holder)


def why_refused(own: SupervisorInfo, other: SupervisorInfo) -> str:
    """For people: who has the id, and what to do."""
    return (
        f"Supervisor id {own.node_id} is in use: a supervisor on host {other.host} with local directory "
        f"{other.local_dir} has it, and it is running. The local directory {own.local_dir} of this one, on host "
        f"{own.host}, must be a copy of that. Remove supervisor/node-id there, so that this supervisor gets an id of "
        "its own, or set another storm.local.dir; then start it again."
    )
