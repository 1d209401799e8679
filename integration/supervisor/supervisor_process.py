"""Runs the supervisor daemon with stand-in workers: `supervisor_process.py <settings as JSON>`."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

from storm.config.settings import Settings
from storm.errors import StormError
from storm.supervisor.daemon import run

WORKER = Path(__file__).with_name("standin_worker.py")


def command(record: dict, launch_file: Path) -> list[str]:
    return [sys.executable, str(WORKER), record["worker_id"], str(launch_file)]


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s.%(msecs)03d %(levelname)s %(name)s: %(message)s")
    logging.getLogger("kazoo").setLevel(logging.WARNING)
    try:
        sys.exit(run(Settings.of(json.loads(sys.argv[1])), command))
    except StormError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
