"""How a worker process is started: its launch file, its command, its environment."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storm.cluster import record_codec
from storm.errors import WorkerStartError
from storm.supervisor.assignment_sync import LocalAssignment, from_plain, to_plain
from storm.supervisor.local_state import write_atomically
from storm.supervisor.slot_runner import WorkerHandle

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storm.cluster.records import KnownTopology


LAUNCH_FILE = "launch.json"
ASSIGNMENT_FILE = ".assignment"  # beside it: the topology's assignment, as the supervisor knew it
# In the worker's directory: what it tells of its threads, and of its heap, when it is asked.
STACKS_FILE, HEAP_FILE = ".stacks", ".heap"
# What a worker starts carries these too, and is found by them; the directory tells it from a copy's.
WORKER_ID_VARIABLE = "STORM_WORKER_ID"
WORKER_DIRECTORY_VARIABLE = "STORM_WORKER_DIRECTORY"
CONF_MAX_BYTES = 16 << 20
_KEPT_VARIABLES = {
    "HOME", "LANG", "LANGUAGE", "LD_LIBRARY_PATH", "LOGNAME", "PATH", "PYTHONPATH", "SSL_CERT_DIR", "SSL_CERT_FILE",
    "STORM_PURE", "TMPDIR", "TZ", "USER", "VIRTUAL_ENV",
}  # fmt: skip


def worker_command(record: Mapping[str, Any], launch_file: Path) -> list[str]:
    """The command of the worker that `record` describes; its worker id and launch file tell the process apart."""
    return [
        record.get("python") or sys.executable,
        "-m",
        "storm.worker",
        record["topology_id"],
        str(record["port"]),
        record["worker_id"],
        str(launch_file),
    ]


def launch_record(assignment: LocalAssignment, **more: Any) -> dict[str, Any]:
    """What launch.json holds: the assignment's fields and `more`."""
    return {**to_plain(assignment), **more}


def write_launch_file(directory: Path, record: Mapping[str, Any], known: KnownTopology | None = None) -> Path:
    """Put launch.json into the worker's directory, made for it, readable by this user only; and beside it what is
    `known` of the topology. Raises OSError.
    """
    directory.mkdir(parents=True, mode=0o700)
    if known is not None:
        (directory / ASSIGNMENT_FILE).write_bytes(record_codec.encode(known.assignment))
        record = {**record, "assignment_file": str(directory / ASSIGNMENT_FILE), "status": known.status.value}
    path = directory / LAUNCH_FILE
    write_atomically(path, json.dumps(record, indent=1).encode())
    path.chmod(0o600)
    return path


def read_handle(launch_file: Path, pid: int) -> WorkerHandle:
    """The worker that was launched with this file. Raises ValueError, OSError if it is not readable."""
    record = json.loads(launch_file.read_bytes())
    assignment = from_plain(record)
    worker_id, port = record.get("worker_id"), record.get("port")
    if worker_id != launch_file.parent.name or not isinstance(port, int):
        raise ValueError(f"{launch_file} is not the launch file of worker {launch_file.parent.name}")
    return WorkerHandle(worker_id, port, assignment, pid)


def launched_with(workers_dir: Path, name: str) -> list[Any]:
    """What the launch files of all workers say under `name`; files that cannot be read say nothing."""
    found = []
    for launch_file in sorted(workers_dir.glob(f"*/{LAUNCH_FILE}")):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            found.append(json.loads(launch_file.read_bytes()).get(name))
    return found


def worker_environment(
    environ: Mapping[str, str], topology_environment: Mapping[str, str], directory: Path, python: Path | None = None
) -> dict[str, str]:
    """The environment of the worker whose directory this is, named by its id: an allow-list of the supervisor's, then
    that of its own `python` if it has one, then `topology.environment`, then ours.

    Output is unbuffered, so that what a killed worker printed last is in its log.
    """
    kept = {name: value for name, value in environ.items() if name in _KEPT_VARIABLES or name.startswith("LC_")}
    if python is not None:  # the programs of its packages are found first
        kept["VIRTUAL_ENV"] = str(python.parent.parent)
        kept["PATH"] = os.pathsep.join(filter(None, [str(python.parent), kept.get("PATH")]))
    kept.update(topology_environment)
    kept[WORKER_ID_VARIABLE] = directory.name
    kept[WORKER_DIRECTORY_VARIABLE] = str(directory)
    kept["PYTHONUNBUFFERED"] = "1"
    checkout = _checkout_directory()
    if checkout is not None:
        kept["PYTHONPATH"] = os.pathsep.join(filter(None, [kept.get("PYTHONPATH"), checkout]))
    return kept


def read_conf(conf_file: Path) -> Any:
    """What is in the file of a topology's conf, in most cases an object. Raises OSError, ValueError."""
    with conf_file.open("rb") as file:
        return json.loads(file.read(CONF_MAX_BYTES))


def topology_environment(conf_file: Path) -> dict[str, str]:
    """`topology.environment` of a topology's conf. Raises WorkerStartError if the conf is not readable."""
    try:
        conf = read_conf(conf_file)
    except (OSError, ValueError) as error:
        raise WorkerStartError(f"its conf {conf_file} cannot be read ({error})") from error
    found = conf.get("topology.environment") if isinstance(conf, dict) else None
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(_is_variable(name, value) for name, value in found.items()):
        raise WorkerStartError(
            "topology.environment must map names to texts, without NUL, lone surrogates, and '=' in a name"
        )
    return dict(found)


def _is_variable(name: object, value: object) -> bool:
    if not isinstance(name, str) or not isinstance(value, str) or not name or "=" in name or "\0" in name + value:
        return False
    try:
        os.fsencode(name + value)
    except UnicodeEncodeError:
        return False
    return True


def _checkout_directory() -> str | None:
    """The directory that holds this package if it runs from a checkout, which a new process would not find."""
    directory = Path(__file__).resolve().parents[2]
    return None if directory.name in {"site-packages", "dist-packages"} else str(directory)
