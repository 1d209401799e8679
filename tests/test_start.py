"""What processes must not import when they start: each of these takes milliseconds that thousands of starts pay for."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Of what others depend on, and of Python's own what brings many more modules.
HEAVY = {
    "asyncio", "cloudpickle", "email", "h11", "http.client", "http.server", "importlib.metadata", "jinja2", "kazoo",
    "msgpack", "msgspec", "ply", "prometheus_client", "psutil", "ssl", "starlette", "tarfile", "thriftpy2",
    "urllib.request", "uvicorn", "yaml", "zmq",
}  # fmt: skip
NIMBUS_LINK = "storm.thrift.nimbus_client.NimbusClient(['localhost'], 6627, 1.0)"
STARTS = {
    "storm --help": ("storm.cli.main", "", set()),
    "a command that asks Nimbus": (
        "storm.cli.topologies, storm.config.loading, storm.thrift.nimbus_client",
        f"storm.config.settings.Settings.of(); {NIMBUS_LINK}",
        {"yaml"},
    ),
    "nimbus": (
        "storm.nimbus.daemon, storm.thrift.processor, storm.config.settings",
        "storm.config.settings.Settings.of(); storm.thrift.processor.Processor('Nimbus', None)",
        {"kazoo", "msgspec", "ssl"},
    ),
    "supervisor": (
        "storm.supervisor.daemon, storm.logviewer.daemon, storm.thrift.processor, storm.config.settings",
        "storm.config.settings.Settings.of(); storm.thrift.processor.Processor('Supervisor', None)",
        {"kazoo", "msgspec", "ssl"},
    ),
    "worker": (
        "storm.worker.daemon, storm.cluster.zookeeper, storm.cluster.storm_cluster_state, storm.config.settings, "
        "storm.executor.lanes, storm.executor.plan, storm.messaging.zeromq, storm.messaging.tuple_codec, "
        "storm.thrift.topology_convert, storm.worker.insight",
        "storm.config.settings.Settings.of(); storm.thrift.interface.service('Supervisor')",
        {"cloudpickle", "kazoo", "msgpack", "msgspec", "ssl", "zmq"},
    ),
    "dev-zookeeper": ("storm.dev_zookeeper.daemon", "", {"asyncio", "ssl"}),
}


@pytest.mark.parametrize("process", list(STARTS))
def test_nothing_heavy_is_imported_that_is_not_needed(process: str) -> None:
    modules, code, needed = STARTS[process]
    script = f"import sys\nimport storm, {modules}\n{code}\nprint(sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(sorted(needed))
