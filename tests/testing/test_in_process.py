from __future__ import annotations

import pickle

import pytest

from storm.errors import StormError
from storm.testing.in_process import Shared


class Box(Shared):
    pass


def test_unpickled_it_is_the_same_object() -> None:
    box = Box()
    assert pickle.loads(pickle.dumps({"a": box}))["a"] is box
    assert pickle.loads(pickle.dumps(Box)) is Box


def test_it_must_be_kept() -> None:
    data = pickle.dumps(Box())
    with pytest.raises(StormError, match="a Box works only within the process that made it"):
        pickle.loads(data)
