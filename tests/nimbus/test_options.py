from __future__ import annotations

from pathlib import Path

import pytest

from storm.config.conf_origins import origins
from storm.config.settings import Settings
from storm.errors import InvalidTopologyError
from storm.nimbus.heartbeats import Limits
from storm.nimbus.options import NimbusOptions

TIMEOUT = "topology.message.timeout.secs"


def test_options_come_from_the_settings_and_know_their_units() -> None:
    settings = Settings.of(
        {
            "nimbus.topology.blobstore.deletion.delay.ms": 1500,
            "nimbus.slots.perTopology": 9,
            "nimbus.task.timeout.secs": 60,
            "worker.max.timeout.secs": 90,
            "storm.local.dir": "/var/storm",
        }
    )
    options = NimbusOptions.from_settings(settings)
    assert options.deletion_delay_secs == 1.5
    assert options.slots_per_topology_max == 9
    assert options.heartbeat_limits == Limits(60, 120, 20, 90)
    assert (options.local_dir, options.blobstore_dir) == (Path("/var/storm"), Path("/var/storm/blobs"))
    assert options.cluster_conf["nimbus.slots.perTopology"] == 9


def test_a_topologys_conf_says_what_is_its_own_and_what_the_clusters() -> None:
    options = NimbusOptions.from_settings(Settings.of({"topology.message.timeout.secs": 30, "topology.workers": 2}))
    conf = options.topology_conf({"topology.workers": 2, "mine": 1})
    assert (conf["topology.workers"], conf["mine"], conf["topology.debug"]) == (2, 1, False)
    found = origins(conf)
    assert found is not None
    assert {key: found.get(key) for key in ("topology.workers", "mine", TIMEOUT, "topology.debug")} == {
        "topology.workers": "submission",
        "mine": "submission",
        TIMEOUT: "cluster",
        "topology.debug": None,
    }
    with pytest.raises(InvalidTopologyError, match=r"topology\.workers"):
        options.topology_conf({"topology.workers": "many"})


def test_without_settings_of_ones_own_nimbus_stays_on_this_machine() -> None:
    options = NimbusOptions.from_settings(Settings.of({}))
    assert options.bind_host == options.advertised_host == "127.0.0.1"
    assert options.slots_per_topology_max is None
