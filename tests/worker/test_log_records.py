from __future__ import annotations

import copy
import io
import json
import logging
import pickle
import threading
from typing import TYPE_CHECKING, Any

import pytest

from storm.log_lines import JSON, Place, records
from storm.worker.log_records import PLACE, JsonFormatter, PlacedRecords, TextFormatter, attributes_of

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Place("words-1-17", "node-1:6700")


class Executor:
    """What an owner has of one."""

    component = "split"


class Splitter:
    """A user's component, which logs."""

    def __init__(self, logger: logging.Logger) -> None:
        self.logger = logger

    def execute(self, tup: str, **more: Any) -> None:
        def within() -> None:
            self.logger.warning("took %s", tup, **more)

        within()


class Site:
    """A logger of its own, whose lines are in `out`; records are made as in a worker."""

    def __init__(self, form: str) -> None:
        self.out = io.StringIO()
        handler = logging.StreamHandler(self.out)
        handler.setFormatter(JsonFormatter() if form == JSON else TextFormatter())
        self.logger = logging.Logger("app.orders")
        self.logger.addHandler(handler)
        self.splitter = Splitter(self.logger)
        self.made: list[logging.LogRecord] = []
        self.logger.addFilter(lambda record: self.made.append(record) or True)  # type: ignore[func-returns-value]

    @property
    def lines(self) -> list[str]:
        return self.out.getvalue().splitlines()


@pytest.fixture(params=["text", "json"])
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    before = logging.getLogRecordFactory()
    site = Site(request.param)
    factory = PlacedRecords(*HERE[:2])
    factory.owners = {id(site.splitter): (Executor(), 7)}  # type: ignore[dict-item]
    logging.setLogRecordFactory(factory)
    yield site
    logging.setLogRecordFactory(before)


def test_a_record_says_which_component_and_task_made_it(site: Site) -> None:
    site.splitter.execute("this")
    [found] = records(site.lines)
    assert (found.component, found.task, found.logger, found.level) == ("split", 7, "app.orders", "WARNING")
    assert found.message == "took this"
    [record] = site.made
    assert logging.Formatter("%(topology)s %(worker)s %(component)s %(task)s").format(record) == (
        "words-1-17 node-1:6700 split 7"
    )


def test_the_workers_own_records_and_those_of_other_threads_say_only_the_worker(site: Site) -> None:
    site.logger.info("ours")
    thread = threading.Thread(target=site.logger.info, args=("a thread's",))
    thread.start()
    thread.join()
    found = records(site.lines)
    assert [(record.message, record.component, record.task) for record in found] == [
        ("ours", None, None),
        ("a thread's", None, None),
    ]
    assert {record.__dict__["worker"] for record in site.made} == {"node-1:6700"}


def test_a_users_extra_may_have_any_name_and_hides_nothing(site: Site) -> None:
    site.splitter.execute("this", extra={"task": "ironing", "component": "drum", "order": 5})
    [found] = records(site.lines)
    assert (found.component, found.task) == ("split", 7)
    [record] = site.made
    assert (record.__dict__["task"], record.__dict__["order"]) == ("ironing", 5)
    if site.lines[0].startswith("{"):
        assert json.loads(site.lines[0])["extra"] == {"task": "ironing", "component": "drum", "order": 5}


def test_what_logging_refuses_elsewhere_it_refuses_here(site: Site) -> None:
    with pytest.raises(KeyError, match="levelname"):
        site.splitter.execute("this", extra={"levelname": "LOUD"})


def test_tracebacks_and_stacks_are_part_of_the_record(site: Site) -> None:
    try:
        raise ValueError("no")
    except ValueError:
        site.logger.exception("failed", stack_info=True)
    site.logger.info("next")
    one, two = records(site.lines)
    assert one.message.startswith("failed\nTraceback (most recent call last):")
    assert "ValueError: no" in one.message
    assert "Stack (most recent call last):" in one.message
    assert two.message == "next"


def test_records_can_be_copied_and_sent(site: Site) -> None:
    """As handlers that queue records do."""
    site.splitter.execute("this", extra={"order": 5})
    [record] = site.made
    line = TextFormatter().format(record)
    for other in (copy.copy(record), pickle.loads(pickle.dumps(record))):
        assert other.__dict__ == record.__dict__
        assert TextFormatter().format(other) == line


def test_an_error_of_a_component_is_its_record_whoever_logs_it(site: Site) -> None:
    site.logger.error("its error", extra=attributes_of(HERE._replace(component="count")))
    [found] = records(site.lines)
    assert (found.component, found.task) == ("count", None)
    if site.lines[0].startswith("{"):
        assert "extra" not in json.loads(site.lines[0])


def test_a_record_of_another_factory_has_a_line_too() -> None:
    record = logging.makeLogRecord({"name": "app", "levelname": "INFO", "msg": "hello", "created": 0.0})
    assert PLACE not in record.__dict__
    assert TextFormatter().format(record) == "1970-01-01T00:00:00.000Z INFO [-] app: hello"
