"""A Nimbus in memory, on which the word count runs whose answers of Storm are known, and the UI in front of it."""

from __future__ import annotations

import asyncio
import importlib.util
import random
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from direct_requests import DirectRequests

from storm.cluster.records import ErrorInfo
from storm.errors import StormError, TopologyNotAliveError
from storm.http.request_guard import Tokens
from storm.ids import GlobalStreamId, is_system_id
from storm.metrics.insight_records import Usage
from storm.metrics.stats_records import WINDOWS, BoltStats, ExecutorStats, SpoutStats
from storm.nimbus.file_transfers import Downloads, Uploads
from storm.nimbus.service import NimbusService
from storm.thrift.interface import storm_thrift
from storm.topology.structure import ComponentSpec, Grouping, GroupingKind, PythonObject, StormTopology, StreamInfo
from storm.ui.app import Ui, build_app
from storm.ui.measures import Measures
from storm.ui.nimbus_link import NimbusLink
from storm.ui.options import UiOptions
from storm.ui.pages.watch import look_round
from storm.ui.supervisor_link import SupervisorLink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAMES = frozenset({"ui.example.org"})
LINES, SIDE, WORDS = GlobalStreamId("words", "default"), GlobalStreamId("words", "side"), "default"


def _clusters() -> Any:
    """The module of tests/nimbus that has clusters in memory."""
    path = Path(__file__).parents[1] / "nimbus" / "conftest.py"
    spec = importlib.util.spec_from_file_location("nimbus_clusters", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def word_count() -> StormTopology:
    """As docs of tests/contracts/storm_rest_contract.py say."""
    word = StreamInfo(("word",))
    return StormTopology(
        {"words": ComponentSpec(PythonObject(b"s"), {}, {"default": StreamInfo(("line",)), "side": word}, 2)},
        {
            "split": ComponentSpec(
                PythonObject(b"b"),
                {LINES: Grouping(GroupingKind.SHUFFLE)},
                {"default": word},
                2,
                {"topology.tasks": 4},
            ),
            "count": ComponentSpec(
                PythonObject(b"b"),
                {
                    GlobalStreamId("split", "default"): Grouping(GroupingKind.FIELDS, ("word",)),
                    SIDE: Grouping(GroupingKind.ALL),
                },
                {},
                2,
            ),
        },
    )


def wide() -> StormTopology:
    """A spout and 100 bolts that take its lines, each with one executor."""
    bolt = ComponentSpec(
        PythonObject(b"b"), {LINES: Grouping(GroupingKind.SHUFFLE)}, {"default": StreamInfo(("word",))}
    )
    spout = ComponentSpec(PythonObject(b"s"), {}, {"default": StreamInfo(("line",))})
    return StormTopology({"words": spout}, {f"bolt-{i}": bolt for i in range(100)})


def everywhere(figures: Any) -> Any:
    """The same in all windows."""
    return dict.fromkeys(WINDOWS, figures)


def spout_stats() -> ExecutorStats:
    return ExecutorStats(
        everywhere({"default": 50, "side": 5, "__metrics": 7}),
        everywhere({"default": 50, "side": 10, "__metrics": 7}),
        SpoutStats(everywhere({"default": 49}), everywhere({"default": 1}), everywhere({"default": 2.5})),
    )


def split_stats() -> ExecutorStats:
    return ExecutorStats(
        everywhere({"default": 300}),
        everywhere({"default": 300, "__ack_ack": 49}),
        BoltStats(
            everywhere({LINES: 49}),
            everywhere({LINES: 1}),
            everywhere({LINES: 50}),
            everywhere({LINES: 0.25}),
            everywhere({LINES: 0.125}),
        ),
    )


def count_stats() -> ExecutorStats:
    inputs = {GlobalStreamId("split", "default"): 300, SIDE: 10}
    latencies = dict.fromkeys(inputs, 0.5)
    return ExecutorStats(
        everywhere({}),
        everywhere({}),
        BoltStats(everywhere(inputs), everywhere({}), everywhere(inputs), everywhere(latencies), everywhere(latencies)),
    )


class Site:
    """Nimbus with two supervisors, and its Thrift service without Thrift. While `failure` is set every call raises it.

    `calls` are the methods that were called, in order. `lacks`: optional fields of answers that it does not tell, as a
    Nimbus of an older release. `samples`: {host and port: what a worker wrote there, or what its supervisor raises}.
    `logs`: the same, of workers' logs. `records`: {host: what its supervisor finds in logs}.
    `refusals`: {method of supervisors: what it raises}. `dump`: what is kept of every worker, ten bytes an answer.
    `put_aside`: {file: a log of before, of every worker}.
    """

    def __init__(self, directory: Path) -> None:
        self.cluster = _clusters().Cluster()
        for node in ("a", "b"):
            self.cluster.start_supervisor(node)
        self.cluster.core.step()
        rng, clock = random.Random(1), self.cluster.clock
        self.service = NimbusService(
            self.cluster.core,
            DirectRequests(),
            uploads=Uploads(directory, 1 << 20, 600, clock=clock, rng=rng),
            downloads=Downloads(self.cluster.blob_store, 600, clock=clock, rng=rng),
            blob_store=self.cluster.blob_store,
        )
        self.failure: StormError | None = None
        self.calls: list[str] = []
        self.lacks: tuple[str, ...] = ()
        self.supervisor_calls: list[tuple[str, str, Any]] = []
        self.samples: dict[tuple[str, int], bytes | StormError] = {}
        self.logs: dict[tuple[str, int], bytes | StormError] = {}
        self.records: dict[str, list[Any]] = {}
        self.refusals: dict[str, StormError] = {}
        self.dump = b""
        self.put_aside: dict[str, bytes] = {}

    def run_word_count(self, name: str = "wordcount", owner: str = "storm") -> str:
        """Its id; every executor has told figures, and `split` two errors."""
        topology_id = self.cluster.submit(name, word_count(), {"topology.submitter.user": owner})
        self.tell_figures(topology_id)
        for secs, port in ((20, 6701), (10, 6700)):
            text = "Traceback (most recent call last):\n  File ...\nValueError: bad line 500\n"
            told = ErrorInfo(text, self.cluster.clock.wall_secs() - secs, "host-a", port)
            self.cluster.state.report_error(topology_id, "split", told)
        return topology_id

    def run_wide(self, workers: int = 1) -> str:
        """The id of a topology of a spout and 100 bolts, on so many workers; all tell figures."""
        topology_id = self.cluster.submit("wide", wide(), {"topology.workers": workers})
        plan = self.cluster.core.snapshot.plans[topology_id]
        told = {
            executor: spout_stats() if name == "words" else split_stats()
            for executor in self.cluster.assignment(topology_id).executor_slots
            if not is_system_id(name := plan.component_of(executor))
        }
        self.cluster.beat(topology_id, told)
        return topology_id

    def run_unacked(self) -> str:
        """The id of a word count whose spouts have emitted, and nothing was executed or acked."""
        topology_id = self.cluster.submit("unacked", word_count())
        plan = self.cluster.core.snapshot.plans[topology_id]
        emitted = ExecutorStats(everywhere({"default": 60}), everywhere({"default": 60}), SpoutStats())
        executors = self.cluster.assignment(topology_id).executor_slots
        told = {one: emitted for one in executors if plan.component_of(one) == "words"}
        self.cluster.beat(topology_id, told)
        return topology_id

    def tell_figures(self, topology_id: str) -> None:
        """Every executor of `words`, `split` and `count` tells the same as the others of its component."""
        stats = {"words": spout_stats(), "split": split_stats(), "count": count_stats()}
        plan = self.cluster.core.snapshot.plans[topology_id]
        executors = self.cluster.assignment(topology_id).executor_slots
        self.cluster.beat(
            topology_id,
            {executor: stats[name] for executor in executors if (name := plan.component_of(executor)) in stats},
        )

    def tell_usage(self, topology_id: str) -> None:
        """Each worker takes 1,234.5 MB and 87.6 % of a core. `a` has 2,000 MB and 4 cores; `b` does not tell."""
        self.cluster.clock.secs += 3
        self.cluster.beat(topology_id, usage=Usage(1234.5, 87.6))
        has = {"memory.mb": 2000.0, "cpu.pcore.percent": 400.0}
        told = replace(self.cluster.core.snapshot.supervisors["a"], resources=has)
        self.cluster.supervisors["a"].put_supervisor(told)
        self.cluster.core.step()

    # As a client of Nimbus

    def call(self, method: str, *arguments: Any) -> Any:
        self.calls.append(method)
        if self.failure is not None:
            raise self.failure
        answer = getattr(self.service, method)(*arguments)
        for field in self.lacks:
            if hasattr(answer, field):
                setattr(answer, field, None)
        return answer

    def close(self) -> None:
        pass


ANSWERS = {
    "getWorkerStacks": "Thread 1",
    "getWorkerHeap": "1 object",
    "dumpProfile": "profile-20260131T235959123Z.svg",
    "stopProfile": "profile-20260131T235959124Z.svg",
}


class SupervisorStandIn:
    """Tells stacks and samples, and notes who asked for them."""

    def __init__(self, site: Site, host: str) -> None:
        self._site = site
        self._host = host

    def call(self, method: str, *arguments: Any) -> Any:
        self._site.supervisor_calls.append((self._host, method, arguments))
        if method in self._site.refusals:
            raise self._site.refusals[method]
        if method == "readWorkerDump":
            if (old := self._site.put_aside.get(arguments[2])) is not None:
                return log_part(old, *arguments[-2:])
            data, offset, length = self._site.dump, arguments[-2], min(arguments[-1], 10)
            return storm_thrift().LogPart(data=data[offset : offset + length], offset=offset, size=len(data))
        if method == "searchWorkerLogs":
            found = self._site.records.get(self._host, [])
            return storm_thrift().FoundRecords(records=found[: arguments[-1]], is_cut=len(found) > arguments[-1])
        files = {"readWorkerEvents": self._site.samples, "readWorkerLog": self._site.logs}
        if method not in files:
            return ANSWERS.get(method)
        topology_id, _, port, offset, length = arguments
        data = files[method].get((self._host, port))
        if isinstance(data, StormError):
            raise data
        if data is None:
            raise TopologyNotAliveError(f"no worker of {topology_id} has logged on port {port} here")
        return log_part(data, offset, length)

    def close(self) -> None:
        pass


def log_part(data: bytes, offset: int, length: int) -> Any:
    start = max(0, len(data) + offset) if offset < 0 else min(offset, len(data))
    return storm_thrift().LogPart(data=data[start : start + length], offset=start, size=len(data))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def topology_id(site: Site) -> str:
    return site.run_word_count()


@pytest.fixture
def ui(site: Site) -> Iterator[Ui]:
    clock, measures = site.cluster.clock, Measures()
    link = NimbusLink(lambda: site, clock, measures)
    options = UiOptions(names=NAMES, nimbus_seeds=("nimbus-1", "localhost"))
    numbers = iter(range(1_000))
    supervisors = SupervisorLink(lambda host, port, secs: SupervisorStandIn(site, host))
    yield Ui(
        options,
        link,
        clock,
        measures,
        Tokens(b"secret"),
        lambda: f"random{next(numbers)}",
        supervisors=supervisors,
    )
    link.close()
    supervisors.close()


@pytest.fixture
def look_twice(ui: Ui, site: Site) -> Callable[[], None]:
    """Makes two rounds of looks, each 15 s after what was before."""

    async def look() -> None:
        for _ in range(2):
            site.cluster.clock.secs += 15
            await look_round(ui.history, ui.nimbus, ui.clock)

    return lambda: asyncio.run(look())


class Client:
    """A program's requests, which have no Origin, to the application in this process."""

    def __init__(self, app: Any) -> None:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self._runner = asyncio.Runner()
        self._client = httpx.AsyncClient(
            transport=transport, base_url="http://127.0.0.1:8080", follow_redirects=True, timeout=60
        )
        self.cookies = self._client.cookies

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self._runner.run(self._client.request(method, path, **more))

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.request("GET", path, **more)

    def head(self, path: str) -> httpx.Response:
        return self.request("HEAD", path)

    def post(self, path: str, **more: Any) -> httpx.Response:
        return self.request("POST", path, **more)

    def close(self) -> None:
        self._runner.run(self._client.aclose())
        self._runner.close()


@pytest.fixture
def client(ui: Ui) -> Iterator[Client]:
    client = Client(build_app(ui))
    yield client
    client.close()
