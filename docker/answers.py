"""Whether the Storm daemon of this container answers a call: the image's health check. Standard library only.

Exit code 0 if it does. A Nimbus answers without a leader or a ZooKeeper, too, and a UI without a Nimbus: to start it
again would not help.
"""

from __future__ import annotations

import itertools
import os
import socket
import struct
import sys
from pathlib import Path
from typing import NamedTuple

LIMIT_SECS = 3.0
CALL, VERSION_1 = 1, 0x80010000  # of the Thrift binary protocol, strict
ANSWER_MAX_BYTES = 1 << 16


class Question(NamedTuple):
    """A method that changes nothing, the bytes of its arguments, and where it is asked."""

    method: bytes
    arguments: bytes
    variable: str
    port: int


LEADER = Question(b"getLeader", b"\x00", "STORM_NIMBUS_THRIFT_PORT", 6627)
ASSIGNMENT = Question(
    b"getLocalAssignmentForStorm", b"\x0b\x00\x01\x00\x00\x00\x01-\x00", "STORM_SUPERVISOR_THRIFT_PORT", 6628
)
QUESTIONS = {"nimbus": LEADER, "dev": LEADER, "supervisor": ASSIGNMENT}
UI, UI_VARIABLE, UI_PORT = "ui", "STORM_UI_PORT", 8080
IS_IT_LIVE = b"GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


def daemon(command_lines: list[list[str]]) -> str | None:
    """Which daemon these processes are, the first of them that is one."""
    for words in command_lines:
        for program, command in itertools.pairwise(words):
            if Path(program).name == "storm" and command in {*QUESTIONS, UI}:
                return command
    return None


def running() -> list[list[str]]:
    """The command lines of the container's processes, the oldest first."""
    found = []
    for directory in sorted(Path("/proc").glob("[0-9]*"), key=lambda path: int(path.name)):
        try:
            found.append((directory / "cmdline").read_bytes().decode("utf-8", "replace").split("\0"))
        except OSError:
            continue  # it has ended
    return found


def answers(question: Question, port: int) -> bool:
    """Whether a Thrift server on this port answers the question, be it with an error. Raises OSError."""
    name = question.method
    message = struct.pack(">II", VERSION_1 | CALL, len(name)) + name + struct.pack(">I", 1) + question.arguments
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT_SECS) as connection:
        connection.sendall(struct.pack(">I", len(message)) + message)
        with connection.makefile("rb") as stream:
            size = int.from_bytes(stream.read(4), "big")
            answer = stream.read(min(size, ANSWER_MAX_BYTES))  # the server would tell of one who does not hear it out
    head = answer[: 8 + len(name)]
    return len(answer) == size and head[:2] == b"\x80\x01" and head[4:] == struct.pack(">I", len(name)) + name


def is_live(port: int) -> bool:
    """Whether a UI on this port says so. Raises OSError."""
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT_SECS) as connection:
        connection.sendall(IS_IT_LIVE)
        with connection.makefile("rb") as stream:
            status = stream.readline(ANSWER_MAX_BYTES)
            stream.read(ANSWER_MAX_BYTES)
    return status.startswith(b"HTTP/1.1 200 ")


def main() -> int:
    command = daemon(running())
    if command is None:
        return 0  # a container of a command, or of something else that is made of this image
    question = QUESTIONS.get(command)
    variable, port = (question.variable, question.port) if question else (UI_VARIABLE, UI_PORT)
    port = int(os.environ.get(variable, port))
    try:
        well = answers(question, port) if question else is_live(port)
    except OSError as error:
        print(f"storm {command} on port {port}: {error}")
        return 1
    if not well:
        print(f"storm {command} on port {port} does not answer as it should")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
