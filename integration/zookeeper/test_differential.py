"""The same random requests to this project's server and to Apache's: the same answers, events and tree.

DIFFERENTIAL_STEPS makes the runs longer (default 1,500 a seed); a failure names its seed, which replays it.
"""

from __future__ import annotations

import contextlib
import os
import random
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from kazoo.protocol import serialization as wire
from kazoo.security import ACL, OPEN_ACL_UNSAFE, READ_ACL_UNSAFE, Id, make_digest_acl
from zookeeper_raw_client import RawClient, Reply

if TYPE_CHECKING:
    from zookeeper_servers import ZooKeeperProcess

STEPS = int(os.environ.get("DIFFERENTIAL_STEPS", "1500"))
CLIENTS = 3
PATHS = ["/d", "/d/a", "/d/b", "/d/a/x", "/d/a/y", "/d/a/x/1", "/d/e", "/d/s-", "/d/a/"]
ODD_PATHS = ["/", "/d//a", "/d/.", "/zookeeper", "/zookeeper/quota", "/d/\u0001", "/missing/x"]
ACLS = [
    *[OPEN_ACL_UNSAFE] * 12,
    READ_ACL_UNSAFE,
    [make_digest_acl("alice", "pw", all=True)],
    [ACL(31, Id("auth", ""))],
    [ACL(31, Id("ip", "127.0.0.0/8"))],
    [ACL(31, Id("nonsense", "x"))],
    [],
]
STAT_TIMES = {"czxid", "mzxid", "pzxid", "ctime", "mtime", "ephemeralOwner"}


class Step(NamedTuple):
    """`request` None: the client reconnects (resuming its session), or closes it and opens another."""

    client: int
    request: object | None
    closes: bool = False


def random_steps(rng: random.Random, count: int) -> list[Step]:
    steps = []
    for _ in range(count):
        client = rng.randrange(CLIENTS)
        if rng.random() < 0.01:
            steps.append(Step(client, None, closes=rng.random() < 0.5))
        else:
            steps.append(Step(client, random_request(rng)))
    return steps


def random_request(rng: random.Random) -> object:
    path = rng.choice(PATHS if rng.random() < 0.95 else ODD_PATHS)
    wanted = print if rng.random() < 0.5 else None
    match rng.randrange(12):
        case 0:
            return wire.GetData(path, wanted)
        case 1:
            return wire.Exists(path, wanted)
        case 2:
            return wire.GetChildren2(path, wanted)
        case 3:
            return wire.GetChildren(path, wanted)
        case 4:
            return wire.GetACL(path)
        case 5:
            return wire.SetACL(path, rng.choice(ACLS), rng.choice([-1, -1, 0, 1]))
        case 6:
            return wire.Transaction([random_part(rng, [wire.Create]) for _ in range(rng.randrange(4))])
        case 7:
            return wire.Sync(path)
        case _:
            part = random_part(rng, [wire.Create, wire.Create2])
            # Apache leaves a check that stands outside of a multi without an answer.
            return wire.Sync(part.path) if isinstance(part, wire.CheckVersion) else part


def random_part(rng: random.Random, kinds_of_create: list[type]) -> Any:
    """kazoo cannot read the result of a create2 in a transaction."""
    path = rng.choice(PATHS if rng.random() < 0.95 else ODD_PATHS)
    version = rng.choice([-1, -1, -1, 0, 1, 2])
    match rng.randrange(8):
        case 0 | 1 | 2:
            kind = rng.choice(kinds_of_create)
            flags = rng.choice([0, 0, 0, 0, 1, 2, 3])
            return kind(path, rng.choice([b"", b"x", None, b"long" * 20]), rng.choice(ACLS), flags)
        case 3 | 4:
            return wire.Delete(path, version)
        case 5 | 6:
            return wire.SetData(path, rng.choice([b"", b"y", None]), version)
        case _:
            return wire.CheckVersion(path, version)


class Side:
    """One server with its clients; `ids` names its sessions in the order in which they came."""

    def __init__(self, server: ZooKeeperProcess, stack: contextlib.ExitStack) -> None:
        self._ids: dict[int, str] = {0: "nobody"}
        self._clients = [
            stack.enter_context(contextlib.closing(RawClient(server.port).connect())) for _ in range(CLIENTS)
        ]
        self._name_sessions()
        self._clients[0].send(wire.Auth(0, "digest", "alice:pw"), xid=-4)
        assert self._clients[0].read_reply().error == 0

    def take(self, step: Step) -> object:
        """What the clients see of `step`, without what must differ: zxids, times and ids."""
        client = self._clients[step.client]
        if step.request is None:
            # Other clients' events of the closing are looked for at their own next step.
            if step.closes:
                client.call(wire.CloseInstance)
                client.session_id, client.password = 0, bytes(16)
            client.reconnect()
            client.connect(seen=client.last_zxid)
            client.events.clear()
            self._name_sessions()
            return client.timeout_ms
        reply = client.call(step.request)
        events = [other.take_events() for other in self._clients]
        return reply.error, self._seen(step.request, reply), [sorted(told) for told in events]

    def _seen(self, request: object, reply: Reply) -> object:
        if reply.error or isinstance(request, wire.Delete | wire.Sync):
            return None
        if isinstance(request, wire.Transaction):
            return [self._plain(result) for result in wire.Transaction.deserialize(reply.body, 0)]
        return self._plain(type(request).deserialize(reply.body, 0))  # type: ignore[attr-defined]

    def _plain(self, value: object) -> object:
        if isinstance(value, wire.ZnodeStat):
            plain = {key: number for key, number in value._asdict().items() if key not in STAT_TIMES}
            return plain | {"owner": self._ids[value.ephemeralOwner]}
        if isinstance(value, Exception):
            return type(value).__name__
        if isinstance(value, list) and value and isinstance(value[0], str):
            return sorted(value)
        if isinstance(value, tuple) and not hasattr(value, "_fields"):
            return tuple(self._plain(item) for item in value)
        return value

    def _name_sessions(self) -> None:
        for client in self._clients:
            self._ids.setdefault(client.session_id, f"session {len(self._ids)}")


@pytest.mark.apache_zookeeper
@pytest.mark.parametrize("seed", range(4))
def test_both_servers_answer_alike(
    embedded_zookeeper: ZooKeeperProcess, apache_zookeeper: ZooKeeperProcess, seed: int
) -> None:
    with contextlib.ExitStack() as stack:
        ours, apache = Side(embedded_zookeeper, stack), Side(apache_zookeeper, stack)
        for number, step in enumerate(random_steps(random.Random(seed), STEPS)):
            expected, actual = apache.take(step), ours.take(step)
            assert actual == expected, f"seed {seed}, step {number}: {step}"
