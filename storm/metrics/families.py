"""Every family of figures that daemons show to Prometheus: its name, what it is, its labels.

docs/metrics.md lists them. Names follow Prometheus: counters end in `_total`, times are in seconds. What workers
measure gets the labels `topology` (its id) and `port` (the worker's) from their supervisor.
"""

from __future__ import annotations

from typing import NamedTuple

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"
WORKER_LABELS = ("topology", "port")


class Family(NamedTuple):
    """`labels` in the order in which they are shown."""

    kind: str
    help: str
    labels: tuple[str, ...] = ()


_WORKER = {
    "storm_worker_uptime_seconds": Family(GAUGE, "How long the worker has run."),
    "storm_worker_resident_bytes": Family(GAUGE, "The memory of the worker's process."),
    "storm_worker_cpu_seconds_total": Family(COUNTER, "The CPU time of the worker's process."),
    "storm_worker_collections_total": Family(COUNTER, "Runs of Python's garbage collector.", ("generation",)),
    "storm_worker_full_tasks": Family(GAUGE, "Tasks, here and elsewhere, for which spouts of this worker wait."),
    "storm_worker_peers": Family(GAUGE, "Workers that it is connected to."),
    "storm_worker_missing_peers": Family(GAUGE, "Workers of the topology that it has not heard of."),
    "storm_worker_reconnects_total": Family(COUNTER, "Connections to peers made anew."),
    "storm_worker_frames_sent_total": Family(COUNTER, "Frames sent to other workers."),
    "storm_worker_tuples_received_total": Family(COUNTER, "Tuples that came from other workers."),
    "storm_worker_send_queue_length": Family(GAUGE, "Tuples and acks that wait to be sent to other workers."),
    "storm_worker_dropped_total": Family(COUNTER, "What was dropped before sending, or on arrival.", ("reason",)),
    "storm_worker_series_left_out": Family(GAUGE, "Series that had no room in the worker's message."),
    "storm_component_emitted_total": Family(COUNTER, "Tuples emitted, one per emit.", ("component", "stream")),
    "storm_component_transferred_total": Family(
        COUNTER, "Tuples emitted, one per task that got it.", ("component", "stream")
    ),
    "storm_component_executors": Family(GAUGE, "Its executors in this worker.", ("component",)),
    "storm_component_queue_length": Family(GAUGE, "Tuples that wait for its tasks.", ("component",)),
    "storm_spout_acked_total": Family(COUNTER, "Trees that were processed.", ("component", "stream")),
    "storm_spout_failed_total": Family(COUNTER, "Trees that failed.", ("component", "stream")),
    "storm_spout_failures_total": Family(
        COUNTER, "Trees that failed, by what they failed of.", ("component", "stream", "reason")
    ),
    "storm_spout_complete_seconds": Family(
        HISTOGRAM, "Time from a spout's emit to its ack.", ("component", "stream")
    ),
    "storm_spout_skipped_seconds_total": Family(
        COUNTER, "Time in which it was not asked for tuples, and why.", ("component", "reason")
    ),
    "storm_spout_pending": Family(GAUGE, "Trees under way.", ("component",)),
    "storm_bolt_executed_total": Family(COUNTER, "Tuples executed.", ("component", "source", "stream")),
    "storm_bolt_acked_total": Family(COUNTER, "Tuples acked.", ("component", "source", "stream")),
    "storm_bolt_failed_total": Family(COUNTER, "Tuples failed.", ("component", "source", "stream")),
    "storm_bolt_execute_seconds": Family(HISTOGRAM, "Time in execute.", ("component", "source", "stream")),
    "storm_bolt_process_seconds": Family(
        HISTOGRAM, "Time from receipt to ack, of samples.", ("component", "source", "stream")
    ),
    "storm_bolt_capacity": Family(GAUGE, "The share of time that its busiest executor was in execute.", ("component",)),
    "storm_bolt_unsettled": Family(GAUGE, "Tuples executed or awaited, neither acked nor failed yet.", ("component",)),
    "storm_metric_count_total": Family(COUNTER, "Counters and meters of components.", ("component", "name")),
    "storm_metric_value": Family(GAUGE, "Gauges of components.", ("component", "name", "task")),
    "storm_metric_distribution": Family(HISTOGRAM, "Histograms of components.", ("component", "name")),
    "storm_metric_seconds": Family(HISTOGRAM, "Timers of components.", ("component", "name")),
}  # fmt: skip

