"""Nimbus's settings, typed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storm.exposition.place import Place
from storm.nimbus.heartbeats import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storm.config.settings import Settings


@dataclass(frozen=True, slots=True)
class NimbusOptions:
    """What Nimbus reads from the configuration; times in seconds, sizes in bytes.

    `slots_per_topology_max` and `executors_per_topology_max` None: no limit. `cluster_conf` is the whole
    configuration: topologies' defaults come from it, and `getNimbusConf` shows it.
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
    task_timeout_secs: float = 30
    task_launch_secs: float = 120
    worker_timeout_max_secs: float = 600
    deletion_delay_secs: float = 300
    file_copy_expiration_secs: float = 600
    upload_max_bytes: int = 512 << 20
    slots_per_topology_max: int | None = None
    executors_per_topology_max: int | None = None
    scheduler: str | None = "even"
    zookeeper_servers: tuple[str, ...] = ("127.0.0.1:2181",)
    zookeeper_root: str = "/storm"
    zookeeper_session_timeout_ms: int = 20_000
    zookeeper_auth: tuple[str, str] | None = None
    metrics_place: Place = field(default_factory=Place)
    cluster_conf: Mapping[str, Any] = field(default_factory=dict)

    @property
    def heartbeat_limits(self) -> Limits:
        """What a worker is given before its silence counts against it."""
        timeout_secs = self.task_timeout_secs
        return Limits(timeout_secs, self.task_launch_secs, timeout_secs / 3, self.worker_timeout_max_secs)

    @classmethod
    def from_settings(cls, settings: Settings) -> NimbusOptions:
        """What the settings say. A smaller `nimbus.thrift.max_buffer_size` than our frames need counts for
        nothing.
        """
        scheme, payload = settings["storm.zookeeper.auth.scheme"], settings["storm.zookeeper.auth.payload"]
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
            task_timeout_secs=settings["nimbus.task.timeout.secs"],
            task_launch_secs=settings["nimbus.task.launch.secs"],
            worker_timeout_max_secs=settings["worker.max.timeout.secs"],
            deletion_delay_secs=settings["nimbus.topology.blobstore.deletion.delay.ms"] / 1000,
            file_copy_expiration_secs=settings["nimbus.file.copy.expiration.secs"],
            upload_max_bytes=settings["nimbus.upload.max.bytes"],
            slots_per_topology_max=settings["nimbus.slots.perTopology"],
            executors_per_topology_max=settings["nimbus.executors.perTopology"],
            scheduler=settings["storm.scheduler"],
            zookeeper_servers=settings.zookeeper_servers,
            zookeeper_root=settings["storm.zookeeper.root"],
            zookeeper_session_timeout_ms=settings["storm.zookeeper.session.timeout"],
            zookeeper_auth=(scheme, payload) if scheme and payload else None,
            metrics_place=Place.from_settings(settings, "nimbus.metrics.port"),
            cluster_conf=settings,
        )
