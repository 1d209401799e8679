"""Every key of the configuration, under Storm's name where it means the same; `topology_options` has the topologies'.

A default is Storm's own unless its text says otherwise. The texts are printed into conf/storm.yaml.
"""

from __future__ import annotations

import os

from storm.config.option_types import Bool, Choice, FilePath, Int, Json, ListOf, MapOf, Number, Option, Text
from storm.config.topology_options import TOPOLOGY_SECTIONS

PORT = Int(1, 65_535)
ANY_PORT = Int(0, 65_535)
HOSTS = ListOf(Text(), least=1)
NAMES = ListOf(Text())
SLOTS_LEAST = 4
FIRST_SLOT_PORT = 6700


def default_slot_ports(cores: int) -> list[int]:
    """One worker a core and at least Storm's four: a worker is one process, and one process uses about one core."""
    return list(range(FIRST_SLOT_PORT, FIRST_SLOT_PORT + max(SLOTS_LEAST, cores)))


CLUSTER = (
    Option(
        "storm.local.dir",
        FilePath(),
        "~/.storm/local",
        "Where a daemon keeps its state and the code of topologies. One directory a daemon.",
    ),
    Option(
        "storm.log.dir",
        FilePath(),
        None,
        "Where logs go; workers' under workers-artifacts/. null: logs/ in storm.local.dir.",
    ),
    Option(
        "storm.local.hostname",
        Text(),
        None,
        "The name that others reach this host by. null: what the host calls itself.",
    ),
    Option(
        "storm.security.insecure",
        Bool(),
        False,
        "false: daemons and workers listen on 127.0.0.1 only, so all run on one machine. true: they listen on every "
        "address, and whoever reaches a port can run code here: only in a network that you trust.",
    ),
    Option("storm.cluster.mode", Choice(("distributed", "local")), "distributed", "local: one process, for tests."),
    Option("storm.zookeeper.servers", HOSTS, ["localhost"], "The hosts of the ZooKeeper ensemble."),
    Option("storm.zookeeper.port", PORT, 2181, "The port of every ZooKeeper server."),
    Option("storm.zookeeper.root", Text("/"), "/storm", "The node under which all state of this cluster lies."),
    Option(
        "storm.zookeeper.session.timeout",
        Int(1000),
        20_000,
        "How long ZooKeeper keeps the session of a silent daemon.",
        "ms",
    ),
    Option("storm.zookeeper.connection.timeout", Int(100), 15_000, "How long one attempt to connect may take.", "ms"),
    Option("storm.zookeeper.retry.times", Int(0, 100), 5, "How often a request to ZooKeeper is repeated."),
    Option("storm.zookeeper.retry.interval", Int(1), 1000, "The wait before the first repetition; it doubles.", "ms"),
    Option("storm.zookeeper.retry.intervalceiling.millis", Int(1), 30_000, "The longest such wait.", "ms"),
    Option("storm.zookeeper.auth.scheme", Text(), None, "How daemons prove to ZooKeeper who they are, such as digest."),
    Option("storm.zookeeper.auth.payload", Text(), None, "The proof, user:password for digest.", secret=True),
    Option("storm.zookeeper.superACL", Text(), None, "Who else may do everything, scheme:id."),
    Option("storm.thrift.socket.timeout.ms", Int(100), 600_000, "How long a client waits for a Thrift answer.", "ms"),
    Option("storm.nimbus.retry.times", Int(0, 100), 5, "How often a client repeats a call that did not get through."),
    Option(
        "storm.nimbus.retry.interval.millis", Int(1), 2000, "The wait before the first repetition; it doubles.", "ms"
    ),
    Option("storm.nimbus.retry.intervalceiling.millis", Int(1), 60_000, "The longest such wait.", "ms"),
    Option("storm.health.check.dir", FilePath(), None, "Scripts that tell whether this host is healthy. null: none."),
    Option("storm.health.check.timeout.ms", Int(1), 5000, "How long such a script may take.", "ms"),
    Option("storm.health.check.fail.on.timeouts", Bool(), True, "Whether a script that takes longer means ill."),
)

