"""The `topology.*` keys: defaults for every topology in storm.yaml, and what a topology sets for itself.

`COMPONENT_KEYS` are those that a single spout or bolt may set too (Storm's list, and `topology.executor.*`).
"""

from __future__ import annotations

from storm.config.option_types import (
    BlobMap,
    Bool,
    Choice,
    Int,
    Json,
    ListOf,
    MapOf,
    Number,
    Option,
    Text,
    VariableName,
)

TASKS_MAX = 32_767  # Storm's bound too: a task id has 16 bits
LANES = ("auto", "shared", "thread", "async")

PARALLELISM = (
    Option("topology.workers", Int(1, 10_000), 1, "Worker processes of a topology."),
    Option("topology.tasks", Int(1, TASKS_MAX), None, "Tasks of a component. null: as many as its parallelism."),
    Option(
        "topology.max.task.parallelism", Int(1, TASKS_MAX), None, "The most tasks of any component. null: no limit."
    ),
    Option(
        "topology.acker.executors",
        Int(0, TASKS_MAX),
        None,
        "Executors that track tuple trees. null: one a worker; 0: none, and tuples with an id are acked at once.",
    ),
    Option(
        "topology.executor.lane",
        Choice(LANES),
        "auto",
        "How executors run in a worker. shared: in turn, on one thread; thread: each on its own; async: on an "
        "event loop (`async def` components always); auto: shared until one is seen to block. (Not in Storm.)",
    ),
    Option(
        "topology.scheduler.tags",
        ListOf(Text()),
        [],
        "Its workers run only on hosts that have all of these tags: words of the entry tags of a host's "
        "supervisor.scheduler.meta, or key=value for any other entry. (Not in Storm.)",
    ),
    Option("topology.name", Text(), None, "The topology's name; set when it is submitted."),
    Option("topology.version", Text(), None, "A label of your own for what runs."),
    Option("topology.submitter.user", Text(), None, "Who submitted it; set when it is submitted."),
    Option("storm.id", Text(), None, "The topology's id; set when it is submitted."),
    Option(
        "topology.submission.id",
        Text(),
        None,
        "What the client calls its submission, so that repeating it starts nothing twice; set by it. (Not in Storm.)",
    ),
    Option("topology.users", ListOf(Text()), [], "Users who may act on it."),
    Option("topology.groups", ListOf(Text()), [], "Groups whose members may act on it."),
    Option("topology.readonly.users", ListOf(Text()), [], "Users who may look at it."),
    Option("topology.readonly.groups", ListOf(Text()), [], "Groups whose members may look at it."),
    Option("topology.environment", MapOf(Text(), VariableName()), {}, "Environment variables of its workers."),
    Option(
        "topology.worker.log.format",
        Choice(("text", "json")),
        "text",
        "How records of logging stand in its workers' logs. json: an object a line. (Not in Storm.)",
    ),
    Option(
        "topology.worker.timeout.secs",
        Int(1),
        None,
        "How long its workers may be silent, where that is longer than supervisors and Nimbus allow. null: no longer.",
        "s",
    ),
)

RELIABILITY = (
    Option("topology.enable.message.timeouts", Bool(), True, "Whether tuple trees time out."),
    Option(
        "topology.message.timeout.secs",
        Int(1),
        30,
        "A tuple tree that is not complete after this (at most twice this) fails. kill and rebalance wait as long.",
        "s",
    ),
    Option(
        "topology.max.spout.pending",
        Int(1),
        5000,
        "How many tuples of one spout task may be under way. (Storm: null, without limit.)",
        "tuples",
        nullable=True,
    ),
    Option(
        "topology.executor.stuck.secs",
        Number(0.1),
        60,
        "A call of a component that lasts longer is shown as an error, with its stack and the tuple that it works on. "
        "By then all that it holds has timed out, with the default message timeout. null: never. (Not in Storm.)",
        "s",
        nullable=True,
    ),
    Option(
        "topology.executor.stuck.restart",
        Bool(),
        False,
        "Whether the worker of such a call ends itself, and is started again. (Not in Storm.)",
    ),
    Option(
        "topology.tick.tuple.freq.secs", Number(0.001), None, "How often a component gets a tick. null: never.", "s"
    ),
    Option(
        "topology.debug",
        Bool(),
        False,
        "Whether its tuples are sampled from the start, as by `storm debug --sample 100`; that command changes it.",
    ),
    Option(
        "topology.testing.always.try.serialize",
        Bool(),
        False,
        "Whether values that cannot travel are refused even within a worker.",
    ),
    Option("topology.error.throttle.interval.secs", Number(0.001), 10, "The interval of the next key.", "s"),
    Option("topology.max.error.report.per.interval", Int(0), 5, "How many errors of a component are reported in it."),
    Option(
        "topology.disable.loadaware.messaging", Bool(), False, "Whether shuffle ignores how full tasks' queues are."
    ),
    Option(
        "topology.localityaware.higher.bound", Number(0, 1), 0.8, "Mean load from which shuffle looks further away."
    ),
    Option("topology.localityaware.lower.bound", Number(0, 1), 0.2, "Mean load below which it looks nearer again."),
)

