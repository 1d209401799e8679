from __future__ import annotations

import asyncio
from typing import Any

import pytest

from storm.errors import NimbusUnreachableError, ThriftTimeoutError
from storm.metrics.stats_records import ALL_TIME
from storm.ui.pages.history import History, Look
from storm.ui.pages.watch import component_looks, look_round, watch


def test_a_round_looks_once_at_each_topology(site: Any, ui: Any, topology_id: str) -> None:
    other = site.run_word_count("other")
    history = History()
    asyncio.run(look_round(history, ui.nimbus, ui.clock))
    assert site.calls == ["getTopologyHistory", "getTopologyPageInfo", "getTopologyPageInfo"]
    assert history.looked_at(topology_id) == history.looked_at(other) == site.cluster.clock.now()


def test_two_rounds_make_rates(site: Any, ui: Any, topology_id: str) -> None:
    history = History()

    async def two() -> None:
        await look_round(history, ui.nimbus, ui.clock)
        site.cluster.clock.secs += 15
        await look_round(history, ui.nimbus, ui.clock)

    asyncio.run(two())
    [rate] = history.rates(topology_id)
    assert rate is not None
    assert (rate.emitted, rate.acked, rate.complete_ms) == (0.0, 0.0, None)  # the stats are the same


def test_a_look_at_a_topology_is_one_at_its_components(ui: Any, topology_id: str) -> None:
    async def looked() -> dict[str, Look]:
        return component_looks(await ui.nimbus.read("getTopologyPageInfo", topology_id, ALL_TIME, False), 5.0)

    found = asyncio.run(looked())
    assert found.keys() == {"words", "split", "count"}
    words, split = found["words"], found["split"]
    assert words[:5] == (5.0, 110, 98, 2, 2.5)
    assert split[:5] == (5.0, 600, 100, 2, 0.125)
    assert split.busy_percent == pytest.approx(100 * 50 * 0.125 / 60_000, rel=0.01)
    assert len(split.workers) == 2


def test_a_topology_that_goes_meanwhile_keeps_nobody_else_from_it(site: Any, ui: Any, topology_id: str) -> None:
    other = site.run_word_count("other")

    async def look_late() -> None:
        await ui.nimbus.read("getTopologyHistory", "")  # which is shared for two seconds
        site.cluster.core.kill("wordcount", 0)
        for _ in range(3):
            site.cluster.core.step()
        assert topology_id not in site.cluster.core.snapshot.bases
        await look_round(ui.history, ui.nimbus, ui.clock)

    asyncio.run(look_late())
    assert "getTopologyPageInfo" in site.calls
    assert ui.history.looked_at(topology_id) is None
    assert ui.history.looked_at(other) is not None


def test_what_is_not_there_any_more_is_forgotten(site: Any, ui: Any, topology_id: str) -> None:
    ui.history.put("gone-1-1", Look(site.cluster.clock.now(), 1, 1, 1, 1.0, {}))
    asyncio.run(look_round(ui.history, ui.nimbus, ui.clock))
    assert ui.history.looked_at("gone-1-1") is None


def test_a_silent_nimbus_is_an_error(site: Any, ui: Any, topology_id: str) -> None:
    site.failure = ThriftTimeoutError("no answer")
    with pytest.raises(NimbusUnreachableError):
        asyncio.run(look_round(History(), ui.nimbus, ui.clock))


class Enough(Exception):
    pass


def test_whoever_watches_goes_on_over_a_silent_nimbus_and_a_mistake(
    site: Any, ui: Any, topology_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    failures = [ThriftTimeoutError("no answer"), ValueError("a mistake"), None]
    looked: list[float | None] = []
    waited: list[float] = []

    async def pause(secs: float) -> None:
        waited.append(secs)
        looked.append(ui.history.looked_at(topology_id))
        site.cluster.clock.secs += 15
        if not failures:
            raise Enough
        site.failure = failures.pop(0)

    began = site.cluster.clock.now()
    with pytest.raises(Enough):
        asyncio.run(watch(ui.history, ui.nimbus, ui.clock, pause))
    assert looked == [began, began, began, began + 45]
    assert waited == [15.0] * 4
    assert caplog.text.count("looks at topologies") == 1