NIMBUS = (
    Option("nimbus.seeds", HOSTS, ["localhost"], "The hosts that are asked for the leading Nimbus."),
    Option("nimbus.thrift.port", PORT, 6627, "Nimbus's Thrift port."),
    Option(
        "nimbus.metrics.port",
        ANY_PORT,
        9627,
        "Where Nimbus shows /health and /metrics, for Prometheus. null: nowhere; 0: any free port. (Not in Storm.)",
        nullable=True,
    ),
    Option("nimbus.thrift.threads", Int(1, 1024), 64, "How many calls are served at once."),
    Option(
        "nimbus.thrift.max_buffer_size",
        Int(65_536),
        16_777_216,
        "The largest Thrift message that is taken; less than the default counts as the default.",
        "bytes",
    ),
    Option("nimbus.queue.size", Int(1), 100_000, "How many calls may wait."),
    Option(
        "nimbus.task.timeout.secs",
        Int(1),
        30,
        "An executor that has been silent so long is given to another slot.",
        "s",
    ),
    Option("nimbus.supervisor.timeout.secs", Int(1), 60, "A supervisor that has been silent so long is not used.", "s"),
    Option(
        "nimbus.monitor.freq.secs", Int(1), 10, "How often assignments are looked over and remains cleaned up.", "s"
    ),
    Option(
        "nimbus.stuck.secs",
        Int(0),
        300,
        "A Nimbus that has stood still so long, as on a disk that hangs, ends, so that another one leads. 0: never.",
        "s",
    ),
    Option("nimbus.task.launch.secs", Int(1), 120, "How long a newly assigned executor may take to report.", "s"),
    Option(
        "nimbus.cleanup.inbox.freq.secs", Int(1), 600, "How often uploads that nobody submitted are looked for.", "s"
    ),
    Option("nimbus.inbox.jar.expiration.secs", Int(1), 3600, "How old such an upload may grow.", "s"),
    Option("nimbus.file.copy.expiration.secs", Int(1), 600, "How long an upload or download may stand still.", "s"),
    Option(
        "nimbus.code.sync.freq.secs",
        Int(1),
        120,
        "How often a Nimbus looks for code that it lacks.",
        "s",
    ),
    Option(
        "nimbus.topology.blobstore.deletion.delay.ms",
        Int(0),
        300_000,
        "How long code without a topology is kept: a submission may be under way. Code of topologies that ZooKeeper "
        "has lost is kept for 7 days.",
        "ms",
    ),
    Option("nimbus.slots.perTopology", Int(1), None, "The most workers that one topology may ask for. null: no limit."),
    Option(
        "nimbus.executors.perTopology", Int(1), None, "The most executors that one topology may have. null: no limit."
    ),
    Option(
        "nimbus.upload.max.bytes",
        Int(1024, 2**40),
        512 * 2**20,
        "The largest topology package, and the largest blob. (Not in Storm.)",
        "bytes",
    ),
    Option("nimbus.assignments.service.threads", Int(1, 256), 10, "Threads that tell supervisors of new assignments."),
    Option("nimbus.assignments.service.thread.queue.size", Int(1), 100, "How many such messages may wait."),
    Option("nimbus.admins", NAMES, [], "Users who may do everything."),
    Option("nimbus.admins.groups", NAMES, [], "Groups whose members may do everything."),
    Option("nimbus.users", NAMES, [], "Users who may submit. Empty: everybody."),
    Option("nimbus.groups", NAMES, [], "Groups whose members may submit. Empty: everybody."),
    Option("nimbus.supervisor.users", NAMES, [], "Users that supervisors run as."),
    Option("nimbus.daemon.users", NAMES, [], "Users that other daemons run as."),
    Option("nimbus.authorizer", Text(), None, "Who decides what a caller may do. null: everybody may do everything."),
    Option("storm.scheduler", Text(), "even", "Which scheduler places executors. (Storm names a Java class.)"),
    Option("storm.topology.submission.notifier.plugin.class", Text(), None, "A hook called on submissions and kills."),
    Option("blobstore.dir", FilePath(), None, "Where Nimbus keeps code. null: blobs/ in storm.local.dir."),
    Option(
        "storm.blobstore.replication.factor",
        Int(1, 100),
        3,
        "On how many of the Nimbuses that live a blob must be before its creation or update is answered. Every Nimbus "
        "fetches every blob, and the code of every topology.",
    ),
    Option("storm.blobstore.acl.validation.enabled", Bool(), False, "Whether blobs have owners that matter."),
    Option(
        "storm.blobstore.inputstream.buffer.size.bytes",
        Int(1024),
        65_536,
        "The size of a piece in a download.",
        "bytes",
    ),
    Option(
        "topology.min.replication.count",
        Int(1),
        1,
        "On how many Nimbus hosts code must be before a submission is answered and its topology starts.",
    ),
    Option(
        "topology.max.replication.wait.time.sec",
        Int(-1),
        60,
        "How long to wait for that, then it starts with as many as there are; -1: for ever.",
        "s",
    ),
)

