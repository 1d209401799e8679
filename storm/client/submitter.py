"""From a user's program to a running topology: pack, upload, submit, wait.

`submit_topology` is Storm's StormSubmitter: a plain Python program calls it. `storm submit` takes the same steps
one by one and shows them.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import logging
import os
import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from storm.client.code_package import CodePackage, PackedRequirements, build_package, imported_files, python_version
from storm.client.project_settings import source_beside
from storm.client.requirements import requirements_beside
from storm.client.wheelhouse import wheels_for
from storm.clock import SystemClock
from storm.config.addresses import joined
from storm.config.loading import load_settings
from storm.config.topology_conf import checked_conf
from storm.errors import (
    CoordinationError,
    NimbusUnreachableError,
    NoPermissionError,
    NotLeaderError,
    PackageError,
    StormError,
    ThriftConnectionError,
    TopologyAlreadyAliveError,
    UploadNotFoundError,
)
from storm.ids import SYSTEM_COMPONENT, topology_name
from storm.thrift.convert import topology_to_thrift
from storm.thrift.interface import storm_thrift
from storm.thrift.nimbus_client import NimbusClient
from storm.topology.validation import validate_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from storm.clock import Clock
    from storm.config.settings import Settings
    from storm.ids import TopologyId
    from storm.thrift.interface import Struct
    from storm.topology.structure import StormTopology

log = logging.getLogger(__name__)

NIMBUS_TIMEOUT_SECS = 30.0
WAIT_SECS = 120.0  # as long as a supervisor gives a worker to start (supervisor.worker.start.timeout.secs)
ENVIRONMENT_WAIT_SECS = 600.0  # and to build an environment (supervisor.environments.build.timeout.secs)
POLL_SECS = 0.1
HOSTS_SHOWN = 5
COMPONENTS_SHOWN = 5
WAITS = {  # by a slot's state, as its supervisor tells it: what one host does, what several do
    "building-environment": ("builds its environment", "build its environment"),
    "fetching": ("fetches its code or blobs", "fetch its code or blobs"),
}
RETRY_SECS = 120.0  # for a submission that gets no answer: Nimbuses may be restarted, or still fetch its package
RETRY_PAUSE_SECS = 1.0
RETRIED = (NotLeaderError, ThriftConnectionError, CoordinationError, NimbusUnreachableError)
SUBMISSION_ID_KEY = "topology.submission.id"
SUBMITTER_KEY = "topology.submitter.user"
_SUBMITTED = "{0} is submitted and goes on starting; `storm status {0}` shows it, `storm kill {0}` ends it"
COUNT_KEY = "topology.min.replication.count"


class TopologyNotRunningError(StormError):
    """The topology was submitted, but its workers do not run; the text says which host failed and with what."""


class Worker(NamedTuple):
    """A running worker."""

    host: str
    port: int
    executors: int


class Progress(Protocol):
    """Who is told how a submission goes on."""

    def start(self, text: str) -> None: ...
    def progress(self, done: int, total: int) -> None: ...
    def note(self, text: str) -> None: ...
    def done(self, result: str = "") -> None: ...


class Silent:
    """Tells nobody."""

    def start(self, text: str) -> None: ...
    def progress(self, done: int, total: int) -> None: ...
    def note(self, text: str) -> None: ...
    def done(self, result: str = "") -> None: ...


def submit_topology(
    name: str,
    topology: StormTopology,
    conf: Mapping[str, Any] | None = None,
    *,
    settings: Settings | None = None,
    wait: bool | float = True,
    no_env: bool = False,
) -> TopologyId:
    """Run `topology` on the cluster under `name`, with the modules beside the calling program; return its id.

    Where `python -m` runs it, they are those beside its outermost package and in it.
    `conf` holds `topology.*` settings and any keys of the user's own. `settings` None: this machine's configuration.
    With `wait`, returns when every worker runs and its components are prepared; a number is for how many seconds at
    most, True for as long as `storm submit` waits. A requirements.txt beside the program is what hosts install for it,
    unless `no_env` says that it runs on their own Python. Raises InvalidTopologyError, PackageError,
    TopologyAlreadyAliveError, NimbusUnreachableError, TopologyNotRunningError.
    """
    chosen = settings if settings is not None else load_settings(None, (), os.environ)
    validate_name(name)
    with tempfile.TemporaryDirectory(prefix="storm-submit-") as directory:
        program = _program_directory()
        required = None if no_env else requirements_beside(program)
        package = build_package(
            imported_files(program),
            Path(directory) / "package.zip",
            None if required is None else PackedRequirements(required.lines),
            source_beside(program),
        )
        with NimbusClient(chosen["nimbus.seeds"], chosen["nimbus.thrift.port"], NIMBUS_TIMEOUT_SECS) as nimbus:
            check_name_is_free(nimbus, name)
            check_python(nimbus.call("getClusterInfo").supervisors, no_env=no_env)
            topology_id = send(nimbus, name, topology, conf or {}, package)
            if wait:
                limit_secs = wait_secs(package) if wait is True else wait
                wait_until_running(nimbus, topology_id, timeout_secs=limit_secs)
    return topology_id


def _program_directory() -> Path:
    """Where the names of the program's modules begin, as for Python itself."""
    import __main__

    source = getattr(__main__, "__file__", None)
    if not source:
        return Path.cwd()
    spec = getattr(__main__, "__spec__", None)
    if spec is None:
        return Path(source).resolve().parent
    packages = spec.parent.split(".") if spec.parent else []
    return Path(os.path.abspath(source)).parents[len(packages)].resolve()


