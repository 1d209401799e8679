from __future__ import annotations

import pytest

from storm.config.unsupported import reason_unsupported


@pytest.mark.parametrize(
    "key",
    [
        "worker.childopts",
        "nimbus.childopts",
        "java.library.path",
        "storm.messaging.netty.buffer_size",
        "topology.kryo.register",
        "topology.fall.back.on.java.serialization",
        "pacemaker.servers",
        "supervisor.resources.map",
        "topology.component.resources.onheap.memory.mb",
        "topology.spout.wait.strategy",
        "topology.executor.send.buffer.size",
        "storm.thrift.transport",
        "nimbus.blobstore.class",
        "nimbus.host",
        "ui.filter.params",
        "topology.scheduler.strategy",
        "task.heartbeat.frequency.secs",
        "storm.zookeeper.ssl.enable",
        "storm.exhibitor.port",
        "storm.messaging.transport",
        "topology.backpressure.enable",
        "backpressure.disruptor.low.watermark",
        "topology.worker.shared.thread.pool.size",
        "storm.cgroup.resources",
        "blacklist.scheduler.tolerance.time.secs",
        "topology.ras.constraints",
        "topology.tuple.compression.enable",
        "storm.metricstore.class",
        "supervisor.numa.meta",
        "java.security.auth.login.config",
        "dev.zookeeper.path",
        "drpc.childopts",
    ],
)
def test_keys_of_storm_that_mean_nothing_here_have_a_reason(key: str) -> None:
    assert reason_unsupported(key)


@pytest.mark.parametrize("key", ["nimbus.seed", "topology.wokers", "word_count.text", "", "ui"])
def test_others_have_none(key: str) -> None:
    assert reason_unsupported(key) is None
