from __future__ import annotations

import copy
import enum
import pickle
import random
import threading
from typing import Any

import pytest

from storm.topology.component import BasicBolt, Bolt, CustomGrouping, Spout
from storm.topology.failures import Failure
from storm.topology.output_fields import OutputFieldsDeclarer
from storm.tuples import Origin, Tuple


class Collected:
    def __init__(self) -> None:
        self.rows: list[list[Any]] = []

    def emit(self, values: list[Any]) -> None:
        self.rows.append(values)


def test_open_and_prepare_keep_context_and_collector() -> None:
    for component in (Bolt(), BasicBolt()):
        component.prepare({}, "context", "collector")  # type: ignore[arg-type]
        assert (component.context, component.collector) == ("context", "collector")
    spout = Spout()
    spout.open({}, "context", "collector")  # type: ignore[arg-type]
    assert (spout.context, spout.collector) == ("context", "collector")


def test_a_component_that_says_nothing_has_no_streams_and_no_settings() -> None:
    declarer = OutputFieldsDeclarer("bolt")
    Bolt().declare_output_fields(declarer)
    assert declarer.streams == {}
    assert Bolt().component_configuration() == {}


def test_outputs_of_a_class_or_of_an_object() -> None:
    class OfClass(Spout):
        outputs = ("word",)

    class OfObject(Spout):
        def __init__(self, fields: list[str]) -> None:
            self.outputs = fields

    for spout in (OfClass(), OfObject(["word"])):
        declarer = OutputFieldsDeclarer("spout")
        spout.declare_output_fields(declarer)
        assert declarer.streams["default"].fields == ("word",)


class WithState(Bolt):
    __slots__ = ("in_a_slot",)

    def __init__(self, fields: list[str]) -> None:
        self.outputs = fields
        self.in_a_slot = fields
        vars(self)["hidden"] = 1

    @property
    def hidden(self) -> int:
        return 2


def test_state_arrives_with_a_pickled_component() -> None:
    before = WithState(["word"])
    for after in (pickle.loads(pickle.dumps(before)), copy.deepcopy(before)):
        assert vars(after) == {"outputs": ["word"], "hidden": 1}
        assert (after.in_a_slot, after.hidden) == (["word"], 2)
        assert after.in_a_slot is after.outputs, "what was one object is one still"
    assert vars(pickle.loads(pickle.dumps(Bolt()))) == {}


class Locked:
    def __init__(self) -> None:
        self.lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.lock = threading.Lock()


class WithLock(Bolt, Locked):
    pass


class WithRandom(Bolt, random.Random):
    pass


def test_state_of_other_bases_is_theirs_to_set() -> None:
    assert not pickle.loads(b"".join([pickle.dumps(WithLock())])).lock.locked()
    numbers = WithRandom(7)
    assert pickle.loads(pickle.dumps(numbers)).random() == numbers.random()


class Millis:
    """Keeps what is set under its own name."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type) -> Any:
        return instance.__dict__[self.name]

    def __set__(self, instance: Any, secs: float) -> None:
        instance.__dict__[self.name] = secs * 1000


class Field(enum.StrEnum):
    PRICE = "price"


class WithDescriptor(Bolt):
    wait = Millis()

    def __init__(self) -> None:
        self.wait = 2
        setattr(self, Field.PRICE, 3)


def test_nothing_of_the_users_is_called_for_an_attribute() -> None:
    arrived = copy.deepcopy(pickle.loads(pickle.dumps(WithDescriptor())))
    assert (arrived.wait, arrived.price) == (2000, 3)


def test_what_a_user_must_write_says_so() -> None:
    tup = Tuple(["a"], Origin("spout", "default", 1, ["word"]))
    for call in (Spout().next_tuple, lambda: Bolt().execute(tup), lambda: BasicBolt().execute(tup)):
        with pytest.raises(NotImplementedError):
            call()
    with pytest.raises(NotImplementedError):
        CustomGrouping().choose_tasks(1, [])


def test_what_a_user_may_leave_out_does_nothing() -> None:
    spout, bolt = Spout(), Bolt()
    done = [spout.ack(1), spout.fail(1), spout.activate(), spout.deactivate(), spout.close(), bolt.cleanup()]
    assert done == [None] * 6


def test_a_failure_is_a_fail_and_what_is_given_up_an_ack_unless_a_spout_says_otherwise() -> None:
    class Noting(Spout):
        def fail(self, message_id: Any) -> Any:
            return ("fail", message_id)

        def ack(self, message_id: Any) -> Any:
            return ("ack", message_id)

    failure = Failure("timeout", None, "late")
    assert Noting().failed(1, failure) == ("fail", 1)
    assert Noting().give_up(1, failure) == ("ack", 1)


def test_a_custom_grouping_keeps_its_targets() -> None:
    grouping = CustomGrouping()
    grouping.prepare(None, ("spout", "default"), [3, 4])  # type: ignore[arg-type]
    assert grouping.target_tasks == [3, 4]
