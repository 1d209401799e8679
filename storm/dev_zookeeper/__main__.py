"""`python -m storm.dev_zookeeper --port N [--data-dir DIR]`: the server without the `storm` command."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from storm.dev_zookeeper.daemon import run
from storm.dev_zookeeper.options import DevZooKeeperOptions

parser = argparse.ArgumentParser(prog="python -m storm.dev_zookeeper", description=__doc__)
parser.add_argument("--host", default="127.0.0.1")
parser.add_argument("--port", type=int, default=2181, help="0 takes a free port and prints it")
parser.add_argument("--data-dir", type=Path, help="without it, everything is kept in memory")
parser.add_argument("--tick-ms", type=int, default=2000)
parser.add_argument("--connections-per-address-max", type=int, default=60)
parser.add_argument("--insecure", action="store_true", help="allow a host that other machines can reach")
parser.add_argument("--tls-port", type=int)
parser.add_argument("--tls-certificate-file", type=Path)
parser.add_argument("--tls-key-file", type=Path)
parser.add_argument("--tls-ca-file", type=Path)

logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
sys.exit(run(DevZooKeeperOptions(**vars(parser.parse_args()))))