SUPERVISOR = (
    Option(
        "supervisor.metrics.port",
        ANY_PORT,
        9628,
        "Where a supervisor shows /health and /metrics of itself and its workers, for Prometheus. null: nowhere; 0: "
        "any free port. (Not in Storm.)",
        nullable=True,
    ),
    Option(
        "supervisor.slots.ports",
        ListOf(PORT, least=1, unique=True),
        default_slot_ports(os.cpu_count() or 1),
        "One worker process runs on each of these ports. The default has as many as the machine has cores, and four "
        "(Storm's number) at least.",
        shown_default="[6700, 6701, 6702, 6703]",
    ),
    Option("supervisor.thrift.port", Int(0, 65_535), 6628, "The supervisor's Thrift port. 0: any free one."),
    Option("supervisor.thrift.threads", Int(1, 1024), 16, "How many calls are served at once."),
    Option("supervisor.queue.size", Int(1), 128, "How many calls may wait."),
    Option("supervisor.thrift.socket.timeout.ms", Int(100), 5000, "How long a caller waits for its answer.", "ms"),
    Option("supervisor.heartbeat.frequency.secs", Int(1), 5, "How often it says that it lives.", "s"),
    Option(
        "supervisor.monitor.frequency.secs", Int(1), 3, "How often it looks at its slots when nothing wakes it.", "s"
    ),
    Option(
        "supervisor.worker.start.timeout.secs", Int(1), 120, "How long a worker may take to its first heartbeat.", "s"
    ),
    Option("supervisor.worker.timeout.secs", Int(1), 30, "A worker that has been silent so long is killed.", "s"),
    Option("worker.max.timeout.secs", Int(1), 600, "The most that topology.worker.timeout.secs may ask for.", "s"),
    Option("supervisor.worker.shutdown.sleep.secs", Int(0), 3, "How long a worker may take to end when asked to.", "s"),
    Option(
        "supervisor.worker.heartbeats.max.timeout.secs",
        Int(1),
        600,
        "How long a new leader of Nimbus waits for every supervisor to report.",
        "s",
    ),
    Option("supervisor.enable", Bool(), True, "false: it runs no workers."),
    Option(
        "supervisor.memory.capacity.mb",
        Number(1),
        None,
        "How much memory its workers may use, for people: nothing is placed by it. null: what the machine has, or its "
        "control group allows. (Storm: 4096.)",
        "MB",
    ),
    Option(
        "supervisor.cpu.capacity",
        Number(1),
        None,
        "The same of CPU, 100 for each core. null: all cores, or what its control group allows. (Storm: 400.)",
        "percent of a core",
    ),
    Option(
        "supervisor.scheduler.meta",
        MapOf(Text()),
        {},
        "Facts about this host that schedulers see: its tags, as `tags: gpu, ssd`, and others, as `zone: east`. "
        "topology.scheduler.tags asks for them.",
    ),
    Option(
        "supervisor.blobstore.download.thread.count",
        Int(1, 64),
        5,
        "How many downloads run at once, of code and of blobs.",
    ),
    Option("supervisor.blobstore.download.max_retries", Int(0, 100), 3, "How often a download is repeated."),
    Option(
        "supervisor.environments.keep.secs",
        Int(0),
        3600,
        "How long an environment (docs/packages.md) is kept that no topology here uses. (Not in Storm.)",
        "s",
    ),
    Option(
        "supervisor.environments.build.timeout.secs",
        Int(1),
        600,
        "How long building an environment may take. (Not in Storm.)",
        "s",
    ),
    Option("supervisor.localizer.cache.target.size.mb", Int(1), 10_240, "How much downloaded code is kept.", "MB"),
    Option(
        "supervisor.localizer.cleanup.interval.ms",
        Int(1),
        30_000,
        "How long a version of a blob is kept that no worker uses any more.",
        "ms",
    ),
    Option(
        "supervisor.localizer.update.blob.interval.secs",
        Int(1),
        30,
        "How often it looks for changed blobs.",
        "s",
    ),
    Option("supervisor.run.worker.as.user", Bool(), False, "Whether a worker runs as the user who submitted."),
)

