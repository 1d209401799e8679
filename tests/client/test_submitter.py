from __future__ import annotations

import importlib
import json
import os
import socket
import sys
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING, Any

import pytest
from wheels import make_wheel

from storm.client.code_package import PackedRequirements, build_package, python_version
from storm.client.submitter import (
    RETRY_SECS,
    Silent,
    TopologyNotRunningError,
    Worker,
    check_name_is_free,
    check_python,
    check_wheels,
    send,
    submit_topology,
    wait_secs,
    wait_until_running,
)
from storm.cluster.records import BUILDING_ENVIRONMENT, FETCHING
from storm.config.settings import Settings
from storm.errors import (
    CoordinationError,
    InvalidTopologyError,
    NimbusUnreachableError,
    NoPermissionError,
    NotLeaderError,
    PackageError,
    StormError,
    ThriftConnectionError,
    ThriftTimeoutError,
    TopologyAlreadyAliveError,
    UploadNotFoundError,
)
from storm.testing.simulated_clock import SimulatedClock
from storm.thrift.interface import storm_thrift
from storm.topology.structure import StormTopology

if TYPE_CHECKING:
    from pathlib import Path


class ScriptedNimbus:
    """Answers calls as the table says; a page each look, the last one for ever."""

    def __init__(self, clock: SimulatedClock, pages: list[list[Any]], errors: list[Any] | None = None) -> None:
        self.clock = clock
        self.pages = pages
        self.errors = errors or []
        self.submitted: list[Any] = []
        self.uploads = 0
        self.cancelled: list[str] = []
        self.replicas: int | None = None
        self.cluster_conf: dict[str, Any] | None = {}  # None: this leader has no topology's conf yet
        self.failures: list[BaseException] = []  # of the next submissions, in order
        self.lost: BaseException | None = None  # what becomes of looks at the topology
        self.slot_failures: list[Any] = []
        self.killed: list[tuple[str, int]] = []

    def upload_file(self, path: Path, progress: Any = None) -> str:
        self.uploads += 1
        return f"upload-of-{path.name}"

    def cancel_upload(self, location: str) -> None:
        self.cancelled.append(location)

    def call(self, method: str, *args: Any) -> Any:
        t = storm_thrift()
        if self.lost is not None and method.startswith("getTopology"):
            raise self.lost
        if method == "getTopologyPageInfo":
            workers = self.pages.pop(0) if len(self.pages) > 1 else self.pages[0]
            self.clock.advance(1)
            return t.TopologyPageInfo(id=args[0], name="w", workers=workers, slot_failures=self.slot_failures)
        if method == "killTopologyWithOpts":
            self.killed.append((args[0], args[1].wait_secs))
            return None
        if method == "getTopologyInfoWithOpts":
            return t.TopologyInfo(id=args[0], name="w", errors={"__system": self.errors})
        if method == "getTopologySummaryByName":
            return t.TopologySummary(id=f"{args[0]}-1-2", name=args[0], replication_count=self.replicas)
        if method == "getTopologyConf":
            if self.cluster_conf is None:
                raise StormError("The code of the topology cannot be read.")
            return json.dumps({**self.cluster_conf, **json.loads(self.submitted[-1][2])})
        if method == "isTopologyNameAllowed":
            return args[0] != "taken"
        assert method == "submitTopologyWithOpts"
        self.submitted.append(args)
        if self.failures:
            raise self.failures.pop(0)
        return None


def worker(
    port: int, uptime_secs: int | None, host: str = "h", opening: tuple[str, ...] = (), missing: tuple[str, ...] = ()
) -> Any:
    t = storm_thrift()
    insight = t.WorkerInsight(opening_components=list(opening), missing_peers=list(missing)) if opening else None
    return t.WorkerSummary(host=host, port=port, num_executors=2, uptime_secs=uptime_secs, insight=insight)


