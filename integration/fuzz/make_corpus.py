"""Writes the named files of the corpus: valid sessions, and bytes that are known to have killed or frozen servers.

The nasty ones are what stock libraries were measured to die of, and published faults; each has its name. Files of a
hash are not touched.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import archives
import http_cases
import tars
from corpus import save
from kazoo.protocol import serialization as wire
from kazoo.security import OPEN_ACL_UNSAFE

from storm.cluster import record_codec, records
from storm.ids import ExecutorId, WorkerSlot
from storm.thrift.binary_protocol import encode_message
from storm.thrift.interface import service
from storm.thrift.prescan import CALL, ONEWAY, REPLY, MessageHeader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

HUGE = 2**31 - 1
HTTP = b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n"
TLS_HELLO = (
    b"\x16\x03\x01\x00\x85\x01\x00\x00\x81\x03\x03" + bytes(range(32)) + b"\x20" + bytes(range(32))
    + b"\x00\x04\x13\x01\x13\x02\x01\x00\x00\x34" + bytes(0x34)
)  # fmt: skip


# --- Thrift


def framed(message: bytes) -> bytes:
    return struct.pack(">I", len(message)) + message


def thrift_head(method: bytes = b"activate", kind: int = CALL) -> bytes:
    return struct.pack(">HBBi", 0x8001, 0, kind, len(method)) + method + struct.pack(">i", 1)


def sample(kind: int, detail: Any, depth: int = 0) -> Any:
    """A plausible value of a type of `thrift_spec`."""
    if kind == 12:  # a struct
        value = detail()
        union = detail.is_union
        for inner, name, *rest in detail.thrift_spec.values():
            if depth < 3 or union or rest[-1]:
                setattr(value, name, sample(inner, rest[0] if len(rest) > 1 else None, depth + 1))
            if union:
                break
        return value
    if kind in (14, 15):
        inner = detail if isinstance(detail, tuple) else (detail, None)
        return [sample(*inner, depth + 1)] if depth < 4 else []
    if kind == 13:
        pairs = [part if isinstance(part, tuple) else (part, None) for part in detail]
        if depth >= 4:
            return {}
        key = sample(*pairs[0], depth + 1)
        return {tuple(key) if isinstance(key, list) else key: sample(*pairs[1], depth + 1)}
    return {2: True, 3: 1, 4: 0.5, 6: 7, 8: 1, 10: 2**40, 11: "no-such-name", 18: b"bytes"}[kind]


def thrift_calls(name: str) -> Iterator[tuple[str, bytes]]:
    """A sound call of every method of a service."""
    for method in service(name).thrift_services:
        cls = getattr(service(name), f"{method}_args")
        try:
            arguments = sample(12, cls)
            yield f"call-{method}", framed(encode_message(MessageHeader(method, CALL, 1, 0), arguments))
        except Exception as error:  # noqa: BLE001  a struct that no such value fills
            print(f"no call of {name}.{method}: {error}")


def thrift_nasties() -> Iterator[tuple[str, bytes]]:
    head = thrift_head()

    def field(kind: int, value: bytes, number: int = 99) -> bytes:
        return framed(head + struct.pack(">Bh", kind, number) + value + b"\0")

    freeze = field(15, struct.pack(">Bi", 1, HUGE))
    yield "freeze-list-of-void", freeze
    yield "freeze-a-thousand-times", freeze * 1000
    yield "freeze-set-of-unknown", field(14, struct.pack(">Bi", 99, HUGE))
    yield "freeze-map-of-void", field(13, struct.pack(">BBi", 1, 1, HUGE))
    yield "string-of-minus-one", field(11, struct.pack(">i", -1), 1)
    yield "string-of-2-gigabytes", field(11, struct.pack(">i", HUGE), 1)
    yield "list-of-2-billion-numbers", field(15, struct.pack(">Bi", 8, HUGE))
    yield "list-of-minus-one", field(15, struct.pack(">Bi", 8, -1))
    yield "200000-nested-lists", field(15, struct.pack(">Bi", 15, 1) * 200_000)
    yield "100000-nested-structs", field(12, b"\x0c\0\1" * 100_000)
    yield "240000-empty-structs", field(15, struct.pack(">Bi", 12, 240_000) + bytes(240_000))
    yield "a-million-empty-structs", field(15, struct.pack(">Bi", 12, 1_000_000) + bytes(1_000_000))
    yield "200000-empty-strings", field(15, struct.pack(">Bi", 11, 200_000) + bytes(800_000))
    yield "many-small-fields", framed(head + b"\x02\0\x63\1" * 200_000 + b"\0")
    executors = struct.pack(">Bi", 12, 60_000) + b"\x08\0\1\0\0\0\1\x08\0\2\0\0\0\1\0" * 60_000
    beat = b"\x0b\0\1\0\0\0\1t\x0f\0\2" + executors + b"\x08\0\3\0\0\0\1\0"
    beats = thrift_head(b"sendSupervisorWorkerHeartbeat") + b"\x0c\0\1" + beat + b"\0"
    yield "a-heartbeat-of-60000-executors", framed(beats)
    yield "frame-of-2-gigabytes", struct.pack(">I", HUGE)
    yield "frame-of-4-gigabytes", struct.pack(">I", 2**32 - 1) + b"x"
    yield "frame-of-16-megabytes-half-sent", struct.pack(">I", 16 << 20) + bytes(1 << 16)
    yield "frame-of-nothing", struct.pack(">I", 0) * 50
    yield "frame-cut-short", field(11, struct.pack(">i", 3) + b"abc", 1)[:-3]
    yield (
        "old-protocol-without-version",
        framed(struct.pack(">i", 8) + b"activate" + b"\1" + struct.pack(">i", 1) + b"\0"),
    )
    yield "compact-protocol", framed(b"\x82\x21\x01\x08activate\x18\x01x\x00")
    yield "method-name-of-2-gigabytes", framed(struct.pack(">HBBi", 0x8001, 0, CALL, HUGE) + b"x" + bytes(8))
    yield "method-name-that-is-no-text", framed(thrift_head(b"\xff\xfe\xfd") + b"\0")
    yield "method-of-python", framed(thrift_head(b"__class__") + b"\0")
    yield "method-private", framed(thrift_head(b"_core") + b"\0")
    yield "a-reply", framed(thrift_head(kind=REPLY) + b"\0")
    yield "a-kind-of-message-9", framed(thrift_head(kind=9) + b"\0")
    yield "a-call-that-wants-no-reply", framed(thrift_head(b"activate", ONEWAY) + b"\x0b\0\1\0\0\0\1x\0") * 20
    yield "no-arguments-at-all", framed(thrift_head(b"sendSupervisorWorkerHeartbeats") + b"\0")
    yield "bytes-after-the-end", framed(head + b"\x0b\0\1\0\0\0\1x\0" + b"more")
    yield "text-that-is-no-utf8", field(11, struct.pack(">i", 2) + b"\xff\xfe", 1)
    yield "a-thousand-calls-at-once", framed(head + b"\x0b\0\1\0\0\0\1x\0") * 1000
    yield "http", HTTP
    yield "tls-hello", TLS_HELLO
    yield "zeromq-greeting", ZMTP_GREETING
    yield "zookeeper-connect", zookeeper_connect()
    yield "nothing", b""
    yield "one-byte", b"\0"


# --- ZooKeeper


def zookeeper_packet(operation: int, body: bytes, xid: int = 1) -> bytes:
    return framed(struct.pack(">ii", xid, operation) + body)


def zookeeper_connect(timeout_ms: int = 4000) -> bytes:
    return framed(bytes(wire.Connect(0, 0, timeout_ms, 0, bytes(16), False).serialize()))


def requests() -> Iterator[tuple[str, Any]]:
    create = wire.Create("/fuzz", b"data", OPEN_ACL_UNSAFE, 0)
    yield "create", create
    yield "create-ephemeral-sequence", wire.Create("/fuzz/n-", b"", OPEN_ACL_UNSAFE, 3)
    yield "create2", wire.Create2("/fuzz2", b"data", OPEN_ACL_UNSAFE, 0)
    yield "delete", wire.Delete("/fuzz", -1)
    yield "exists", wire.Exists("/fuzz", print)
    yield "get", wire.GetData("/zookeeper", print)
    yield "set", wire.SetData("/fuzz", b"more", -1)
    yield "get-acl", wire.GetACL("/fuzz")
    yield "set-acl", wire.SetACL("/fuzz", OPEN_ACL_UNSAFE, -1)
    yield "children", wire.GetChildren("/", print)
    yield "children2", wire.GetChildren2("/", print)
    yield "sync", wire.Sync("/")
    yield "multi", wire.Transaction([create, wire.CheckVersion("/fuzz", -1), wire.Delete("/fuzz", -1)])
    yield "auth", wire.Auth(0, "digest", "user:secret")


def zookeeper_sessions() -> Iterator[tuple[str, bytes]]:
    whole = zookeeper_connect()
    for name, request in requests():
        packet = zookeeper_packet(request.type, bytes(request.serialize()))
        yield f"session-{name}", zookeeper_connect() + packet
        whole += packet
    yield "session-of-everything", whole + zookeeper_packet(-11, b"")
    yield "session-set-watches", zookeeper_connect() + zookeeper_packet(101, struct.pack(">qiii", 0, 0, 0, 0), -8)
    yield "session-of-pings", zookeeper_connect() + zookeeper_packet(11, b"", -2) * 5000


def zookeeper_nasties() -> Iterator[tuple[str, bytes]]:
    def after_connect(*packets: bytes) -> bytes:
        return zookeeper_connect() + b"".join(packets)

    def text(value: bytes) -> bytes:
        return struct.pack(">i", len(value)) + value

    open_acl = struct.pack(">ii", 1, 31) + text(b"world") + text(b"anyone")

    def create(path: bytes, acl: bytes = open_acl, flags: int = 0) -> bytes:
        return zookeeper_packet(1, text(path) + text(b"") + acl + struct.pack(">i", flags))

    for length in (-1, 0, 1, 1_048_576, HUGE, -(2**31)):
        yield f"packet-of-{length}", struct.pack(">i", length) + bytes(20)
        yield f"packet-of-{length}-in-a-session", after_connect(struct.pack(">i", length) + bytes(20))
    for length in (-2, HUGE, -(2**31)):
        yield f"path-of-{length}", after_connect(zookeeper_packet(4, struct.pack(">i", length) + b"\0"))
        yield f"data-of-{length}", after_connect(zookeeper_packet(5, text(b"/fuzz") + struct.pack(">ii", length, -1)))
    for count in (-2, 3, HUGE):
        yield f"acl-of-{count}", after_connect(create(b"/fuzz-acl", struct.pack(">i", count)))
        watches = struct.pack(">qiii", 0, count, 0, 0)
        yield f"watches-of-{count}", after_connect(zookeeper_packet(101, watches, -8))
    for operation in (-1, 0, 10, 15, 16, 19, 20, 21, 99, 106, 107, HUGE):
        yield f"operation-{operation}", after_connect(zookeeper_packet(operation, text(b"/fuzz") + bytes(40)))
    for number, path in enumerate(
        [b"", b"fuzz", b"/", b"//", b"/fuzz/", b"/a//b", b"/..", b"/a\0b", b"/\xff", b"/zookeeper"]
    ):
        yield f"path-bad-{number}", after_connect(create(path), zookeeper_packet(2, text(path) + struct.pack(">i", -1)))
    for flags in (4, 5, 6, 7, -1):
        yield f"flags-{flags}", after_connect(create(b"/fuzz-flags", flags=flags))
    step = struct.pack(">i?i", 13, False, -1) + text(b"/") + struct.pack(">i", -1)
    end = struct.pack(">i?i", -1, True, -1)
    yield "multi-of-50000", after_connect(zookeeper_packet(14, step * 50_000 + end))
    yield "multi-of-1900", after_connect(zookeeper_packet(14, step * 1900 + end))
    yield "multi-in-a-multi", after_connect(zookeeper_packet(14, struct.pack(">i?i", 14, False, -1) + step + end + end))
    yield "multi-without-end", after_connect(zookeeper_packet(14, step))
    watches = struct.pack(">qi", 0, 200_000) + text(b"x") * 200_000 + bytes(8)
    yield "watches-of-200000", after_connect(zookeeper_packet(101, watches, -8))
    entry = struct.pack(">i", 1) + text(b"ip") + text(b"::1")
    yield "acl-of-60000", after_connect(create(b"/fuzz-acl", struct.pack(">i", 60_000) + entry * 60_000))
    yield "path-of-a-megabyte", after_connect(zookeeper_packet(5, text(b"/a" * 500_000) + struct.pack(">ii", -1, -1)))
    yield (
        "path-of-a-megabyte-ten-times",
        after_connect(zookeeper_packet(5, text(b"/a" * 500_000) + struct.pack(">ii", -1, -1)) * 3),
    )
    yield (
        "scheme-of-a-megabyte",
        after_connect(zookeeper_packet(100, bytes(4) + text(b"s" * 1_000_000) + text(b""), -4)),
    )
    yield (
        "auth-a-thousand-times",
        after_connect(
            *(zookeeper_packet(100, bytes(4) + text(b"digest") + text(b"u:%d" % n), -4) for n in range(1000))
        ),
    )
    yield "connect-twice", zookeeper_connect() * 2
    yield "connect-timeout-minus-one", zookeeper_connect(-1)
    yield "connect-timeout-huge", zookeeper_connect(HUGE)
    yield "connect-with-a-foreign-session", framed(struct.pack(">iqiq", 0, 0, 4000, 0x1234) + text(bytes(16)))
    yield "connect-with-a-password-of-a-megabyte", framed(struct.pack(">iqiq", 0, 0, 4000, 7) + text(bytes(1_000_000)))
    yield "connect-from-the-future", framed(struct.pack(">iqiq", 0, 2**62, 4000, 0) + text(bytes(16)))
    yield "connect-cut-short", zookeeper_connect()[:20]
    yield "same-number-again-and-again", after_connect(*(create(b"/fuzz-xid") for _ in range(50)))
    for word in (b"ruok", b"dump", b"mntr", b"kill", b"stat"):
        yield f"word-{word.decode()}", word
    yield "http", HTTP
    yield "tls-hello", TLS_HELLO
    yield "thrift-call", framed(thrift_head() + b"\0")
    yield "nothing", b""
    yield "one-byte", b"\0"
    yield "garbage", bytes(range(256)) * 4


# --- ZeroMQ: what strangers send; sessions with the addresses of a running topology are made by the surface

ZMTP_GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"NULL".ljust(20, b"\0") + bytes(32)


def zmtp_command(name: bytes, body: bytes) -> bytes:
    payload = bytes([len(name)]) + name + body
    return b"\x04" + bytes([len(payload)]) + payload


def zmtp_message(data: bytes, *, more: bool = False) -> bytes:
    if len(data) < 256:
        return bytes([int(more), len(data)]) + data
    return bytes([2 + int(more)]) + struct.pack(">Q", len(data)) + data


def zmtp_ready(socket_type: bytes = b"PUSH") -> bytes:
    return zmtp_command(b"READY", b"\x0bSocket-Type" + struct.pack(">I", len(socket_type)) + socket_type)


def zmtp_cases() -> Iterator[tuple[str, bytes]]:
    shaken = ZMTP_GREETING + zmtp_ready()
    yield "stranger-with-a-message", shaken + zmtp_message(b"hello")
    yield "stranger-with-a-thousand-messages", shaken + zmtp_message(b"STRM" + bytes(60)) * 1000
    yield "message-of-nothing", shaken + zmtp_message(b"") * 50
    yield "message-of-a-tebibyte", shaken + b"\x02" + struct.pack(">Q", 1 << 40)
    yield "message-of-8-gibibytes", shaken + b"\x02" + struct.pack(">Q", 8 << 30) + bytes(1 << 16)
    yield "message-of-minus-one", shaken + b"\x02" + b"\xff" * 8
    yield "message-of-16-megabytes-half-sent", shaken + b"\x02" + struct.pack(">Q", 16 << 20) + bytes(1 << 16)
    yield "message-in-20000-parts", shaken + zmtp_message(b"part", more=True) * 20_000
    yield "message-in-20000-parts-with-an-end", shaken + zmtp_message(b"part", more=True) * 20_000 + zmtp_message(b"")
    yield "message-in-parts-of-64-kilobytes", shaken + zmtp_message(b"\xff" * (1 << 16), more=True) * 40
    yield "200000-messages-of-nothing", shaken + zmtp_message(b"") * 200_000
    yield "flags-unknown", shaken + bytes([0xF8, 3]) + b"abc"
    yield "command-unknown", shaken + zmtp_command(b"NONSENSE", bytes(100))
    yield "command-after-the-handshake", shaken + zmtp_ready() * 10
    yield "command-of-a-tebibyte", shaken + b"\x06" + struct.pack(">Q", 1 << 40)
    yield "ping-a-thousand-times", shaken + zmtp_command(b"PING", b"\0\1" + b"context") * 1000
    yield "ping-cut-short", shaken + zmtp_command(b"PING", b"\0")
    yield "subscribe", shaken + zmtp_command(b"SUBSCRIBE", b"everything")
    for socket_type in (b"PULL", b"PUB", b"REQ", b"DEALER", b"", b"X" * 200):
        yield f"socket-{socket_type[:10].decode() or 'none'}", ZMTP_GREETING + zmtp_ready(socket_type)
    yield "greeting-half", ZMTP_GREETING[:31]
    yield "greeting-of-version-1", b"\x01\x00" + zmtp_message(b"hello")
    yield "greeting-of-version-2", b"\xff" + bytes(8) + b"\x7f\x01\x08" + b"\x00\x00" + zmtp_message(b"hello")
    yield "greeting-of-version-255", ZMTP_GREETING[:10] + b"\xff\xff" + ZMTP_GREETING[12:]
    for mechanism in (b"CURVE", b"PLAIN", b"GSSAPI", b"\xff" * 20):
        yield f"mechanism-{mechanism[:6].hex()}", ZMTP_GREETING[:12] + mechanism.ljust(20, b"\0") + bytes(32)
    yield "handshake-half", ZMTP_GREETING + zmtp_ready()[:12]
    yield "handshake-error", ZMTP_GREETING + zmtp_command(b"ERROR", b"\x05sorry")
    yield (
        "handshake-with-properties-of-2-gigabytes",
        ZMTP_GREETING + zmtp_command(b"READY", b"\x0bSocket-Type\x7f\xff\xff\xff"),
    )
    yield "http", HTTP
    yield "tls-hello", TLS_HELLO
    yield "thrift-call", framed(thrift_head() + b"\0")
    yield "nothing", b""
    yield "garbage", bytes(range(256)) * 4


# --- Records


def record_cases() -> Iterator[tuple[str, bytes]]:
    slot, executor = WorkerSlot("node", 6700), ExecutorId(1, 1)
    sound: list[Any] = [
        records.StormBase("fuzz", "fuzz", records.TopologyStatus.ACTIVE, 1, {"a": 1}, 0),
        records.Assignment("fuzz", 1, {executor: slot}, {executor: 1}, {"node": "127.0.0.1"}, {slot: 1}),
        records.ErrorInfo("a text", 1, "host", 6700),
        records.Drain("fuzz", "host", 1, 30),
        records.UserBlob("fuzz", 1, "0" * 64, 10, 1),
        records.LogConfig({"ROOT": records.LoggerLevel("INFO")}),
        records.NimbusInfo("nowhere", 1, 1, "0.1.0"),
        records.SupervisorInfo("fuzz", "host", (6700,), (), 6628, 1, "0.1.0"),
    ]
    for record in sound:
        data = record_codec.encode(record)
        name = type(record).__name__
        yield f"sound-{name}", data
        yield f"short-{name}", data[:-1]
        yield f"long-{name}", data + b"\0"
        yield f"future-{name}", data.replace(b"\x01", b"\x7f", 1)
    yield "nothing", b""
    yield "zero", b"\0"
    yield "text", b"this is no record"
    yield "json", b'{"kind": "StormBase"}'
    yield "java-serialized", b"\xac\xed\x00\x05sr\x00\x1aorg.apache.storm.generated.StormBase"
    yield (
        "pickle",
        b"\x80\x04\x95\x1e\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x02id\x94\x85\x94R\x94.",
    )
    yield "an-array-of-4-billion", b"\xdd\xff\xff\xff\xff"
    yield "a-map-of-4-billion", b"\xdf\xff\xff\xff\xff"
    yield "a-text-of-4-gigabytes", b"\xdb\xff\xff\xff\xff"
    yield "100000-nested-arrays", b"\x91" * 100_000
    yield "a-time-of-nobody", b"\x93\xa9StormBase\x01\xc7\x0c\xff" + b"\xff" * 12
    yield "half-a-megabyte-of-maps", b"\xdd\x00\x07\xa1\x20" + b"\x80" * 500_000


SURFACES = {
    "thrift-nimbus": lambda: [*thrift_calls("Nimbus"), *thrift_nasties()],
    "thrift-supervisor": lambda: [*thrift_calls("Supervisor"), *thrift_nasties()],
    "zookeeper": lambda: [*zookeeper_sessions(), *zookeeper_nasties()],
    "zeromq": lambda: list(zmtp_cases()),
    "package": lambda: list(archives.known()),
    "blob-archive": lambda: list(tars.known()),
    "records": lambda: list(record_cases()),
    "http": lambda: list(http_cases.known()),
}


def main() -> None:
    for surface, cases in SURFACES.items():
        made = [save(surface, data, name) for name, data in cases()]
        print(f"{surface}: {len(made)} files")


if __name__ == "__main__":
    main()
