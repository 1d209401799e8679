"""Bytes made hostile by a seed: the same seed and number make the same case on every machine.

Blind changes alone mostly die at a length or a checksum at the door, so a session of length-prefixed messages is
changed inside one of them, and most of the time its length is put right again.
"""

from __future__ import annotations

import random
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CASE_BYTES_MAX = 4 << 20
WORDS_OF_PATHS = (
    b"..",
    b"",
    b"%2e%2e",
    b"%00",
    b"%2f",
    b"%ff",
    b"%c0%af",
    b"~",
    b"a" * 9000,
    b"\xe2\x80\xae",
    b"?",
    b"#",
)
REPEATED_BYTES_MAX = 100_000
_LENGTH = struct.Struct(">I")
LENGTHS = (0, 1, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0xFFFF, 0xFFFFF, 0x100000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
BYTES = (0x00, 0x01, 0x02, 0x0B, 0x0C, 0x0D, 0x0E, 0x0F, 0x7F, 0x80, 0xC1, 0xFE, 0xFF)


def case(seed: int, number: int, seeds: Sequence[bytes], change: Change | None = None) -> bytes:
    """Case `number` of a run with `seed`: one of `seeds`, changed a few times by `change` (default `mutated`)."""
    rng = random.Random(f"{seed}/{number}")
    found = rng.choice(seeds)
    for _ in range(rng.choice((1, 1, 2, 3, 5, 8))):
        found = (change or mutated)(found, rng, seeds)
    return found[:CASE_BYTES_MAX]


def mutated(data: bytes, rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """One change at one place, blind to what the bytes mean."""
    content = bytearray(data)
    at = rng.randrange(len(content) + 1)
    match rng.randrange(8):
        case 0 if content:
            content[at % len(content)] ^= 1 << rng.randrange(8)
        case 1 if content:
            content[at % len(content)] = rng.choice(BYTES)
        case 2:
            content[at:at] = rng.randbytes(rng.randrange(1, 9))
        case 3:
            del content[at : at + rng.randrange(1, 9)]
        case 4:
            del content[at:]
        case 5:
            content[at : at + 4] = rng.choice(LENGTHS).to_bytes(4, rng.choice(("big", "little")))
        case 6:
            piece = bytes(content[at : at + rng.randrange(1, 65)])
            content[at:at] = piece * rng.choice((1, 2, 10, 1000))
        case _:
            other = rng.choice(seeds)
            start = rng.randrange(len(other) + 1)
            content[at : at + rng.randrange(65)] = other[start : start + rng.randrange(1, 257)]
    return bytes(content)


def mutated_messages(data: bytes, rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """One change to a session of messages that each follow a 4-byte length, as of Thrift and of ZooKeeper."""
    messages = split_messages(data)
    if not messages or rng.random() < 0.15:
        return mutated(data, rng, seeds)
    at = rng.randrange(len(messages))
    match rng.randrange(6):
        case 0:
            messages.insert(at, messages[at])
        case 1 if len(messages) > 1:
            del messages[at]
        case 2:
            other = split_messages(rng.choice(seeds))
            messages.insert(at, rng.choice(other) if other else b"")
        case _:
            messages[at] = mutated(messages[at], rng, [message for seed in seeds for message in split_messages(seed)])
    return b"".join(_LENGTH.pack(len(message)) + message for message in messages)


def mutated_lines(data: bytes, rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """One change to requests of HTTP: at a line of the head, or at any place."""
    head, end, body = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    at = rng.randrange(len(lines))
    match rng.randrange(8):
        case 0 | 1:
            return mutated(data, rng, seeds)
        case 2:
            lines[at:at] = lines[at : at + 1] * rng.choice((1, 2, 100, REPEATED_BYTES_MAX // (len(lines[at]) + 2)))
        case 3 if len(lines) > 1:
            del lines[at]
        case 4:
            lines.insert(at + 1, rng.choice(rng.choice(seeds).partition(b"\r\n\r\n")[0].split(b"\r\n")))
        case 5:
            return data + rng.choice(seeds)
        case 6:
            words = lines[0].split(b"/")
            words.insert(rng.randrange(len(words) + 1), rng.choice(WORDS_OF_PATHS))
            lines[0] = b"/".join(words)
        case _:
            lines[at] = mutated(lines[at], rng, [line for seed in seeds for line in seed.split(b"\r\n")[:8]])
    return b"\r\n".join(lines) + end + body


def split_messages(data: bytes) -> list[bytes]:
    """The messages of a session; what is left over at its end is not one."""
    messages, at = [], 0
    while at + _LENGTH.size <= len(data):
        (size,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        if size > len(data) - at:
            break
        messages.append(data[at : at + size])
        at += size
    return messages


if TYPE_CHECKING:
    Change = Callable[[bytes, random.Random, Sequence[bytes]], bytes]
