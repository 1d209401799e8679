"""A session with ZooKeeper through kazoo: its connection, the watches that wait on it, and calls with a deadline.

What kazoo leaves to its users, and what is done about it here:

* A request whose connection drops fails, though the server may have carried it out. Each call is repeated until
  its deadline, and knows in `Call.repeated` that it may meet its own first attempt.
* On a lost connection all watches are forgotten. They are called once the connection is back, since nobody
  knows what happened meanwhile.
* The delay between its attempts to connect grows to an hour; here it ends at CONNECT_DELAY_MAX_SECS. An attempt waits
  as long as a session for a host that is silent; here CONNECT_TIMEOUT_SECS.
* It tells that a session was lost when a server says so, which none can while none is reached. After a session's length
  without a connection the session counts as lost.
* Its thread ends for good when a server sends nonsense; the next call starts it again.
* Listeners run in the thread that reads answers, so a call from one would wait for itself: they only take notes.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from kazoo import exceptions as kz
from kazoo.client import KazooClient
from kazoo.handlers.threading import KazooTimeoutError, SequentialThreadingHandler
from kazoo.protocol.states import EventType, KazooState, KeeperState
from kazoo.retry import KazooRetry
from kazoo.security import CREATOR_ALL_ACL

from storm.cluster.storage import ConnectionState
from storm.errors import BadVersionError, CoordinationError, NodeExistsError, NoNodeError, NoPermissionError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from storm.clock import Clock
    from storm.cluster.storage import Listener, Watch

logger = logging.getLogger(__name__)

CONNECT_DELAY_MAX_SECS = 1.0  # and up to 40 % more: kazoo's jitter
CONNECT_TIMEOUT_SECS = 3.0  # of TCP; a packet lost in its beginning is sent again after 1 s, 3 s, 7 s, 15 s
REPEAT_PAUSE_SECS = 0.05  # before a call that lost its connection looks whether there is another
STOPPED_CHECK_SECS = 0.2  # how often waiting for a connection asks whether to go on
CLOSED_CHECK_SECS = 0.2  # how often a call that waits for its answer looks whether the session was closed
CLOSE_SECS = 2.0  # how long the server may take to confirm the end of a session
SAY_WAITING_SECS = 10.0  # how often it says in the log that it still waits

_ADVICE = (
    "check that it runs, and that storm.zookeeper.servers and storm.zookeeper.port name it"
    " (for one machine, `storm dev-zookeeper` starts one)."
)
_CHECK_AUTH = "check storm.zookeeper.auth.scheme and storm.zookeeper.auth.payload"
_STATES = {
    KazooState.CONNECTED: ConnectionState.CONNECTED,
    KazooState.SUSPENDED: ConnectionState.SUSPENDED,
    KazooState.LOST: ConnectionState.LOST,
}
_ANSWER_LOST = (
    kz.ConnectionLoss,
    kz.ConnectionClosedError,
    kz.OperationTimeoutError,
    kz.SessionExpiredError,
    kz.SessionMovedError,
)

T = TypeVar("T")


class _Handler(SequentialThreadingHandler):  # type: ignore[misc]  # kazoo has no types
    def create_connection(self, *args: Any, **kwargs: Any) -> Any:
        timeout_secs = min(kwargs.pop("timeout", CONNECT_TIMEOUT_SECS), CONNECT_TIMEOUT_SECS)
        return super().create_connection(*args, timeout=timeout_secs, **kwargs)


class Call:
    """One call with all its attempts. `repeated`: an earlier attempt may have been carried out."""

    def __init__(self, clock: Clock, deadline: float, closed: threading.Event) -> None:
        self.repeated = False
        self._clock = clock
        self._deadline = deadline
        self._closed = closed

    def remaining_secs(self) -> float:
        return max(0.0, self._deadline - self._clock.now())

    def wait(self, result: Any) -> Any:
        """The answer to one of kazoo's asynchronous requests. Raises kazoo's errors."""
        while True:
            remaining_secs = self.remaining_secs()
            try:
                return result.get(timeout=min(CLOSED_CHECK_SECS, remaining_secs))
            except KazooTimeoutError:
                if remaining_secs == 0 or self._closed.is_set():
                    raise
            except kz.KazooException as answered:
                # kazoo's result keeps its error, and the error by its traceback this frame, hence the result: a cycle
                # for each look at a node that is not there, in processes that hardly ever collect.
                answered.__traceback__ = None
                raise type(answered)(*answered.args) from None


class ZooKeeperSession:
    """See the module. Any thread may call, except in a listener."""

    def __init__(
        self,
        servers: Sequence[str],
        session_timeout_ms: int,
        clock: Clock,
        *,
        auth: tuple[str, str] | None = None,
        call_timeout_secs: float,
    ) -> None:
        self.place = f"ZooKeeper at {', '.join(servers)}"
        self._user = _user(auth)
        self.client = KazooClient(
            hosts=",".join(servers),
            timeout=session_timeout_ms / 1000,
            handler=_Handler(),
            connection_retry=KazooRetry(max_tries=-1, delay=0.05, max_delay=CONNECT_DELAY_MAX_SECS),
            auth_data=[auth] if auth else None,
            default_acl=CREATOR_ALL_ACL if auth else None,
            logger=_quiet_logger(),
        )
        self.on_call: Callable[[float, bool], None] = lambda secs, is_answered: None
        self._clock = clock
        self._session_secs = session_timeout_ms / 1000
        self._call_timeout_secs = call_timeout_secs
        self._closed = threading.Event()
        self._stopped: Callable[[], bool] = lambda: False
        self._is_refused = False  # for good: ZooKeeper does not accept these credentials
        self._connected = threading.Event()  # or refused
        self._starting = threading.Lock()  # guards the next
        self._started_at: float | None = None
        self._lock = threading.Lock()  # guards what follows
        self._state = ConnectionState.LOST
        self._suspension: threading.Timer | None = None  # while SUSPENDED: ends it after the length of a session
        self._listeners: list[Listener] = []
        self._watches: dict[tuple[str, str, Watch], Callable[[Any], None]] = {}
        self._unheard: dict[Watch, None] = {}  # to be called when the connection is back
        self.client.add_listener(self._state_changed)

    @property
    def number(self) -> int | None:
        """ZooKeeper's number of this session; None while there is no connection."""
        identity = self.client.client_id
        return None if identity is None else int(identity[0])

    @property
    def is_connected(self) -> bool:
        """Whether calls need not wait for a connection: there is one, or ZooKeeper refuses this session for good."""
        return self._connected.is_set()

    @property
    def newest_seen(self) -> int:
        """The newest transaction id that any answer to this client has carried."""
        return int(self.client.last_zxid)

    def open(self, wait_secs: float | None, stopped: Callable[[], bool]) -> None:
        """Connect. `wait_secs` None: for as long as `stopped` answers False; once it answers True no call waits for a
        connection any more. Raises CoordinationError.
        """
        self._stopped = stopped
        began = said = self._clock.now()
        while not self._is_connected_within(STOPPED_CHECK_SECS):
            now = self._clock.now()
            if stopped() or (wait_secs is not None and now - began >= wait_secs):
                raise CoordinationError(f"{self.place} did not answer within {now - began:.0f} s: {_ADVICE}")
            if now - said >= SAY_WAITING_SECS:
                said = now
                logger.warning("%s has not answered for %.0f s: %s", self.place, now - began, _ADVICE)

    def close(self) -> None:
        """End the session. What waits for an answer raises CoordinationError.

        Where the server does not confirm it soon, the session's ephemeral nodes stay until it expires.
        """
        if self._closed.is_set():
            return
        self._closed.set()
        # In a thread of its own: with a server that is silent, kazoo waits for ten seconds and more.
        closer = threading.Thread(target=self._close_client, name="zookeeper-close", daemon=True)
        closer.start()
        closer.join(CLOSE_SECS)
        if closer.is_alive():
            logger.warning("%s does not confirm the end of the session; it expires by itself.", self.place)

    def add_listener(self, listener: Listener) -> None:
        with self._lock:
            self._listeners.append(listener)

    def watcher(self, kind: str, path: str, watch: Watch | None) -> Callable[[Any], None] | None:
        """What to give kazoo for `watch`: one function until it is called, so that kazoo calls it once."""
        if watch is None:
            return None
        key = (kind, path, watch)

        def changed(event: Any) -> None:
            if event.type == EventType.NONE:
                return  # the connection changed, which `_state_changed` sees to
            with self._lock:
                self._watches.pop(key, None)
            watch()

        with self._lock:
            return self._watches.setdefault(key, changed)

    def call(self, action: str, path: str, attempt: Callable[[Call], T]) -> T:
        """`attempt`, repeated while connections are lost, until the call's deadline; `on_call` hears how it went.

        Raises NoNodeError, NodeExistsError, BadVersionError, NoPermissionError, CoordinationError for kazoo's.
        """
        began, is_answered = self._clock.now(), False
        try:
            found = self._repeated(action, path, attempt)
            is_answered = True
            return found
        except (NoNodeError, NodeExistsError, BadVersionError):
            is_answered = True
            raise
        finally:
            self.on_call(self._clock.now() - began, is_answered)

    def _repeated(self, action: str, path: str, attempt: Callable[[Call], T]) -> T:
        call = Call(self._clock, self._clock.now() + self._call_timeout_secs, self._closed)
        while True:
            if not self._is_connected_within(call.remaining_secs()):
                raise self._no_answer(action, path)
            try:
                return attempt(call)
            except _ANSWER_LOST:
                call.repeated = True
                self._closed.wait(min(REPEAT_PAUSE_SECS, call.remaining_secs()))
            except KazooTimeoutError as e:
                self._refuse_if_closed()
                raise self._no_answer(action, path) from e
            except kz.NoNodeError as e:
                raise NoNodeError(f"There is no node {path}.") from e
            except kz.NodeExistsError as e:
                raise NodeExistsError(f"{path} exists already.") from e
            except kz.BadVersionError as e:
                raise BadVersionError(f"{path} was changed by somebody else since it was read.") from e
            except kz.NoAuthError as e:
                raise self.no_permission(action, path) from e
            except kz.AuthFailedError as e:
                raise self._not_accepted() from e
            except kz.KazooException as e:
                why = f"{type(e).__name__} {e}".strip()
                raise CoordinationError(f"{self.place} refused to {action} {path}: {why}.") from e

    def _close_client(self) -> None:
        try:
            self.client.stop()
            self.client.close()
        except (kz.KazooException, KazooTimeoutError, OSError) as e:
            logger.warning("The session with %s did not end in order: %s.", self.place, e)

    def _is_connected_within(self, timeout_secs: float) -> bool:
        self._refuse_if_closed()
        if not self._is_refused:
            self._start_if_ended()
        until = self._clock.now() + timeout_secs
        while not (is_connected := self._connected.wait(min(STOPPED_CHECK_SECS, timeout_secs))):
            timeout_secs = until - self._clock.now()
            if timeout_secs <= 0 or self._stopped():
                break
        if self._is_refused:
            raise self._not_accepted()
        return is_connected

    def _refuse_if_closed(self) -> None:
        if self._closed.is_set():
            raise CoordinationError(f"The session with {self.place} was closed.")

    def _start_if_ended(self) -> None:
        with self._starting:
            now = self._clock.now()
            recently = self._started_at is not None and now - self._started_at < CONNECT_DELAY_MAX_SECS
            if not recently and self.client._connection.connection_stopped.is_set():
                self._started_at = now
                self.client.start_async()

    def no_permission(self, action: str, path: str) -> NoPermissionError:
        """That ZooKeeper does not let this session do that."""
        return NoPermissionError(
            f"{self.place} gives {self._user} no permission to {action} {path}: {_CHECK_AUTH},"
            " and the ACLs of this node and of the one above it."
        )

    def _not_accepted(self) -> NoPermissionError:
        return NoPermissionError(f"{self.place} does not accept {self._user}: {_CHECK_AUTH}.")

    def _no_answer(self, action: str, path: str) -> CoordinationError:
        secs = self._call_timeout_secs
        if self._stopped():
            return CoordinationError(f"{self.place} is away, and this process was told to end: no {action} of {path}.")
        return CoordinationError(f"{self.place} did not answer within {secs:g} s to {action} {path}: {_ADVICE}")

    def _state_changed(self, kazoo_state: str) -> None:
        # Only now: a moment later kazoo's thread ends, and the state is CLOSED as after any other end.
        self._is_refused |= self.client.client_state == KeeperState.AUTH_FAILED
        self._become(_STATES[kazoo_state])
        if self._is_refused:
            self._connected.set()  # nothing more comes: who waits is to hear it at once

    def _become(self, state: ConnectionState, suspension: threading.Timer | None = None) -> None:
        # Nothing changes if it is a `suspension` that says so and that is over meanwhile.
        unheard: list[Watch] = []
        with self._lock:
            if suspension is not None and suspension is not self._suspension:
                return
            if self._suspension is not None:
                self._suspension.cancel()
            self._suspension = self._new_suspension() if state is ConnectionState.SUSPENDED else None
            before, self._state = self._state, state
            listeners = [] if state is before else list(self._listeners)
            if state is ConnectionState.CONNECTED:
                self._connected.set()
                unheard, self._unheard = list(self._unheard), {}
            else:
                self._connected.clear()
                self._unheard.update((watch, None) for _, _, watch in self._watches)
                self._watches.clear()
        if not self._closed.is_set():
            self._log(before, state)
        for listener in listeners:
            listener(state)
        for watch in unheard:
            watch()

    def _new_suspension(self) -> threading.Timer:
        timer = threading.Timer(self._session_secs, lambda: self._become(ConnectionState.LOST, timer))
        timer.daemon = True
        timer.start()
        return timer

    def _log(self, before: ConnectionState, state: ConnectionState) -> None:
        if state is ConnectionState.CONNECTED:
            logger.info("Connected to %s.", self.place)
        elif self._is_refused:
            logger.warning("%s does not accept %s.", self.place, self._user)
        elif before is ConnectionState.CONNECTED:
            logger.warning("The connection to %s is lost; trying again.", self.place)
        elif before is ConnectionState.SUSPENDED:
            logger.warning("The session with %s counts as ended: its ephemeral nodes are gone.", self.place)


def _user(auth: tuple[str, str] | None) -> str:
    """Who that is, without what proves it."""
    if auth is None:
        return "a client without credentials"
    scheme, payload = auth
    name, colon, _ = payload.partition(":")
    return f"the {scheme} user {name!r}" if colon else f"a user of the scheme {scheme!r}"


def _quiet_logger() -> logging.Logger:
    """kazoo warns at every attempt to reconnect; this module says once that the connection is lost."""
    quiet = logging.getLogger(f"{__name__}.kazoo")
    quiet.setLevel(logging.ERROR)
    return quiet
