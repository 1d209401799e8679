from __future__ import annotations

from typing import Any

import pytest

from storm.errors import InvalidTopologyError
from storm.topology.builder import TopologyBuilder
from storm.topology.component import Spout
from storm.topology.failures import Retries, check_retries
from storm.topology.structure import StreamInfo


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"first_secs": -1}, "first_secs must be a number from 0 on, got -1"),
        ({"first_secs": "1"}, "first_secs must be a number from 0 on, got '1'"),
        ({"first_secs": float("nan")}, "first_secs must be"),
        ({"factor": 0.5}, "factor must be a number from 1 on"),
        ({"factor": True}, "factor must be"),
        ({"first_secs": 9, "max_secs": 8}, "max_secs must be a number from 9 on, got 8"),
        ({"max_secs": float("inf")}, "max_secs must be"),
        ({"attempts": 0}, "attempts must be a whole number from 1 on, or None, got 0"),
        ({"attempts": 2.0}, "attempts must be"),
        ({"attempts": True}, "attempts must be"),
    ],
)
def test_retries_that_make_no_sense_are_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidTopologyError, match=words):
        Retries(**values)


def test_sensible_ones_are_not() -> None:
    assert Retries(0, 1, 0, None) == Retries(first_secs=0, factor=1, max_secs=0, attempts=None)
    with pytest.raises(AttributeError):
        Retries().attempts = 3  # type: ignore[misc]


class Orders(Spout):
    retries: Any = Retries()

    def __init__(self, retries: Any = None, **outputs: Any) -> None:
        if retries is not None:
            self.retries = retries
        self.outputs = {"default": ["order"], **outputs}


def build(spout: Spout) -> None:
    builder = TopologyBuilder()
    builder.set_spout("orders", spout)
    builder.create_topology()


@pytest.mark.parametrize(
    ("spout", "words"),
    [
        (Orders(5), "spout 'orders': retries must be an object of Retries"),
        (Orders(Retries), "spout 'orders': retries must be an object of Retries"),
        (Orders(**{"dead-letter": ["id", "why"]}), r"three fields.* it has \['id', 'why'\]"),
        (Orders(Retries(attempts=None), **{"dead-letter": ["id", "n", "why"]}), "never gives up"),
    ],
)
def test_a_spout_that_cannot_work_is_refused_when_its_topology_is_built(spout: Spout, words: str) -> None:
    with pytest.raises(InvalidTopologyError, match=words):
        build(spout)


def test_a_direct_stream_takes_no_dead_letters() -> None:
    with pytest.raises(InvalidTopologyError, match="not direct"):
        check_retries("orders", Orders(), {"dead-letter": StreamInfo(("a", "b", "c"), direct=True)})


def test_dead_letters_need_not_be_declared_and_their_fields_have_any_names() -> None:
    build(Orders())
    build(Orders(**{"dead-letter": ["id", "n", "why"]}))


def test_spouts_without_retries_may_have_any_stream() -> None:
    class Plain(Spout):
        outputs = {"dead-letter": ["one"]}

    build(Plain())
