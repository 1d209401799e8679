from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from storm.errors import CoordinationError, NimbusUnreachableError, ThriftTimeoutError, TopologyNotAliveError
from storm.ui.measures import Measures
from storm.ui.nimbus_link import NimbusLink


def link_to(site: Any) -> NimbusLink:
    return NimbusLink(lambda: site, site.cluster.clock, Measures())


def test_many_readers_cost_one_call(site: Any, topology_id: str) -> None:
    link = link_to(site)

    async def read_much() -> None:
        pages = await asyncio.gather(*(link.read("getTopologySummary", topology_id) for _ in range(50)))
        assert {page.name for page in pages} == {"wordcount"}
        await link.read("getTopologySummary", topology_id)
        await link.read("getClusterInfo")
        site.cluster.clock.secs += 2
        await link.read("getTopologySummary", topology_id)

    asyncio.run(read_much())
    assert site.calls.count("getTopologySummary") == 2
    link.close()


def test_errors_are_answers_too_and_each_reader_gets_them(site: Any) -> None:
    link = link_to(site)

    async def read() -> list[BaseException]:
        return await asyncio.gather(*(link.read("getTopologyConf", "no-1-1") for _ in range(3)), return_exceptions=True)

    found = asyncio.run(read())
    assert [type(error) for error in found] == [TopologyNotAliveError] * 3
    assert site.calls == ["getTopologyConf"]
    link.close()


def test_who_reads_after_a_change_sees_it(site: Any, topology_id: str) -> None:
    link = link_to(site)

    async def change() -> list[str]:
        before = await link.read("getTopologySummary", topology_id)
        await link.change("deactivate", "wordcount")
        site.cluster.core.step()
        after = await link.read("getTopologySummary", topology_id)
        return [before.status, after.status]

    assert asyncio.run(change()) == ["ACTIVE", "INACTIVE"]
    link.close()


def test_a_reader_that_goes_away_leaves_the_answer_to_the_others() -> None:
    entered, leave = threading.Event(), threading.Event()

    class Slow:
        def call(self, method: str, *arguments: Any) -> str:
            entered.set()
            leave.wait(30)
            return "an answer"

        def close(self) -> None:
            pass

    class Still:
        def now(self) -> float:
            return 0.0

        def wall_secs(self) -> int:
            return 0

    link = NimbusLink(Slow, Still(), Measures())  # type: ignore[arg-type]

    async def two_readers() -> str:
        first = asyncio.ensure_future(link.read("getLeader"))
        second = asyncio.ensure_future(link.read("getLeader"))
        await asyncio.to_thread(entered.wait, 30)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        leave.set()
        return str(await second)

    assert asyncio.run(two_readers()) == "an answer"
    link.close()


def test_while_nimbus_is_gone_the_error_says_since_when_and_calls_are_few(site: Any) -> None:
    link = link_to(site)
    site.failure = NimbusUnreachableError("nothing listens")

    async def read() -> str:
        with pytest.raises(
            NimbusUnreachableError, match=r"has not answered since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC: "
        ) as refused:
            await link.read("getLeader")
        return str(refused.value)

    async def look_on() -> None:
        first = await read()
        assert first.endswith("nothing listens")
        assert link.silent_since_wall_secs == site.cluster.clock.wall_secs()
        site.cluster.clock.secs += 1.5
        assert await read() == first
        assert len(site.calls) == 1
        site.cluster.clock.secs += 1
        site.failure = ThriftTimeoutError("no answer", sent=True)
        assert (await read()).split(": ")[0] == first.split(": ")[0]
        site.failure = None
        site.cluster.clock.secs += 2
        assert (await link.read("getLeader")).host == "nimbus-1"
        assert link.silent_since_wall_secs is None

    asyncio.run(look_on())
    assert len(site.calls) == 3
    link.close()


def test_a_change_that_zookeeper_does_not_take_silences_nobody(site: Any, topology_id: str) -> None:
    link = link_to(site)

    async def change_and_read() -> None:
        site.failure = CoordinationError("the node would have too many bytes")
        with pytest.raises(CoordinationError, match="too many bytes"):
            await link.change("deactivate", "wordcount")
        assert link.silent_since_wall_secs is None
        site.failure = None
        assert (await link.read("getTopologySummary", topology_id)).status == "ACTIVE"
        site.failure = CoordinationError("ZooKeeper is away")
        with pytest.raises(NimbusUnreachableError, match="ZooKeeper is away"):
            await link.read("getClusterInfo")

    asyncio.run(change_and_read())
    assert site.calls == ["deactivate", "getTopologySummary", "getClusterInfo"]
    link.close()


def test_what_must_be_as_it_is_now_is_asked_every_time(site: Any, topology_id: str) -> None:
    link = link_to(site)

    async def ask() -> None:
        for _ in range(2):
            await link.ask("getTopologySummary", topology_id)

    asyncio.run(ask())
    assert site.calls == ["getTopologySummary"] * 2
    link.close()
