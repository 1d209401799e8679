from __future__ import annotations

import pytest

from storm.topology.structure import ComponentSpec, PythonObject, StormTopology

SPOUT = ComponentSpec(PythonObject(b"spout"))
BOLT = ComponentSpec(PythonObject(b"bolt"))


def test_components_are_found_by_id_whatever_they_are() -> None:
    topology = StormTopology({"words": SPOUT}, {"split": BOLT})
    assert topology.component("words") is SPOUT
    assert topology.component("split") is BOLT
    assert topology.components() == {"words": SPOUT, "split": BOLT}
    with pytest.raises(KeyError):
        topology.component("wrods")
