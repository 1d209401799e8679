"""What a supervisor shows to Prometheus, of itself and of its workers, and whether it does its work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storm.cluster.storage import ConnectionState
from storm.exposition.call_times import CallTimes
from storm.metrics.families import WORKER
from storm.metrics.series import Series, decode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from storm.clock import Clock
    from storm.supervisor.core import SupervisorCore
    from storm.supervisor.nimbus_link import HeartbeatForwarder
    from storm.supervisor.options import SupervisorOptions


class SupervisorMeasures:
    """Any thread may call it."""

    def __init__(
        self, core: SupervisorCore, forwarder: HeartbeatForwarder, options: SupervisorOptions, clock: Clock
    ) -> None:
        self._core = core
        self._forwarder = forwarder
        self._options = options
        self._clock = clock
        self.zookeeper = CallTimes()

    def connection_changed(self, state: ConnectionState) -> None:
        """With ZooKeeper."""
        if state is ConnectionState.LOST:
            self.zookeeper.session_lost()

    def problem(self) -> str:
        """What keeps the supervisor from its work, as a sentence; empty: nothing. Workers run on all the same."""
        core = self._core
        if core.illness:
            return f"This host is ill, and runs no workers: {core.illness}"
        if core.is_out_of_reach:
            return "ZooKeeper cannot be reached; its workers run on."
        if not core.is_synced():
            return "It does not know yet what it should run."
        return "" if self._forwarder.is_taken else "Nimbus does not take heartbeats; its workers run on."

    def series(self) -> Iterator[Series]:
        """All of `storm.metrics.families.SUPERVISOR` that there are now."""
        core, options, now = self._core, self._options, self._clock.now()
        info = {"supervisor": options.node_id, "host": options.host, "version": options.version}
        yield Series("storm_supervisor_info", info, 1)
        yield Series("storm_supervisor_slots", {}, len(options.slot_ports))
        yield Series("storm_supervisor_workers", {}, len(core.slots.running()))
        yield Series("storm_supervisor_failing_slots", {}, len(core.slots.failing(now)))
        yield Series("storm_supervisor_well", {}, int(not core.illness))
        yield Series("storm_supervisor_zookeeper_up", {}, int(not core.is_out_of_reach))
        yield Series("storm_supervisor_nimbus_up", {}, int(self._forwarder.is_taken))
        yield from core.slots.counts.series()
        yield from self.zookeeper.series()
        for port, (topology_id, text, beat_at) in sorted(core.beats.measured().items()):
            labels = {"topology": topology_id, "port": str(port)}
            yield Series("storm_worker_heartbeat_age_seconds", labels, max(0.0, now - beat_at))
            for name, own, value in decode(text):
                if name in WORKER:
                    yield Series(name, {**own, **labels}, value)
