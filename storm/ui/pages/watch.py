"""Looks at every topology and its components on a period, for pages' last hour: one call each, a bounded share of
Nimbus's time.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from storm.config.addresses import joined
from storm.errors import NimbusUnreachableError, StormError
from storm.metrics.stats_records import ALL_TIME
from storm.ui.pages.history import LOOK_SECS, Look, wait_secs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from storm.clock import Clock
    from storm.thrift.interface import Struct
    from storm.ui.nimbus_link import NimbusLink
    from storm.ui.pages.history import History

log = logging.getLogger(__name__)


async def watch(
    history: History, nimbus: NimbusLink, clock: Clock, pause: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> None:
    """Until it is cancelled. Whatever goes wrong in a round, the next one comes, after `pause`."""
    while True:
        secs = LOOK_SECS
        try:
            began = clock.now()
            await look_round(history, nimbus, clock)
            secs = wait_secs(clock.now() - began)
        except StormError:
            pass  # Nimbus is silent, as everybody who looks at a page is told
        except Exception:
            log.exception("The looks at topologies for their last hour failed; they go on in %g s", secs)
        await pause(secs)


async def look_round(history: History, nimbus: NimbusLink, clock: Clock) -> None:
    """One look at each topology. Raises StormError where Nimbus does not answer."""
    there = (await nimbus.read("getTopologyHistory", "")).topo_ids or []
    history.keep(there)
    for topology_id in history.chosen(there):
        try:
            page = await nimbus.read("getTopologyPageInfo", topology_id, ALL_TIME, False)
        except NimbusUnreachableError:
            raise
        except StormError:
            continue  # it went in the meantime, or its code cannot be read
        now = clock.now()
        history.put(topology_id, look_of(page, now), component_looks(page, now))


def look_of(page: Struct, now: float, window: str = ALL_TIME) -> Look:
    """Of a TopologyPageInfo, what was counted in a window of it."""
    stats: Any = page.topology_stats

    def figure(name: str) -> Any:
        return (getattr(stats, f"window_to_{name}", None) or {}).get(window, 0)

    return Look(
        now,
        figure("emitted"),
        figure("acked"),
        figure("failed"),
        float(figure("complete_latencies_ms")),
        _workers(page),
    )


def component_looks(page: Struct, now: float) -> dict[str, Look]:
    """{component: the look at it} of a TopologyPageInfo, in the window that it was asked for."""
    workers, found = _workers(page), {}
    for component, stats in (page.id_to_spout_agg_stats or {}).items():
        common, spout = stats.common_stats, stats.specific_stats.spout
        counts = common.emitted or 0, common.acked or 0, common.failed or 0
        found[component] = Look(now, *counts, spout.complete_latency_ms or 0.0, workers)
    for component, stats in (page.id_to_bolt_agg_stats or {}).items():
        common, bolt = stats.common_stats, stats.specific_stats.bolt
        counts = common.emitted or 0, bolt.executed or 0, common.failed or 0
        busy_percent = 100 * (bolt.capacity or 0.0)
        found[component] = Look(now, *counts, bolt.execute_latency_ms or 0.0, workers, busy_percent)
    return found


def _workers(page: Struct) -> dict[str, int]:
    return {
        joined(worker.host, worker.port): worker.uptime_secs
        for worker in page.workers or []
        if worker.uptime_secs is not None
    }
