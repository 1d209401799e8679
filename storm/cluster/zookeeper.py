"""StateStorage on a ZooKeeper ensemble.

A write whose answer was lost is made again, and may then meet what it did the first time: the node is there, or
its version moved on. It recognises its own work by the bytes and by a transaction id newer than any that
was seen before the call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from kazoo import exceptions as kz

from storm.clock import SystemClock
from storm.cluster import paths
from storm.cluster.storage import NODE_BYTES_MAX, Versioned
from storm.cluster.zookeeper_session import Call, ZooKeeperSession
from storm.errors import BadVersionError, CoordinationError, NodeExistsError, NoNodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kazoo.client import TransactionRequest

    from storm.cluster.storage import Listener, Watch
    from storm.config.settings import Settings

CALL_TIMEOUT_SECS = 10.0  # for one call with all its repetitions; longer than a restart of a server takes
RACES_MAX = 20  # how often one call may be overtaken by other clients before it gives up
LOOKED_THROUGH_MAX = 20  # newest sequential nodes among which a repeated create looks for its own

_ANY_VERSION = -1

T = TypeVar("T")


def connect(
    servers: Sequence[str],
    root: str,
    session_timeout_ms: int,
    *,
    auth: tuple[str, str] | None = None,
    wait_secs: float | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> ZooKeeperStorage:
    """A session with the ensemble `servers` ("host:port" each), for the nodes below `root` ("/storm").

    `auth`: scheme and credentials, as ("digest", "user:password"); what is created is then this user's alone.
    `wait_secs`, `stopped` and errors: see `ZooKeeperStorage.open`.
    """
    return _opened(_storage(servers, root, session_timeout_ms, auth), wait_secs, stopped)


def connect_by_settings(
    settings: Settings, *, wait_secs: float | None = None, stopped: Callable[[], bool] = lambda: False
) -> ZooKeeperStorage:
    """As `connect`, to the ensemble that a daemon's settings name."""
    return _opened(storage_by_settings(settings), wait_secs, stopped)


def storage_by_settings(settings: Settings) -> ZooKeeperStorage:
    """Of the ensemble that a daemon's or worker's settings name, to be opened."""
    return _storage(
        settings.zookeeper_servers,
        settings["storm.zookeeper.root"],
        settings["storm.zookeeper.session.timeout"],
        settings.zookeeper_auth,
    )


def _storage(
    servers: Sequence[str], root: str, session_timeout_ms: int, auth: tuple[str, str] | None
) -> ZooKeeperStorage:
    session = ZooKeeperSession(
        servers, session_timeout_ms, SystemClock(), auth=auth, call_timeout_secs=CALL_TIMEOUT_SECS
    )
    return ZooKeeperStorage(session, root)


def _opened(storage: ZooKeeperStorage, wait_secs: float | None, stopped: Callable[[], bool]) -> ZooKeeperStorage:
    try:
        storage.open(wait_secs, stopped)
    except BaseException:
        storage.close()
        raise
    return storage


