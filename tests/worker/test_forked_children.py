"""In a process of its own, which has a handler for SIGTERM as a worker has: what it forks is ended at once."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import multiprocessing, os, signal, subprocess, sys, threading, time
from storm.worker.forked_children import end_as_any_process

told = []
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda number, frame: told.append(number))
end_as_any_process()


def ended(child, number=signal.SIGTERM) -> int:
    began, begins = os.pipe()
    pid = os.fork()
    if pid == 0:
        child(begins)
    if number == signal.SIGINT:
        os.read(began, 1)
    os.kill(pid, number)  # SIGTERM at once: also before it has begun
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def wait(begins: int) -> None:
    try:
        os.write(begins, b"x")
        while True:
            time.sleep(60)
    except KeyboardInterrupt:
        os._exit(7)


def server(begins: int) -> None:
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(9))  # its own children keep it
    os._exit(ended(wait))


def work() -> None:
    print({ended(wait) for _ in range(50)}, ended(wait, signal.SIGINT), ended(server, 0))
    print(subprocess.run(["sh", "-c", "kill -INT $$; sleep 60"]).returncode)
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
    assert (done.stdout.splitlines(), done.stderr) == (["{-15} 7 9", "-2", "True"], "")
