"""What a supervisor can be told, typed; the keys are Storm's."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storm.exposition.place import Place
from storm.host_paths import supervisor_dir
from storm.supervisor.slot import SlotLimits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storm.ids import NodeId


@dataclass(frozen=True, slots=True)
class SupervisorOptions:
    """`host` is what other machines reach this one by, `bind_host` where its ports listen.

    `thrift_port` 0: any free one, but the one that running workers know. `worker_log_max_bytes`: a larger worker.log is
    put aside, also while its worker runs, and five of them are kept. `download_threads` bounds how many topologies'
    code and how many blobs are fetched at the same time; the others wait their turn. `blob_keep_secs`: how long a
    version of a blob is kept that nobody uses any more. `home`, `machine` and `incarnation` tell the
    supervisor's directory, its machine and this run from all others, see `storm.supervisor.home`. `health_dir` has the
    scripts that tell whether the host is well, None: there are none. An environment that no topology here uses any
    more is kept for `environment_keep_secs`; one that is not built after `environment_build_secs` has failed. `python`
    is the version that workers run on, "3.11", `architecture` what wheels for this machine are named by, "x86_64".
    `resources`: what the machine offers, see `storm.supervisor.capacity`.
    """

    local_dir: Path
    log_dir: Path
    node_id: NodeId = ""
    host: str = "127.0.0.1"
    bind_host: str = "127.0.0.1"
    slot_ports: tuple[int, ...] = (6700, 6701, 6702, 6703)
    thrift_port: int = 6628
    heartbeat_secs: float = 5.0
    sync_secs: float = 10.0
    worker_heartbeat_secs: float = 1.0
    download_threads: int = 5
    environment_keep_secs: float = 3600.0
    environment_build_secs: float = 600.0
    blob_keep_secs: float = 30.0
    worker_log_max_bytes: int = 100 << 20
    health_dir: Path | None = None
    health_timeout_secs: float = 5.0
    health_fails_on_timeouts: bool = True
    limits: SlotLimits = field(default_factory=SlotLimits)
    metrics_place: Place = field(default_factory=Place)
    meta: tuple[tuple[str, str], ...] = ()
    resources: tuple[tuple[str, float], ...] = ()
    version: str = ""
    home: str = ""
    machine: str = ""
    incarnation: str = ""
    python: str = ""
    architecture: str = ""

    @property
    def supervisor_dir(self) -> Path:
        """What the supervisor itself keeps."""
        return supervisor_dir(self.local_dir)

    @property
    def workers_dir(self) -> Path:
        """A directory a worker, named by its id."""
        return self.local_dir / "workers"

    @property
    def artifacts_dir(self) -> Path:
        """Logs: <topology id>/<port>/worker.log."""
        return self.log_dir / "workers-artifacts"

    @classmethod
    def from_settings(cls, settings: Any) -> SupervisorOptions:
        """The options of a daemon. `settings` is storm.config's; paths are made absolute for the workers."""
        limits = SlotLimits(
            start_timeout_secs=settings["supervisor.worker.start.timeout.secs"],
            heartbeat_timeout_secs=settings["supervisor.worker.timeout.secs"],
            own_timeout_max_secs=settings["worker.max.timeout.secs"],
            kill_grace_secs=settings["supervisor.worker.shutdown.sleep.secs"],
        )
        meta: Mapping[str, Any] = settings["supervisor.scheduler.meta"] or {}
        return cls(
            local_dir=_absolute(settings["storm.local.dir"]),
            log_dir=_absolute(settings["storm.log.dir"]),
            host=settings.advertised_host,
            bind_host=settings.bind_host,
            slot_ports=tuple(settings["supervisor.slots.ports"]) if settings["supervisor.enable"] else (),
            thrift_port=settings["supervisor.thrift.port"],
            heartbeat_secs=settings["supervisor.heartbeat.frequency.secs"],
            worker_heartbeat_secs=settings["worker.heartbeat.frequency.secs"],
            download_threads=settings["supervisor.blobstore.download.thread.count"],
            health_dir=None
            if settings["storm.health.check.dir"] is None
            else _absolute(settings["storm.health.check.dir"]),
            health_timeout_secs=settings["storm.health.check.timeout.ms"] / 1000,
            health_fails_on_timeouts=settings["storm.health.check.fail.on.timeouts"],
            environment_keep_secs=settings["supervisor.environments.keep.secs"],
            environment_build_secs=settings["supervisor.environments.build.timeout.secs"],
            blob_keep_secs=settings["supervisor.localizer.cleanup.interval.ms"] / 1000,
            limits=limits,
            metrics_place=Place.from_settings(settings, "supervisor.metrics.port"),
            meta=tuple((str(key), str(value)) for key, value in meta.items()),
        )


def _absolute(path: str) -> Path:
    return Path(os.path.abspath(os.path.expanduser(path)))