class ZooKeeperStorage:
    """See StateStorage. Any thread may call, except in a listener. Each request ends within its timeout."""

    def __init__(self, session: ZooKeeperSession, root: str) -> None:
        """Raises ValueError for a root that is no path."""
        self._session = session
        self._client = session.client
        self._root = "" if root == "/" else paths.checked(root)
        self._fence: str | None = None

    @property
    def is_connected(self) -> bool:
        """Whether calls need not wait for a connection; else each does up to its timeout."""
        return self._session.is_connected

    def open(self, wait_secs: float | None, stopped: Callable[[], bool]) -> None:
        """Connect, and create the root where it is missing. Comes first.

        `wait_secs`: how long to wait for a connection; None: until `stopped` answers True. Raises CoordinationError
        that names the servers, and goes on connecting; NoPermissionError.
        """
        self._session.open(wait_secs, stopped)
        self._ensure(self._root)

    def create(self, path: str, data: bytes, *, ephemeral: bool = False, sequential: bool = False) -> str:
        place, seen = self._place(path, data), self._session.newest_seen

        def attempt(call: Call) -> str:
            if call.repeated:
                for candidate in self._newest(call, place) if sequential else [place]:
                    if self._is_own_creation(call, candidate, data, seen, ephemeral):
                        return candidate
            created = self._write(
                call,
                lambda: self._client.create_async(place, data, ephemeral=ephemeral, sequence=sequential),
                lambda request: request.create(place, data, ephemeral=ephemeral, sequence=sequential),
            )
            return str(created)

        for _ in range(RACES_MAX):
            try:
                return self._session.call("create", place, attempt)[len(self._root) :]
            except NoNodeError:
                self._ensure(paths.parent(place))
        raise _overtaken("create", place)

    def put(self, path: str, data: bytes) -> None:
        place = self._place(path, data)
        for _ in range(RACES_MAX):
            try:
                self._session.call("write", place, lambda call: self._set(call, place, data, _ANY_VERSION))
                return
            except NoNodeError:
                try:
                    self.create(path, data)
                    return
                except NodeExistsError:
                    continue
        raise _overtaken("write", place)

    def set(self, path: str, data: bytes, version: int) -> int:
        place, seen = self._place(path, data), self._session.newest_seen

        def attempt(call: Call) -> int:
            if call.repeated:
                there, stat = call.wait(self._client.get_async(place))
                if stat.version == version + 1 and stat.mzxid > seen and there == data:
                    return version + 1
            return self._set(call, place, data, version)

        return self._session.call("write", place, attempt)

    def get(self, path: str, watch: Watch | None = None) -> Versioned | None:
        def found(call: Call, place: str, watcher: Any) -> Versioned:
            data, stat = call.wait(self._client.get_async(place, watch=watcher))
            return Versioned(data, stat.version)

        return self._read("data", path, watch, found)

    def children(self, path: str, watch: Watch | None = None) -> list[str]:
        def found(call: Call, place: str, watcher: Any) -> list[str]:
            return sorted(call.wait(self._client.get_children_async(place, watch=watcher)))

        return self._read("children", path, watch, found) or []

    def delete(self, path: str, *, recursive: bool = False) -> None:
        place = self._place(path)

        def attempt(call: Call) -> bool:
            try:
                self._delete(call, place, _ANY_VERSION)
            except kz.NoNodeError:
                return True
            except kz.NotEmptyError:
                return False
            return True

        for _ in range(RACES_MAX):
            if self._session.call("delete", place, attempt):
                return
            if not recursive:
                raise CoordinationError(f"{place} has children and was to be deleted alone.")
            for name in self.children(path):
                self.delete(f"{path}/{name}", recursive=True)
        raise _overtaken("delete", place)

    def put_ephemeral(self, path: str, data: bytes) -> None:
        place = self._place(path, data)

        def replaced(call: Call) -> bool:
            """Whether it was there and ours; one of another session is out of the way afterwards."""
            stat = call.wait(self._client.exists_async(place))
            if stat is None:
                return False
            try:
                if stat.ephemeralOwner == self._session.number:
                    self._set(call, place, data, _ANY_VERSION)
                    return True
                # Of an earlier life of this daemon, whose end the server has not noticed yet.
                self._delete(call, place, stat.version)
            except kz.NotEmptyError as e:
                raise CoordinationError(f"{place} has children and cannot become ephemeral.") from e
            except (kz.NoNodeError, kz.BadVersionError):
                pass
            return False

        for _ in range(RACES_MAX):
            if self._session.call("write", place, replaced):
                return
            try:
                self.create(path, data, ephemeral=True)
                return
            except NodeExistsError:
                continue
        raise _overtaken("write", place)

    def fenced(self, fence: str) -> ZooKeeperStorage:
        view = object.__new__(ZooKeeperStorage)
        view.__dict__.update(self.__dict__)
        view._fence = self._place(fence)
        return view

    def watch_calls(self, on_call: Callable[[float, bool], None]) -> None:
        """Have `on_call` told of each call how many seconds it took, and whether ZooKeeper answered; in any thread."""
        self._session.on_call = on_call

    def add_listener(self, listener: Listener) -> None:
        self._session.add_listener(listener)

    def close(self) -> None:
        self._session.close()

    def _place(self, path: str, data: bytes = b"") -> str:
        place = self._root + paths.checked(path)
        if len(data) > NODE_BYTES_MAX:
            raise CoordinationError(
                f"{place} would have {len(data):,} bytes and ZooKeeper takes {NODE_BYTES_MAX:,} a node."
            )
        return place

    def _ensure(self, place: str) -> None:
        """Create a node without bytes, and those above it, where they are missing."""
        if not place:
            return

        def attempt(call: Call) -> None:
            try:
                call.wait(self._client.create_async(place, b""))
            except kz.NoAuthError:
                # ZooKeeper asks for permission to create it before it looks whether it is there, which is enough.
                if call.wait(self._client.exists_async(place)) is None:
                    raise

        for _ in range(RACES_MAX):
            try:
                self._session.call("create", place, attempt)
                return
            except NodeExistsError:
                return
            except NoNodeError:
                self._ensure(paths.parent(place))
        raise _overtaken("create", place)

    def _read(self, kind: str, path: str, watch: Watch | None, found: Callable[[Call, str, Any], T]) -> T | None:
        """What `found` reads, or None where there is no node; then the watch waits for one."""
        place = self._place(path)

        def attempt(call: Call) -> T | None:
            for _ in range(RACES_MAX):
                watcher = self._session.watcher(kind, place, watch)
                try:
                    return found(call, place, watcher)
                except kz.NoNodeError:
                    if watcher is None or call.wait(self._client.exists_async(place, watch=watcher)) is None:
                        return None
            raise _overtaken("read", place)

        return self._session.call("read", place, attempt)

    def _set(self, call: Call, place: str, data: bytes, version: int) -> int:
        stat = self._write(
            call,
            lambda: self._client.set_async(place, data, version),
            lambda request: request.set_data(place, data, version),
        )
        return int(stat.version)

    def _delete(self, call: Call, place: str, version: int) -> None:
        self._write(
            call,
            lambda: self._client.delete_async(place, version),
            lambda request: request.delete(place, version),
        )

    def _write(self, call: Call, alone: Callable[[], Any], add_to: Callable[[TransactionRequest], None]) -> Any:
        """Request a write `alone`, or, behind a fence, in one transaction with a look at the fence."""
        if self._fence is None:
            return call.wait(alone())
        request = self._client.transaction()
        request.check(self._fence, _ANY_VERSION)
        add_to(request)
        fence_result, result = call.wait(request.commit_async())
        if isinstance(fence_result, kz.NoAuthError):
            raise self._session.no_permission("read", self._fence)
        if isinstance(fence_result, kz.NoNodeError):
            raise BadVersionError(f"Nothing was written: {self._fence} is gone.")
        if isinstance(result, Exception):
            raise result
        return result

    def _newest(self, call: Call, place: str) -> list[str]:
        """Paths of the newest sequential nodes that begin with `place`."""
        above, _, prefix = place.rpartition("/")
        try:
            names = call.wait(self._client.get_children_async(above))
        except kz.NoNodeError:
            return []
        numbered = sorted(
            (number, name)
            for name in names
            if name.startswith(prefix) and (number := paths.sequence_number(name)) is not None
        )
        return [f"{above}/{name}" for _, name in numbered[-LOOKED_THROUGH_MAX:]]

    def _is_own_creation(self, call: Call, place: str, data: bytes, seen: int, ephemeral: bool) -> bool:
        try:
            there, stat = call.wait(self._client.get_async(place))
        except kz.NoNodeError:
            return False
        owner_is_right = stat.ephemeralOwner == (self._session.number if ephemeral else 0)
        return bool(owner_is_right and stat.czxid > seen and there == data)


def _overtaken(action: str, place: str) -> CoordinationError:
    return CoordinationError(f"Could not {action} {place}: others changed it {RACES_MAX} times meanwhile.")
