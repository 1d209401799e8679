from __future__ import annotations

from typing import Any

from storm.thrift.interface import storm_thrift
from storm.ui.rest.log_levels import log_config, log_config_change
from storm.ui.rest.requests import Level


def test_levels_go_to_nimbus_and_come_back(site: Any, topology_id: str) -> None:
    change = log_config_change({"ROOT": Level("DEBUG", 60, "INFO"), "for.good": Level("WARNING"), "old": Level(None)})
    site.service.setLogConfig(topology_id, change)
    found = log_config(site.service.getLogConfig(topology_id))["namedLoggerLevels"]
    until = (site.cluster.clock.wall_secs() + 60) * 1000
    assert found == {
        "ROOT": {"target_level": "DEBUG", "reset_level": "INFO", "timeout": 60, "timeout_epoch": until},
        "for.good": {"target_level": "WARNING", "reset_level": None, "timeout": 0, "timeout_epoch": 0},
    }
    site.service.setLogConfig(topology_id, log_config_change({"ROOT": Level(None)}))
    assert set(log_config(site.service.getLogConfig(topology_id))["namedLoggerLevels"]) == {"for.good"}


def test_without_levels_there_is_an_empty_object() -> None:
    assert log_config(storm_thrift().LogConfig()) == {"namedLoggerLevels": {}}
