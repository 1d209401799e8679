from __future__ import annotations

from pathlib import Path

from storm.config.settings import Settings
from storm.nimbus.heartbeats import Limits
from storm.nimbus.options import NimbusOptions


def test_options_come_from_the_settings_and_know_their_units() -> None:
    settings = Settings.of(
        {
            "storm.zookeeper.servers": ["zk1", "zk2:2999"],
            "storm.zookeeper.port": 2222,
            "nimbus.topology.blobstore.deletion.delay.ms": 1500,
            "nimbus.slots.perTopology": 9,
            "nimbus.task.timeout.secs": 60,
            "worker.max.timeout.secs": 90,
            "storm.local.dir": "/var/storm",
            "storm.zookeeper.auth.scheme": "digest",
            "storm.zookeeper.auth.payload": "storm:secret",
        }
    )
    options = NimbusOptions.from_settings(settings)
    assert options.zookeeper_servers == ("zk1:2222", "zk2:2999")
    assert options.zookeeper_auth == ("digest", "storm:secret")
    assert options.deletion_delay_secs == 1.5
    assert options.slots_per_topology_max == 9
    assert options.heartbeat_limits == Limits(60, 120, 20, 90)
    assert (options.local_dir, options.blobstore_dir) == (Path("/var/storm"), Path("/var/storm/blobs"))
    assert options.cluster_conf["nimbus.slots.perTopology"] == 9


def test_without_settings_of_ones_own_nimbus_stays_on_this_machine() -> None:
    options = NimbusOptions.from_settings(Settings.of({}))
    assert options.bind_host == options.advertised_host == "127.0.0.1"
    assert options.slots_per_topology_max is None
    assert options.zookeeper_auth is None