QUEUES = (
    Option(
        "topology.executor.receive.buffer.size",
        Int(1),
        32_768,
        "A task with more tuples than this waiting makes those that send to it stop.",
        "tuples",
    ),
    Option(
        "topology.transfer.buffer.size",
        Int(1),
        1000,
        "Batches that may wait for one peer before it is throttled.",
        "batches",
    ),
    Option("topology.transfer.batch.size", Int(1), 1, "The size of a batch.", "tuples"),
    Option("topology.producer.batch.size", Int(1), 1, "The size of a batch.", "tuples"),
    Option("topology.batch.flush.interval.millis", Number(0), 1, "How long a batch that is not full may wait.", "ms"),
    Option("topology.backpressure.check.millis", Int(1), 50, "How often a full task is looked at again.", "ms"),
    Option(
        "topology.sleep.spout.wait.strategy.time.ms", Number(0), 1, "The pause of a spout that emitted nothing.", "ms"
    ),
    Option(
        "topology.shellbolt.max.pending", Int(1), 100, "Tuples that may wait for a child in another language.", "tuples"
    ),
    Option("topology.subprocess.timeout.secs", Int(1), None, "How long it may be silent. null: as a worker.", "s"),
)

STATISTICS = (
    Option("topology.stats.sample.rate", Number(0.0001, 1), 0.05, "The share of tuples whose times are taken."),
    Option(
        "topology.builtin.metrics.bucket.size.secs", Int(1), 60, "How often metrics consumers are given metrics.", "s"
    ),
    Option(
        "topology.eventlogger.executors",
        Int(0),
        0,
        "Executors that log sampled tuples.",
        nullable=True,
    ),
    Option(
        "topology.metrics.consumer.register",
        ListOf(Json()),
        [],
        "Who is given a topology's metrics: {class, argument, parallelism.hint, max.retain.metric.tuples, whitelist, "
        "blacklist, expandMapType, metricNameSeparator} each; docs/metrics.md.",
    ),
    Option("topology.metrics.reporters", ListOf(Json()), [], "Who is given its metrics."),
    Option("topology.enable.v2.metrics.tick", Bool(), False, "Whether consumers get components' own metrics."),
    Option("topology.v2.metrics.tick.interval.seconds", Int(1), 60, "How often.", "s"),
    Option(
        "topology.auto.task.hooks",
        ListOf(Text()),
        [],
        "Classes, such as my_module.MyHook, that are told of all that every task does; docs/topologies.md.",
    ),
)

STATE = (
    Option(
        "topology.blobstore.map",
        BlobMap(),
        {},
        "Blobs that its workers find in their directory: {key: {localname, uncompress, workerRestart}}.",
    ),
    Option("topology.state.provider", Text(), None, "Where stateful bolts keep their state. null: in memory."),
    Option("topology.state.provider.config", Text(), None, "The provider's own settings."),
    Option("topology.state.checkpoint.interval.ms", Int(100), 1000, "How often state is saved.", "ms"),
    Option("topology.state.synchronization.timeout.secs", Int(1), 60, "How long that may take.", "s"),
    Option("topology.trident.batch.emit.interval.millis", Int(1), 500, "The least time between two batches.", "ms"),
    Option("topology.transactional.id", Text(), None, "The name under which a transactional topology keeps its state."),
    Option("topology.bolts.window.length.count", Int(1), None, "A window's length.", "tuples"),
    Option("topology.bolts.window.length.duration.ms", Int(1), None, "A window's length.", "ms"),
    Option("topology.bolts.window.sliding.interval.count", Int(1), None, "How far it slides.", "tuples"),
    Option("topology.bolts.window.sliding.interval.duration.ms", Int(1), None, "How far it slides.", "ms"),
    Option("topology.bolts.tuple.timestamp.field.name", Text(), None, "The field that holds a tuple's time."),
    Option("topology.bolts.tuple.timestamp.max.lag.ms", Int(0), None, "How late a tuple may be.", "ms"),
    Option("topology.bolts.watermark.event.interval.ms", Int(1), 1000, "How often watermarks are made.", "ms"),
    Option("topology.bolts.late.tuple.stream", Text(), None, "The stream that late tuples go to."),
    Option("topology.bolts.message.id.field.name", Text(), None, "The field that holds a message's id."),
)

TOPOLOGY_SECTIONS: tuple[tuple[str, tuple[Option, ...]], ...] = (
    ("Topologies: parallelism and identity", PARALLELISM),
    ("Topologies: reliability", RELIABILITY),
    ("Topologies: queues, flow control, waiting", QUEUES),
    ("Topologies: statistics and metrics", STATISTICS),
    ("Topologies: state, windows, transactions", STATE),
)

COMPONENT_KEYS = frozenset(
    {
        "topology.debug",
        "topology.executor.lane",
        "topology.executor.stuck.restart",
        "topology.executor.stuck.secs",
        "topology.max.spout.pending",
        "topology.max.task.parallelism",
        "topology.sleep.spout.wait.strategy.time.ms",
        "topology.state.provider",
        "topology.state.provider.config",
        "topology.tasks",
        "topology.tick.tuple.freq.secs",
        "topology.transactional.id",
        *(option.key for option in STATE if option.key.startswith("topology.bolts.")),
    }
)
