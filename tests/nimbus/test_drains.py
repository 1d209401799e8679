from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from storm.errors import NotLeaderError, StormError
from storm.nimbus import drains

if TYPE_CHECKING:
    from conftest import Cluster


def test_a_host_is_named_by_its_name_or_by_a_supervisors_id(two_nodes: Cluster) -> None:
    assert drains.drain(two_nodes.core, "host-a", 7) == ["a"]
    assert drains.drain(two_nodes.core, "b") == ["b"]
    found = two_nodes.state.drains()
    assert {node_id: (one.host, one.wait_secs) for node_id, one in found.items()} == {
        "a": ("host-a", 7),
        "b": ("host-b", None),
    }


def test_draining_again_keeps_when_it_began_and_changes_the_wait(two_nodes: Cluster) -> None:
    drains.drain(two_nodes.core, "a")
    began = two_nodes.clock.wall_secs()
    two_nodes.pass_time(5)
    drains.drain(two_nodes.core, "host-a", 9)
    [found] = two_nodes.state.drains().values()
    assert (found.since_wall_secs, found.wait_secs) == (began, 9)


def test_a_drained_host_stays_so_when_its_supervisor_is_gone_and_can_be_taken_back(two_nodes: Cluster) -> None:
    drains.drain(two_nodes.core, "a")
    two_nodes.stop_supervisor("a")
    two_nodes.core.step()
    assert set(two_nodes.core.snapshot.drains) == {"a"}
    assert drains.undrain(two_nodes.core, "host-a") == ["a"]
    two_nodes.core.step()
    assert two_nodes.core.snapshot.drains == {}


@pytest.mark.parametrize("ask", [drains.drain, drains.undrain])
def test_an_unknown_host_is_refused_with_those_there_are(two_nodes: Cluster, ask: object) -> None:
    drains.drain(two_nodes.core, "a")
    two_nodes.core.step()
    assert callable(ask)
    with pytest.raises(StormError, match=r"No .*'hots-a'.* Did you mean 'host-a'\?"):
        ask(two_nodes.core, "hots-a")


def test_what_was_just_drained_can_be_undrained(two_nodes: Cluster) -> None:
    drains.drain(two_nodes.core, "a")
    assert drains.undrain(two_nodes.core, "a") == ["a"]
    assert two_nodes.state.drains() == {}


def test_a_wait_is_not_negative(two_nodes: Cluster) -> None:
    with pytest.raises(StormError, match="negative"):
        drains.drain(two_nodes.core, "a", -1)
    assert two_nodes.state.drains() == {}


def test_only_the_leader_drains(two_nodes: Cluster) -> None:
    follower = two_nodes.start_nimbus("nimbus-2")
    two_nodes.settle(follower)
    with pytest.raises(NotLeaderError):
        drains.drain(follower.core, "a")