def wait_secs(package: CodePackage) -> float:
    """How long its workers may take to run, as far as supervisors give them time."""
    return WAIT_SECS if package.environment is None else WAIT_SECS + ENVIRONMENT_WAIT_SECS


def check_python(supervisors: Sequence[Struct], *, no_env: bool = False) -> None:
    """Raises PackageError where none of these, SupervisorSummary, has this Python, by which its components are pickled;
    with `no_env` that is its user's choice. Logs a warning of hosts that have another.
    """
    there = {(info.host, info.python_version) for info in supervisors}
    wanted = python_version()
    others = sorted((host, version) for host, version in there if version not in {None, wanted})
    if not others:
        return
    shown = ", ".join(f"{host} has {version}" for host, version in others[:HOSTS_SHOWN])
    if len(others) < len(there) or no_env:
        log.warning(
            "It is packed by Python %s, and other hosts may run it (%s): where it does not work with theirs, keep it "
            "away from them by topology.scheduler.tags",
            wanted,
            shown,
        )
        return
    raise PackageError(
        f"it is packed by Python {wanted}, which no host runs ({shown}): submit it with one of theirs, or with "
        "--no-env if it works with theirs too"
    )


def check_wheels(supervisors: Sequence[Struct], wheelhouse: Path, requirements: Sequence[str]) -> None:
    """Raises PackageError where none of these, SupervisorSummary, has the kind of processor that the wheels which are
    needed are for.
    """
    there = {info.architecture for info in supervisors}
    if None in there:  # a host of a former release, which does not tell
        return
    lacks: PackageError | None = None
    for architecture in sorted(there):
        try:
            wheels_for(wheelhouse, requirements, python_version(), architecture)
        except PackageError as error:
            lacks = lacks or error
        else:
            return
    if lacks is not None:
        raise lacks


def check_name_is_free(nimbus: NimbusClient, name: str) -> None:
    """Raises TopologyAlreadyAliveError."""
    if not nimbus.call("isTopologyNameAllowed", name):
        raise TopologyAlreadyAliveError(
            f"a topology named {name!r} exists: choose another name, or `storm kill {name}` first"
        )


