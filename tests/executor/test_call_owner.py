from __future__ import annotations

import sys
import threading
from typing import Any

import pytest
from scripted_components import Script, ScriptedBolt, ScriptedSpout, ack_it, emit_up_to, pass_on
from several_workers import SeveralWorkers

from storm.executor.call_owner import innermost_owner, owners_of
from storm.testing.in_process import Shared
from storm.topology.builder import TopologyBuilder


class AsyncBolt(ScriptedBolt):
    async def execute(self, tup: Any) -> None:
        super().execute(tup)


class Falsy(ScriptedBolt):
    def __len__(self) -> int:
        return 0


class Seen(Shared):
    """Whose call each call is found to be in."""

    def __init__(self) -> None:
        super().__init__()
        self.owners: Any = {}
        self.found: set[tuple[str, str, int]] = set()

    def note(self, do: Any = None) -> Any:
        def noting(component: Any, argument: Any) -> None:
            context = component.context
            owner = innermost_owner(sys._getframe(), self.owners)
            assert owner is not None
            assert (owner[0].component, owner[1]) == (context.component_id, context.task_id)
            self.found.add((context.component_id, "", context.task_id))
            if do is not None:
                do(component, argument)

        return noting


@pytest.mark.parametrize("lane", ["shared", "async"])
def test_a_call_is_the_innermost_components(lane: str) -> None:
    seen = Seen()
    script = Script(next_tuple=seen.note(emit_up_to(20)), ack=seen.note(), cleanup=seen.note())
    script.on[("first", "execute")] = seen.note(pass_on)
    script.on["execute"] = seen.note(ack_it)
    builder = TopologyBuilder()
    builder.set_spout("spout", ScriptedSpout(script))
    builder.set_bolt("first", Falsy(script), 2).shuffle_grouping("spout")
    builder.set_bolt("fused", ScriptedBolt(script)).none_grouping("first")
    builder.set_bolt("later", AsyncBolt(script)).shuffle_grouping("first")
    one = SeveralWorkers(builder.create_topology(), {"topology.executor.lane": lane})
    seen.owners = owners_of(one.workers[0].executors)
    one.run_for(5)
    assert one.errors == []
    one.stop()
    tasks = {(name, "", task) for name in ("spout", "first", "fused", "later") for task in one.tasks_of(name)}
    assert seen.found == tasks


def test_what_no_component_calls_is_nobodys() -> None:
    builder = TopologyBuilder()
    builder.set_spout("spout", ScriptedSpout(Script()))
    one = SeveralWorkers(builder.create_topology())
    owners = owners_of(one.workers[0].executors)
    [spout_executor] = [e for e in one.workers[0].executors if e.component == "spout"]
    assert [owner[0] for owner in owners.values()] == [spout_executor]
    found: list[Any] = []

    def look(nothing: None = None) -> None:
        found.append(innermost_owner(sys._getframe(), owners))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    look()
    assert found == [None, None]
    one.stop()
