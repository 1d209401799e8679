"""The half of the Thrift service that changes nothing: it answers from the last snapshot and the last heartbeats.

What components report as errors, and who leads, is read from ZooKeeper for each answer.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from storm.config.settings import redacted
from storm.errors import NotLeaderError, TopologyNotAliveError
from storm.ids import SYSTEM_COMPONENT
from storm.metrics.stats_records import ALL_TIME, WINDOWS
from storm.nimbus import cluster_summaries, component_pages, topology_pages
from storm.nimbus.submission import unknown
from storm.nimbus.topology_view import TopologyView, view_topology
from storm.thrift import convert
from storm.thrift.interface import storm_thrift
from storm.topology.consumer_registration import without_consumers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storm.cluster.records import ErrorInfo, NimbusInfo, SupervisorInfo
    from storm.ids import ComponentId, TopologyId
    from storm.nimbus.core import NimbusCore
    from storm.thrift.interface import Struct


class NimbusQueries:
    """Methods are named as in storm.thrift, and take and return its structs; any thread may call them."""

    def __init__(self, core: NimbusCore) -> None:
        self._core = core
        self._options = core.options
        self._clock = core.clock
        self._state = core.cluster_state
        self._election = core.election

    def getLeader(self) -> Struct:
        leader = self._election.leader()
        if leader is None:
            raise NotLeaderError("No Nimbus leads at the moment; one will be elected within seconds.")
        summary = cluster_summaries.nimbus_summary(leader, self._clock.wall_secs())
        own = self._election.info
        summary.is_answering = (leader.host, leader.port) == (own.host, own.port)
        return summary

    def getNimbusConf(self) -> str:
        return json.dumps(redacted(self._options.cluster_conf))

    def getClusterInfo(self) -> Struct:
        return storm_thrift().ClusterSummary(
            supervisors=self._supervisor_summaries(),
            topologies=self.getTopologySummaries(),
            drained=[cluster_summaries.drained_supervisor(each) for each in self._core.snapshot.drains.values()],
            nimbuses=[cluster_summaries.nimbus_summary(info, self._clock.wall_secs()) for info in self._nimbuses()],
        )

    def getTopologySummaries(self) -> list[Struct]:
        ids = self._core.snapshot.launch_order()
        return [cluster_summaries.topology_summary(self._view(topology_id)) for topology_id in ids]

    def getTopologySummary(self, id: str) -> Struct:
        return cluster_summaries.topology_summary(self._view(id))

    def getTopologySummaryByName(self, name: str) -> Struct:
        return cluster_summaries.topology_summary(self._view(self._id_of(name)))

    def getTopologyInfo(self, id: str) -> Struct:
        return self.getTopologyInfoWithOpts(id, None)

    def getTopologyInfoByName(self, name: str) -> Struct:
        return self.getTopologyInfoWithOpts(self._id_of(name), None)

    def getTopologyInfoByNameWithOpts(self, name: str, options: Struct | None) -> Struct:
        return self.getTopologyInfoWithOpts(self._id_of(name), options)

    def getTopologyInfoWithOpts(self, id: str, options: Struct | None) -> Struct:
        view = self._view(id)
        choice = storm_thrift().NumErrorsChoice
        wanted = choice.ALL if options is None or options.num_err_choice is None else options.num_err_choice
        errors: dict[ComponentId, list[ErrorInfo]] = {}
        if wanted == choice.ALL:
            errors = {component: self._state.errors(id, component) for component in self._state.error_components(id)}
        elif wanted == choice.ONE:
            errors = {component: [error] for component, error in self._last_errors(id).items()}
        if options is not None and options.host is not None:
            view = replace(view, reports=view.reports_at(options.host, options.port))
        return topology_pages.topology_info(view, errors, self._system_errors(id))

    def getTopologyPageInfo(self, id: str, window: str, is_include_sys: bool) -> Struct:
        view = self._view(id)
        last, of_system, failures = self._last_errors(id), self._system_errors(id), self._slot_failures(view)
        return topology_pages.topology_page(view, _known_window(window), is_include_sys, last, of_system, failures)

    def getComponentPageInfo(self, topology_id: str, component_id: str, window: str, is_include_sys: bool) -> Struct:
        view = self._view(topology_id)
        errors = self._state.errors(topology_id, component_id)
        return component_pages.component_page(view, component_id, _known_window(window), is_include_sys, errors)

    def getSupervisorPageInfo(self, id: str = "", host: str = "", is_include_sys: bool = False) -> Struct:
        supervisors = [
            summary for summary in self._supervisor_summaries() if summary.supervisor_id == id or summary.host == host
        ]
        views = [self._view(topology_id) for topology_id in self._core.snapshot.launch_order()]
        return cluster_summaries.supervisor_page(supervisors, views, is_include_sys)

    def getTopologyHistory(self, user: str = "") -> Struct:
        """Ids of the topologies that are there: what is gone is not remembered, and everybody may see everything."""
        return storm_thrift().TopologyHistoryInfo(topo_ids=self._core.snapshot.launch_order())

    def getOwnerResourceSummaries(self, owner: str = "") -> list[Struct]:
        """Of everybody who owns a topology, or of `owner` only."""
        views = [self._view(topology_id) for topology_id in self._core.snapshot.launch_order()]
        return cluster_summaries.owner_summaries(views, owner)

    def getComponentPendingProfileActions(self, id: str, component_id: str, action: int) -> list[Struct]:
        """Supervisors do at once what is asked of them: only a recording has an end that is pending."""
        view = self._view(id)
        if action != storm_thrift().ProfileAction.JPROFILE_STOP:
            return []
        return component_pages.recordings(view, component_id, self._supervisors_of(view))

    def getTopologyConf(self, id: str) -> str:
        return json.dumps(redacted(self._view(id).known_plan.conf))

    def getTopology(self, id: str) -> Struct:
        return convert.topology_to_thrift(self._view(id).known_plan.system)

    def getUserTopology(self, id: str) -> Struct:
        return convert.topology_to_thrift(without_consumers(self._view(id).known_plan.topology))

    def getLogConfig(self, name: str) -> Struct:
        """`name` is an id, as in Storm."""
        self._view(name)
        config = self._state.log_config(name)
        if config is None:
            return storm_thrift().LogConfig(named_logger_level={})
        return convert.log_config_to_thrift(config, self._clock.wall_secs())

    def getSupervisorAssignments(self, node: str) -> Struct:
        return storm_thrift().SupervisorAssignments(
            storm_assignment={
                topology_id: convert.assignment_to_thrift(assignment)
                for topology_id, assignment in self._core.snapshot.assignments.items()
                if any(slot.node_id == node for slot in assignment.executor_slots.values())
            }
        )

    def _view(self, topology_id: TopologyId) -> TopologyView:
        snapshot = self._core.snapshot
        if topology_id not in snapshot.bases:
            raise TopologyNotAliveError(unknown("topology", topology_id, snapshot.bases))
        view = view_topology(snapshot, self._core.heartbeats, topology_id, self._clock.wall_secs())
        return replace(view, replicas=self._core.replication.counts.get(topology_id))

    def _id_of(self, name: str) -> TopologyId:
        snapshot = self._core.snapshot
        topology_id = snapshot.id_of(name)
        if topology_id is None:
            raise TopologyNotAliveError(unknown("topology", name, (base.name for base in snapshot.bases.values())))
        return topology_id

    def _supervisor_summaries(self) -> list[Struct]:
        snapshot = self._core.snapshot
        supervisors = sorted(snapshot.supervisors.values(), key=lambda info: (info.host, info.node_id))
        heartbeats, wall_secs = self._core.heartbeats, self._clock.wall_secs()
        return [
            cluster_summaries.supervisor_summary(info, snapshot.assignments, heartbeats, wall_secs)
            for info in supervisors
        ]

    def _nimbuses(self) -> list[NimbusInfo]:
        leader = self._election.leader()
        at = None if leader is None else (leader.host, leader.port)
        return [replace(info, is_leader=(info.host, info.port) == at) for info in self._state.nimbuses()]

    def _last_errors(self, topology_id: TopologyId) -> Mapping[ComponentId, ErrorInfo]:
        found = {
            component_id: self._state.last_error(topology_id, component_id)
            for component_id in self._state.error_components(topology_id)
        }
        return {component_id: error for component_id, error in found.items() if error is not None}

    def _slot_failures(self, view: TopologyView) -> list[Struct]:
        return topology_pages.slot_failures(view, self._supervisors_of(view))

    def _supervisors_of(self, view: TopologyView) -> list[SupervisorInfo]:
        """The present records of the supervisors that the topology uses."""
        nodes = sorted({worker.slot.node_id for worker in view.workers})
        found = [self._state.supervisor(node_id) for node_id in nodes]
        return [each[0] for each in found if each is not None]

    def _system_errors(self, topology_id: TopologyId) -> list[ErrorInfo]:
        return self._state.errors(topology_id, SYSTEM_COMPONENT)


def _known_window(window: str) -> str:
    return window if window in WINDOWS else ALL_TIME