def send(
    nimbus: NimbusClient,
    name: str,
    topology: StormTopology,
    conf: Mapping[str, Any],
    package: CodePackage,
    progress: Callable[[int, int], None] | None = None,
) -> TopologyId:
    """Upload the package and submit; return the new topology's id.

    Where no answer comes, it is tried again for RETRY_SECS, with whichever Nimbus leads then: the submission has an
    id, by which Nimbus knows it again, so that it never starts twice. Logs a warning for each setting that looks like
    a mistake, and where the topology starts on fewer Nimbuses than it asks for. Raises ConfigError for a wrong setting;
    then nothing is sent. Where the topology may be there all the same, a note of the exception says so.
    """
    checked, warnings = checked_conf(conf)
    for text in warnings:
        log.warning("%s", text)
    submitted = {**checked, SUBMISSION_ID_KEY: secrets.token_hex(16)}
    if SUBMITTER_KEY not in submitted:
        submitted[SUBMITTER_KEY] = _user()

    def upload() -> str:
        return nimbus.upload_file(package.path, progress)

    _submit(nimbus, name, json.dumps(submitted), topology, upload)
    with _told(_SUBMITTED.format(name)):
        summary = nimbus.call("getTopologySummaryByName", name)
        if summary.replication_count is not None:
            _warn_of_few_copies(nimbus, summary, submitted.get(COUNT_KEY))
    found = summary.id
    assert isinstance(found, str)
    return found


def _warn_of_few_copies(nimbus: NimbusClient, summary: Any, asked: int | None) -> None:
    """Where the submission does not say how many it wants, the cluster's settings do."""
    wanted = asked or 1
    if asked is None:
        # The topology is submitted all the same: a new leader may not have its conf yet, or somebody has killed it.
        with contextlib.suppress(StormError):
            wanted = json.loads(nimbus.call("getTopologyConf", summary.id)).get(COUNT_KEY) or 1
    if summary.replication_count < wanted:
        log.warning(
            "%s starts with its code and blobs on %d of %d Nimbuses (%s): no more have fetched them in time. The others"
            " do it as soon as they can; until then the topology is lost with the disks of those.",
            summary.name, summary.replication_count, wanted, COUNT_KEY,
        )  # fmt: skip


