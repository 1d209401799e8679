"""Makes one virtual environment: `uv` where it is installed, else `python -m venv` and pip.

What the topology asks for comes first on the path of its Python, then what is installed where the supervisor runs, this
package among it, by a `.pth` file: a worker runs the same Storm as its supervisor, and what a topology pins is what it
gets. So that Storm runs with it too, what Storm and its own dependencies require are constraints of the
installation: a pin that they exclude is a conflict that the installer explains, and no import error in every worker.
The `.pth` comes last, so that the installer sees an empty environment: what is on one host by chance decides nothing.

It is built at its place, since programs in it name their interpreter by its path; a file that is written last says
that it is whole. Beside it is `<its name>.tmp` while it is built, for what pip, uv and builds of sources put aside.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from storm.environment_spec import OWN_PROJECT, from_wheels, normalised
from storm.errors import StormError
from storm.supervisor import process_table
from storm.supervisor.environments import BuildFailure
from storm.supervisor.local_state import is_full, sync_file_system, write_atomically
from storm.supervisor.worker_launch import WORKER_ID_VARIABLE, worker_environment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storm.environment_spec import EnvironmentSpec

WHOLE = "storm-environment.json"  # written last
HOST_PATH = "zz_storm_host.pth"
BUILD_VARIABLE = "STORM_ENVIRONMENT_BUILD"  # what a build starts carries it, and is found by it
NICENESS = 10  # workers come first
LINES_KEPT = 20
LINE_BYTES_MAX = 2_000
_NO_ROOM = ("No space left on device", "Disk quota exceeded")
_INDEX_OPTIONS = ("-i", "--index-url", "--extra-index-url", "-f", "--find-links", "--trusted-host")
# All that a worker uses in the end: much of it is imported late.
_IMPORTED = (
    "import storm.worker.daemon, storm.cluster.zookeeper, storm.messaging.zeromq, storm.messaging.tuple_codec, "
    "storm.executor.component_loading; from storm.thrift.interface import storm_thrift; storm_thrift()"
)


class BuildError(StormError):
    """An environment could not be built."""

    def __init__(self, reason: str, last_lines: str = "", no_room: bool = False) -> None:
        super().__init__(reason)
        self.failure = BuildFailure(reason, last_lines, no_room)


@dataclass(frozen=True, slots=True)
class HostPython:
    """This supervisor's Python, and how it makes environments. `uv` None: pip does; `has_pip`: this Python has it."""

    executable: str
    version: str
    site_directories: tuple[str, ...]
    constraints: tuple[str, ...]
    uv: str | None
    has_pip: bool


class Ended(NamedTuple):
    """How a command ended; `lines` are the last ones that it printed."""

    code: int
    lines: list[str]


def host_python() -> HostPython:
    """What there is on this host."""
    beside = Path(sys.executable).with_name("uv")
    return HostPython(
        executable=sys.executable,
        version=f"{sys.version_info[0]}.{sys.version_info[1]}",
        site_directories=tuple(path for path in sys.path if Path(path).name in {"site-packages", "dist-packages"}),
        constraints=own_constraints(),
        uv=shutil.which("uv") or (str(beside) if beside.is_file() else None),
        has_pip=importlib.util.find_spec("pip") is not None,
    )


def own_constraints() -> tuple[str, ...]:
    """Lines of a constraints file: what this package and all that it depends on require of one another."""
    import importlib.metadata  # it brings `email`, and few hosts build anything

    found: dict[str, None] = {}
    seen, pending = set[str](), [OWN_PROJECT]
    while pending:
        name = pending.pop()
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        if name == OWN_PROJECT:
            found[f"{OWN_PROJECT}=={distribution.version}"] = None
        for line in distribution.requires or ():
            wanted, _, marker = line.partition(";")
            named = re.match(r"\s*([\w.-]+)\s*(?:\[[^\]]*\])?\s*(.*)", wanted)
            if named is None or "extra" in marker:
                continue
            if named[2].strip():
                found[f"{named[1]}{named[2].strip()}{';' + marker if marker else ''}"] = None
            if normalised(named[1]) not in seen:
                seen.add(normalised(named[1]))
                pending.append(named[1])
    return tuple(sorted(found))


