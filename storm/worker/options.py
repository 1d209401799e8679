"""What a worker takes from its supervisor's settings, typed; the keys are Storm's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from storm.messaging.batch import FRAME_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping

# A closing worker may go on sending for no longer than this: its supervisor gives it a few seconds in all.
LINGER_MS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """`frames_on_the_way_max` is for each peer and side; `shutdown_secs` until the supervisor kills."""

    heartbeat_secs: float = 1.0
    refresh_secs: float = 10.0
    shutdown_secs: float = 3.0
    supervisor_timeout_secs: float = 5.0
    nimbus_seeds: tuple[str, ...] = ("127.0.0.1",)
    nimbus_port: int = 6627
    io_threads: int = 1
    frames_on_the_way_max: int = 64
    linger_ms: int = LINGER_MS_MAX
    frame_bytes_max: int = FRAME_BYTES_MAX

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> WorkerOptions:
        return cls(
            heartbeat_secs=settings["worker.heartbeat.frequency.secs"],
            refresh_secs=settings["task.refresh.poll.secs"],
            shutdown_secs=settings["supervisor.worker.shutdown.sleep.secs"],
            supervisor_timeout_secs=settings["supervisor.thrift.socket.timeout.ms"] / 1000,
            nimbus_seeds=tuple(settings["nimbus.seeds"]),
            nimbus_port=settings["nimbus.thrift.port"],
            io_threads=settings["zmq.threads"],
            frames_on_the_way_max=settings["zmq.hwm"],
            linger_ms=min(settings["zmq.linger.millis"], LINGER_MS_MAX),
            frame_bytes_max=settings["storm.messaging.max.message.bytes"],
        )
