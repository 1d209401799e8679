from __future__ import annotations

from pathlib import Path

from storm.config.settings import Settings
from storm.supervisor.options import SupervisorOptions


def test_options_are_what_the_settings_say(tmp_path: Path) -> None:
    settings = Settings.of(
        {
            "storm.local.dir": str(tmp_path),
            "supervisor.slots.ports": [1, 2],
            "supervisor.thrift.port": 0,
            "supervisor.worker.timeout.secs": 7,
            "worker.max.timeout.secs": 90,
            "supervisor.scheduler.meta": {"rack": "a"},
            "storm.health.check.dir": str(tmp_path / "checks"),
            "storm.health.check.timeout.ms": 1500,
        }
    )
    options = SupervisorOptions.from_settings(settings)
    assert (options.slot_ports, options.thrift_port, options.meta) == ((1, 2), 0, (("rack", "a"),))
    assert (options.health_dir, options.health_timeout_secs) == (tmp_path / "checks", 1.5)
    assert options.health_fails_on_timeouts
    assert (options.limits.heartbeat_timeout_secs, options.limits.own_timeout_max_secs) == (7, 90)
    assert (options.host, options.bind_host) == ("127.0.0.1", "127.0.0.1")
    assert options.workers_dir == tmp_path / "workers"
    assert options.artifacts_dir == tmp_path / "logs" / "workers-artifacts"


def test_a_supervisor_that_is_not_enabled_offers_no_slot() -> None:
    assert SupervisorOptions.from_settings(Settings.of({"supervisor.enable": False})).slot_ports == ()


def test_a_directory_of_health_scripts_may_be_relative() -> None:
    options = SupervisorOptions.from_settings(Settings.of({"storm.health.check.dir": "checks"}))
    assert options.health_dir == Path.cwd() / "checks"


def test_directories_are_absolute_for_processes_that_run_elsewhere() -> None:
    options = SupervisorOptions.from_settings(Settings.of())
    assert options.local_dir.is_absolute()
    assert options.supervisor_dir == options.local_dir / "supervisor"
