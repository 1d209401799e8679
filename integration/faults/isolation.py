"""A world of its own for the harness and all that it starts: its own network, mounts and process ids.

Root may make one, and where the kernel allows user namespaces everybody may. In it the addresses and names that the
harness chooses meet nobody else's, its processes see and can signal only each other, and when it ends, however it
ends, the kernel kills what is left and takes the network away. Linux only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# <linux/sched.h>, <sys/mount.h>, <sys/prctl.h>
NEW_MOUNTS, NEW_USER, NEW_PIDS, NEW_NETWORK = 0x00020000, 0x10000000, 0x20000000, 0x40000000
MOUNT_PRIVATE_RECURSIVE = 0x4000 | 0x40000
PARENT_DEATH_SIGNAL = 1

_libc = ctypes.CDLL(None, use_errno=True)


def why_not() -> str | None:
    """Why this process cannot have a world of its own; None if it can. Tried in a process of its own."""
    if shutil.which("ip") is None:
        return "there is no `ip` command: apt-get install iproute2"
    pid = os.fork()
    if pid == 0:
        try:
            _leave()
            child = os.fork()  # the first process of the new world mounts what belongs to it
            if child == 0:
                _furnish()
                os._exit(0)
            os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0)
        except BaseException:  # noqa: BLE001 - it must not return into the caller's code
            os._exit(1)
    if os.waitpid(pid, 0)[1] == 0:
        return None
    return "neither is this root with the right to make namespaces, nor does the kernel allow user namespaces"


def run(work: Callable[[], int]) -> int:
    """`work` in a world of its own; its exit code. SIGTERM and SIGINT to this process reach it. Ask `why_not` first."""
    _leave()
    first = os.fork()
    if first == 0:
        os._exit(_first_process(work))
    _pass_on(first)
    _, status = _wait_for(first)
    return os.waitstatus_to_exitcode(status)


def _leave() -> None:
    """What this process starts next is in a new world. Raises OSError."""
    user, group = os.getuid(), os.getgid()
    flags = NEW_MOUNTS | NEW_NETWORK | NEW_PIDS
    if _libc.unshare(flags) == 0:
        return
    if _libc.unshare(flags | NEW_USER) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def _furnish() -> None:
    """Its own /proc, /run (where `ip netns` keeps names) and loopback interface."""
    _mount("none", "/", "none", MOUNT_PRIVATE_RECURSIVE)
    _mount("proc", "/proc", "proc")
    _mount("tmpfs", "/run", "tmpfs")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def _mount(source: str, target: str, kind: str, flags: int = 0) -> None:
    if _libc.mount(source.encode(), target.encode(), kind.encode(), flags, None) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"mount {kind} on {target}: {os.strerror(number)}")


def _first_process(work: Callable[[], int]) -> int:
    """Process 1 of the world: reaps what others left behind, and ends when the harness does, and with it everything."""
    _libc.prctl(PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    _furnish()
    harness = os.fork()
    if harness == 0:
        try:
            code = work()
        except SystemExit as ending:
            code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
            if isinstance(ending.code, str):
                os.write(2, f"{ending.code}\n".encode())
        except BaseException:  # noqa: BLE001 - a process that was forked ends here, whatever happens
            import traceback

            traceback.print_exc()
            code = 1
        import sys

        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    _pass_on(harness)
    _, status = _wait_for(harness)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _pass_on(pid: int) -> None:
    def told(number: int, _: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, told)


def _wait_for(pid: int) -> tuple[int, int]:
    """Reap every child until this one has ended."""
    while True:
        found, status = os.wait()
        if found == pid:
            return found, status
