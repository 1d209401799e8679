from __future__ import annotations

from typing import Any

import pytest

from storm.errors import InvalidTopologyError
from storm.topology.output_fields import DirectStream, OutputFieldsDeclarer, declare_outputs
from storm.topology.structure import StreamInfo


def declared(outputs: Any) -> dict[str, StreamInfo]:
    declarer = OutputFieldsDeclarer("split")
    declare_outputs(outputs, declarer)
    return declarer.streams


@pytest.mark.parametrize(
    ("outputs", "streams"),
    [
        ([], {}),
        ({}, {}),
        (["word", "count"], {"default": StreamInfo(("word", "count"))}),
        (("word",), {"default": StreamInfo(("word",))}),
        (
            {"default": ["a"], "errors": StreamInfo(("text",)), "orders": DirectStream(["order"]), "pulse": []},
            {
                "default": StreamInfo(("a",)),
                "errors": StreamInfo(("text",)),
                "orders": StreamInfo(("order",), direct=True),
                "pulse": StreamInfo(()),
            },
        ),
    ],
)
def test_outputs(outputs: Any, streams: dict[str, StreamInfo]) -> None:
    assert declared(outputs) == streams


@pytest.mark.parametrize(
    ("outputs", "text"),
    [
        ("word", "component 'split', stream 'default': expected a list of field names .* got 'word'"),
        ({"errors": "text"}, "component 'split', stream 'errors': expected a list"),
        (["word", 1], "expected the name of a field, got 1"),
        ([""], "expected the name of a field, got ''"),
        (["word", "word"], "field 'word' stands there twice"),
        ({"__ack": ["a"]}, "stream '__ack': names that begin with __ are the system's"),
        ({"": ["a"]}, "expected the name of a stream, got ''"),
    ],
)
def test_what_is_wrong_is_said(outputs: Any, text: str) -> None:
    with pytest.raises(InvalidTopologyError, match=text):
        declared(outputs)


def test_a_declarer_takes_each_stream_once() -> None:
    declarer = OutputFieldsDeclarer("split")
    declarer.declare(["word"])
    declarer.declare_stream("direct", ["word"], direct=True)
    with pytest.raises(InvalidTopologyError, match="'split' declares stream 'default' twice"):
        declarer.declare(["other"])
