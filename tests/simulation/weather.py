"""What may go wrong at an operation or message, and how often: each seed has weather of its own; then it calms."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Collection

    from event_loop import Process

#: What may go wrong, and the largest share of all operations or messages.
SHARES_MAX = {
    "operation refused": 0.05,
    "answer lost": 0.03,
    "ZooKeeper slow": 0.01,
    "death at a read": 0.001,
    "death at a change": 0.03,
    "pause at a read": 0.001,
    "pause at a change": 0.03,
    "frame lost": 0.1,
    "frame late": 0.2,
    "frame overtaken": 0.5,
    "frame damaged": 0.05,
    "frame duplicated": 0.3,
    "heartbeat lost": 0.2,
    "answer of Nimbus lost": 0.2,
    "heartbeat late": 0.2,
    "download failed": 0.3,
    "download damaged": 0.3,
    "tuple failed": 0.1,
    "tuple forgotten": 0.05,
    "tuple held": 0.2,
    "bolt slow": 0.02,
    "bolt raises": 0.01,
}
PAUSE_SECS_MAX = 15.0
SLOW_SECS_MAX = 2.0


class Weather:
    """Half of the kinds of trouble, chosen by the seed, each with a share of its own; `always`: these too, as often as
    can be. All of it only while `is_stormy`.
    """

    def __init__(self, rng: random.Random, always: Collection[str] = ()) -> None:
        self._rng = rng
        self._shares = {kind: rng.random() * most if rng.random() < 0.5 else 0.0 for kind, most in SHARES_MAX.items()}
        self._shares |= {kind: most for kind, most in SHARES_MAX.items() if kind in always}
        self._to_pause: dict[Process, float] = {}
        self.is_stormy = False

    def calm(self) -> None:
        """Nothing goes wrong from now on."""
        self.is_stormy = False
        self._to_pause.clear()

    def pause_at_change(self, process: Process, secs: float) -> None:
        """Pause this process in the midst of the next change that it makes."""
        self._to_pause[process] = secs

    def strikes(self, kind: str) -> bool:
        """Whether this goes wrong this time."""
        if not self.is_stormy:
            return False
        share = self._shares[kind]
        return share > 0 and self._rng.random() < share

    def before_operation(self, process: Process, operation: str, *, is_read: bool = False) -> None:
        """Let the process die or be paused before it looks at, or changes, what others see."""
        if not self.is_stormy and not self._to_pause:
            return
        kind = "read" if is_read else "change"
        if self.strikes(f"death at a {kind}"):
            process.die_here(f"at {operation}")
        if self.strikes(f"pause at a {kind}"):
            process.pause_here(self._rng.uniform(0.1, PAUSE_SECS_MAX))
        if self._to_pause and not is_read and process in self._to_pause:
            process.pause_here(self._to_pause.pop(process))

    def slow_secs(self) -> float:
        """How long ZooKeeper takes for an operation, beyond what nobody notices."""
        return self._rng.uniform(0.1, SLOW_SECS_MAX) if self.strikes("ZooKeeper slow") else 0.0
