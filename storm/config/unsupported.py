"""Keys of Apache Storm that mean nothing here: accepted with a warning, so that a storm.yaml of Storm loads."""

from __future__ import annotations

import re
from typing import NamedTuple

JVM = "there is no JVM here"
NETTY = "tuples travel over ZeroMQ; see the zmq.* keys"
KRYO = "values travel as msgpack, not by Kryo or Java serialization"
DISRUPTOR = "queues are plain batches; nothing waits or spins"
PACEMAKER = "heartbeats travel by Thrift, Pacemaker is not needed"
RESOURCES = "executors are placed evenly, not by memory and CPU"
ISOLATION = "workers are plain processes without cgroups"
JAVA_CLASS = "it names a Java class"
BLACKLIST = "supervisors are not blacklisted"
KERBEROS = "SASL and Kerberos are not supported"


class Unsupported(NamedTuple):
    """Which keys, and why they mean nothing."""

    keys: str  # a regular expression, compiled only where a key is unknown: most processes meet none
    reason: str


def _matching(pattern: str, reason: str) -> Unsupported:
    return Unsupported(pattern, reason)


UNSUPPORTED = (
    _matching(r".*\.childopts", JVM),
    _matching(r"java\.library\.path|topology\.classpath(\.beginning)?|.*\.classpath\.map|.*\.main\.map", JVM),
    _matching(r"worker\.(heap\.memory\.mb|profiler\..*|gc\..*)|topology\.worker\.(max\.heap|logwriter|gc).*", JVM),
    _matching(r"storm\.log4j2\.conf\.dir|.*log4j.*", "logs are Python's; levels are set with `storm set-log-level`"),
    _matching(r"storm\.messaging\.netty\..*", NETTY),
    _matching(r"storm\.local\.mode\.zmq", "local mode passes tuples within the process"),
    _matching(r"topology\.(kryo\..*|skip\.missing\.kryo\.registrations|fall\.back\.on\.java\.serialization)", KRYO),
    _matching(r"topology\.tuple\.(serializer|compression\..*)|storm\.meta\.serialization\.delegate", KRYO),
    _matching(r"topology\.(spout|bolt|backpressure)\.wait\..*|topology\.disruptor\..*|.*\.wait\.strategy", DISRUPTOR),
    _matching(
        r"topology\.(executor\.(send|overflow)|executor\.receive\.buffer\.overflow|receiver\.buffer)\..*", DISRUPTOR
    ),
    _matching(r"topology\.producer\.batch\.dynamic|topology\.spout\.recvq\.skips", DISRUPTOR),
    _matching(r"pacemaker\..*", PACEMAKER),
    _matching(r"topology\.component\.(resources|cpu)\..*|topology\.(priority|spread\.components|ras\..*)", RESOURCES),
    _matching(r"topology\.(shared\..*|acker\.(resources|cpu)\..*|metrics\.consumer\.(resources|cpu)\..*)", RESOURCES),
    _matching(r"topology\.scheduler\.(strategy|favored\.nodes|unfavored\.nodes)|topology\.unassigned\..*", RESOURCES),
    _matching(r"supervisor\.(resources\.map|numa\.meta)", RESOURCES),
    _matching(r"resource\.aware\.scheduler\..*|multitenant\.scheduler\..*|isolation\.scheduler\..*", RESOURCES),
    _matching(r"scheduler\.display\.resource|nimbus\.even\.rebalance\..*|storm\.network\.topography\..*", RESOURCES),
    _matching(r"storm\.(resource\.isolation\..*|cgroup\..*|worker\.(min|oci|profile).*|oci\..*)", ISOLATION),
    _matching(r"supervisor\.(worker\.launcher|enforce\..*|cgroup\..*)|storm\.supervisor\..*", ISOLATION),
    _matching(r"blacklist\.scheduler\..*", BLACKLIST),
    _matching(
        r"client\.jartransformer\.class|storm\.thrift\.transport|java\.security\..*|.*\.(kerberos|jaas).*|storm\.principal\.tolocal",
        KERBEROS,
    ),
    _matching(r"nimbus\.(impersonation\..*|autocredential\..*|credential\..*)|topology\.auto-credentials", KERBEROS),
    _matching(
        r"storm\.(group\.mapping|auth|cluster\.state\.store|zookeeper\.(topology\.auth|drpcACL|ssl)).*", KERBEROS
    ),
    _matching(
        r"storm\.(nimbus|supervisor)\.zookeeper\.acls\..*|.*\.tls\..*|storm\.messaging\..*\.authentication", KERBEROS
    ),
    _matching(
        r"(nimbus|supervisor|client)\.blobstore\.class|nimbus\.topology\.validator|storm\.messaging\.transport",
        JAVA_CLASS,
    ),
    _matching(
        r"ui\.(filter|http|header|disable|actions|project|central|bind|https).*|logviewer\.(filter|https).*", JAVA_CLASS
    ),
    _matching(r"drpc\.(http\.filter|http\.creds|https\.(?!port)|disable|invocations\.tls).*", JAVA_CLASS),
    _matching(r"storm\.metricstore\..*|storm\.metrics\.reporters|storm\.metricprocessor\.class", JAVA_CLASS),
    _matching(r"topology\.multilang\.(serializer|log\.handler)|topology\.(tuple|transactional)\.(?!id).*", JAVA_CLASS),
    _matching(
        r"topology\.(trident\.windowing|testing\.(?!always)|bolts\.(?!window|tuple|water|late|message)).*", JAVA_CLASS
    ),
    _matching(
        r"storm\.exhibitor\..*|storm\.zookeeper\.auth\.(user|password)", "name the servers; see storm.zookeeper.*"
    ),
    _matching(
        r"storm\.codedistributor\.class|nimbus\.blobstore\.expiration\.secs", "Nimbus keeps code in blobstore.dir"
    ),
    _matching(r"storm\.(blobstore\.)?dependency\..*|storm\.topology\.classpath\..*", JVM),
    _matching(r"logviewer\.appender\.name", "workers' logs are plain files"),
    _matching(r"supervisor\.supervisors(\.commands)?", "there are no such commands in Storm either"),
    _matching(r"(topology\.)?backpressure\.(enable|disruptor\..*)", "flow control is always on"),
    _matching(r"topology\.worker\.(receiver\.thread\.count|shared\.thread\.pool\.size)", DISRUPTOR),
    _matching(r"topology\.disable\.loadaware", "it is topology.disable.loadaware.messaging"),
    _matching(r"task\.heartbeat\.frequency\.secs", "worker.heartbeat.frequency.secs is the one heartbeat"),
    _matching(r"nimbus\.host", "nimbus.seeds names the hosts of Nimbus"),
    _matching(r"nimbus\.(reassign|do\.not\.reassign)", "executors of dead workers are always reassigned"),
    _matching(r"nimbus\.thrift\.tls\.port|dev\.zookeeper\.path|storm\.disable\.symlinks", "it has no counterpart here"),
    _matching(r"storm\.workers\.artifacts\.dir", "workers' logs are in workers-artifacts/ in storm.log.dir"),
)


def reason_unsupported(key: str) -> str | None:
    """Why a key of Storm means nothing here, or None where it is not such a key."""
    for entry in UNSUPPORTED:
        if re.fullmatch(entry.keys, key):
            return entry.reason
    return None