WORKER = (
    Option("worker.heartbeat.frequency.secs", Int(1), 1, "How often a worker tells its supervisor that it lives.", "s"),
    Option(
        "task.refresh.poll.secs", Int(1), 10, "How often it reads its assignment and status when nothing wakes it.", "s"
    ),
    Option("task.credentials.poll.secs", Int(1), 30, "How often it reads its topology's credentials.", "s"),
    Option(
        "worker.log.level.reset.poll.secs",
        Int(1),
        30,
        "How often it looks for log levels whose time is over.",
        "s",
    ),
    Option("worker.blob.update.poll.interval.secs", Int(1), 10, "How often it looks for changed blobs.", "s"),
    Option("executor.metrics.frequency.secs", Int(1), 60, "How often heartbeats carry metrics.", "s"),
    Option("num.stat.buckets", Int(1, 1000), 20, "Into how many parts each window of the statistics is cut."),
    Option("zmq.threads", Int(1, 64), 1, "ZeroMQ's I/O threads of a worker."),
    Option("zmq.linger.millis", Int(0), 5000, "How long a closing worker goes on sending.", "ms"),
    Option("zmq.hwm", Int(1), 64, "How many batches may wait for one peer. (Storm 0.9: 0, without limit.)", "batches"),
    Option(
        "storm.messaging.max.message.bytes",
        Int(2 * 2**20),  # an answer about 65,536 trees takes half of it
        16 * 2**20,
        "The largest batch that a worker takes. (Not in Storm.)",
        "bytes",
    ),
)

DRPC = (
    Option("drpc.servers", NAMES, [], "The hosts of the DRPC servers."),
    Option("drpc.port", PORT, 3772, "Where clients call."),
    Option("drpc.invocations.port", PORT, 3773, "Where topologies fetch requests."),
    Option("drpc.http.port", PORT, 3774, "Where clients call over HTTP."),
    Option("drpc.https.port", Int(-1, 65_535), -1, "The same with TLS; -1: not."),
    Option("drpc.worker.threads", Int(1, 1024), 64, "How many calls are served at once."),
    Option("drpc.queue.size", Int(1), 128, "How many calls may wait."),
    Option("drpc.invocations.threads", Int(1, 1024), 64, "How many fetches are served at once."),
    Option("drpc.max_buffer_size", Int(65_536), 1_048_576, "The largest message that is taken.", "bytes"),
    Option("drpc.request.timeout.secs", Int(1), 600, "How long a caller waits for an answer.", "s"),
    Option("drpc.authorizer", Text(), None, "Who decides what a caller may do. null: everybody may call."),
    Option("drpc.authorizer.acl.filename", FilePath(), None, "The file of who may call what. null: there is none."),
    Option("drpc.authorizer.acl.strict", Bool(), False, "Whether functions that it does not name are refused."),
)

