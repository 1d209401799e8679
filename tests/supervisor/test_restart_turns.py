from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from storm.cluster import paths
from storm.cluster.memory import Fault, MemoryTree
from storm.cluster.records import SupervisorInfo
from storm.cluster.storm_cluster_state import StormClusterState
from storm.errors import CoordinationError
from storm.supervisor.restart_turns import STRANGE_TURN_SECS, RestartTurns
from storm.testing.simulated_clock import SimulatedClock

if TYPE_CHECKING:
    from collections.abc import Set

WORDS = frozenset({"words"})
NONE: frozenset[str] = frozenset()


class Cluster:
    """Supervisors, each with a session of its own."""

    def __init__(self) -> None:
        self.clock = SimulatedClock()
        self.tree = MemoryTree()
        self.states: dict[str, StormClusterState] = {}
        self.turns: dict[str, RestartTurns] = {}
        for name in ("a", "b"):
            state = self.states[name] = StormClusterState(self.tree.session())
            state.put_supervisor(SupervisorInfo(name, f"host-{name}", (), (), 1, 0, "0"))
            self.turns[name] = RestartTurns(name, self.clock, None)

    def taken(self, name: str, wanted: Set[str]) -> frozenset[str]:
        return self.turns[name].taken(self.states[name], wanted)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def test_one_has_the_turn_until_it_wants_it_no_more(cluster: Cluster) -> None:
    assert cluster.taken("a", WORDS) == WORDS
    assert cluster.taken("b", WORDS) == NONE
    assert cluster.taken("a", WORDS) == WORDS
    assert cluster.taken("a", NONE) == NONE
    assert cluster.taken("b", WORDS) == WORDS


@pytest.mark.parametrize("lost", [Fault.ANSWER_LOST, Fault.REFUSED])
def test_one_that_it_took_before_it_lost_its_connection_is_given_too(cluster: Cluster, lost: Fault) -> None:
    """Else nobody else would get it while this supervisor lives."""
    troubled = "words" if lost is Fault.ANSWER_LOST else "zoo"
    cluster.tree.faults = lambda storage, method, path: (
        lost if path.endswith(troubled) and "get" not in method else None
    )
    with pytest.raises(CoordinationError):
        cluster.taken("a", {"words", "zoo"})
    cluster.tree.faults = None
    assert cluster.taken("a", NONE) == NONE
    assert cluster.taken("b", WORDS) == WORDS


def test_that_of_a_supervisor_that_lives_is_its_own_however_long_it_takes(cluster: Cluster) -> None:
    cluster.taken("a", WORDS)
    for _ in range(10):
        cluster.clock.advance(STRANGE_TURN_SECS)
        assert cluster.taken("b", WORDS) == NONE
    assert cluster.taken("a", WORDS) == WORDS


def test_one_that_nobody_has_is_ended_after_longer_than_a_session(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.tree.session().create(paths.restart_turn("words"), b"\xff")
    assert cluster.taken("a", WORDS) == cluster.taken("b", WORDS) == NONE
    cluster.clock.advance(STRANGE_TURN_SECS - 0.1)
    assert cluster.taken("a", WORDS) == NONE
    assert caplog.text == ""
    cluster.clock.advance(0.1)
    assert cluster.taken("a", WORDS) == NONE
    assert "the turn to restart workers of words is ended" in caplog.text
    assert cluster.taken("a", WORDS) == WORDS
    assert cluster.taken("b", WORDS) == NONE, "it looked at who has it once more"


def test_a_holder_that_changes_is_given_its_time(cluster: Cluster) -> None:
    session = cluster.tree.session()
    session.create(paths.restart_turn("words"), b"one that ended")
    cluster.taken("a", WORDS)
    cluster.clock.advance(STRANGE_TURN_SECS)
    session.put(paths.restart_turn("words"), b"another one")
    assert cluster.taken("a", WORDS) == NONE
    assert cluster.states["b"].restart_turn("words") == "another one"