def _user() -> str:
    """Who runs this: a name, or the number of one that has none, as in a container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # Python 3.13 raises the latter
        return str(os.getuid())


def _submit(nimbus: NimbusClient, name: str, conf: str, topology: StormTopology, upload: Callable[[], str]) -> None:
    t = storm_thrift()
    options = t.SubmitOptions(initial_status=t.TopologyInitialStatus.ACTIVE)
    until = nimbus.clock.now() + RETRY_SECS
    location: str | None = None
    why: StormError
    asked = False
    with contextlib.ExitStack() as on_failure:
        while True:
            try:
                if location is None:
                    location = upload()
                    on_failure.callback(nimbus.cancel_upload, location)
                if not asked:
                    asked = True
                    on_failure.enter_context(_told(f"{name} may have been submitted; `storm status {name}` says"))
                nimbus.call("submitTopologyWithOpts", name, location, conf, topology_to_thrift(topology), options)
                on_failure.pop_all()
                return
            except UploadNotFoundError as error:  # another Nimbus leads since it was uploaded
                if nimbus.clock.now() >= until:
                    raise
                location, why = None, error
            except NoPermissionError:
                raise  # ZooKeeper refuses the leader, and would again
            except RETRIED as error:
                if nimbus.clock.now() >= until or (isinstance(error, NimbusUnreachableError) and not asked):
                    raise
                why = error
            log.warning("The submission of %s has no answer yet and is repeated: %s", name, why)
            nimbus.clock.sleep(RETRY_PAUSE_SECS)


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """Whoever gets no answer of Nimbus, or waits for none, is told this of the topology: in a note of the exception."""
    try:
        yield
    except (*RETRIED, KeyboardInterrupt) as error:
        if not isinstance(error, NoPermissionError):
            error.add_note(what)
        raise


def wait_until_running(
    nimbus: NimbusClient,
    topology_id: TopologyId,
    progress: Progress | None = None,
    *,
    timeout_secs: float = WAIT_SECS,
    clock: Clock | None = None,
) -> list[Worker]:
    """Return the topology's workers once all of them run, and their components are prepared.

    Raises TopologyNotRunningError when a worker cannot start, naming its host and the last lines of its log, or when
    `timeout_secs` have passed. A topology whose environment a host cannot build is removed again: no line of its code
    has run there, and it would be tried for ever.
    """
    clock, progress = clock or SystemClock(), progress or Silent()
    deadline = clock.now() + timeout_secs
    with _told(_SUBMITTED.format(topology_name(topology_id))):
        while True:
            page = nimbus.call("getTopologyPageInfo", topology_id, ":all-time", False)
            workers = page.workers or []
            up = [worker for worker in workers if worker.uptime_secs is not None and not _opening(worker)]
            if workers and len(up) == len(workers):
                return [Worker(worker.host, worker.port, worker.num_executors) for worker in up]
            _withdraw_if_not_built(nimbus, page)
            _raise_failure(nimbus, topology_id)
            if clock.now() > deadline:
                raise TopologyNotRunningError(_why_waiting(page, workers, timeout_secs))
            why = _why_slow(page, workers)
            if workers and not why:
                progress.progress(len(up), len(workers))
            else:
                progress.note(why or "no free slot yet")
            clock.sleep(POLL_SECS)


def _opening(worker: Any) -> list[str]:
    """The components that the worker still prepares; a topology that is not active has none."""
    return list(worker.insight.opening_components or []) if worker.insight is not None else []


def _why_slow(page: Any, workers: list[Any]) -> str:
    """What takes its time now, of what may; empty: nothing."""
    waiting = [each for each in page.slot_failures or [] if each.deaths == 0]
    for state, (one, several) in WAITS.items():
        hosts = sorted({each.host for each in waiting if each.state == state})
        if hosts:
            return f"{', '.join(hosts[:HOSTS_SHOWN])} {several if hosts[1:] else one}"
    if any(worker.uptime_secs is None or (worker.insight and worker.insight.missing_peers) for worker in workers):
        return ""  # others only wait for those
    opening = sorted({name for worker in workers for name in _opening(worker)})
    return f"preparing {', '.join(opening[:COMPONENTS_SHOWN])}" if opening else ""


def _withdraw_if_not_built(nimbus: NimbusClient, page: Any) -> None:
    failed = {each.host: each for each in page.slot_failures or [] if each.lacks_environment}
    if not failed:
        return
    nimbus.call("killTopologyWithOpts", page.name, storm_thrift().KillOptions(wait_secs=0))
    found = [f"{host} {each.reason}\n{each.last_lines}".rstrip() for host, each in sorted(failed.items())]
    raise TopologyNotRunningError(
        f"{page.name} is not started, and was removed again:\n" + "\n".join(found[:HOSTS_SHOWN])
    )


def _raise_failure(nimbus: NimbusClient, topology_id: TopologyId) -> None:
    t = storm_thrift()
    info = nimbus.call("getTopologyInfoWithOpts", topology_id, t.GetInfoOptions(num_err_choice=t.NumErrorsChoice.ONE))
    errors = (info.errors or {}).get(SYSTEM_COMPONENT) or []
    if errors and not errors[0].lacks_environment:  # the supervisor's record tells that in time
        error = errors[0]
        worker = joined(error.host, error.port)
        raise TopologyNotRunningError(
            f"{topology_id} is submitted, but a worker on {worker} does not run:\n{error.error}\n"
            f"Its supervisor goes on trying. `storm logs {info.name}` shows its log, `storm kill {info.name}` gives up."
        )


def _why_waiting(page: Any, workers: list[Any], timeout_secs: float) -> str:
    if not workers:
        return (
            f"{page.id} is submitted, but no supervisor has had a free slot for {timeout_secs:.0f} s "
            f"({page.sched_status or 'nothing was assigned'}): start a supervisor or kill another topology; "
            "this one then starts by itself"
        )
    building = {(each.host, each.port): f" ({each.reason})" for each in page.slot_failures or [] if each.deaths == 0}
    missing = [
        f"{joined(worker.host, worker.port)}{building.get((worker.host, worker.port), '')}"
        for worker in workers
        if worker.uptime_secs is None
    ]
    late = f"{page.id} is submitted, but after {timeout_secs:.0f} s"
    if missing:
        return f"{late} these workers have not started: {', '.join(missing)}"
    opening = [f"{joined(each.host, each.port)} ({', '.join(names)})" for each in workers if (names := _opening(each))]
    return f"{late} these workers still prepare their components, and go on: {', '.join(opening)}"