UI = (
    Option(
        "ui.host",
        Text(),
        "127.0.0.1",
        "The address that the UI listens on; other than loopback only with storm.security.insecure. (Storm: 0.0.0.0.)",
    ),
    Option("ui.port", PORT, 8080, "The UI's port."),
    Option(
        "ui.allowed.hosts",
        NAMES,
        [],
        "Names besides the host's own by which browsers may call the UI, the log viewer and the ports of /metrics, "
        "such as a proxy's. (Not in Storm.)",
    ),
    Option("ui.title", Text(), "Storm UI", "What stands at the top of its pages."),
    Option("ui.pagination", Int(1, 10_000), 20, "Rows of a table on one page.", "rows"),
    Option("ui.users", NAMES, [], "Users who may see the UI. Empty: everybody."),
    Option("ui.groups", NAMES, [], "Groups whose members may see the UI. Empty: everybody."),
    Option(
        "logviewer.embedded",
        Bool(),
        True,
        "Whether a supervisor's process is its host's log viewer too. false: `storm logviewer` may run beside it. "
        "(Not in Storm.)",
    ),
    Option(
        "logviewer.host",
        Text(),
        None,
        "The address that the log viewer listens on; other than loopback only with storm.security.insecure. null: "
        "loopback, and every address with storm.security.insecure. (Not in Storm.)",
    ),
    Option("logviewer.port", PORT, 8000, "The log viewer's port, on every supervisor."),
    Option("logviewer.cleanup.age.mins", Int(1), 10_080, "Logs of dead workers older than this are removed.", "min"),
    Option(
        "logviewer.cleanup.interval.secs",
        Int(1),
        600,
        "How often logs are looked over; null: never. (Storm: null.)",
        "s",
        nullable=True,
    ),
    Option(
        "logviewer.max.sum.worker.logs.size.mb",
        Int(1),
        4096,
        "How much the logs of all workers of a host may take: the oldest go, never what a living worker writes to.",
        "MB",
    ),
    Option("logviewer.max.per.worker.logs.size.mb", Int(1), 2048, "How much one worker's logs may take.", "MB"),
    Option("logs.users", NAMES, [], "Users who may read workers' logs. Empty: everybody."),
    Option("logs.groups", NAMES, [], "Groups whose members may read workers' logs. Empty: everybody."),
    Option(
        "storm.metrics.host",
        Text(),
        "127.0.0.1",
        "The address on which Nimbus and supervisors show /health and /metrics, so that Prometheus on another host "
        "reaches them: it sees the names of topologies, and can change nothing. (Not in Storm.)",
    ),
    Option(
        "storm.daemon.metrics.reporter.interval.secs", Number(0.1), 10, "How often daemons report their metrics.", "s"
    ),
    Option("storm.daemon.metrics.reporter.plugins", ListOf(Json()), [], "Who is given daemons' metrics."),
    Option("storm.cluster.metrics.consumer.register", ListOf(Json()), [], "Who is given the cluster's metrics."),
    Option("storm.cluster.metrics.consumer.publish.interval.secs", Number(0.1), 60, "How often.", "s"),
    Option(
        "transactional.zookeeper.root", Text("/"), "/transactional", "Where transactional topologies keep their state."
    ),
    Option("transactional.zookeeper.servers", HOSTS, None, "The hosts for it. null: storm.zookeeper.servers."),
    Option("transactional.zookeeper.port", PORT, None, "Their port. null: storm.zookeeper.port."),
)

SECTIONS: tuple[tuple[str, tuple[Option, ...]], ...] = (
    ("Cluster: directories, hosts, ZooKeeper, Thrift clients", CLUSTER),
    ("Nimbus", NIMBUS),
    ("Supervisor", SUPERVISOR),
    ("Worker processes and messaging", WORKER),
    ("DRPC", DRPC),
    ("UI, log viewer, metrics", UI),
    *TOPOLOGY_SECTIONS,
)

OPTIONS: dict[str, Option] = {option.key: option for _, options in SECTIONS for option in options}
SECOND_NAMES = {"storm.scheduler.meta": "supervisor.scheduler.meta"}  # {as some write it: the key that it is}
