from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from storm.errors import NimbusUnreachableError, NotServedError, TopologyNotAliveError
from storm.ui.pages.last_known import LastKnown
from storm.ui.pages.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Callable

GONE = NimbusUnreachableError("nothing listens there")


@pytest.fixture
def reader(ui: Any) -> Callable[[], Reader]:
    """Makes one, as each rendering does; all know the same."""
    known = LastKnown()
    return lambda: Reader(ui.nimbus, known, ui.clock)


def test_while_nimbus_is_silent_it_reads_what_that_last_answered(site: Any, ui: Any, reader: Any) -> None:
    async def look() -> None:
        first = reader()
        settings = await first.read("getNimbusConf")
        assert first.as_of is None
        told_at = ui.clock.wall_secs()
        site.failure = GONE
        ui.clock.secs += 100
        second = reader()
        assert (await second.read("getNimbusConf"), second.as_of) == (settings, told_at)
        with pytest.raises(NimbusUnreachableError, match="has not answered since"):
            await second.read("getClusterInfo")

    asyncio.run(look())


def test_the_oldest_of_what_stood_in_is_told(site: Any, ui: Any, reader: Any) -> None:
    async def look() -> None:
        first = reader()
        await first.read("getNimbusConf")
        oldest = ui.clock.wall_secs()
        ui.clock.secs += 50
        await first.read("getClusterInfo")
        site.failure = GONE
        ui.clock.secs += 50
        second = reader()
        await second.read("getClusterInfo")
        await second.read("getNimbusConf")
        assert second.as_of == oldest

    asyncio.run(look())


@pytest.mark.parametrize("error", [TopologyNotAliveError("gone"), NotServedError("not by this release")])
def test_what_nimbus_takes_back_is_not_known_any_more(site: Any, ui: Any, reader: Any, error: Any) -> None:
    async def look() -> None:
        await reader().read("getNimbusConf")
        for failure in (error, GONE):
            site.failure = failure
            ui.clock.secs += 10
            with pytest.raises(type(failure)):
                await reader().read("getNimbusConf")

    asyncio.run(look())


def test_what_is_read_once_takes_no_place_of_what_is_kept(site: Any, reader: Any) -> None:
    async def look() -> None:
        assert await reader().read_once("getNimbusConf")
        site.failure = GONE
        site.cluster.clock.secs += 10
        with pytest.raises(NimbusUnreachableError):
            await reader().read("getNimbusConf")

    asyncio.run(look())


def test_what_may_be_older_is_asked_less_often(site: Any, ui: Any, reader: Any) -> None:
    async def look() -> None:
        for _ in range(3):
            await reader().read_lately(10.0, "getNimbusConf")
            ui.clock.secs += 4
        assert site.calls == ["getNimbusConf"]
        await reader().read_lately(10.0, "getNimbusConf")
        assert site.calls == ["getNimbusConf"] * 2

    asyncio.run(look())
