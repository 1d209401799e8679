"""Keys that are taken, and checked, and that nothing heeds: whoever sets one is told what counts instead.

A key that gets an effect is taken out of here; `tests/config/test_without_effect.py` compares with what the code reads.
"""

from __future__ import annotations

from typing import Any

from storm.config.options import OPTIONS

NOBODY_KNOWN = "callers are not authenticated, so whoever reaches a port may do everything"
NO_DRPC = "there is no DRPC"
NO_STATE = "bolts keep their state themselves"
NO_WINDOWS = "there are no windows; a bolt makes its own of ticks"
ONE_LANGUAGE = "components are written in Python"
OWN_PAUSES = "who asks again does so with growing pauses of its own"
AT_ONCE = "nothing waits for it: it is done at once"
PROMETHEUS = "Prometheus asks for them; see nimbus.metrics.port and supervisor.metrics.port"
EVEN = "shuffle is even, and waits for tasks that are full"

_KEYS = {
    NOBODY_KNOWN: """
        nimbus.admins nimbus.admins.groups nimbus.users nimbus.groups nimbus.supervisor.users nimbus.daemon.users
        nimbus.authorizer ui.users ui.groups logs.users logs.groups topology.users topology.groups
        topology.readonly.users topology.readonly.groups storm.zookeeper.superACL storm.blobstore.acl.validation.enabled
    """,
    NO_DRPC: """
        drpc.servers drpc.port drpc.invocations.port drpc.http.port drpc.https.port drpc.worker.threads drpc.queue.size
        drpc.invocations.threads drpc.max_buffer_size drpc.request.timeout.secs drpc.authorizer
        drpc.authorizer.acl.filename drpc.authorizer.acl.strict
    """,
    NO_STATE: """
        topology.state.provider topology.state.provider.config topology.state.checkpoint.interval.ms
        topology.state.synchronization.timeout.secs topology.trident.batch.emit.interval.millis
        topology.transactional.id transactional.zookeeper.root transactional.zookeeper.servers
        transactional.zookeeper.port
    """,
    NO_WINDOWS: """
        topology.bolts.window.length.count topology.bolts.window.length.duration.ms
        topology.bolts.window.sliding.interval.count topology.bolts.window.sliding.interval.duration.ms
        topology.bolts.tuple.timestamp.field.name topology.bolts.tuple.timestamp.max.lag.ms
        topology.bolts.watermark.event.interval.ms topology.bolts.late.tuple.stream topology.bolts.message.id.field.name
    """,
    ONE_LANGUAGE: "topology.shellbolt.max.pending topology.subprocess.timeout.secs",
    OWN_PAUSES: """
        storm.zookeeper.retry.times storm.zookeeper.retry.interval storm.zookeeper.retry.intervalceiling.millis
        storm.zookeeper.connection.timeout storm.nimbus.retry.times storm.nimbus.retry.interval.millis
        storm.nimbus.retry.intervalceiling.millis storm.thrift.socket.timeout.ms
        supervisor.blobstore.download.max_retries
    """,
    AT_ONCE: """
        nimbus.code.sync.freq.secs nimbus.assignments.service.threads nimbus.assignments.service.thread.queue.size
        supervisor.localizer.update.blob.interval.secs supervisor.monitor.frequency.secs
        worker.blob.update.poll.interval.secs worker.log.level.reset.poll.secs
    """,
    PROMETHEUS: """
        storm.daemon.metrics.reporter.interval.secs storm.daemon.metrics.reporter.plugins topology.metrics.reporters
        storm.cluster.metrics.consumer.register storm.cluster.metrics.consumer.publish.interval.secs
    """,
    EVEN: """
        topology.disable.loadaware.messaging topology.localityaware.higher.bound topology.localityaware.lower.bound
    """,
    "heartbeats carry metrics, every 10 s": "executor.metrics.frequency.secs",
    "metrics consumers get components' metrics always": """
        topology.enable.v2.metrics.tick topology.v2.metrics.tick.interval.seconds
    """,
    "batches adapt themselves": "topology.transfer.batch.size topology.producer.batch.size",
    "times are taken of every batch": "topology.stats.sample.rate",
    "the windows' parts are fixed": "num.stat.buckets",
    "workers do that (storm debug)": "topology.eventlogger.executors",
    "workers run as the user of their supervisor": "supervisor.run.worker.as.user",
    "a supervisor is used as long as ZooKeeper has its session": "nimbus.supervisor.timeout.secs",
    "a new leader waits for nimbus.task.timeout.secs": "supervisor.worker.heartbeats.max.timeout.secs",
    "topologies have no credentials": "task.credentials.poll.secs",
    "uploads that nobody submits are removed after nimbus.file.copy.expiration.secs": """
        nimbus.cleanup.inbox.freq.secs nimbus.inbox.jar.expiration.secs
    """,
    "unused code is removed after supervisor.localizer.cleanup.interval.ms": """
        supervisor.localizer.cache.target.size.mb
    """,
    "the number of calls is limited by threads": "supervisor.queue.size",
    "a download comes in pieces of a fixed size": "storm.blobstore.inputstream.buffer.size.bytes",
    "`storm local` is another command": "storm.cluster.mode",
    "it names a Java class": "storm.topology.submission.notifier.plugin.class",
    "the pages have their own": "ui.title ui.pagination",
}

WITHOUT_EFFECT: dict[str, str] = {key: reason for reason, keys in _KEYS.items() for key in keys.split()}


def warning_of(key: str, value: Any) -> str | None:
    """What to tell whoever sets a key to this value, a sentence; None: nothing, it counts, or it is the default."""
    reason = WITHOUT_EFFECT.get(key)
    if reason is None or value == OPTIONS[key].default:
        return None
    return f"{key} has no effect: {reason}"
