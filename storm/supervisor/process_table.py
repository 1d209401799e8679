"""What Linux tells of processes, read from /proc; a process that is gone or another user's answers nothing."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator

PROC = Path("/proc")
COMMAND_CHARS_MAX = 120
_LISTEN = "0A"  # a socket's state in /proc/net/tcp


def own_pids() -> Iterator[int]:
    """The processes of this user, except the calling one."""
    me, user = os.getpid(), os.geteuid()
    for name in os.listdir(PROC):
        if name.isdecimal() and int(name) != me:
            try:
                if os.stat(PROC / name).st_uid == user:
                    yield int(name)
            except OSError:
                continue


def command_line(pid: int) -> list[str]:
    """The process's arguments; empty if it is gone or a zombie."""
    return _strings(pid, "cmdline")


def environment_has(pid: int, entry: str) -> bool:
    """Whether the process was started with `entry`, "NAME=value", in its environment."""
    return entry in _strings(pid, "environ")


def is_stopped(pid: int) -> bool:
    """Whether a signal (SIGSTOP) has stopped the process; False if it is gone."""
    return _state_and_parent(pid)[0] in {"T", "t"}


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether the process has a handler of its own for the signal; False if it is gone."""
    with contextlib.suppress(OSError, ValueError):
        for line in (PROC / str(pid) / "status").read_text().splitlines():
            name, _, mask = line.partition(":")
            if name == "SigCgt":
                return bool(int(mask, 16) >> (number - 1) & 1)
    return False


def leads_session(pid: int) -> bool:
    """Whether the process began a session of its own; False if it is gone."""
    try:
        return os.getsid(pid) == pid
    except OSError:
        return False


def resident_bytes(pid: int) -> int:
    """The memory that the process has in RAM; 0 if it is gone."""
    try:
        pages = int((PROC / str(pid) / "statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def port_holder(port: int) -> str | None:
    """Who listens on this TCP port, for people: "process 12 (nc -l 6700)", "a process that …"; None: nobody."""
    sockets = {f"socket:[{inode}]" for name in ("tcp", "tcp6") for inode in _listening(PROC / "net" / name, port)}
    if not sockets:
        return None
    for pid in filter(str.isdecimal, os.listdir(PROC)):
        with contextlib.suppress(OSError):
            for descriptor in (PROC / pid / "fd").iterdir():
                if os.readlink(descriptor) in sockets:
                    return f"process {pid} ({' '.join(command_line(int(pid)))[:COMMAND_CHARS_MAX]})"
    return "a process that this user may not look at"


def use(directory: Path) -> bool:
    """Whether a process of this user has a file or directory in `directory` open or mapped, or works in it."""
    inside = f"{directory.resolve()}/"
    return any(_uses(PROC / str(pid), inside) for pid in own_pids())


def _uses(process: Path, inside: str) -> bool:
    try:
        if inside in (process / "maps").read_text(errors="surrogateescape"):
            return True
        links = [process / "cwd", *(process / "fd").iterdir()]
    except OSError:
        return False
    for link in links:
        with contextlib.suppress(OSError):
            if f"{os.readlink(link)}/".startswith(inside):
                return True
    return False


def memory_kills() -> int | None:
    """How many processes of this machine the kernel has ended for want of memory, also of a control group's; None where
    it does not count them.
    """
    with contextlib.suppress(OSError, ValueError):
        for line in (PROC / "vmstat").read_text().splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
    return None


def _listening(table: Path, port: int) -> Iterator[str]:
    """The inodes of the sockets of /proc/net/tcp that listen on the port."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in table.read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def open_if(pid: int, is_right: Callable[[int], bool]) -> int | None:
    """A pidfd of the process if `is_right(pid)`; None if not, or if it is gone.

    The question is asked while the pidfd holds the process, so what is signalled through it later is that very process:
    a process id that is used again can never be hit.
    """
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return None
    if is_right(pid) and not has_exited(pidfd):
        return pidfd
    os.close(pidfd)
    return None


def has_exited(pidfd: int) -> bool:
    """Whether the process of this pidfd has ended, reaped or not."""
    try:
        signal.pidfd_send_signal(pidfd, 0)
    except ProcessLookupError:
        return True
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))


def send(pidfd: int, number: signal.Signals) -> None:
    """Signal the process of this pidfd; nothing happens if it is gone."""
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return


def kill_all_with_environment(entry: str) -> int:
    """SIGKILL every process of this user that was started with `entry` in its environment; how many there were."""
    killed = 0
    for pid in own_pids():
        if not environment_has(pid, entry):
            continue
        pidfd = open_if(pid, lambda each: environment_has(each, entry))
        if pidfd is not None:
            send(pidfd, signal.SIGKILL)
            os.close(pidfd)
            killed += 1
    return killed


def reap_orphans(but: Container[int]) -> list[int]:
    """Reap the dead children of this process other than `but`; their ids. What a dead worker had started becomes a
    child of the first process of the machine, which in a container may be this one.
    """
    me, reaped = os.getpid(), []
    for pid in own_pids():
        if _state_and_parent(pid) == ("Z", me) and pid not in but:
            with contextlib.suppress(ChildProcessError):
                reaped.append(os.waitpid(pid, os.WNOHANG)[0])
    return reaped


def _state_and_parent(pid: int) -> tuple[str, int]:
    """The letter that ps shows, and the parent's id; ("", 0) if it is gone."""
    try:
        state, parent = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[:2]
    except (OSError, ValueError):
        return "", 0
    return state, int(parent)


def _strings(pid: int, name: str) -> list[str]:
    try:
        data = (PROC / str(pid) / name).read_bytes()
    except OSError:
        return []
    return [os.fsdecode(each) for each in data.split(b"\0") if each]
