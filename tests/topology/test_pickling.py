from __future__ import annotations

import pickle
import threading
from typing import Any

import pytest

from storm.errors import InvalidTopologyError
from storm.topology import pickling
from storm.topology.component import Bolt


class CountBolt(Bolt):
    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


class Refuses:
    def __reduce__(self) -> Any:
        raise RuntimeError


class Slotted:
    __slots__ = ("lock",)

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def __reduce__(self) -> Any:
        return Slotted, (), (None, {"lock": self.lock})


def test_an_object_comes_back_as_it_was() -> None:
    assert pickle.loads(pickling.dump("count", CountBolt(words={"a": 1}))).words == {"a": 1}


def test_what_a_program_defines_itself_travels_whole() -> None:
    factor = 3
    assert pickle.loads(pickling.dump("count", CountBolt(rule=lambda n: n * factor))).rule(2) == 6


@pytest.mark.parametrize(
    ("attributes", "text"),
    [
        ({"a": 1, "lock": threading.Lock()}, r"its attribute lock \(lock\) says: cannot pickle '_thread.lock' object"),
        ({"rules": [{}, {"x": threading.Lock()}]}, r"its attribute rules\[1\]\['x'\] \(lock\)"),
        ({"part": CountBolt(inner=threading.Lock())}, r"its attribute part\.inner \(lock\)"),
        ({"part": Slotted()}, r"its attribute part\.lock \(lock\)"),
        ({"names": {Refuses()}}, r"its attribute names\{...\} \(Refuses\) raised RuntimeError"),
        ({"file": open}, None),
    ],
)
def test_the_attribute_at_fault_is_named(attributes: dict[str, Any], text: str | None) -> None:
    if text is None:
        assert pickling.dump("count", CountBolt(**attributes))
        return
    with pytest.raises(InvalidTopologyError, match=text) as caught:
        pickling.dump("count", CountBolt(**attributes))
    assert str(caught.value).startswith("component 'count' (CountBolt) cannot be pickled: ")
    assert "open() or prepare()" in str(caught.value)


def test_an_object_that_refuses_itself() -> None:
    with pytest.raises(
        InvalidTopologyError, match=r"'count' \(Refuses\) cannot be pickled: it \(Refuses\) raised RuntimeError"
    ):
        pickling.dump("count", Refuses())


def test_an_object_that_holds_itself() -> None:
    bolt = CountBolt()
    bolt.me = bolt
    assert pickle.loads(pickling.dump("count", bolt)).me
    bolt.lock = threading.Lock()
    with pytest.raises(InvalidTopologyError, match="lock"):
        pickling.dump("count", bolt)
