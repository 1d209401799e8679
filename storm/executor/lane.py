"""A lane: executors that take turns, on one thread or stepped by the caller.

What other threads hand in (tuples, tracking) waits in its mail under one lock per batch; between executors of one lane
tuples pass through plain lists.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from storm.clock import thread_cpu_secs
from storm.executor.blocking import FAST_SECS
from storm.executor.executor import TURN_SECS
from storm.executor.task import Port
from storm.executor.transfer import Tracking

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable

    from storm.executor.acker_executor import AckerExecutor
    from storm.executor.bolt_executor import BoltExecutor
    from storm.executor.executor import Executor
    from storm.executor.lanes import Lanes
    from storm.executor.pending import Pending
    from storm.ids import TaskId
    from storm.tuples import Tuple


PAUSES_MEASURED = 64  # in a row: what they cost is looked at together
IDLE_SHARE = 0.005  # of a core, for a lane of which nothing but polling is asked; a worker's other threads take 0.3 %
POLL_PAUSE_MAX_SECS = 0.025  # however dear a turn is, and where nobody measures it


class ExecutorFailedError(BaseException):
    """Unwinds an emitting component whose fused subscriber raised; the worker's failure is noted already.

    No `Exception`: the component that emits must not swallow what another one did.
    """


class Lane:
    """`tasks` are those of its executors; `ledgers` the trees held here, by the upper half of their roots.

    `poll_pause_secs` is how long a spout that has been silent for long may wait between polls, at least.
    """

    runs_coroutines = False

    def __init__(self, name: str, lanes: Lanes) -> None:
        self.name = name
        self.lanes = lanes
        self.executors: list[Executor] = []
        self.tasks: dict[TaskId, Executor] = {}
        self.ports: dict[TaskId, Port] = {}
        self.ledgers: dict[int, Pending] = {}
        self.pendings: dict[TaskId, Pending] = {}
        self.ackers: dict[TaskId, AckerExecutor] = {}
        self.lock = threading.Lock()
        self.bell = threading.Lock()  # held but for the moment of waking: half the CPU of a Condition
        self.bell.acquire()
        self.asleep = False
        self.woken = False
        self.tuples_in: list[tuple[TaskId, list[Tuple]]] = []
        self.tracking_in: list[tuple[Tracking, TaskId, array[int]]] = []
        self.waiting: dict[TaskId, int] = {}  # tuples in `tuples_in`, by task
        self.errands: list[Callable[[], None]] = []  # to be done between two turns
        self.thread: threading.Thread | None = None
        self.blocked: tuple[Executor, float] | None = None  # found in the last turn, and how much of its time
        self.poll_pause_secs = POLL_PAUSE_MAX_SECS
        self.pauses = 0  # in a row, with nothing done between them
        self.pauses_cpu_secs = 0.0
        self.turns = 0  # begun so far
        self.busy: Executor | None = None  # whose turn is or was the last one

    # Wiring

    def take_in(self, executors: list[Executor]) -> None:
        """These executors run here from now on."""
        self.executors += executors
        for executor in executors:
            self.tasks.update(dict.fromkeys(executor.id.tasks(), executor))

    def port(self, task: TaskId) -> Port:
        """Where this lane's executors put tuples for a task."""
        port = self.ports.get(task)
        if port is None:
            is_checked = self.lanes.checks_all or task not in self.lanes.lane_of
            port = self.ports[task] = Port(task, self.lanes.transfer.check if is_checked else None)
        return port

    def near_port(self, task: TaskId) -> Port | None:
        """A port that calls the task's bolt at once, or None if it does not run in this lane."""
        executor = self.tasks.get(task)
        bolt_task = executor.task_to_call(task) if executor is not None else None
        if bolt_task is None:
            return None
        port = Port(task, self.lanes.transfer.check if self.lanes.checks_all else None)
        port.execute_now = bolt_task
        return port

    def move_out(self, group: list[Executor], name: str) -> Lane:
        """Give these executors a lane of their own, with all that waits for them. By this lane's own thread."""
        other = Lane(name, self.lanes)
        other.take_in(group)
        with self.lock:
            for task in other.tasks:
                del self.tasks[task]
                if task in self.ports:
                    other.port(task).items, self.ports[task].items = self.ports[task].items, []
                if task in self.waiting:
                    other.waiting[task] = self.waiting.pop(task)
                pending = self.pendings.pop(task, None)
                self.ledgers = {key: ledger for key, ledger in self.ledgers.items() if ledger is not pending}
            other.tuples_in = [item for item in self.tuples_in if item[0] in other.tasks]
            other.tracking_in = [item for item in self.tracking_in if item[1] in other.tasks]
            self.tuples_in = [item for item in self.tuples_in if item[0] not in other.tasks]
            self.tracking_in = [item for item in self.tracking_in if item[1] not in other.tasks]
            for task in other.tasks:  # last: from now on others put their mail there
                self.lanes.lane_of[task] = other
        self.executors = [executor for executor in self.executors if executor not in group]
        for executor in group:
            executor.gauge = None
            executor.enter(other)
        for executor in self.executors:
            executor.enter(self)
        return other

    # From any thread

    def post(self, task: TaskId, tuples: list[Tuple]) -> bool:
        """Take in tuples for a task; False: the task has moved to another lane."""
        with self.lock:
            if task not in self.tasks:
                return False
            self.tuples_in.append((task, tuples))
            count = self.waiting[task] = self.waiting.get(task, 0) + len(tuples)
            if count > self.lanes.high_mark:  # noted before this lane's thread can have emptied it again
                self.lanes.note_full(task)
            self.wake_locked()
        return True

    def post_tracking(self, kind: Tracking, task: TaskId, pairs: array[int]) -> bool:
        """Take in tracking for an acker's or spout's task; False: the task has moved to another lane."""
        with self.lock:
            if task not in self.tasks:
                return False
            self.tracking_in.append((kind, task, pairs))
            self.wake_locked()
        return True

    def post_errand(self, errand: Callable[[], None]) -> None:
        """Have this lane's thread call it before its next turn. It must not raise."""
        with self.lock:
            self.errands.append(errand)
            self.wake_locked()

    def wake(self) -> None:
        with self.lock:
            self.wake_locked()

    def wake_locked(self) -> None:
        self.woken = True
        if self.asleep:
            self.asleep = False
            self.bell.release()

    def calls(self) -> list[tuple[Any, Executor]]:
        """Coroutines under way that should end soon, and whose they are."""
        return []

    def queue_length(self, task: TaskId) -> int:
        port = self.ports.get(task)
        return (len(port.items) if port is not None else 0) + self.waiting.get(task, 0)

    def queue(self, task: TaskId) -> list[Tuple]:
        """The tuples that wait for a task; by then some may not wait any more."""
        port = self.ports.get(task)
        found = list(port.items) if port is not None else []
        with self.lock:
            for each, tuples in self.tuples_in:
                if each == task:
                    found.extend(tuples)
        return found

    # By the lane's own thread, or whoever steps it

    def turn(self, now: float) -> bool:
        """Take the mail, then give each executor its turn; False: there was nothing to do.

        Bolts have more of them, for a while, if one of them stopped for the sake of those that it feeds.
        """
        did = self.take_mail()
        self.turns += 1
        executor = None
        executors = self.executors
        ends = now + TURN_SECS
        try:
            while executors:
                unfinished = False
                for executor in executors:
                    self.busy = executor
                    if executor.gauge is None:
                        did = executor.turn(now) or did
                    elif self.turn_measured(executor, now):
                        did = True
                    unfinished = unfinished or executor.unfinished
                executors = []
                if unfinished:
                    now = self.lanes.clock.now()
                    if now < ends:
                        executors = [each for each in self.executors if not each.is_source]
        except ExecutorFailedError:
            return True
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001
            assert executor is not None
            self.lanes.fail(executor, error)
            return True
        if did:
            self.pauses = 0
            self.look_at_marks()
            self.lanes.transfer.flush()
        return did

    def stepped(self, now: float) -> bool:
        """A turn where no thread runs this lane."""
        return self.turn(now)

    def turn_measured(self, executor: Executor, now: float) -> bool:
        """A turn of an executor that gets a thread of its own when it is seen to block."""
        gauge = executor.gauge
        assert gauge is not None
        clock = self.lanes.clock
        samples, is_suspect = gauge.is_sampling, gauge.is_suspect
        busy = self.busy_secs(is_suspect) if samples else 0.0
        began = clock.now()
        did = executor.turn(now)
        ended = clock.now()
        if not samples and ended - began < FAST_SECS:
            return did
        share = gauge.add(ended, ended - began, self.busy_secs(is_suspect) - busy if samples else None)
        if share is not None:
            self.blocked = executor, share
        return did

    def busy_secs(self, is_suspect: bool) -> float:
        """How long this thread ran, or could not because others of the process did; `is_suspect`: or of the machine."""
        clock = self.lanes.clock
        return clock.process_secs() + (clock.queued_secs() if is_suspect else 0.0)

    def next_due(self) -> float | None:
        """When to turn again even if nothing comes; None: not before something comes."""
        earliest = None
        for executor in self.executors:
            due = executor.next_due()
            if due is not None and (earliest is None or due < earliest):
                earliest = due
        return earliest

    def take_mail(self) -> bool:
        with self.lock:
            self.woken = False
            if not self.tuples_in and not self.tracking_in and not self.errands:
                return False
            errands, self.errands = self.errands, []
            tuples_in, self.tuples_in = self.tuples_in, []
            tracking_in, self.tracking_in = self.tracking_in, []
            self.waiting = {}
        for task, tuples in tuples_in:
            port = self.port(task)
            if port.items:
                port.items.extend(tuples)
            else:
                port.items = tuples
        for kind, task, pairs in tracking_in:
            self.apply(kind, task, pairs)
        for errand in errands:
            errand()
        return True

    def apply(self, kind: Tracking, task: TaskId, pairs: array[int]) -> None:
        """Tracking for a tree whose ledger or spout is here."""
        acker = self.ackers.get(task)
        if acker is not None:
            acker.receive(kind, task, pairs)
            return
        pending = self.pendings.get(task)
        if pending is None:  # another worker takes the task for what it is not
            return
        if kind is Tracking.ACK:
            pending.fold_all(pairs)
            return
        for i in range(0, len(pairs) - 1, 2):
            if kind is Tracking.ACKED:
                pending.settle(pairs[i], True)
            elif kind in (Tracking.FAIL, Tracking.FAILED):
                pending.settle(pairs[i], False, pairs[i + 1])
            elif kind in (Tracking.RESET, Tracking.RESET_DONE):
                pending.reset(pairs[i])

    def send(self, task: TaskId, tuples: list[Tuple]) -> None:
        """To a task of another lane or worker."""
        if not self.lanes.deliver(task, tuples):
            self.lanes.transfer.send(task, tuples)

    def send_tracking(self, kind: Tracking, task: TaskId, source: TaskId, pairs: array[int]) -> None:
        """To the ledger or spout of trees, wherever."""
        if task in self.tasks:
            self.apply(kind, task, pairs)
            self.woken = True
        elif not self.lanes.deliver_tracking(kind, task, source, pairs):
            self.lanes.transfer.send_tracking(kind, task, source, pairs)

    def look_at_marks(self) -> None:
        """Note which queues are too long, and which are short again."""
        lanes = self.lanes
        high, low = lanes.high_mark, lanes.low_mark
        for task in self.tasks:
            length = self.waiting.get(task, 0)
            port = self.ports.get(task)
            if port is not None:
                length += len(port.items)
            if length > high:
                lanes.note_full(task)
            elif length <= low and task in lanes.full:
                lanes.note_eased(task)

    def failed_within(self, executor: BoltExecutor, error: Exception) -> ExecutorFailedError:
        self.lanes.fail(executor, error)
        return ExecutorFailedError()

    # The thread

    def run(self) -> None:
        """Until the worker stops or fails: turn while there is something to do, sleep until woken or due."""
        try:
            self.turn_until_end()
        except BaseException as error:  # noqa: BLE001
            self.lanes.fail(None, error)

    def turn_until_end(self) -> None:
        clock = self.lanes.clock
        while not self.lanes.stopping and self.lanes.failure is None:
            if not self.turn(clock.now()):
                due = self.next_due()
                self.sleep(None if due is None else due - clock.now())
            if self.blocked is not None:
                (executor, share), self.blocked = self.blocked, None
                self.lanes.move(executor, share)
        self.shut_down()

    def sleep(self, secs: float | None) -> None:
        if secs is not None and secs <= 0:
            return
        with self.lock:
            if self.woken or self.lanes.stopping or self.lanes.failure is not None:
                return
            self.asleep = True
        rung = self.bell.acquire(timeout=-1 if secs is None else secs)
        with self.lock:
            if not rung and not self.asleep:
                self.bell.acquire()  # it was rung after all, just too late
            self.asleep = False
        if not rung:
            self.note_pause()

    def note_pause(self) -> None:
        """A pause has passed in which nothing came."""
        self.pauses += 1
        if self.pauses % PAUSES_MEASURED == 0:
            cpu_secs = thread_cpu_secs()
            if self.pauses > PAUSES_MEASURED:
                self.poll_pause_secs = poll_pause_secs((cpu_secs - self.pauses_cpu_secs) / PAUSES_MEASURED)
            self.pauses_cpu_secs = cpu_secs

    def shut_down(self) -> None:
        """Deactivate and close, unless a component failed; what is queued is not drained: its spouts replay it."""
        if self.lanes.failure is not None:
            return
        for executor in self.executors:
            try:
                for _ in executor.endings():
                    pass
            except Exception as error:  # noqa: BLE001
                self.lanes.report_failure(executor, error)


def poll_pause_secs(turn_cpu_secs: float) -> float:
    """The pause between polls that costs IDLE_SHARE of a core, where one poll and its pause cost so much CPU time.

    Most of that is the kernel's: to be woken by a timer costs 20 to 27 microseconds on a virtual machine, in C too.
    """
    return min(POLL_PAUSE_MAX_SECS, turn_cpu_secs / IDLE_SHARE)
