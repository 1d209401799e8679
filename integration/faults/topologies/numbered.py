"""Numbers from a source that forgets nothing: whatever was not acked comes again, in the next process too.

Settings:
    faults.dir            where spouts and sinks write, and where the harness puts what it asks for
    faults.messages       how many numbers there are, 0 .. messages - 1
    faults.trial          how many of them each spout task sends before the run begins
    faults.kept           how many of them, the last ones, are kept until the harness says that all is calm
    faults.rate           how many are sent a second, by all spout tasks together; what was missed is made up for
    faults.spouts, faults.forwards, faults.sinks    how many tasks
    faults.parts          how many tuples the bolt in the middle makes of each number, all anchored to it; 1
    faults.attempts_max   a number that was sent so often is given up; 0: none ever is
    faults.poison         a number at which the bolt in the middle always raises
    faults.unacked_every  every so many numbers are not acked when they are sent for the first time

A file `started` holds the monotonic clock's time from which on they count. A file `ends`, where there is one, holds the
time up to which they do: numbers that were to be sent later are none. A file `calm` holds the time from which on
those that were kept count.

On a host whose `storm.local.dir` has a file `lacks-a-library` no bolt in the middle can start: its worker ends.

A file `ask-KIND` in the directory makes the next bolt in the middle that sees it do KIND, once; see ASKED. While there
is a file `slow`, the sinks take 20 ms for each tuple.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import resource
import subprocess
import sys
import time
from collections import Counter, deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storm import Bolt, Spout, StormTopology, TopologyBuilder, Tuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from storm import OutputCollector, SpoutOutputCollector, TopologyContext

LACKING = "lacks-a-library"
LOOK_SECS = 0.1
SLOW_SECS = 0.02
MEMORY_MARGIN_BYTES = 64 << 20
HOARD_BYTES = 256 << 20  # of real memory, and no more, should nobody end it
CHAT_MIB = 400  # that a bolt prints
CHAT_PAUSE_SECS = 0.01  # after each of them: who puts logs aside looks once a second
GIL_LETTERS = 24  # the match below then takes a second or two, and no other thread of the process runs meanwhile


def payload(number: int) -> str:
    """What travels with a number, so that a sink sees whether it came unharmed."""
    return f"{number * 2654435761 % 2**32:08x}"


class NumberSpout(Spout):
    outputs = ["number", "incarnation", "attempt", "payload"]

    def open(self, conf: Mapping[str, Any], context: TopologyContext, collector: SpoutOutputCollector) -> None:
        self.collector = collector
        self.directory = Path(conf["faults.dir"])
        index, count = context.task_index, len(context.tasks_of(context.component_id))
        self.attempts_max = conf.get("faults.attempts_max", 0)
        self.rate, self.trial = conf["faults.rate"] / count, conf["faults.trial"]
        self.started: float | None = None
        self.ends = self.calm = math.inf
        self.look_at = 0.0
        numbers = range(index, conf["faults.messages"], count)
        self.not_kept = len(range(index, conf["faults.messages"] - conf.get("faults.kept", 0), count))
        done = self.written("acked", index) | self.written("given-up", index)
        self.sent = Counter(self.numbers_in(self.directory.glob(f"sent-{index}-*"))) if self.attempts_max else Counter()
        self.incarnation = 1 + len(list(self.directory.glob(f"acked-{index}-*")))
        names = {kind: f"{kind}-{index}-{os.getpid()}" for kind in ("acked", "failed", "given-up", "sent")}
        self.files = {kind: (self.directory / name).open("a", buffering=1) for kind, name in names.items()}
        self.waiting = deque(number for number in numbers if number not in done)
        self.already = len(numbers) - len(self.waiting)  # of what was planned up to now, so much is done
        self.again: deque[int] = deque()
        self.taken = 0

    def written(self, kind: str, index: int) -> set[int]:
        return set(self.numbers_in(self.directory.glob(f"{kind}-{index}-*")))

    def numbers_in(self, paths: Iterable[Path]) -> list[int]:
        return [int(line.split()[0]) for path in paths for line in path.read_text().splitlines()]

    def next_tuple(self) -> None:
        if self.again:
            self.send(self.again.popleft())
        elif self.waiting and self.already + self.taken < self.planned():
            self.taken += 1
            self.send(self.waiting.popleft())

    def planned(self) -> float:
        """How many numbers should have been sent by now: a few, until the harness says when the run begins."""
        now = time.monotonic()
        if now >= self.look_at:
            self.look_at = now + LOOK_SECS
            self.started = self.told("started", None)
            self.ends = self.told("ends", math.inf)
            self.calm = self.told("calm", math.inf)
        if self.started is None:
            return self.trial
        if now >= self.calm:
            return self.not_kept + (now - self.calm) * self.rate
        return min(self.not_kept, self.trial + (min(now, self.ends) - self.started) * self.rate)

    def told(self, name: str, otherwise: Any) -> Any:
        with contextlib.suppress(FileNotFoundError):
            return float((self.directory / name).read_text())
        return otherwise

    def send(self, number: int) -> None:
        if self.attempts_max and self.sent[number] >= self.attempts_max:
            self.write("given-up", number)
            return
        self.sent[number] += 1
        if self.attempts_max:
            self.write("sent", number)
        self.collector.emit([number, self.incarnation, self.sent[number], payload(number)], message_id=number)

    def ack(self, message_id: int) -> None:
        self.sent.pop(message_id, None)
        self.write("acked", message_id)

    def fail(self, message_id: int) -> None:
        self.write("failed", message_id)
        self.again.append(message_id)

    def write(self, kind: str, number: int) -> None:
        self.files[kind].write(f"{number} {time.monotonic():.6f}\n")

    def close(self) -> None:
        for file in self.files.values():
            file.close()


class ForwardBolt(Bolt):
    outputs = ["number", "incarnation", "attempt", "payload", "part", "sender"]

    def prepare(self, conf: Mapping[str, Any], context: TopologyContext, collector: OutputCollector) -> None:
        self.collector = collector
        self.directory = conf["faults.dir"]
        self.poison = conf.get("faults.poison")
        self.unacked_every = conf.get("faults.unacked_every", 0)
        self.parts = conf.get("faults.parts", 1)
        self.pid = os.getpid()
        if any((directory / LACKING).exists() for directory in Path.cwd().parents):
            os._exit(13)

    def execute(self, tup: Tuple) -> None:
        for kind, act in ASKED.items():
            if asked(self.directory, kind):
                act()
        if tup.number == self.poison:
            raise RuntimeError(f"the harness asked for it: number {tup.number} is poison")
        for part in range(self.parts):
            self.collector.emit([*tup.values, part, self.pid], anchors=tup)
        first = tup.incarnation == tup.attempt == 1
        if not (self.unacked_every and first and tup.number % self.unacked_every == 0):
            self.collector.ack(tup)


class SinkBolt(Bolt):
    """Writes a number down, and which process it came from, before it acks it."""

    def prepare(self, conf: Mapping[str, Any], context: TopologyContext, collector: OutputCollector) -> None:
        self.collector = collector
        directory = Path(conf["faults.dir"])
        self.slow = directory / "slow"
        self.file = (directory / f"ledger-{context.task_id}-{os.getpid()}").open("a", buffering=1)

    def execute(self, tup: Tuple) -> None:
        if self.slow.exists():
            time.sleep(SLOW_SECS)
        sound = "ok" if tup.payload == payload(tup.number) else "bad"
        words = (tup.number, tup.incarnation, tup.attempt, f"{time.monotonic():.6f}", sound, tup.part, tup.sender)
        self.file.write(" ".join(map(str, words)) + "\n")
        self.collector.ack(tup)

    def cleanup(self) -> None:
        self.file.close()


def asked(directory: str, kind: str) -> bool:
    """Whether the harness asks for this, and this task is the first to see it; `did-KIND` then says which process."""
    try:
        os.rename(f"{directory}/ask-{kind}", f"{directory}/did-{kind}-{os.getpid()}")
    except FileNotFoundError:
        return False
    return True


def raise_error() -> None:
    raise RuntimeError("the harness asked for an error")


def spin() -> None:
    while True:
        pass


def sleep() -> None:
    time.sleep(1e6)


def hold_interpreter() -> None:
    re.match(r"(a+)+$", "a" * GIL_LETTERS + "b")


def exit_at_once() -> None:
    os._exit(3)


def take_memory() -> None:
    with open("/proc/self/statm") as file:
        size = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY_MARGIN_BYTES,) * 2)
    hoard = []
    while True:
        hoard.append(bytearray(1 << 16))  # so that nothing is left when the MemoryError comes


def hoard() -> None:
    kept = b"x" * HOARD_BYTES
    raise RuntimeError(f"the harness asked for {len(kept)} bytes, and they were there")


def chat() -> None:
    for _ in range(CHAT_MIB):
        sys.stdout.write("x" * ((1 << 20) - 1) + "\n")
        time.sleep(CHAT_PAUSE_SECS)
    sys.stdout.flush()


def start_child() -> None:
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1e6)"])


def fork() -> None:
    """Children by every way that there is: none may harm the sockets of this process."""
    import multiprocessing

    subprocess.run([sys.executable, "-c", "pass"], check=True)
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(int, ("7",)) == 7


ASKED: dict[str, Callable[[], None]] = {
    "raise": raise_error,
    "spin": spin,
    "sleep": sleep,
    "hold": hold_interpreter,
    "exit": exit_at_once,
    "memory": take_memory,
    "hoard": hoard,
    "chat": chat,
    "child": start_child,
    "fork": fork,
}


def topology(conf: Mapping[str, Any]) -> StormTopology:
    builder = TopologyBuilder()
    builder.set_spout("numbers", NumberSpout(), conf.get("faults.spouts", 2))
    forwards, sinks = conf.get("faults.forwards", 3), conf.get("faults.sinks", 3)
    builder.set_bolt("forward", ForwardBolt(), forwards).set_num_tasks(2 * forwards).shuffle_grouping("numbers")
    builder.set_bolt("sink", SinkBolt(), sinks).set_num_tasks(2 * sinks).fields_grouping("forward", ["number", "part"])
    return builder.create_topology()