class Notes(Silent):
    """Keeps what takes its time."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


def nimbus(pages: list[list[Any]], errors: list[Any] | None = None) -> tuple[Any, SimulatedClock]:
    clock = SimulatedClock()
    return ScriptedNimbus(clock, pages, errors), clock


def test_waiting_ends_when_all_workers_run() -> None:
    script, clock = nimbus([[], [worker(1, None), worker(2, 3)], [worker(1, 0), worker(2, 4)]])
    assert wait_until_running(script, "w-1-2", clock=clock) == [Worker("h", 1, 2), Worker("h", 2, 2)]


def test_a_worker_runs_when_its_components_are_prepared() -> None:
    waiting = worker(1, 0, opening=("model",), missing=("h:2",))
    script, clock = nimbus([[waiting], [worker(1, 0, opening=("model",))], [worker(1, 1)]])
    notes = Notes()
    assert wait_until_running(script, "w-1-2", notes, clock=clock) == [Worker("h", 1, 2)]
    assert notes.said == ["preparing model"]


def test_one_that_dies_as_it_prepares_never_ran() -> None:
    error = storm_thrift().ErrorInfo(error="exited with code 1\nno module x", error_time_secs=1, host="h", port=1)
    script, clock = nimbus([[worker(1, 0, opening=("model",))]], [error])
    with pytest.raises(TopologyNotRunningError, match="no module x"):
        wait_until_running(script, "w-1-2", clock=clock)


@pytest.mark.parametrize(("host", "shown"), [("h", "h:6700"), ("::1", r"\[::1\]:6700")])
def test_a_worker_that_cannot_start_is_named_with_the_end_of_its_log(host: str, shown: str) -> None:
    error = storm_thrift().ErrorInfo(error="exited with code 13\nno module x", error_time_secs=1, host=host, port=6700)
    script, clock = nimbus([[worker(1, None)]], [error])
    with pytest.raises(
        TopologyNotRunningError, match=rf"a worker on {shown} does not run:\nexited with code 13\nno mod"
    ):
        wait_until_running(script, "w-1-2", clock=clock)


@pytest.mark.parametrize(
    ("workers", "why"),
    [
        ([], "no supervisor has had a free slot for 5 s"),
        ([worker(7, None)], "have not started: h:7"),
        ([worker(7, None), worker(8, 2, opening=("model",))], "have not started: h:7$"),
        ([worker(7, 9), worker(8, 2, opening=("a", "b"))], r"still prepare their components, and go on: h:8 \(a, b\)$"),
        ([worker(7, None, "fd00::1")], r"have not started: \[fd00::1\]:7"),
    ],
)
def test_waiting_has_an_end_that_says_what_is_missing(workers: list[Any], why: str) -> None:
    script, clock = nimbus([workers])
    with pytest.raises(TopologyNotRunningError, match=why):
        wait_until_running(script, "w-1-2", timeout_secs=5, clock=clock)


def slot_failure(host: str, deaths: int, reason: str, last_lines: str = "", lacks_environment: bool = False) -> Any:
    return storm_thrift().SlotFailure(
        supervisor_id=host,
        host=host,
        port=1,
        state=BUILDING_ENVIRONMENT,
        deaths=deaths,
        reason=reason,
        last_lines=last_lines,
        time_secs=1,
        lacks_environment=lacks_environment,
    )


def test_a_topology_whose_environment_no_host_can_build_is_removed_again() -> None:
    t = storm_thrift()
    error = t.ErrorInfo(error="The worker has none", error_time_secs=1, host="h", port=1, lacks_environment=True)
    script, clock = nimbus([[worker(1, None)], [worker(1, None)], []], [error])
    with pytest.raises(TopologyNotRunningError, match="have not started: h:1"):
        wait_until_running(script, "w-1-2", timeout_secs=1, clock=clock)  # what the record says decides, not the error
    script.pages = [[worker(1, None)]]
    script.slot_failures = [
        slot_failure("b", 2, "has none: pip says: no colours", "ERROR: no colours", lacks_environment=True),
        slot_failure("a", 1, "has none: it is packed for Python 3.9", lacks_environment=True),
        slot_failure("c", 1, "exited with code 1"),
    ]
    with pytest.raises(TopologyNotRunningError) as raised:
        wait_until_running(script, "w-1-2", clock=clock)
    assert str(raised.value).splitlines() == [
        "w is not started, and was removed again:",
        "a has none: it is packed for Python 3.9",
        "b has none: pip says: no colours",
        "ERROR: no colours",
    ]
    assert script.killed == [("w", 0)]


def test_who_builds_an_environment_is_told_while_it_lasts() -> None:
    notes = Notes()
    script, clock = nimbus([[worker(1, None)]])
    script.slot_failures = [slot_failure("h", 0, "waits for its environment")]
    with pytest.raises(TopologyNotRunningError, match=r"have not started: h:1 \(waits for its environment\)"):
        wait_until_running(script, "w-1-2", notes, timeout_secs=2, clock=clock)
    assert set(notes.said) == {"h builds its environment"}
    notes.said.clear()
    script.slot_failures = [slot_failure(host, 0, "waits for its code") for host in ("h", "g")]
    for each in script.slot_failures:
        each.state = FETCHING
    with pytest.raises(TopologyNotRunningError, match=r"have not started: h:1 \(waits for its code\)"):
        wait_until_running(script, "w-1-2", notes, timeout_secs=2, clock=clock)
    assert set(notes.said) == {"g, h fetch its code or blobs"}
    assert script.killed == []


def test_a_python_that_no_host_has_is_refused_before_anything_is_sent(caplog: pytest.LogCaptureFixture) -> None:
    ours = python_version()

    def supervisors(*pythons: tuple[str, str | None]) -> list[Any]:
        return [
            storm_thrift().SupervisorSummary(
                host=host, uptime_secs=1, num_workers=1, num_used_workers=0, supervisor_id=host, python_version=version
            )
            for host, version in pythons
        ]

    with pytest.raises(PackageError, match=rf"packed by Python {ours}, which no host runs \(a has 3.98, b has 3.99\)"):
        check_python(supervisors(("b", "3.99"), ("a", "3.98")))
    for found in (supervisors(), supervisors(("a", ours), ("b", None))):
        check_python(found)
    assert caplog.messages == []
    # Nimbus may choose any: two supervisors may be on one host, and a former release does not tell its Python.
    for no_env, other in ((False, ours), (False, None), (True, "3.98")):
        check_python(supervisors(("a", "3.98"), ("a", other)), no_env=no_env)
        assert f"packed by Python {ours}, and other hosts may run it (a has 3.98)" in caplog.messages[-1]
    assert len(caplog.messages) == 3


def test_hosts_have_time_to_build_an_environment(tmp_path: Path) -> None:
    plain = build_package({}, tmp_path / "plain.zip")
    packed = build_package({}, tmp_path / "package.zip", PackedRequirements(("colours",)))
    assert (wait_secs(plain), wait_secs(packed)) == (120, 720)


def test_wheels_for_a_processor_that_no_host_has_are_refused_before_anything_is_sent(tmp_path: Path) -> None:
    python = python_version().replace(".", "")
    make_wheel(tmp_path, "colours", tag=f"cp{python}-cp{python}-manylinux2014_aarch64")

    def supervisors(*architectures: str | None) -> list[Any]:
        return [
            storm_thrift().SupervisorSummary(
                host="a", uptime_secs=1, num_workers=1, num_used_workers=0, supervisor_id="a", architecture=each
            )
            for each in architectures
        ]

    with pytest.raises(PackageError, match=r"no wheel of colours for Linux on x86_64 and .* only colours-.*aarch64"):
        check_wheels(supervisors("x86_64", "x86_64"), tmp_path, ["colours==1.0"])
    for found in (supervisors(), supervisors("x86_64", "aarch64"), supervisors("x86_64", None)):
        check_wheels(found, tmp_path, ["colours==1.0"])


def test_a_taken_name_says_what_to_do() -> None:
    script, _ = nimbus([[]])
    check_name_is_free(script, "free")
    with pytest.raises(TopologyAlreadyAliveError, match="choose another name, or `storm kill taken` first"):
        check_name_is_free(script, "taken")


def test_what_is_sent_has_the_conf_and_the_uploaded_package(tmp_path: Path) -> None:
    script, _ = nimbus([[]])
    package = build_package({}, tmp_path / "package.zip")
    assert send(script, "w", StormTopology(), {"topology.workers": 3, "own": [1]}, package) == "w-1-2"
    name, location, conf, _, options = script.submitted[0]
    assert (name, location) == ("w", "upload-of-package.zip")
    assert json.loads(conf)["topology.workers"] == 3
    assert json.loads(conf)["own"] == [1]
    assert options.initial_status == storm_thrift().TopologyInitialStatus.ACTIVE


@pytest.mark.parametrize("error", [KeyError("uid not found"), OSError("No username set in the environment")])
def test_a_user_without_a_name_submits_under_a_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    asked = []

    def nameless() -> str:
        asked.append(1)
        raise error

    monkeypatch.setattr("getpass.getuser", nameless)
    script, _ = nimbus([[]])
    package = build_package({}, tmp_path / "package.zip")
    send(script, "w", StormTopology(), {}, package)
    send(script, "w", StormTopology(), {"topology.submitter.user": "ann"}, package)
    users = [json.loads(conf)["topology.submitter.user"] for _, _, conf, _, _ in script.submitted]
    assert (users, len(asked)) == ([str(os.getuid()), "ann"], 1)


WANTS_THREE = {"topology.min.replication.count": 3}


@pytest.mark.parametrize(
    ("conf", "clusters", "replicas", "said"),
    [
        (WANTS_THREE, {}, 1, "w starts with its code and blobs on 1 of 3 Nimbuses"),
        (WANTS_THREE, None, 1, "w starts with its code and blobs on 1 of 3 Nimbuses"),
        ({}, WANTS_THREE, 1, "w starts with its code and blobs on 1 of 3 Nimbuses"),
        (WANTS_THREE, {}, 3, ""),
        (WANTS_THREE, {}, None, ""),
        ({}, {}, 1, ""),
        ({}, None, 1, ""),
    ],
)
def test_a_topology_that_starts_on_fewer_nimbuses_than_it_asks_for_is_told_of(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    conf: dict[str, int],
    clusters: dict[str, int] | None,
    replicas: int | None,
    said: str,
) -> None:
    script, _ = nimbus([[]])
    script.replicas, script.cluster_conf = replicas, clusters
    assert send(script, "w", StormTopology(), conf, build_package({}, tmp_path / "package.zip")) == "w-1-2"
    assert (said in caplog.text, "Nimbuses" in caplog.text) == (True, bool(said))


def submission_ids(script: Any) -> set[str]:
    return {json.loads(conf)["topology.submission.id"] for _, _, conf, _, _ in script.submitted}


def test_a_submission_without_an_answer_is_repeated_as_the_same_one(tmp_path: Path) -> None:
    script, clock = nimbus([[]])
    package = build_package({}, tmp_path / "package.zip")
    script.failures = [
        ThriftTimeoutError("no answer within 30 s", sent=True),
        ThriftConnectionError("the connection broke", sent=True),
        NimbusUnreachableError("no leading Nimbus was found"),
        CoordinationError("ZooKeeper did not answer"),
        NotLeaderError("the leader is b:6627"),
        UploadNotFoundError("the package is not here"),
    ]
    assert send(script, "w", StormTopology(), {}, package) == "w-1-2"
    assert len(script.submitted) == 7
    assert len(submission_ids(script)) == 1
    assert script.uploads == 2  # again only where the one that leads has none
    assert script.cancelled == []
    assert clock.now() == 6


def test_each_submission_has_an_id_of_its_own(tmp_path: Path) -> None:
    script, _ = nimbus([[]])
    package = build_package({}, tmp_path / "package.zip")
    for _ in range(2):
        send(script, "w", StormTopology(), {}, package)
    assert len(submission_ids(script)) == 2


@pytest.mark.parametrize(
    "failure",
    [
        TopologyAlreadyAliveError("w is there"),
        InvalidTopologyError("no spout"),
        NoPermissionError("ZooKeeper gives no permission"),
    ],
)
def test_a_refusal_is_not_repeated(tmp_path: Path, failure: StormError) -> None:
    script, _ = nimbus([[]])
    script.failures = [failure]
    with pytest.raises(type(failure)) as raised:
        send(script, "w", StormTopology(), {}, build_package({}, tmp_path / "package.zip"))
    assert len(script.submitted) == 1
    assert not hasattr(raised.value, "__notes__"), "it is certain that it was not submitted"


MAY_BE_THERE = ["w may have been submitted; `storm status w` says"]
IS_THERE = ["w is submitted and goes on starting; `storm status w` shows it, `storm kill w` ends it"]


@pytest.mark.parametrize(
    ("failure", "notes"),
    [(ThriftConnectionError("broke", sent=True), MAY_BE_THERE), (UploadNotFoundError("not here"), None)],
)
def test_repeating_has_an_end(tmp_path: Path, failure: StormError, notes: list[str] | None) -> None:
    script, clock = nimbus([[]])
    script.failures = [failure] * 1000
    with pytest.raises(type(failure)) as raised:
        send(script, "w", StormTopology(), {}, build_package({}, tmp_path / "package.zip"))
    assert clock.now() == RETRY_SECS
    assert getattr(raised.value, "__notes__", None) == notes
    assert script.cancelled == ["upload-of-package.zip"] * script.uploads


def test_who_interrupts_a_submission_is_told_that_it_may_be_there_and_leaves_no_package(tmp_path: Path) -> None:
    script, _ = nimbus([[]])
    script.failures = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt) as raised:
        send(script, "w", StormTopology(), {}, build_package({}, tmp_path / "package.zip"))
    assert (raised.value.__notes__, script.cancelled) == (MAY_BE_THERE, ["upload-of-package.zip"])


@pytest.mark.parametrize(
    "lost",
    [NimbusUnreachableError("no leading Nimbus was found"), ThriftTimeoutError("no answer"), KeyboardInterrupt()],
)
def test_where_nimbus_is_lost_once_the_topology_is_there_this_is_told(tmp_path: Path, lost: BaseException) -> None:
    script, clock = nimbus([[worker(1, None)]])
    script.lost = lost
    package = build_package({}, tmp_path / "package.zip")
    for ask in (
        lambda: send(script, "w", StormTopology(), {}, package),
        lambda: wait_until_running(script, "w-1-2", clock=clock),
    ):
        with pytest.raises(type(lost)) as raised:
            ask()
        assert raised.value.__notes__ == IS_THERE
        del lost.__notes__
    assert script.killed == []


def test_where_no_nimbus_is_there_at_first_nothing_is_repeated(tmp_path: Path) -> None:
    script, clock = nimbus([[]])

    def unreachable(path: Path, progress: Any = None) -> str:
        raise NimbusUnreachableError("no leading Nimbus was found")

    script.upload_file = unreachable
    with pytest.raises(NimbusUnreachableError) as raised:
        send(script, "w", StormTopology(), {}, build_package({}, tmp_path / "package.zip"))
    assert (script.submitted, clock.now()) == ([], 0)
    assert not hasattr(raised.value, "__notes__")


def runs(monkeypatch: pytest.MonkeyPatch, program: Path, name: str | None) -> None:
    """Have this process be one of `python program`, or `python -m name`."""
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "__file__", str(program), raising=False)
    monkeypatch.setattr(main, "__spec__", None if name is None else ModuleSpec(name, None), raising=False)


@pytest.mark.parametrize(("program", "name"), [("main.py", "main"), ("__main__.py", "__main__")])
def test_a_program_in_a_package_is_packed_with_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, name: str
) -> None:
    inner = tmp_path / "project" / "orders_of_submitter_test" / "flows"
    inner.mkdir(parents=True)
    for file in (inner.parent / "__init__.py", inner / "__init__.py", inner / "bolts.py", inner / "versions" / program):
        file.parent.mkdir(exist_ok=True)
        file.touch()
    (inner / program).symlink_to(f"versions/{program}")  # Python goes by the name that it was told
    (tmp_path / "project" / "requirements.txt").write_text("colours==1.0\n")
    (tmp_path / "project" / "src" / "shop").mkdir(parents=True)
    (tmp_path / "project" / "src" / "shop" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path / "project"))
    importlib.import_module("orders_of_submitter_test.flows.bolts")
    for each in [each for each in sys.modules if each.startswith("orders_of_submitter_test")]:
        monkeypatch.setitem(sys.modules, each, sys.modules.pop(each))  # so that it is forgotten after the test
    runs(monkeypatch, inner / program, f"orders_of_submitter_test.flows.{name}")
    packed: list[Any] = []

    def build(files: dict[str, Path], target: Path, requirements: PackedRequirements, source: str) -> None:
        packed.append((set(files), requirements.lines, source))
        raise PackageError("that is all")

    monkeypatch.setattr("storm.client.submitter.build_package", build)
    with pytest.raises(PackageError, match="that is all"):
        submit_topology("w", StormTopology(), settings=Settings.of())
    names = {"__init__.py", "flows/__init__.py", "flows/bolts.py", f"flows/{program}"}
    assert packed == [({f"orders_of_submitter_test/{each}" for each in names}, ("colours==1.0",), "src")]


def test_a_program_needs_what_is_beside_it_whatever_directories_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs(monkeypatch, tmp_path / "run.py", None)
    (tmp_path / "run.py").touch()
    (tmp_path / "program").mkdir()
    (tmp_path / "program" / "uv.lock").write_text("version = 1\n")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    settings = Settings.of({"nimbus.seeds": ["127.0.0.1"], "nimbus.thrift.port": port})
    with pytest.raises(NimbusUnreachableError):
        submit_topology("w", StormTopology(), settings=settings)
    (tmp_path / "requirements.txt").write_text("-e .\n")
    with pytest.raises(PackageError, match=r"requirements\.txt, line 1"):
        submit_topology("w", StormTopology(), settings=settings)
