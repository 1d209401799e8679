from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from scripted_components import Script, ScriptedBolt, ScriptedSpout, ack_it, emit_up_to, pass_on
from several_workers import NetworkTransfer, SeveralWorkers

from storm.errors import SerializationError
from storm.topology.builder import TopologyBuilder
from storm.topology.component import CustomGrouping

if TYPE_CHECKING:
    from collections.abc import Callable


def cluster(script: Script, workers: int = 1, conf: dict[str, Any] | None = None) -> SeveralWorkers:
    builder = TopologyBuilder()
    builder.set_spout("spout", ScriptedSpout(script))
    bolt = builder.set_bolt("bolt", ScriptedBolt(script))
    bolt.shuffle_grouping("spout").direct_grouping("spout", stream="direct").shuffle_grouping("spout", stream="pair")
    last = builder.set_bolt("last", ScriptedBolt(script)).set_num_tasks(2)
    last.all_grouping("bolt").direct_grouping("bolt", stream="direct")
    return SeveralWorkers(builder.create_topology(), conf or {}, workers=workers)


WRONG: list[tuple[str, Callable[[Any], Any], str]] = [
    (
        "an undeclared stream",
        lambda c: c.emit([1], stream="pairs"),
        r"'pairs', but declares \['default', 'direct', 'pair'\]",
    ),
    (
        "too many values",
        lambda c: c.emit([1, 2]),
        r"on stream 'default' 2 values for its 1 fields \['value'\]: \[1, 2\]",
    ),
    (
        "too few values",
        lambda c: c.emit([1], stream="pair"),
        r"on stream 'pair' 1 values for its 2 fields \['left', 'right'\]",
    ),
    ("no list", lambda c: c.emit(5), "an? int; a list of 1 values was expected"),
    ("emit on a direct stream", lambda c: c.emit([1], stream="direct"), "'direct', which is direct: use emit_direct"),
    (
        "tasks of a direct stream",
        lambda c: c.emit_and_get_tasks([1], stream="direct"),
        "which is direct: use emit_direct",
    ),
    ("emit_direct on a plain stream", lambda c: c.emit_direct(1, [1]), "'default', which is not declared direct"),
    (
        "emit_direct to a stranger",
        lambda c: c.emit_direct(99, [1], stream="direct"),
        r"to task 99, .*those that do: \[",
    ),
    ("emit_direct on no stream", lambda c: c.emit_direct(1, [1], stream="x"), "on stream 'x', but declares"),
    ("emit_direct of wrong values", lambda c: c.emit_direct(1, [], stream="direct"), "0 values for its 1 fields"),
]


