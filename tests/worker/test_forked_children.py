"""In a process of its own, which has a handler for SIGTERM as a worker has: what it forks is ended at once."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import multiprocessing, os, signal, sys, threading, time
from storm.worker.forked_children import end_as_any_process

told = []
signal.signal(signal.SIGTERM, lambda number, frame: told.append(number))
end_as_any_process()


def ended() -> int:
    pid = os.fork()
    if pid == 0:
        while True:
            time.sleep(60)
    os.kill(pid, signal.SIGTERM)  # at once: also before it has begun
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def work() -> None:
    print({ended() for _ in range(50)})
    for _ in range(5):
        with multiprocessing.get_context("fork").Pool(1) as pool:
            assert pool.apply(int, ("7",)) == 7
    os.kill(os.getpid(), signal.SIGTERM)


thread = threading.Thread(target=work)
thread.start()
thread.join()
print(told == [signal.SIGTERM])
"""


def test_what_a_worker_forks_ends_when_it_is_told_to_and_the_worker_itself_is_told() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120, check=False)
    assert (done.stdout.splitlines(), done.stderr) == (["{-15}", "True"], "")