_ZOOKEEPER = {
    "storm_zookeeper_call_seconds": Family(HISTOGRAM, "Calls to ZooKeeper, with their repetitions."),
    "storm_zookeeper_failures_total": Family(COUNTER, "Calls to ZooKeeper that it did not answer, or refused."),
    "storm_zookeeper_sessions_lost_total": Family(COUNTER, "Sessions with ZooKeeper that ended unasked."),
}

_SUPERVISOR = {
    "storm_supervisor_info": Family(GAUGE, "Which supervisor this is.", ("supervisor", "host", "version")),
    "storm_supervisor_slots": Family(GAUGE, "Its slots."),
    "storm_supervisor_workers": Family(GAUGE, "Workers that there are."),
    "storm_supervisor_failing_slots": Family(GAUGE, "Slots whose worker died lately."),
    "storm_supervisor_well": Family(GAUGE, "1 while the host's health scripts find nothing wrong, else 0."),
    "storm_supervisor_zookeeper_up": Family(GAUGE, "1 while ZooKeeper answers, else 0."),
    "storm_supervisor_nimbus_up": Family(GAUGE, "1 while Nimbus takes heartbeats, else 0."),
    "storm_supervisor_worker_launches_total": Family(
        COUNTER, "Workers started, by the topology's name.", ("topology",)
    ),
    "storm_supervisor_worker_deaths_total": Family(
        COUNTER, "Workers that ended, or did not start, unasked, by the topology's name.", ("topology", "reason")
    ),
    "storm_worker_heartbeat_age_seconds": Family(GAUGE, "Since the worker's last heartbeat.", WORKER_LABELS),
    **_ZOOKEEPER,
}

NIMBUS = {
    "storm_nimbus_info": Family(GAUGE, "Which Nimbus this is.", ("host", "version")),
    "storm_nimbus_leader": Family(GAUGE, "1 while it leads, else 0."),
    "storm_nimbus_failed_steps_total": Family(COUNTER, "Rounds that could not be done, and are tried again."),
    "storm_nimbus_step_age_seconds": Family(GAUGE, "Since its last round that was done."),
    "storm_nimbus_supervisors": Family(GAUGE, "Supervisors that are there."),
    "storm_nimbus_slots": Family(GAUGE, "Slots of all supervisors."),
    "storm_nimbus_slots_used": Family(GAUGE, "Slots that are assigned."),
    "storm_nimbus_silent_workers": Family(GAUGE, "Assigned workers that do not beat, or not for long."),
    "storm_nimbus_topologies": Family(GAUGE, "Topologies.", ("status",)),
    "storm_topology_workers": Family(GAUGE, "Workers that it is assigned.", ("topology",)),
    "storm_topology_workers_wanted": Family(GAUGE, "Workers that it asks for.", ("topology",)),
    "storm_topology_executors": Family(GAUGE, "Its executors.", ("topology",)),
    "storm_topology_executors_assigned": Family(GAUGE, "Its executors that have a slot.", ("topology",)),
    **_ZOOKEEPER,
}

LOGVIEWER = {
    "storm_logviewer_requests_total": Family(COUNTER, "Requests answered.", ("status",)),
    "storm_logviewer_request_seconds": Family(HISTOGRAM, "Time from a request's head to the end of its answer."),
    "storm_logviewer_searches": Family(GAUGE, "Searches that are under way."),
}

#: Families that workers measure, as their supervisor shows them.
WORKER = {name: family._replace(labels=WORKER_LABELS + family.labels) for name, family in _WORKER.items()}
SUPERVISOR = {**_SUPERVISOR, **WORKER}
#: What prometheus_client tells of every daemon's process.
PROCESS = (
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_virtual_memory_bytes",
)


def shown_names(families: dict[str, Family]) -> set[str]:
    """The names of all samples of these families."""
    found = set()
    for name, family in families.items():
        if family.kind == HISTOGRAM:
            found |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"}
        else:
            found.add(name)
    return found
