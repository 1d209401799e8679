"""A host's inflow of blobs, by a clock that the test moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from storm.errors import StormError
from storm.supervisor.inflow import STEADY_BYTES, STEADY_SECS, Inflow
from storm.testing.simulated_clock import SimulatedClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Host:
    """What comes is given by the test, chunk by chunk: (seconds since the one before, bytes)."""

    def __init__(self) -> None:
        self.clock = SimulatedClock()
        self.woken = 0
        self.inflow = Inflow(self.clock, self._wake)
        self.seen: list[bool] = []  # after each chunk

    def _wake(self) -> None:
        self.woken += 1

    def fetch(self, *chunks: tuple[float, int], failing: bool = False) -> int:
        """How many bytes were written."""

        def download(write: Callable[[bytes], object]) -> None:
            for secs, count in chunks:
                self.clock.advance(secs)
                write(bytes(count))
                self.seen.append(self.inflow.is_steady())
            if failing:
                raise StormError("the link is cut")

        def sources(key: str, sha256: str) -> Iterator[Callable[[Callable[[bytes], object]], object]]:
            assert (key, sha256) == ("words", "5a")
            yield download

        written: list[bytes] = []
        for one in self.inflow.watched(lambda: sources)()("words", "5a"):
            one(written.append)
        return sum(map(len, written))


@pytest.fixture
def host() -> Host:
    return Host()


def test_it_is_steady_from_the_first_megabyte_until_none_came_for_a_while(host: Host) -> None:
    assert not host.inflow.is_steady()
    assert host.fetch((1, STEADY_BYTES - 1), (1, 1), (STEADY_SECS - 1, STEADY_BYTES)) == 2 * STEADY_BYTES
    assert host.seen == [False, True, True]
    host.clock.advance(STEADY_SECS - 1)
    assert host.inflow.is_steady()
    host.clock.advance(1)
    assert not host.inflow.is_steady()
    assert host.woken == 1
    host.fetch((0, STEADY_BYTES))
    assert (host.inflow.is_steady(), host.woken) == (True, 2)


def test_a_trickle_is_not(host: Host) -> None:
    host.fetch(*[(STEADY_SECS, STEADY_BYTES // 2)] * 10)
    assert host.seen == [False] * 10
    host.fetch(*[(STEADY_SECS / 10, STEADY_BYTES // 20)] * 40)
    assert host.seen == [False] * 50


def test_what_comes_for_several_at_once_is_taken_together_and_one_that_breaks_counts(host: Host) -> None:
    for _ in range(2):
        with pytest.raises(StormError):
            host.fetch((1, STEADY_BYTES // 2), failing=True)
    assert host.seen == [False, True]
