"""The two sets of timers: `short` for quick runs, `default` as they are delivered.

`short` scales down what decides how long a fault lasts before somebody acts: heartbeats 1 s, a silent worker 5 s,
silent executors 6 s, ZooKeeper's session 4 s (the least that its tick of 2 s allows), a tuple tree 5 s.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Timers(NamedTuple):
    """Seconds. `gap_secs`: between the end of one fault and the next; `grace_secs`: to be well again after the last."""

    name: str
    settings: dict[str, Any]  # of daemons
    conf: dict[str, Any]  # of topologies
    worker_secs: float
    executor_secs: float
    session_secs: float
    message_secs: float
    gap_secs: tuple[float, float]
    grace_secs: float


PENDING_MAX = 200  # of each spout task: it bounds what may come twice

SHORT = Timers(
    "short",
    {
        "storm.zookeeper.session.timeout": 4_000,
        "nimbus.task.timeout.secs": 6,
        "nimbus.monitor.freq.secs": 1,
        "nimbus.task.launch.secs": 20,
        "supervisor.heartbeat.frequency.secs": 1,
        "supervisor.worker.timeout.secs": 5,
        "supervisor.worker.start.timeout.secs": 20,
        "supervisor.worker.shutdown.sleep.secs": 1,
        "task.refresh.poll.secs": 2,
    },
    {"topology.message.timeout.secs": 5, "topology.max.spout.pending": PENDING_MAX},
    worker_secs=5.0,
    executor_secs=6.0,
    session_secs=4.0,
    message_secs=5.0,
    gap_secs=(3.0, 6.0),
    grace_secs=30.0,
)

DEFAULT = Timers(
    "default",
    {},
    {"topology.max.spout.pending": PENDING_MAX},
    worker_secs=30.0,
    executor_secs=30.0,
    session_secs=20.0,
    message_secs=30.0,
    gap_secs=(6.0, 14.0),
    grace_secs=180.0,
)


def patient(timers: Timers, executor_secs: int) -> Timers:
    """The same, with executors that may be silent at least for so long."""
    if timers.executor_secs >= executor_secs:
        return timers
    return timers._replace(
        settings={**timers.settings, "nimbus.task.timeout.secs": executor_secs}, executor_secs=executor_secs
    )


def within_session(timers: Timers) -> tuple[float, float]:
    """The shortest and the longest that a fault lasts, as in those below: sessions outlive it."""
    return 0.3 * timers.session_secs, 0.6 * timers.session_secs


def past_session(timers: Timers) -> tuple[float, float]:
    """Sessions end meanwhile."""
    return 1.5 * timers.session_secs, 2.5 * timers.session_secs


def past_reassignment(timers: Timers) -> tuple[float, float]:
    """Whatever Nimbus hears nothing of, neither by a session nor by heartbeats, is assigned anew meanwhile."""
    longest = timers.session_secs + timers.executor_secs
    return 1.2 * longest, 1.5 * longest


BY_NAME = {timers.name: timers for timers in (SHORT, DEFAULT)}
