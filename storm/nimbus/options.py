"""Nimbus's settings, typed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storm.config import conf_origins
from storm.config.topology_conf import effective_conf
from storm.errors import ConfigError, InvalidTopologyError
from storm.exposition.place import Place
from storm.nimbus.heartbeats import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storm.config.settings import Settings


@dataclass(frozen=True, slots=True)
class NimbusOptions:
    """What Nimbus reads from the configuration; times in seconds, sizes in bytes.

    `slots_per_topology_max` and `executors_per_topology_max` None: no limit. `cluster_conf` is the whole
    configuration: topologies' defaults come from it, and `getNimbusConf` shows it. `cluster_keys` of it are set.
    """

    bind_host: str = "127.0.0.1"
    advertised_host: str = "127.0.0.1"
    port: int = 6627
    threads: int = 64
    frame_max_bytes: int = 16 << 20
    queue_max: int = 100_000
    local_dir: Path = Path("storm-local")
    blobstore_dir: Path = Path("storm-local/blobs")
    monitor_freq_secs: float = 10
    stuck_secs: float = 300
    task_timeout_secs: float = 30
    task_launch_secs: float = 120
    worker_timeout_max_secs: float = 600
    deletion_delay_secs: float = 300
    file_copy_expiration_secs: float = 600
    upload_max_bytes: int = 512 << 20
    slots_per_topology_max: int | None = None
    executors_per_topology_max: int | None = None
    scheduler: str | None = "even"
    metrics_place: Place = field(default_factory=Place)
    cluster_conf: Mapping[str, Any] = field(default_factory=dict)
    cluster_keys: frozenset[str] = frozenset()

    @property
    def heartbeat_limits(self) -> Limits:
        """What a worker is given before its silence counts against it."""
        timeout_secs = self.task_timeout_secs
        return Limits(timeout_secs, self.task_launch_secs, timeout_secs / 3, self.worker_timeout_max_secs)

    def topology_conf(self, own: Mapping[str, Any]) -> dict[str, Any]:
        """What a topology with this conf of its own runs with, and which key is whose. Raises InvalidTopologyError."""
        try:
            conf = effective_conf(self.cluster_conf, own)
        except ConfigError as error:
            raise InvalidTopologyError(str(error)) from None
        return conf_origins.submitted(conf, own, self.cluster_keys)

    @classmethod
    def from_settings(cls, settings: Settings) -> NimbusOptions:
        """What the settings say. A smaller `nimbus.thrift.max_buffer_size` than our frames need counts for
        nothing.
        """
        return cls(
            bind_host=settings.bind_host,
            advertised_host=settings.advertised_host,
            port=settings["nimbus.thrift.port"],
            threads=settings["nimbus.thrift.threads"],
            frame_max_bytes=max(cls().frame_max_bytes, settings["nimbus.thrift.max_buffer_size"]),
            queue_max=settings["nimbus.queue.size"],
            local_dir=Path(settings["storm.local.dir"]),
            blobstore_dir=Path(settings["blobstore.dir"]),
            monitor_freq_secs=settings["nimbus.monitor.freq.secs"],
            stuck_secs=settings["nimbus.stuck.secs"],
            task_timeout_secs=settings["nimbus.task.timeout.secs"],
            task_launch_secs=settings["nimbus.task.launch.secs"],
            worker_timeout_max_secs=settings["worker.max.timeout.secs"],
            deletion_delay_secs=settings["nimbus.topology.blobstore.deletion.delay.ms"] / 1000,
            file_copy_expiration_secs=settings["nimbus.file.copy.expiration.secs"],
            upload_max_bytes=settings["nimbus.upload.max.bytes"],
            slots_per_topology_max=settings["nimbus.slots.perTopology"],
            executors_per_topology_max=settings["nimbus.executors.perTopology"],
            scheduler=settings["storm.scheduler"],
            metrics_place=Place.from_settings(settings, "nimbus.metrics.port"),
            cluster_conf=settings,
            cluster_keys=frozenset(settings.changed()),
        )
