"""The one thread that owns a worker's sockets: it connects, sends what waits, takes what comes, announces full tasks.

It compares wanted with actual at every turn: peers of the assignment with open connections, queued frames with what the
sockets take, queue lengths with what was announced. Between turns it sleeps until a frame comes, somebody wakes
it, or something is due: an idle worker costs a turn a second. While tuples flow it wakes up by itself often enough
for batches that nobody flushes, so that lanes need not wake it for each.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol, assert_never

from storm.config.addresses import joined
from storm.executor.inquiry import Holding, How
from storm.messaging.batch import (
    Held,
    Hello,
    Inquiry,
    Throttle,
    held_frame,
    hello_frame,
    inquiry_frame,
    throttle_frame,
)
from storm.metrics.insight_records import Obstacles
from storm.worker import backpressure, connections
from storm.worker.connections import Connect, Disconnect, Peer
from storm.worker.transfer import LATE_SECS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from storm.clock import Clock
    from storm.ids import TaskId
    from storm.messaging.batch import WorkerAddress
    from storm.messaging.transport import Sender, Transport
    from storm.worker.connections import View
    from storm.worker.receive import Receive
    from storm.worker.transfer import WorkerTransfer

logger = logging.getLogger(__name__)

FRAMES_A_TURN = 16
DELIVERED_A_CHECK = 1_000
IDLE_SECS = 1.0
AWAKE_SECS = 0.5  # after something was sent, it wakes up by itself for so long, every LATE_SECS
ASK_AGAIN_SECS = 1.0  # a hello, or its answer, may get lost
HOWS = frozenset(map(int, How))
CONTROL_FRAMES_MAX = 16  # for a peer that takes none: the newest are kept


class Flow(Protocol):
    """What of `storm.executor.lanes.Lanes` the exchange needs.

    `fail_pending` is called when a peer died: what it had is lost, so trees under way had better fail than time out.
    `is_emitting`: whether spouts here may emit; in a topology that is stopped workers end one after the other.
    `held` answers what is held of trees, None: not now; `answered` takes what a peer (named for people) answered.
    """

    def throttle(self, tasks: frozenset[TaskId]) -> None: ...

    def fail_pending(self, why: str) -> None: ...

    def is_emitting(self) -> bool: ...

    def held(self, roots: Sequence[int]) -> Sequence[Holding] | None: ...

    def answered(self, number: int, worker: str, holdings: Sequence[Holding]) -> None: ...

    def queue_lengths(self) -> dict[TaskId, int]: ...


class ExchangeOptions(NamedTuple):
    """`own` is what this worker's frames carry, `incarnation` a random number that tells its process from others.

    `check_secs`: how often queue lengths are looked at while tuples come or tasks are over their mark.
    """

    own: WorkerAddress
    incarnation: int
    marks: backpressure.Marks
    check_secs: float = 0.05


class ExchangeFigures(NamedTuple):
    """What an exchange has done so far, and has to do.

    `peers` are connected to, or being so; `waiting` are tuples and acks, as what is dropped, by reason.
    """

    peers: int
    missing_peers: int
    reconnects: int
    frames_sent: int
    waiting: int
    tuples_received: int
    dropped_before_sending: dict[str, int]
    dropped_on_arrival: dict[str, int]
    messages_of_several_parts: int
    strangers_shut: int


@dataclass(slots=True)
class Connection:
    """An open connection to a peer.

    `greeted` is the sender's `connects` that a hello was sent for, and `asked_at` when, None once one came back;
    `incarnation` and `routed_by` are what the peer's last hello said, None before there was one; `ended` is what the
    sender's was when what was under way was failed last; `control` are frames that go before all others.
    """

    sender: Sender
    greeted: int = 0
    asked_at: float | None = None
    incarnation: int | None = None
    routed_by: int | None = None
    ended: int = 0
    control: deque[bytes] = field(default_factory=lambda: deque(maxlen=CONTROL_FRAMES_MAX))


class Exchange:
    """`start` and `stop` for a thread of its own, or `step` by whoever owns the only thread."""

    def __init__(
        self,
        transport: Transport,
        transfer: WorkerTransfer,
        receive: Receive,
        flow: Flow,
        clock: Clock,
        options: ExchangeOptions,
    ) -> None:
        self._own = options.own
        self._transport = transport
        self._transfer = transfer
        self._receive = receive
        self._flow = flow
        self._clock = clock
        self._options = options
        self._wanted: View = receive.view
        self._connected: View | None = None  # the one that the open connections are of
        self._connections: dict[Peer, Connection] = {}
        self._own_queues = backpressure.OwnQueues()
        self._announced = backpressure.Announced()
        self._throttled: frozenset[TaskId] = frozenset()
        self._slow: frozenset[Peer] = frozenset()
        self._checked_at = float("-inf")
        self._delivered_at_check = -1
        self._inquiries: deque[bytes] = deque()  # frames for every peer
        self._blocked: dict[Peer, Sender] = {}
        self._sent_at = float("-inf")
        self._sleeping_until = float("-inf")
        transfer.wake = self.wake_by
        transport.is_from_peer = receive.is_from_peer
        self._running = False
        self._thread: threading.Thread | None = None
        self.failure: BaseException | None = None

    # From any thread

    def update(self, view: View) -> None:
        """The assignment changed: from its next turn on the exchange works towards it."""
        self._wanted = view
        self._transport.wake()

    def wake_by(self, due: float) -> None:
        """Have a turn at this clock second at the latest."""
        if self._sleeping_until > due:
            self._transport.wake()

    def ask(self, number: int, roots: Sequence[int]) -> list[str]:
        """Ask every peer what it holds of these trees; the names of those asked. The flow is told what they answer."""
        peers = list(self._connections)
        if peers:
            self._inquiries.append(inquiry_frame(self._own, Inquiry(number, tuple(roots))))
            self._transport.wake()
        return [name_of(peer) for peer in peers]

    @property
    def view(self) -> View:
        """The assignment by which frames are sent and taken now: the latest one, once it had a turn."""
        return self._receive.view

    def missing_peers(self) -> list[Peer]:
        """Peers of the assignment that are not connected, or not heard of with the epoch that they should have."""
        opened = dict(self._connections)
        return sorted(
            peer
            for peer in self._wanted.peers.values()
            if (found := opened.get(peer)) is None or not (found.incarnation is not None and found.sender.connected)
        )

    def is_settled(self) -> bool:
        """Whether this worker and all peers that it has heard of send by the latest assignment, as far as they say.

        Until then a tuple may go to a worker that is about to end.
        """
        wanted = self._wanted
        return self._connected is wanted and not any(
            connection.sender.connected and connection.routed_by is not None and connection.routed_by < wanted.version
            for connection in list(self._connections.values())
        )

    def take_unheard_of(self) -> bool:
        """Whether a frame came from a worker that the assignment did not have, since the last call."""
        found, self._receive.unheard_of = self._receive.unheard_of, False
        return found

    def start(self, on_failure: Callable[[], None]) -> None:
        """Run in a thread; `on_failure` is called in it when a turn raised: no input should make it do so."""
        self._running = True
        self._thread = threading.Thread(target=self._run, args=(on_failure,), name="exchange", daemon=True)
        self._thread.start()

    def stop(self, timeout_secs: float) -> None:
        """Send what can be sent at once, close the sockets, end the thread."""
        self._running = False
        self._transport.wake()
        if self._thread is not None:
            self._thread.join(timeout_secs)
        else:
            self._finish()

    def obstacles(self) -> Obstacles:
        """What of the peers holds this worker's executors back, as of the last turn; by any thread."""
        now = self._clock.now()
        task_peers = self._receive.view.task_peers
        return Obstacles(
            {name_of(peer): tasks for peer, (tasks, expires) in self._announced.by_peer.items() if expires > now},
            {name_of(peer): frozenset(task for task in task_peers if task_peers[task] == peer) for peer in self._slow},
        )

    def reconnects(self) -> int:
        """How often peers were connected to anew, the present ones; by any thread."""
        return sum(max(0, each.sender.connects - 1) for each in list(self._connections.values()))

    def dropped(self) -> dict[str, int]:
        """{why: how many tuples, acks or frames}; by any thread."""
        found = {f"before sending: {why}": count for why, count in dict(self._transfer.dropped).items()}
        found |= {f"on arrival: {why}": count for why, count in dict(self._receive.dropped).items()}
        if self._transport.dropped:
            found["messages of several parts"] = self._transport.dropped
        return found

    def peers(self) -> int:
        """How many are connected to, or being connected to; by any thread."""
        return len(self._connections)

    def figures(self) -> ExchangeFigures:
        """By any thread."""
        return ExchangeFigures(
            peers=self.peers(),
            missing_peers=len(self.missing_peers()),
            reconnects=self.reconnects(),
            frames_sent=self._transfer.sent_frames,
            waiting=self._transfer.waiting(),
            tuples_received=self._receive.delivered,
            dropped_before_sending=dict(self._transfer.dropped),
            dropped_on_arrival=dict(self._receive.dropped),
            messages_of_several_parts=self._transport.dropped,
            strangers_shut=self._transport.shut,
        )

    # The owner's thread

    def _run(self, on_failure: Callable[[], None]) -> None:
        try:
            while self._running:
                changes = self._transfer.changes
                self._sleeping_until = due = self.awake_until(self.step())
                # What came after its turn and before that line woke nobody.
                timeout_secs = due - self._clock.now() if changes == self._transfer.changes else 0.0
                self._transport.wait(max(0.0, timeout_secs), self._blocked.values())
                self._sleeping_until = float("-inf")
        except BaseException as error:  # whatever it is: without this thread the worker lives on and does nothing
            self.failure = error
            logger.exception("The exchange of tuples with other workers failed.")
            on_failure()
        finally:
            self._finish()

    def _finish(self) -> None:
        try:
            if self.failure is None:
                self._transfer.flush()
                self._send(self._clock.now())
        finally:
            self._transport.close()

    def step(self) -> float:
        """One turn; when the next is due at the latest, on the clock's `now`, if woken for all that it is given."""
        now = self._clock.now()
        self._connect()
        self._greet(now)
        for frame in self._transport.receive(FRAMES_A_TURN):
            if (announcement := self._receive.take(frame)) is not None:
                self._hear(announcement.peer, announcement.message, now)
        due = self._check_queues(now)
        if self._send(now):
            self._sent_at = now
        self._throttle(now)
        ready_at = self._transfer.next_ready(self._blocked)
        if ready_at is not None:
            due = min(due, ready_at)
        return due

    def awake_until(self, due: float) -> float:
        """When its own thread, which lanes need not wake for each batch, should have the next turn at the latest."""
        now = self._clock.now()
        return min(due, now + LATE_SECS) if now - self._sent_at < AWAKE_SECS else due

    def _connect(self) -> None:
        wanted = self._wanted
        if wanted is self._connected:
            return
        for command in connections.plan(wanted, self._connections):
            match command:
                case Connect(peer):
                    logger.info("Connecting to %s:%d (epoch %d).", peer.host, peer.slot.port, peer.epoch)
                    self._connections[peer] = Connection(self._transport.connect(peer.host, peer.slot.port))
                case Disconnect(peer):
                    logger.info("Disconnecting from %s:%d (epoch %d).", peer.host, peer.slot.port, peer.epoch)
                    gone = self._connections.pop(peer)
                    may_hold = gone.incarnation is not None or gone.sender.connects > gone.ended
                    gone.sender.close()
                    if may_hold:
                        self._lost(peer)
                    self._announced = backpressure.gone(self._announced, peer)
                case _:
                    assert_never(command)
        self._receive.view = wanted
        self._transfer.route(wanted.task_peers, tuple(self._connections))
        for connection in self._connections.values():
            if connection.incarnation is not None:
                connection.control.append(self._hello(answer=True))
        self._connected = wanted

    def _hear(self, peer: Peer, message: Hello | Throttle | Inquiry | Held, now: float) -> None:
        connection = self._connections.get(peer)
        if connection is None:
            return
        match message:
            case Throttle():
                self._announced = backpressure.heard(self._announced, peer, message, now)
            case Hello():
                self._greeted_by(peer, connection, message)
            case Inquiry(number, roots):
                holdings = self._flow.held(roots)
                if holdings is not None:
                    held = Held(number, tuple((each.root, each.task, int(each.how)) for each in holdings))
                    connection.control.append(held_frame(self._own, held))
            case Held(number, entries):
                known = [Holding(root, task, How(how)) for root, task, how in entries if how in HOWS]
                self._flow.answered(number, name_of(peer), known)
            case _:
                assert_never(message)

    def _greeted_by(self, peer: Peer, connection: Connection, message: Hello) -> None:
        if connection.incarnation is None:
            # The first word of a peer that we were connected to more than once, since it ended or from the beginning:
            # another process may have answered at first, with tuples of ours.
            died = connection.sender.connects > connection.ended + 1
        else:
            died = connection.incarnation != message.incarnation
        if died:
            connection.ended = connection.sender.ended
            self._lost(peer)
        connection.incarnation, connection.routed_by = message.incarnation, message.routed_by
        connection.asked_at = None
        self._transfer.speak(peer, message.spoken)
        if not message.answer:
            connection.control.append(self._hello(answer=True))
            if self._own_queues.over:
                told = backpressure.announcement(self._own_queues.over)
                connection.control.append(throttle_frame(self._own, told))

    def _lost(self, peer: Peer) -> None:
        logger.info("The worker at %s died or was replaced; what was under way is replayed.", name_of(peer))
        self._flow.fail_pending(f"the worker at {name_of(peer)} died or was replaced, and may have held a part of it")

    def _greet(self, now: float) -> None:
        """Greet each peer that was connected to anew.

        Of those that have ended, what is under way fails as soon as that is known, however long a successor takes.
        """
        for peer, connection in self._connections.items():
            if connection.sender.ended > connection.ended and self._flow.is_emitting():
                connection.ended = connection.sender.ended
                connection.incarnation = None
                self._transfer.speak(peer, None)  # a successor that knows nobody yet would drop what is replayed to it
                self._lost(peer)
            is_new = connection.sender.connects != connection.greeted
            is_unheard = connection.asked_at is not None and now - connection.asked_at >= ASK_AGAIN_SECS
            if connection.sender.connected and (is_new or (is_unheard and not connection.control)):
                connection.greeted = connection.sender.connects
                connection.asked_at = now
                connection.control.append(self._hello(answer=False))

    def _hello(self, answer: bool) -> bytes:
        hello = Hello(answer, self._options.incarnation, routed_by=self._receive.view.version)
        return hello_frame(self._own, hello)

    def _check_queues(self, now: float) -> float:
        """Look at the queue lengths if it is time; when the next time is."""
        delivered = self._receive.delivered
        idle = delivered == self._delivered_at_check and not self._own_queues.over
        if idle or (
            now - self._checked_at < self._options.check_secs
            and delivered - self._delivered_at_check < DELIVERED_A_CHECK
        ):
            return now + (IDLE_SECS if idle else self._options.check_secs)
        self._checked_at = now
        self._delivered_at_check = delivered
        self._own_queues, told = backpressure.look(
            self._own_queues, self._flow.queue_lengths(), self._options.marks, now
        )
        if told is not None:
            frame = throttle_frame(self._own, told)
            for connection in self._connections.values():
                connection.control.append(frame)
        return now + self._options.check_secs

    def _send(self, now: float) -> bool:
        """Send what the sockets take; whether that was anything."""
        blocked = {}
        while self._inquiries:
            inquiry = self._inquiries.popleft()
            for connection in self._connections.values():
                connection.control.append(inquiry)
        before = self._transfer.sent_frames
        for peer, connection in self._connections.items():
            sender = connection.sender
            while connection.control and sender.try_send(connection.control[0]):
                connection.control.popleft()
            full = bool(connection.control)
            # Lanes may fill the queue as fast as it is emptied: what else there is to do must have its turn too.
            for _ in range(FRAMES_A_TURN):
                if full or (frame := self._transfer.peek(peer, now)) is None:
                    break
                full = not sender.try_send(frame)
                if not full:
                    self._transfer.pop(peer)
            if full:
                blocked[peer] = sender
        self._blocked = blocked
        return self._transfer.sent_frames != before

    def _throttle(self, now: float) -> None:
        full = self._slow = self._transfer.full_peers()
        tasks = backpressure.spared(self._announced, now)
        if full:
            tasks |= {task for task, peer in self._receive.view.task_peers.items() if peer in full}
        if tasks != self._throttled:
            self._throttled = tasks
            self._flow.throttle(tasks)


def name_of(peer: Peer) -> str:
    """For people."""
    return joined(peer.host, peer.slot.port)