class EnvironmentBuild:
    """One build. `run` it in a thread of its own; `stop` ends it from any other."""

    def __init__(self, spec: EnvironmentSpec, wheels_dir: Path, target: Path, host: HostPython) -> None:
        self._spec = spec
        self._wheels_dir = wheels_dir
        self._target = target
        self._tmp_dir = target.with_name(f"{target.name}.tmp")  # beside it, since a target must be empty
        self._host = host
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = ""

    def run(self, timeout_secs: float) -> BuildFailure | None:
        """Build it; why not if that fails, and then nothing of it is left."""
        timer = threading.Timer(timeout_secs, self.stop, [f"did not end within {timeout_secs:g} s"])
        timer.daemon = True
        timer.start()
        try:
            self._tmp_dir.mkdir(parents=True, exist_ok=True)
            self._build()
        except BuildError as error:
            shutil.rmtree(self._target, ignore_errors=True)
            return error.failure
        except OSError as error:
            shutil.rmtree(self._target, ignore_errors=True)
            return BuildFailure(str(error), no_room=is_full(error))
        finally:
            timer.cancel()
            # A session that a source's build began is out of killpg's reach.
            process_table.kill_all_with_environment(f"TMPDIR={self._tmp_dir}")
            shutil.rmtree(self._tmp_dir, ignore_errors=True)
        return None

    def stop(self, why: str) -> None:
        """End it soon: it fails for this reason. Any thread may call it."""
        with self._lock:
            self._stopped = self._stopped or why
            if self._process is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)

    def child(self) -> int | None:
        """The id of its process, if one runs or has not been waited for."""
        with self._lock:
            return None if self._process is None else self._process.pid

    def _build(self) -> None:
        spec, host, target = self._spec, self._host, self._target
        shutil.rmtree(target, ignore_errors=True)
        self._check_wheels()
        python = target / "bin" / "python"
        environment = build_environment(os.environ, target.parent, self._tmp_dir, is_offline=bool(spec.wheels))
        for what, command in creation(host, target):
            self._command(what, command, environment)
        required, constraints = target / "requirements.txt", target / "constraints.txt"
        lines = spec.requirements
        if spec.wheels:
            lines = tuple(from_wheels(line, spec.wheels) for line in lines if not _is_index_option(line))
        required.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        constraints.write_text("".join(f"{line}\n" for line in host.constraints), encoding="utf-8")
        command = [*installer(host, python), "-r", str(required), "-c", str(constraints)]
        if spec.wheels:
            command += ["--no-index", "--find-links", str(self._wheels_dir)]
        self._command("uv" if host.uv else "pip", command, environment)
        write_host_path(target, host)
        self._check_import(python)
        sync_file_system(target)  # what says that it is whole must not outlive it in a power cut
        record = {"format": 1, "python": host.version, "requirements": list(spec.requirements)}
        write_atomically(target / WHOLE, json.dumps(record).encode())

    def _check_wheels(self) -> None:
        """Exactly those that the key stands for: one more could get into an environment that others share."""
        if self._spec.wheels and (more := set(os.listdir(self._wheels_dir)) - dict(self._spec.wheels).keys()):
            raise BuildError(f"its package has {min(more)!r} among its wheels, which its manifest does not name")
        for name, sha256 in self._spec.wheels:
            with (self._wheels_dir / name).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                    raise BuildError(f"the wheel {name} of its package does not have the hash that its manifest names")

    def _check_import(self, python: Path) -> None:
        environment = worker_environment(os.environ, {}, self._target)
        del environment[WORKER_ID_VARIABLE]
        environment |= {BUILD_VARIABLE: str(self._target.parent), "TMPDIR": str(self._tmp_dir)}
        ended = self._run([str(python), "-c", _IMPORTED], environment)
        if ended.code != 0:
            raise self._error("Storm itself cannot be imported with what it installs", ended)

    def _command(self, what: str, command: list[str], environment: Mapping[str, str]) -> None:
        ended = self._run(command, environment)
        if ended.code != 0:
            said = headline(ended.lines)
            raise self._error(f"{what} says: {said}" if said else f"{what} exited with code {ended.code}", ended)

    def _error(self, reason: str, ended: Ended) -> BuildError:
        text = "\n".join(ended.lines)
        no_room = any(each in text for each in _NO_ROOM)
        return BuildError(self._stopped or reason, text, no_room)

    def _run(self, command: list[str], environment: Mapping[str, str]) -> Ended:
        """Run a command in a session of its own, and end what it leaves behind in that."""
        # A file, not a pipe: what it leaves behind elsewhere may hold a pipe open for ever.
        with tempfile.TemporaryFile(dir=self._tmp_dir) as output:
            with self._lock:
                if self._stopped:
                    raise BuildError(self._stopped)
                self._process = process = subprocess.Popen(
                    command,
                    cwd=self._target.parent,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            with self._lock:  # while it is not reaped its id is its own
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
                code = process.wait()
                self._process = None
            return Ended(code, _last_lines(output))


def _last_lines(output: IO[bytes]) -> list[str]:
    output.seek(max(0, output.seek(0, os.SEEK_END) - LINES_KEPT * LINE_BYTES_MAX))
    lines = output.read(LINES_KEPT * LINE_BYTES_MAX).decode("utf-8", "replace").split("\n")
    return [line[:LINE_BYTES_MAX].rstrip() for line in lines if line.strip()][-LINES_KEPT:]


def creation(host: HostPython, target: Path) -> list[tuple[str, list[str]]]:
    """The commands that make an empty environment, each with what to call it."""
    if host.uv:
        return [("uv", [host.uv, "venv", "--quiet", "--no-project", "--python", host.executable, str(target)])]
    # Its own pip costs three seconds and is needed only where the supervisor's Python has none.
    without = ["--without-pip"] if host.has_pip else []
    return [("python -m venv", [host.executable, "-m", "venv", *without, str(target)])]


def installer(host: HostPython, python: Path) -> list[str]:
    """The beginning of the command that installs into the environment of `python`."""
    if host.uv:
        return [host.uv, "pip", "install", "--no-progress", "--python", str(python)]
    pip = [host.executable, "-m", "pip", "--python", str(python)] if host.has_pip else [str(python), "-m", "pip"]
    return [*pip, "install", "--progress-bar", "off"]


def build_environment(
    environ: Mapping[str, str], directory: Path, tmp_dir: Path, *, is_offline: bool
) -> dict[str, str]:
    """The environment of a build's programs: the supervisor's, without what is about its own Python. What they leave in
    `tmp_dir` is removed with that, also where they are killed.

    Settings of pip and uv on this host hold (indexes, proxies, caches), but where wheels travel: then only these count.
    Where none says where their caches are, these are the supervisor's own, which it may empty, and not its user's.
    """
    others = ("PYTHON", "STORM_", "VIRTUAL_ENV", "PIP_", "UV_") if is_offline else ("PYTHON", "STORM_", "VIRTUAL_ENV")
    kept = {name: value for name, value in environ.items() if not name.startswith(others)}
    if is_offline:
        kept |= {"PIP_CONFIG_FILE": os.devnull, "UV_NO_CONFIG": "1"}
    # Of all that names their caches this comes last, after variables of their own and what their files say.
    kept.setdefault("XDG_CACHE_HOME", str(cache_dir(directory)))
    return kept | {
        BUILD_VARIABLE: str(directory),
        "TMPDIR": str(tmp_dir),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "NO_COLOR": "1",
    }


def cache_dir(environments_dir: Path) -> Path:
    """On their file system, so that uv can link what is in it."""
    return environments_dir.with_name(f"{environments_dir.name}-cache")


def headline(lines: list[str]) -> str:
    """The first error of pip's or uv's last lines, in one; empty if there is none."""
    at = [number for number, line in enumerate(lines) if line.lower().startswith("error:")]
    if not at:
        return ""
    said = lines[at[0]].partition(":")[2].strip()
    more = lines[at[0] + 1 : at[0] + 2]
    cause = more[0].strip() if more else ""
    return f"{said}: {cause.partition(':')[2].strip()}" if cause.lower().startswith("cause:") else said


def built_for(target: Path) -> str | None:
    """For which version of Python an environment was built; None if that did not come to its end."""
    try:
        record = json.loads((target / WHOLE).read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(record, dict) or not (target / "bin" / "python").exists():
        return None
    return str(record.get("python"))


def write_host_path(target: Path, host: HostPython) -> None:
    """Let the environment see what the supervisor runs, after its own. Raises OSError."""
    places = {"base": str(target), "platbase": str(target)}
    site = Path(sysconfig.get_path("purelib", "venv", places))
    write_atomically(site / HOST_PATH, "".join(f"{path}\n" for path in host.site_directories).encode())


def _is_index_option(line: str) -> bool:
    return re.split(r"[ =]", line, maxsplit=1)[0] in _INDEX_OPTIONS
