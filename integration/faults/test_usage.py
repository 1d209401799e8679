"""What a process uses is compared over its own life."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator  # noqa: TC003

import pytest
from usage import BEGINNING_SECS, LOOK_SECS, TELLING_SECS, WINDOW_SECS, Life, Lives, Usage, leaks, told

HOLDER = """
import sys
kept = []
for line in sys.stdin:
    kept = kept[:0] if line == "close\\n" else kept + [open("/dev/null") for _ in range(int(line))]
    print(len(kept), flush=True)
"""
BEFORE = Usage(20, 10, 50 << 20)


class Holder:
    """A process that holds as many files as it is told to."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def tell(self, word: str) -> None:
        """Returns when it has done so."""
        said, answer = self.process.stdin, self.process.stdout
        assert said is not None
        assert answer is not None
        said.write(f"{word}\n")
        said.flush()
        assert answer.readline()


@pytest.fixture
def holder() -> Iterator[Holder]:
    made = Holder()
    try:
        made.tell("1")
        yield made
    finally:
        made.process.kill()
        made.process.communicate()


def watched(lives: Lives, pid: int, since: float, until: float) -> None:
    """Looks at it every second of this time, which is given and does not pass."""
    now = since
    while now < until:
        lives.look({pid: "holder"}, now)
        now += LOOK_SECS


def test_a_handle_that_stays_until_the_end_is_a_leak(holder: Holder) -> None:
    lives, middle = Lives(), BEGINNING_SECS + TELLING_SECS
    watched(lives, holder.process.pid, 0.0, middle)
    assert leaks(lives.all()) == []
    holder.tell("40")
    watched(lives, holder.process.pid, middle, middle + 2 * WINDOW_SECS)
    [found] = leaks(lives.all())
    assert "holder" in found.text
    assert "file descriptors" in found.text
    lives.look({}, middle + 3 * WINDOW_SECS)  # it is seen no more, and stays known
    assert leaks(lives.all()) == [found]


def test_what_is_held_from_the_beginning_or_for_a_moment_is_none(holder: Holder) -> None:
    lives, middle = Lives(), BEGINNING_SECS + TELLING_SECS
    holder.tell("40")
    watched(lives, holder.process.pid, 0.0, middle)
    holder.tell("80")
    watched(lives, holder.process.pid, middle, middle + WINDOW_SECS / 2)
    holder.tell("close")
    watched(lives, holder.process.pid, middle + WINDOW_SECS / 2, middle + WINDOW_SECS)
    [life] = lives.all()
    assert life.first.fds >= 41
    assert life.last.fds < 41
    assert leaks([life]) == []


def test_two_processes_of_one_name_are_two_lives_and_one_that_has_gone_is_none(holder: Holder) -> None:
    other = Holder()
    lives = Lives()
    both = {holder.process.pid: "a", other.process.pid: "a"}
    for now in (0.0, BEGINNING_SECS, BEGINNING_SECS + LOOK_SECS):
        lives.look(both, now)
    other.process.kill()
    other.process.communicate()
    lives.look(both, BEGINNING_SECS + 2 * LOOK_SECS)
    assert {life.pid: life.secs for life in lives.all()} == {
        holder.process.pid: 2 * LOOK_SECS,
        other.process.pid: LOOK_SECS,
    }
    gone = Lives()
    gone.look({other.process.pid: "gone"}, 0.0)
    assert gone.all() == []


@pytest.mark.parametrize(
    ("after", "word"),
    [
        (BEFORE._replace(fds=40), "file descriptors"),
        (BEFORE._replace(threads=30), "threads"),
        (BEFORE._replace(rss_bytes=90 << 20), "bytes resident"),
    ],
)
def test_what_grew_beyond_the_margin_is_told_where_the_life_was_long_enough(after: Usage, word: str) -> None:
    life = Life("nimbus", 1, TELLING_SECS, BEFORE, after)
    within = life._replace(last=BEFORE._replace(fds=28, rss_bytes=66 << 20))
    assert leaks([within]) == []
    assert [word in found.text for found in leaks([life])] == [True]
    assert leaks([life._replace(secs=TELLING_SECS - 1)]) == []
    assert "no process" in told([life._replace(secs=TELLING_SECS - 1)])
    assert "16.0 MiB and 8 file descriptors" in told([within])