@pytest.mark.parametrize("who", ["spout", "bolt"])
@pytest.mark.parametrize(("emit", "message"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_wrong_emits_say_what_is_wrong(who: str, emit: Callable[[Any], Any], message: str) -> None:
    script = Script(next_tuple=emit_up_to(1), execute=ack_it)

    def do(component: Any, _: Any) -> None:
        with pytest.raises(ValueError, match=message) as caught:
            emit(component.collector)
        assert f"component {who!r}" in str(caught.value)
        script.calls.append((who, 0, "checked", None))

    script.on[who, "open" if who == "spout" else "prepare"] = do
    one = cluster(script)
    one.settle()
    assert one.errors == []
    assert len(script.made("checked")) == 1


def test_emit_and_get_tasks_names_them() -> None:
    got: list[Any] = []

    def emit(bolt: Any, tup: Any) -> None:
        got.append(bolt.collector.emit_and_get_tasks([1], tup))
        got.append(bolt.collector.emit_and_get_tasks([1, 2], tup, "pair"))
        bolt.collector.ack(tup)

    script = Script(next_tuple=emit_up_to(1), execute=ack_it)
    script.on["bolt", "execute"] = emit
    one = cluster(script)
    one.run_for(1)
    assert got == [list(one.tasks_of("last")), []]
    assert len(script.made("execute", "last")) == 2
    assert len(script.made("ack")) == 1


def test_emit_direct_reaches_the_named_task() -> None:
    def emit(bolt: Any, tup: Any) -> None:
        bolt.collector.emit_direct(one.tasks_of("last")[1], [7], tup, "direct")
        bolt.collector.ack(tup)

    script = Script(next_tuple=emit_up_to(3), execute=ack_it)
    script.on["bolt", "execute"] = emit
    one = cluster(script)
    one.run_for(1)
    assert [task for who, task, called, _ in script.calls if (who, called) == ("last", "execute")] == [
        one.tasks_of("last")[1]
    ] * 3
    assert len(script.made("ack")) == 3


def acked_wrongly(one: SeveralWorkers) -> list[str]:
    return [text.splitlines()[-1] for _, text in one.errors]


def test_what_was_settled_is_not_settled_again_and_that_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    def twice(bolt: Any, tup: Any) -> None:
        bolt.collector.ack(tup)
        bolt.collector.fail(tup)

    script = Script(next_tuple=emit_up_to(4), execute=ack_it)
    script.on["bolt", "execute"] = twice
    one = cluster(script)
    one.run_for(1)
    assert len(script.made("ack")) == 4
    assert script.made("fail") == []
    [told] = acked_wrongly(one)
    assert "component 'bolt', task" in told
    assert "failed a tuple that was acked or failed before: [1] from 'spout' (task" in told
    assert "4 acks and fails without effect so far" in caplog.text


def test_an_ack_without_effect_is_told_whatever_the_tuple_holds() -> None:
    class Unspeakable:
        def __repr__(self) -> str:
            raise ValueError("no")

    def emit(spout: Any, _: Any) -> None:
        if not spout.emitted:
            spout.emitted = 1
            spout.collector.emit([Unspeakable()], 1)

    def twice(bolt: Any, tup: Any) -> None:
        bolt.collector.ack(tup)
        bolt.collector.ack(tup)

    script = Script(next_tuple=emit, execute=ack_it)
    script.on["bolt", "execute"] = twice
    one = cluster(script)
    one.run_for(1)
    assert len(script.made("ack")) == 1
    [told] = acked_wrongly(one)
    assert "Unspeakable" in told


def test_a_task_settles_only_what_it_was_given() -> None:
    given: list[Any] = []

    def ack_every_one(bolt: Any, tup: Any) -> None:
        given.append(tup)
        for each in given:
            if not each.settled:
                bolt.collector.ack(each)

    script = Script(next_tuple=emit_up_to(1), execute=pass_on)
    script.on["bolt", "execute"] = lambda bolt, tup: (given.append(tup), bolt.collector.emit([1], tup))
    script.on["last", "execute"] = ack_every_one
    one = cluster(script)
    one.run_for(1)
    assert script.made("ack") == []
    assert all("component 'last'" in told and "that was given to task" in told for told in acked_wrongly(one))
    assert len(acked_wrongly(one)) == 2


@pytest.mark.parametrize("wrong", [None, "text", 5])
def test_only_tuples_can_be_settled(wrong: Any) -> None:
    def settle(bolt: Any, tup: Any) -> None:
        for call in (bolt.collector.ack, bolt.collector.fail):
            with pytest.raises(
                TypeError, match=r"component 'bolt': (ack|fail) needs the tuple that `execute` was given"
            ):
                call(wrong)
        bolt.collector.ack_many([tup])

    script = Script(next_tuple=emit_up_to(1), execute=ack_it)
    script.on["bolt", "execute"] = settle
    one = cluster(script)
    one.run_for(1)
    assert one.errors == []
    assert len(script.made("ack")) == 1


@pytest.mark.parametrize(
    ("rows", "message"), [([[1], [2, 3]], "2 values for its 1 fields"), ([[1], 5], "int; a list of")]
)
def test_emit_many_emits_all_rows_or_none(rows: list[Any], message: str) -> None:
    def many(component: Any, _: Any) -> None:
        with pytest.raises(ValueError, match=message):
            component.collector.emit_many(rows)

    script = Script(execute=ack_it, next_tuple=many)
    one = cluster(script)
    one.run_for(0.1)
    assert len(script.made("next_tuple")) > 1
    assert script.made("execute") == []


def test_emit_many_takes_rows_and_ids_from_any_iterable() -> None:
    def many(spout: Any, _: Any) -> None:
        if not spout.emitted:
            spout.emitted = 1
            spout.collector.emit_many(([n] for n in range(3)), {"a": 1, "b": 2, "c": 3})

    script = Script(next_tuple=many, execute=ack_it)
    one = cluster(script)
    one.run_for(1)
    assert len(script.made("execute", "bolt")) == 3
    assert sorted(found for _, _, called, found in script.calls if called == "ack") == ["a", "b", "c"]


@pytest.mark.parametrize("stream", ["default", "direct"])
@pytest.mark.parametrize("ackers", [0, 1])
def test_a_row_without_an_id_is_not_tracked(ackers: int, stream: str) -> None:
    """Whether one subscriber gets the rows or several."""

    def many(spout: Any, _: Any) -> None:
        if not spout.emitted:
            spout.emitted = 1
            spout.collector.emit_many([[1], [2], [3]], ["a", None, "c"])

    script = Script(next_tuple=many, execute=ack_it)
    builder = TopologyBuilder()
    builder.set_spout("spout", ScriptedSpout(script))
    builder.set_bolt("bolt", ScriptedBolt(script)).shuffle_grouping("spout")
    if stream == "direct":
        builder.set_bolt("last", ScriptedBolt(script)).shuffle_grouping("spout")
    one = SeveralWorkers(builder.create_topology(), {"topology.acker.executors": ackers})
    one.run_for(1)
    assert sorted(found for _, _, called, found in script.calls if called == "ack") == ["a", "c"]
    assert len(script.made("execute", "bolt")) == 3


def test_rows_that_no_task_can_be_chosen_for_leave_nothing_behind() -> None:
    def many(spout: Any, _: Any) -> None:
        with pytest.raises(TypeError, match="no task can be chosen by field 'value', a object"):
            spout.collector.emit_many([[1], [2], [object()]], ["a", "b", "c"])

    script = Script(next_tuple=many, execute=ack_it)
    builder = TopologyBuilder()
    builder.set_spout("spout", ScriptedSpout(script))
    builder.set_bolt("bolt", ScriptedBolt(script)).set_num_tasks(2).fields_grouping("spout", ["value"])
    one = SeveralWorkers(builder.create_topology())
    one.run_for(0.1)
    assert len(script.made("next_tuple")) > 1
    assert script.made("execute") == []
    assert one.errors == []


def test_anchors_may_be_an_iterator() -> None:
    def two(bolt: Any, tup: Any) -> None:
        bolt.collector.emit([1], iter([tup]))  # to both tasks of `last`
        bolt.collector.emit_many([[2], [3]], iter([tup]))
        bolt.collector.ack(tup)

    script = Script(next_tuple=emit_up_to(1))
    script.on["bolt", "execute"] = two
    one = cluster(script)
    one.run_for(1)
    held = [tup for who, _, called, tup in script.calls if (who, called) == ("last", "execute")]
    assert len(held) == 6
    assert all(tup.root for tup in held)


def test_a_list_that_a_grouping_changes_harms_nobody() -> None:
    class Emptying(CustomGrouping):
        def choose_tasks(self, task_id: int, values: Any) -> Any:
            values.clear()
            return self.target_tasks[:1]

    script = Script(next_tuple=emit_up_to(3), execute=ack_it)
    builder = TopologyBuilder()
    builder.set_spout("spout", ScriptedSpout(script))
    builder.set_bolt("first", ScriptedBolt(script)).custom_grouping("spout", Emptying())
    builder.set_bolt("second", ScriptedBolt(script)).set_num_tasks(2).fields_grouping("spout", ["value"])
    one = SeveralWorkers(builder.create_topology())
    one.run_for(1)
    assert len(script.made("ack")) == 3
    assert len(script.made("execute", "second")) == 3


def test_what_is_emitted_in_prepare_leaves_at_once() -> None:
    script = Script(execute=ack_it)
    script.on["bolt", "prepare"] = lambda bolt, _: bolt.collector.emit([1])
    one = cluster(script, workers=2)
    one.run_for(1)
    assert len(script.made("execute", "last")) == 2


def test_emit_many_anchors_every_row() -> None:
    def many(bolt: Any, tup: Any) -> None:
        bolt.collector.emit_many([[1, 2], [3, 4]], tup, "pair")
        bolt.collector.emit_many([[n] for n in range(3)], tup)
        bolt.collector.ack(tup)

    script = Script(next_tuple=emit_up_to(2))
    script.on["bolt", "execute"] = many
    one = cluster(script, conf={"topology.message.timeout.secs": 30})
    one.run_for(1)
    held = [tup for who, _, called, tup in script.calls if (who, called) == ("last", "execute")]
    assert len(held) == 2 * 3 * 2
    assert script.made("ack") == []
    one.run_for(70)
    assert len(script.made("fail")) == 2


def test_emit_many_is_many_emits() -> None:
    def many(spout: Any, _: Any) -> None:
        if not spout.emitted:
            spout.emitted = 1
            spout.collector.emit_many([[1], [2], [3]], ["a", "b", "c"])
            spout.collector.emit_many([[4], [5]])
            with pytest.raises(ValueError, match="2 rows, but 1 message ids"):
                spout.collector.emit_many([[1], [2]], ["a"])

    def execute(bolt: Any, tup: Any) -> None:
        bolt.collector.emit_many([[tup[0]], [tup[0]]], tup)
        bolt.collector.ack(tup)

    script = Script(next_tuple=many, execute=ack_it)
    script.on["bolt", "execute"] = execute
    one = cluster(script)
    one.run_for(1)
    assert one.errors == []
    assert script.made("execute", "bolt") == [[1], [2], [3], [4], [5]]
    assert len(script.made("execute", "last")) == 20
    assert script.made("ack") == ["a", "b", "c"]


def test_a_tuple_of_several_trees_holds_all_of_them() -> None:
    held: list[Any] = []

    def join(bolt: Any, tup: Any) -> None:
        held.append(tup)
        if len(held) == 3:
            bolt.collector.emit(["joined"], held)
            for each in held:
                bolt.collector.ack(each)

    script = Script(next_tuple=emit_up_to(3))
    script.on["bolt", "execute"] = join
    ends: list[Any] = []
    script.on["last", "execute"] = lambda bolt, tup: ends.append((bolt, tup))
    one = cluster(script)
    one.settle()
    assert len(ends) == 2
    assert script.made("ack") == []
    ends[0][0].collector.ack(ends[0][1])
    one.settle()
    assert script.made("ack") == []
    ends[1][0].collector.ack(ends[1][1])
    one.settle()
    assert len(script.made("ack")) == 3


def test_an_unanchored_tuple_belongs_to_no_tree() -> None:
    def execute(bolt: Any, tup: Any) -> None:
        bolt.collector.emit([1])
        bolt.collector.ack(tup)

    script = Script(next_tuple=emit_up_to(3))
    script.on["bolt", "execute"] = execute
    script.on["last", "execute"] = lambda bolt, tup: bolt.collector.fail(tup)
    one = cluster(script)
    one.run_for(1)
    assert (len(script.made("ack")), len(script.made("fail"))) == (3, 0)


def test_values_that_cannot_travel_are_refused_when_emitted(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(self: NetworkTransfer, values: Any) -> None:
        raise SerializationError("value 0 (object): no", 0)

    monkeypatch.setattr(NetworkTransfer, "check", check)
    script = Script(next_tuple=emit_up_to(1))
    one = cluster(script, workers=4)
    one.run_for(1)
    [(component, text)] = one.errors
    assert component == "spout"
    assert "component 'spout' emitted on stream 'default' (fields value) what cannot travel" in text
    assert "field 'value', value 0 (object): no" in text
    assert text.count("Traceback") == 1


@pytest.mark.parametrize("always", [True, False])
def test_within_a_worker_they_are_refused_where_that_was_asked_for(
    always: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(self: NetworkTransfer, values: Any) -> None:
        raise SerializationError("value 0 (object): no")

    monkeypatch.setattr(NetworkTransfer, "check", check)
    one = cluster(Script(next_tuple=emit_up_to(1)), conf={"topology.testing.always.try.serialize": always})
    one.run_for(1)
    assert [component for component, _ in one.errors] == (["spout"] if always else [])


def test_within_a_worker_anything_travels() -> None:
    script = Script(next_tuple=emit_up_to(1), execute=pass_on)
    script.on["last", "execute"] = ack_it
    script.on["spout", "next_tuple"] = lambda spout, _: script.made("execute") or spout.collector.emit([object()], "x")
    one = cluster(script)
    one.run_for(1)
    assert one.errors == []
    assert script.made("ack")[:1] == ["x"]
