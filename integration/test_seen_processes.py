from __future__ import annotations

import socket
import subprocess
import sys

from seen_processes import command_lines, listening_ports


def test_a_process_is_seen_by_its_words_until_it_ends() -> None:
    words = [sys.executable, "-c", "print(flush=True); input()", "a word", ""]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()  # by now it is no copy of this one any more
    assert (process.pid, words) in list(command_lines())
    process.communicate(b"\n")
    assert process.pid not in dict(command_lines())


def test_a_port_is_seen_while_somebody_listens_there() -> None:
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        if family == socket.AF_INET6 and not socket.has_dualstack_ipv6():
            continue
        with socket.create_server((host, 0), family=family) as listener:
            port = listener.getsockname()[1]
            assert port in listening_ports()
        assert port not in listening_ports()
