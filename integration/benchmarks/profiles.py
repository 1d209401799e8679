"""Profiles of running processes by py-spy: a flame graph, the stacks, and the functions that take most.

    profiles.py DIRECTORY PID... [--seconds N]

py-spy is no dependency: it is installed into a virtual environment of its own in the user's cache. It stops a process
for each sample, so that rates measured meanwhile are too low: cases are profiled after they were measured. It needs the
right to trace the processes (root, or kernel.yama.ptrace_scope 0).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from flame_graph import read_stacks, running, svg, top_self, top_total

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

VERSION = "0.4.2"
SECONDS = 10
SAMPLES_A_SECOND = 200
TOP = 20
INSTALL_SECS = 300


def py_spy() -> Path:
    """The program; installed at the first call. Raises CalledProcessError where that fails."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    home = cache / "storm-benchmarks" / f"py-spy-{VERSION}"
    program = home / "bin" / "py-spy"
    if not program.exists():
        print(f"installing py-spy {VERSION} into {home}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
        install = [home / "bin" / "python", "-m", "pip", "install", "--quiet", f"py-spy=={VERSION}"]
        subprocess.run(install, check=True, timeout=INSTALL_SECS)
    return program


def start(pid: int, seconds: int, stacks: Path) -> subprocess.Popen[str]:
    """Sample one process, its native code too; functions and not lines. py-spy writes `stacks` when it ends."""
    words = ["record", "--pid", pid, "--duration", seconds, "--rate", SAMPLES_A_SECOND, "--native", "--function"]
    words += ["--format", "raw", "--output", stacks]
    return subprocess.Popen(
        [str(py_spy()), *map(str, words)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def finish(sampler: subprocess.Popen[str], seconds: int, name: str, stacks: Path) -> None:
    """Wait for it, write NAME.svg beside the stacks, print the functions. Raises RuntimeError where there are none."""
    output, _ = sampler.communicate(timeout=seconds + 60)
    if sampler.returncode != 0 or not stacks.exists():
        raise RuntimeError(f"py-spy took no profile of {name}: {output.strip()[-500:]}")
    every = read_stacks(stacks.read_text())
    found = running(every)
    if not found:
        print(f"\nprofile of {name}: nothing ran in {seconds} s")
        return
    picture = stacks.with_suffix(".svg")
    picture.write_text(svg(found, name))
    waiting = every.total() - found.total()
    print(
        f"\nprofile of {name}: {found.total():,} samples in {seconds} s and {waiting:,} of waiting threads; {picture}"
    )
    for what, rows in (("itself", top_self(found, TOP)), ("with all it calls", top_total(found, TOP))):
        print(f"  {what}:")
        for function, share in rows:
            print(f"  {share:6.1f} %  {function}")


def profile(name: str, pids: Sequence[int], directory: Path, seconds: int = SECONDS) -> None:
    """Processes that run by themselves, all at the same time: NAME-1.svg, NAME-1.stacks, NAME-2.svg, ..."""
    directory.mkdir(parents=True, exist_ok=True)
    py_spy()
    files = [directory / f"{name}-{i + 1}.stacks" for i in range(len(pids))]
    samplers = [start(pid, seconds, stacks) for pid, stacks in zip(pids, files, strict=True)]
    for i, (sampler, stacks) in enumerate(zip(samplers, files, strict=True)):
        finish(sampler, seconds, f"{name}, process {i + 1} of {len(pids)}", stacks)


def profile_own(name: str, work: Callable[[], object], directory: Path, seconds: int = SECONDS) -> None:
    """This process, while it calls `work` again and again: NAME.svg, NAME.stacks."""
    directory.mkdir(parents=True, exist_ok=True)
    py_spy()
    stacks = directory / f"{name}.stacks"
    sampler = start(os.getpid(), seconds, stacks)
    while sampler.poll() is None:
        work()
    finish(sampler, seconds, name, stacks)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path, metavar="DIRECTORY")
    parser.add_argument("pids", type=int, nargs="+", metavar="PID")
    parser.add_argument("--seconds", type=int, default=SECONDS)
    wanted = parser.parse_args()
    profile("processes", wanted.pids, wanted.directory, wanted.seconds)


if __name__ == "__main__":
    main()
