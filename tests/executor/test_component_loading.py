from __future__ import annotations

import functools
from typing import Any

import cloudpickle
import pytest

from storm.errors import WorkerStartError
from storm.executor.component_loading import is_async, load_component, load_grouping, refuse_coroutine
from storm.topology.component import Bolt
from storm.topology.structure import ForeignObject, PythonObject, ShellObject


class Plain(Bolt):
    def execute(self, tup: object) -> None:
        pass


class Async(Bolt):
    async def execute(self, tup: object) -> None:
        pass


def test_every_load_is_a_new_object() -> None:
    component = PythonObject(cloudpickle.dumps(Plain()))
    one, other = (load_component("count", component) for _ in range(2))
    assert type(one).__name__ == "Plain"
    assert one is not other


def logged(method: Any) -> Any:
    @functools.wraps(method)
    def call(*arguments: Any) -> Any:
        return method(*arguments)

    return call


class Decorated(Bolt):
    @logged
    async def execute(self, tup: object) -> None:
        pass


def test_async_methods_are_seen() -> None:
    assert is_async(Async())
    assert not is_async(Decorated()), "it may as well run the coroutine by itself"
    assert not is_async(Plain())


def test_a_coroutine_that_nobody_awaits_is_an_error() -> None:
    refuse_coroutine([7], Plain(), "execute")
    with pytest.raises(TypeError, match=r"Async\.execute answers a coroutine, .*lane: async"):
        refuse_coroutine(Async().execute(None), Async(), "execute")


def test_code_that_is_missing_names_the_component_and_the_module() -> None:
    missing = b"cno_such_module\nThing\n."
    with pytest.raises(WorkerStartError, match=r"'count' cannot be loaded: .*no_such_module.*requirements"):
        load_component("count", PythonObject(missing))
    with pytest.raises(WorkerStartError, match="custom grouping of component 'count'"):
        load_grouping("count", b"garbage")


def test_other_languages_do_not_run_here() -> None:
    with pytest.raises(WorkerStartError, match=r"'count' is a 'count\.js'"):
        load_component("count", ShellObject("node", "count.js"))
    with pytest.raises(WorkerStartError, match="'count' is no Python component: a Java object"):
        load_component("count", ForeignObject("a Java object"))


def test_a_metrics_consumers_bolt_is_known_here() -> None:
    assert type(load_component("__metrics_log", PythonObject(b""))).__name__ == "MetricsConsumerBolt"
