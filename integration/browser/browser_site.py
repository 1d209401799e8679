"""One cluster with a UI for all browser tests, what runs on it, and where each of the UI's pages is there."""

from __future__ import annotations

import json
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import httpx
from cluster_site import Daemon, free_ports, start_site

from storm.metrics.stats_records import ALL_TIME, WINDOWS
from storm.metrics.windows import BUCKETS
from storm.ui.pages.table import PAGES

if TYPE_CHECKING:
    from collections.abc import Callable

TOPOLOGIES = Path(__file__).parent / "topologies"
COUNTED, TIMED, FAILING, MARKED = "counted", "timed", "failing", "marked"
OWNER = "nobody in particular"
PATHS = [page.path for page in PAGES]
LINES = 2 * 100  # of topologies/counted.py, by both spout tasks
CHECK_SECS = 60  # for which a test may compare figures of windows
TIMING = ("numbers", "work", "hold")  # the components of topologies/timed.py


class Latencies(NamedTuple):
    """The least and the most that each can be, in milliseconds. `process` is measured by samples: those of any."""

    complete: tuple[float, float]
    execute: tuple[float, float]
    process: tuple[float, float]


class BrowserSite:
    """`topologies`: {name: id}. One counts to its end and one takes its times, one fails for ever, one is named with
    markup."""

    def __init__(self, directory: Path) -> None:
        self.counted_dir = directory / "counted"
        self.counted_dir.mkdir()
        self.cluster = start_site(directory / "cluster", "embedded", ("a",))
        self.port = next(free_ports())
        self.address = f"http://127.0.0.1:{self.port}"
        self.ui = Daemon("ui", "ui", directory / "ui", {**self.cluster.settings, "ui.port": self.port})
        self.client = httpx.Client(base_url=self.address, timeout=30)
        self.topologies: dict[str, str] = {}

    def start(self) -> None:
        self.ui.start()
        submissions: dict[str, tuple[str, dict[str, Any]]] = {
            COUNTED: ("counted.py", {"counted.dir": self.counted_dir, "topology.submitter.user": OWNER}),
            TIMED: ("timed.py", {"counted.dir": self.counted_dir}),
            FAILING: ("troubled.py", {}),
            MARKED: ("troubled.py", {"troubled.marked": "true"}),
        }
        with ThreadPoolExecutor() as pool:
            ids = pool.map(lambda name: self._submit(name, *submissions[name]), submissions)
            self.topologies = dict(zip(submissions, ids, strict=True))
        self.cluster.wait(self.is_told, "what runs has told of itself")

    def _submit(self, name: str, file: str, conf: dict[str, Any]) -> str:
        given = {"topology.workers": 1, "topology.max.spout.pending": 50, **conf}
        words = [word for key, value in given.items() for word in ("-c", f"{key}={value}")]
        found: str = self.cluster.read("submit", str(TOPOLOGIES / file), "--name", name, *words)["id"]
        return found

    def is_told(self) -> bool:
        """Whether Nimbus knows figures of both that go on, and an error of each."""
        assert self.ui.is_running, self.ui.log.read_text()
        try:
            pages = [self.get(f"/topology/{self.topologies[name]}") for name in (FAILING, MARKED)]
        except httpx.TransportError:
            return False
        return all(
            any(bolt["lastError"] for bolt in page["bolts"]) and page["topologyStats"][3]["failed"] for page in pages
        )

    def get(self, path: str) -> Any:
        """Of the REST API. Raises AssertionError for any status but 200."""
        answer = self.client.get(f"/api/v1{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def metrics(self) -> str:
        return self.client.get("/metrics").text

    def topology(self, name: str) -> str:
        """The address of its page."""
        return f"/topology/{quote(self.topologies[name])}"

    def address_of(self, path: str, topology: str = FAILING, component: str = "check") -> str:
        """A page's address here. `path` is one of the table's; a name in it that is not known here is a KeyError."""
        worker = self.get(f"/topology-workers/{self.topologies[topology]}")["hostPortList"][0]
        values = {
            "id": self.cluster.node_id("a") if path.startswith("/supervisor") else self.topologies[topology],
            "component": component,
            "host_port": f"{worker['host']}:{worker['port']}",
            "owner": OWNER,
        }
        return re.sub(r"\{(\w+)(?::\w+)?\}", lambda found: quote(values[found[1]], safe=":"), path)

    def whole_windows(self, name: str) -> list[str]:
        """The windows that a topology's whole life is in, but for those of which it may grow out meanwhile."""
        age_secs = self.get(f"/topology/{self.topologies[name]}")["uptimeSeconds"] + CHECK_SECS
        return [one for one in WINDOWS if one == ALL_TIME or age_secs < int(one) * (1 - 1 / BUCKETS)]

    def counted(self, component: str) -> Counter[str]:
        """What the tasks of a component of `counted` have counted by themselves."""
        files = self.counted_dir.glob(f"{component}-*.json")
        return sum((Counter(json.loads(file.read_text())) for file in files), Counter())

    def counted_tasks(self, component: str) -> dict[int, Counter[str]]:
        """{task: what it has counted}"""
        files = self.counted_dir.glob(f"{component}-*.json")
        return {int(file.stem.rpartition("-")[2]): Counter(json.loads(file.read_text())) for file in files}

    def has_taken_times(self) -> bool:
        """Whether every component of `timed` has written its times."""
        return len(list(self.counted_dir.glob("timed-*.json"))) == len(TIMING)

    def latencies(self) -> Latencies:
        """As `timed` took them."""
        numbers, work, hold = (json.loads((self.counted_dir / f"timed-{name}.json").read_text()) for name in TIMING)
        complete = [
            (held["acked"] - own["emitted"], own["acked"] - own["call_before_ended"])
            for own, held in zip(numbers, hold, strict=True)
        ]
        execute = [
            (own["ended"] - own["began"], own["call_after_began"] - max(own["call_before_ended"], sent["emitted"]))
            for own, sent in zip(work, numbers, strict=True)
        ]
        least, most = zip(*execute, strict=True)
        return Latencies(_mean_ms(complete), _mean_ms(execute), (1000 * min(least), 1000 * max(most)))

    def is_quiet(self) -> bool:
        """Whether every line of `counted` was acked or failed."""
        spouts = self.counted("lines")
        return bool(spouts) and spouts["acked"] + spouts["failed"] == spouts["emitted/default"] == LINES

    def wait(self, condition: Callable[[], Any], what: str) -> None:
        self.cluster.wait(condition, what)

    def close(self) -> None:
        self.client.close()
        if self.ui.is_running:
            self.ui.stop()
        self.cluster.close()


def _mean_ms(bounds: list[tuple[float, float]]) -> tuple[float, float]:
    least, most = zip(*bounds, strict=True)
    return 1000 * sum(least) / len(least), 1000 * sum(most) / len(most)


def start(directory: Path) -> BrowserSite:
    """It runs, and everything on it has told figures."""
    site = BrowserSite(directory)
    try:
        site.start()
    except BaseException:
        print(site.cluster.log_tails())
        site.close()
        raise
    return site
