"""docs/topologies.md and docs/metrics.md are true: their samples run, and what they list is all there is."""

from __future__ import annotations

import ast
import importlib
import re
import socket
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import storm
from storm import BasicBolt, LocalCluster, Spout, TopologyBuilder
from storm import testing as storm_testing
from storm.executor.metrics_consumer_bolt import MetricsConsumerBolt
from storm.metrics.data_points import DataPoint, TaskInfo
from storm.supervisor import worker_launch
from storm.testing import Capture, FixedTupleSpout, TupleCaptureBolt
from storm.topology.component import CustomGrouping, OutputCollector, SpoutOutputCollector
from storm.topology.consumer_registration import Registration
from storm.topology.context import TopologyContext
from storm.tuples import Tuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DOCS = Path(storm.__file__).parent.parent / "docs"
TOPOLOGIES, METRICS = ((DOCS / name).read_text() for name in ("topologies.md", "metrics.md"))


def samples(text: str) -> list[str]:
    return [textwrap.dedent(found) for found in re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)]


def sample(text: str, part: str) -> str:
    """The first sample that has this in it."""
    return next(each for each in samples(text) if part in each)


def section(text: str, title: str) -> str:
    return re.split(r"^## ", text.partition(f"\n## {title}\n")[2], flags=re.MULTILINE)[0]


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], Any]]:
    """Makes a module of a sample, under a name that the test chooses, and imports it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def write(name: str, text: str) -> Any:
        (tmp_path / f"{name}.py").write_text(text)
        return importlib.import_module(name)

    yield write
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and Path(str(sys.modules[name].__file__)).parent == tmp_path:
            del sys.modules[name]


@pytest.mark.parametrize("text", [TOPOLOGIES, METRICS], ids=["topologies", "metrics"])
def test_samples_are_python(text: str) -> None:
    assert len(samples(text)) > 1
    for each in samples(text):
        ast.parse(each)


def test_the_tasks_of_the_first_spout_share_the_numbers(written: Callable[[str, str], Any]) -> None:
    numbers = written("guide_numbers", sample(TOPOLOGIES, "class Numbers(Spout)")).Numbers()
    assert isinstance(numbers, Spout)
    capture = Capture()
    builder = TopologyBuilder()
    builder.set_spout("numbers", numbers, 3)
    builder.set_bolt("seen", TupleCaptureBolt(capture)).global_grouping("numbers")
    with LocalCluster() as cluster:
        cluster.submit("numbers", builder.create_topology(), {"topology.max.spout.pending": 10})
        cluster.wait_for(lambda: set(range(100)) <= {tup.values[0] for tup in capture.tuples()})
    got = [tup.values[0] for tup in capture.tuples()]
    assert len(got) == len(set(got))


def test_the_sample_of_a_test_runs(written: Callable[[str, str], Any]) -> None:
    written("words", sample(TOPOLOGIES, "class Split(Bolt)"))
    written("test_words", sample(TOPOLOGIES, "FeederSpout")).test_a_line_is_split_and_acked()


def test_the_sample_of_what_else_there_is_runs(written: Callable[[str, str], Any]) -> None:
    prices = written("prices", sample(TOPOLOGIES, "# prices.py"))
    rows, capture = [["ape"], ["nut"], ["fig"], ["pear"]], Capture()
    builder = TopologyBuilder()
    builder.set_spout("articles", OnceEach(rows, ["article"]))
    builder.set_bolt("price", prices.Price({"ape": 3, "nut": 5, "pear": 7}, "money")).shuffle_grouping("articles")
    builder.set_bolt("seen", TupleCaptureBolt(capture), 2).custom_grouping("price", prices.ByLength())
    with LocalCluster(settings={"topology.testing.always.try.serialize": True}) as cluster:
        cluster.submit("prices", builder.create_topology())
        assert capture.wait(3, 30)
        cluster.wait_for(lambda: cluster.errors("prices").get("price"))
        assert "no price of fig" in cluster.errors("prices")["price"][0]
    got = sorted((tup.values[0], tup.values[1].cents, tup.values[1].currency) for tup in capture.tuples())
    assert got == [("ape", 3, "EUR"), ("nut", 5, "EUR"), ("pear", 7, "EUR")]


class OnceEach(FixedTupleSpout):
    """What fails does not come again."""

    def fail(self, message_id: Any) -> None: ...


def test_the_sample_of_a_metrics_consumer_speaks_statsd(written: Callable[[str, str], Any]) -> None:
    module = written("guide_statsd", sample(METRICS, "class ToStatsd"))
    registration = Registration.of(module.conf["topology.metrics.consumer.register"][0])
    bolt = MetricsConsumerBolt()
    bolt.registration = registration
    bolt.only, bolt.but = [], [re.compile(each) for each in registration.but]
    measured = [
        DataPoint("__execute-count", {"words:default": 3}), DataPoint("GC/generation0", {"count": 1}),
        DataPoint("state", "a text"), DataPoint("misses", 2),
    ]  # fmt: skip
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as statsd:
        statsd.bind(("127.0.0.1", 0))
        statsd.settimeout(30)
        consumer = module.ToStatsd()
        consumer.prepare({}, {**registration.argument, "host": "127.0.0.1", "port": statsd.getsockname()[1]}, None)
        consumer.handle_data_points(TaskInfo("h", 6700, "count", 4, 1_700_000_000, 60), bolt.chosen(measured))
        assert [statsd.recv(1000) for _ in range(2)] == [
            b"count.4.__execute-count.words.default:3|g", b"count.4.misses:2|g",
        ]  # fmt: skip
        consumer.socket.close()


def test_all_attributes_that_hide_fields_are_named() -> None:
    said = TOPOLOGIES.partition("A tuple is read by position")[2].partition("\n\n")[0]
    for name in (name for name in dir(Tuple) if not name.startswith("_")):
        assert f"`{name}`" in said or f"`tup.{name}`" in said, name


def test_all_variables_that_a_worker_is_left_are_named() -> None:
    (row,) = [
        line for line in section(TOPOLOGIES, "What a worker finds").splitlines() if "environment variables" in line
    ]
    kept, _, more = row.split("|")[2].partition(" and `VIRTUAL_ENV`")
    assert {*re.findall(r"`(\w+)`", kept), "VIRTUAL_ENV"} == worker_launch._KEPT_VARIABLES
    given = worker_launch.worker_environment({}, {}, Path("/w"))
    assert set(given) - {"PYTHONPATH"} == set(re.findall(r"`([A-Z_]+)`", more))


def test_what_is_for_tests_is_named() -> None:
    said = section(TOPOLOGIES, "Testing")
    for name in {*storm_testing.__all__} - {"Capture", "CapturedTuple", "SplitSentence", "WordCounter"}:
        assert f"`{name}(" in said, name
    for name in public(LocalCluster) - {"is_failing"}:
        assert re.search(rf"`{name}\b", said), name


@pytest.mark.parametrize(
    "documented", [BasicBolt, CustomGrouping, OutputCollector, SpoutOutputCollector, TopologyContext]
)
def test_no_method_is_left_out(documented: type) -> None:
    for name in public(documented):
        assert re.search(rf"\b{name}\b", TOPOLOGIES), name


@pytest.mark.parametrize("name", sorted(set(storm.__all__)))
def test_no_public_name_is_left_out(name: str) -> None:
    everything = "\n".join(each.read_text() for each in DOCS.glob("*.md"))
    assert re.search(rf"\b{name}\b", everything)


def public(cls: type) -> set[str]:
    return {name for name in vars(cls) if not name.startswith("_")}
