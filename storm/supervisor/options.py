"""What a supervisor can be told, typed; the keys are Storm's."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storm.supervisor.slot import SlotLimits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storm.ids import NodeId


@dataclass(frozen=True, slots=True)
class SupervisorOptions:
    """`host` is what other machines reach this one by, `bind_host` where its ports listen.

    `thrift_port` 0: any free one, but the one that running workers know. `worker_log_max_bytes`: a larger worker.log is
    put aside, also while its worker runs, and five of them are kept. `download_threads` bounds how many topologies'
    code is fetched at the same time; the others wait their turn. `home`, `machine` and `incarnation` tell the
    supervisor's directory, its machine and this run from all others, see `storm.supervisor.home`.
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
    worker_log_max_bytes: int = 100 << 20
    limits: SlotLimits = field(default_factory=SlotLimits)
    meta: tuple[tuple[str, str], ...] = ()
    version: str = ""
    home: str = ""
    machine: str = ""
    incarnation: str = ""

    @property
    def supervisor_dir(self) -> Path:
        """What the supervisor itself keeps."""
        return self.local_dir / "supervisor"

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
            kill_grace_secs=settings["supervisor.worker.shutdown.sleep.secs"],
        )
        meta: Mapping[str, Any] = settings["supervisor.scheduler.meta"] or {}
        return cls(
            local_dir=_absolute(settings["storm.local.dir"]),
            log_dir=_absolute(settings["storm.log.dir"]),
            host=settings.advertised_host,
            bind_host=settings.bind_host,
            slot_ports=tuple(settings["supervisor.slots.ports"]),
            thrift_port=settings["supervisor.thrift.port"],
            heartbeat_secs=settings["supervisor.heartbeat.frequency.secs"],
            worker_heartbeat_secs=settings["worker.heartbeat.frequency.secs"],
            download_threads=settings["supervisor.blobstore.download.thread.count"],
            limits=limits,
            meta=tuple((str(key), str(value)) for key, value in meta.items()),
        )


def _absolute(path: str) -> Path:
    return Path(os.path.abspath(os.path.expanduser(path)))
