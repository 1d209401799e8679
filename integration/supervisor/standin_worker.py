"""Stands in for `storm.worker`: beats as a worker does, and misbehaves when its topology's conf says so.

conf keys: "exit_code" (end at once with it), "silent" (never beat), "deaf" (ignore SIGTERM), "child" (start a child
process that outlives a killed parent; its process id is in `child.pid` of the log directory), "listens" (listen on the
port, as a worker does), "memory_bytes" (use up so much address space), "log_bytes" (print so much).
"""

from __future__ import annotations

import json
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from storm.errors import NotAuthorizedError, StormError
from storm.thrift.client import ThriftClient
from storm.thrift.interface import storm_thrift


def main(launch_file: str) -> int:
    record = json.loads(Path(launch_file).read_bytes())
    conf = json.loads((Path(record["dist_dir"]) / "stormconf.ser").read_bytes())
    print(f"stand-in worker {record['worker_id']} on port {record['port']}")
    if "exit_code" in conf:
        print("ModuleNotFoundError: No module named 'nowhere'")
        return int(conf["exit_code"])
    if conf.get("listens"):
        try:
            listener = socket.create_server(("127.0.0.1", record["port"]))
        except OSError as error:
            print(f"cannot listen on port {record['port']}: {error}")
            return 14
        listener.setblocking(False)
    if "memory_bytes" in conf:
        resource.setrlimit(resource.RLIMIT_AS, (conf["memory_bytes"],) * 2)
        print(len(bytearray(conf["memory_bytes"])))
    stop = threading.Event()
    signal.signal(signal.SIGTERM, signal.SIG_IGN if conf.get("deaf") else lambda *_: stop.set())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    if conf.get("child"):
        child = subprocess.Popen(["sleep", "600"])
        (Path(record["log_dir"]) / "child.pid").write_text(str(child.pid))
    for _ in range(conf.get("log_bytes", 0) >> 20):
        sys.stdout.write("x" * ((1 << 20) - 1) + "\n")
    client = ThriftClient("Supervisor", "127.0.0.1", record["supervisor_port"], 5.0)
    while not stop.is_set():
        if not conf.get("silent"):
            try:
                client.call("sendSupervisorWorkerHeartbeat", heartbeat(record))
            except NotAuthorizedError:
                return 0
            except StormError as error:
                print(error)
        stop.wait(0.1)
    return 0


def heartbeat(record: dict) -> object:
    thrift = storm_thrift()
    executors = [thrift.ExecutorInfo(task_start=start, task_end=end) for start, end in record["executors"]]
    return thrift.SupervisorWorkerHeartbeat(
        storm_id=record["topology_id"],
        executors=executors,
        time_secs=int(time.time()),
        port=record["port"],
        worker_id=record["worker_id"],
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[-1]))
