"""Who held a tuple that timed out: a question to all workers, and what the spout is told of the answers.

Pure: `held_tuples` looks for tuples in this process, the worker's exchange asks the others.
"""

from __future__ import annotations

from collections import Counter
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from storm.executor.shown_values import shown
from storm.topology.failures import Failure

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from storm.executor.pending import FailedTree
    from storm.ids import ComponentId, TaskId

ANSWERS_WITHIN_SECS = 0.25  # what timed out after half a minute may be told so much later
ID_CHARS_MAX = 100


class How(IntEnum):
    """How a task holds a part of a tree. The numbers stand in frames: they never change. A higher one says more.

    DROPPED: it does not hold it, but has neither acked nor failed some of the tuples that it was given, of whatever
    trees, and holds these no more. QUEUED: a tuple waits for it. TAKEN: it was given one and has settled nothing yet.
    """

    DROPPED = 1
    QUEUED = 2
    TAKEN = 3


class Holding(NamedTuple):
    """A task holds a part of the tree `root`; 0 for DROPPED."""

    root: int
    task: TaskId
    how: How


class LastFailure(NamedTuple):
    """What the spout's `task` was told at `at` of what it emitted at `since`, by the clock's seconds: for people.

    `message_id` is text, made by the spout's own thread: a user's `__repr__` may wait for what that thread holds.
    """

    task: TaskId
    message_id: str
    failure: Failure
    since: float
    at: float


class Inquiry:
    """One question: who holds these roots?

    `own` is what this worker found. `asked` and `answer` may come in any order and from other threads; who did not
    answer until `due` has missed it.
    """

    def __init__(self, own: Iterable[Holding], due: float) -> None:
        self.due = due
        self._asked: frozenset[str] | None = None
        self._answered: set[str] = set()
        self._best: dict[int, frozenset[Holding]] = {}  # of each root, those of the highest How
        self._roots_held: Counter[TaskId] = Counter()
        self._suspects: set[TaskId] = set()
        self._add(own)

    def asked(self, workers: Iterable[str]) -> None:
        """These workers were asked, by their names for people."""
        self._asked = frozenset(workers)

    def answer(self, worker: str, holdings: Iterable[Holding]) -> None:
        self._add(holdings)
        self._answered.add(worker)

    def is_over(self, now: float) -> bool:
        """Whether all have answered, or had the time to."""
        return now >= self.due or not self.silent()

    def silent(self) -> list[str]:
        """Workers that have not answered."""
        return sorted((self._asked or frozenset()) - self._answered)

    def holding(self, root: int) -> Holding | None:
        """Who holds the tree, as far as is known; of several tasks the one that holds the most of these trees.

        Each got as many of them, so whoever has more left takes longer for each.
        """
        return max(
            self._best.get(root, ()), key=lambda found: (self._roots_held[found.task], -found.task), default=None
        )

    def suspects(self) -> list[TaskId]:
        """Tasks that have dropped tuples without settling them."""
        return sorted(self._suspects)

    def _add(self, holdings: Iterable[Holding]) -> None:
        for found in holdings:
            if found.how is How.DROPPED:
                self._suspects.add(found.task)
                continue
            best = self._best.get(found.root, frozenset())
            if found in best or any(other.how > found.how for other in best):
                continue
            self._best[found.root] = frozenset([found, *(other for other in best if other.how == found.how)])
            self._roots_held[found.task] += 1


def failure_of(
    tree: FailedTree, inquiry: Inquiry | None, components: Mapping[TaskId, ComponentId], died: str, timeout_secs: Any
) -> Failure:
    """What a spout is told of a tree that failed. `died`: which worker did last; `inquiry` None: nobody was asked.

    Tasks come from frames of other workers: one that does not exist is as good as none.
    """
    if tree.kind == "failed":
        component = components.get(tree.by)
        who = "a bolt" if component is None else f"{component!r} (task {tree.by})"
        return Failure("failed", component, f"{who} failed it")
    if tree.kind == "worker-died":
        return Failure("worker-died", None, died)
    holder, why = _holder(tree.root, inquiry, components)
    return Failure("timeout", holder, f"not done within topology.message.timeout.secs ({timeout_secs}){why}")


def _holder(
    root: int, inquiry: Inquiry | None, components: Mapping[TaskId, ComponentId]
) -> tuple[ComponentId | None, str]:
    if inquiry is None:
        return None, ""
    found = inquiry.holding(root)
    component = None if found is None else components.get(found.task)
    if found is not None and component is not None:
        if found.how is How.TAKEN:
            return component, f": {component!r} (task {found.task}) was given it, and has not settled it yet"
        return component, f": it waits in the queue of {component!r} (task {found.task})"
    if silent := inquiry.silent():
        return None, f": no worker that answers holds it; no answer from {', '.join(silent)}"
    names = sorted({components[task] for task in inquiry.suspects() if task in components})
    if names:
        told = ", ".join(map(repr, names))
        only = names[0] if len(names) == 1 else None
        return only, f": nothing holds it any more; {told} dropped tuples without an ack or a fail, perhaps this one"
    return None, ": nothing holds it any more; it was lost on the way, with a worker that died or a link that was cut"


def summary(failures: Iterable[tuple[Any, Failure]], spout: ComponentId) -> dict[ComponentId, str]:
    """Of those that timed out: {component that held some, or the spout: what to tell people}."""
    found: dict[ComponentId, list[tuple[Any, Failure]]] = {}
    for message_id, failure in failures:
        if failure.kind == "timeout":
            found.setdefault(failure.component or spout, []).append((message_id, failure))
    return {
        component: f"{len(told)} tuple{'s' if len(told) > 1 else ''} of spout {spout!r} timed out, "
        f"{'one of them' if len(told) > 1 else 'with id'} {shown(told[0][0], ID_CHARS_MAX)}: {told[0][1].text}"
        for component, told in found.items()
    }
