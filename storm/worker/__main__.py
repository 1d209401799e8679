"""`python -m storm.worker TOPOLOGY_ID PORT WORKER_ID LAUNCH_FILE`: what a supervisor starts.

The first three arguments are there for people who read lists of processes; the launch file says everything.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from storm.worker.daemon import run

if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(f"usage: python -m storm.worker TOPOLOGY_ID PORT WORKER_ID LAUNCH_FILE, not {sys.argv[1:]}")
    code = run(Path(sys.argv[4]))
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads of the user's that never end must not keep a worker that has ended.
    os._exit(code)
