"""The log viewer's settings, typed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from storm.config.addresses import is_loopback
from storm.errors import ConfigError
from storm.logviewer.retention import Limits
from storm.supervisor.options import SupervisorOptions

if TYPE_CHECKING:
    from pathlib import Path

    from storm.config.settings import Settings

MEGABYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class LogviewerOptions:
    """What the log viewer reads from the configuration.

    `names` are those that it may be called by, in small letters; `log_dir` has the daemons' logs, `artifacts_dir` the
    workers', `workers_dir` a directory for each worker that runs. `cleanup_secs`: how often logs are removed that
    `limits` do not leave; None: never.
    """

    log_dir: Path
    artifacts_dir: Path
    workers_dir: Path
    host: str = "127.0.0.1"
    port: int = 8000
    names: frozenset[str] = frozenset()
    cleanup_secs: float | None = 600.0
    limits: Limits = field(default_factory=Limits)

    @classmethod
    def from_settings(cls, settings: Settings) -> LogviewerOptions:
        """Raises ConfigError where other hosts could reach it and nobody has said that they may."""
        host = settings["logviewer.host"] or settings.bind_host
        if not is_loopback(host) and not settings["storm.security.insecure"]:
            raise ConfigError(
                f"logviewer.host: other hosts reach {host}, and whoever reaches the log viewer reads all logs. In a "
                "network that you trust set storm.security.insecure: true; else leave logviewer.host unset"
            )
        supervisor = SupervisorOptions.from_settings(settings)
        return cls(
            log_dir=supervisor.log_dir,
            artifacts_dir=supervisor.artifacts_dir,
            workers_dir=supervisor.workers_dir,
            host=host,
            port=settings["logviewer.port"],
            names=settings.names_of(host),
            cleanup_secs=settings["logviewer.cleanup.interval.secs"],
            limits=Limits(
                age_secs=settings["logviewer.cleanup.age.mins"] * 60.0,
                worker_bytes=settings["logviewer.max.per.worker.logs.size.mb"] * MEGABYTE,
                sum_bytes=settings["logviewer.max.sum.worker.logs.size.mb"] * MEGABYTE,
            ),
        )
