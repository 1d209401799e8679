"""The bolt of a metrics consumer: it takes reports off the tuples' path at once, and gives them to the user's consumer
in a thread of its own. A consumer that is slow, hangs or fails loses reports, and harms nothing else.
"""

from __future__ import annotations

import logging
import re
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from storm.errors import StormError
from storm.executor import metrics_consumers
from storm.executor.named_class import named_class
from storm.log_repeats import is_logged
from storm.metrics.data_points import DataPoint, TaskInfo
from storm.topology.component import Bolt
from storm.topology.consumer_registration import CONSUMER_KEY, REGISTER_KEY, Registration
from storm.topology.metrics_consumer import MetricsConsumer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from storm.topology.component import OutputCollector
    from storm.topology.context import TopologyContext
    from storm.tuples import Tuple

logger = logging.getLogger(__name__)

CLEANUP_SECS = 1.0  # for what still waits when the worker ends
BUILT_IN = {
    "log": metrics_consumers.LogConsumer,
    "http": metrics_consumers.HttpConsumer,
    # Storm's names, so that its configurations run as they are.
    "org.apache.storm.metric.LoggingMetricsConsumer": metrics_consumers.LogConsumer,
    "backtype.storm.metric.LoggingMetricsConsumer": metrics_consumers.LogConsumer,
    "org.apache.storm.metric.HttpForwardingMetricsConsumer": metrics_consumers.HttpConsumer,
}


def load_consumer(class_name: str) -> MetricsConsumer:
    """An object of the class. Raises StormError where it cannot be imported, or is none."""
    found: Any = BUILT_IN.get(class_name)
    if found is None:
        try:
            found = named_class(class_name)
        except ImportError as error:
            raise StormError(
                f"the metrics consumer {class_name} cannot be imported: {error}; is its module in the package?"
            ) from error
    if not isinstance(found, type) or not issubclass(found, MetricsConsumer):
        raise StormError(f"the metrics consumer {class_name} is no subclass of storm.MetricsConsumer")
    consumer: MetricsConsumer = found()
    return consumer


class MetricsConsumerBolt(Bolt):
    """One task of a consumer."""

    def prepare(self, conf: Mapping[str, Any], context: TopologyContext, collector: OutputCollector) -> None:
        self.collector = collector
        self.registration = Registration.of(conf[REGISTER_KEY][conf[CONSUMER_KEY]])
        self.only = [re.compile(each) for each in self.registration.only]
        self.but = [re.compile(each) for each in self.registration.but]
        self.waiting: deque[tuple[TaskInfo, list[DataPoint]]] = deque()
        self.changed = threading.Condition()
        self.stopping = False
        self.dropped = 0
        self.thread = threading.Thread(
            target=self.consume, args=(conf, context), name=f"metrics-{context.task_id}", daemon=True
        )
        self.thread.start()

    def execute(self, tup: Tuple) -> None:
        self.collector.ack(tup)
        if tup.is_tick() or self.stopping:
            return
        info, points = tup.values
        report = TaskInfo(*info), [DataPoint(name, value) for name, value in points]
        with self.changed:
            if len(self.waiting) >= self.registration.kept:
                self.waiting.popleft()
                self.dropped += 1
                if is_logged(self.dropped):
                    logger.warning(
                        "The metrics consumer %s is slow: %d reports were dropped so far (max.retain.metric.tuples).",
                        self.registration.class_name,
                        self.dropped,
                    )
            self.waiting.append(report)
            self.changed.notify()

    def cleanup(self) -> None:
        with self.changed:
            self.stopping = True
            self.changed.notify()
        self.thread.join(CLEANUP_SECS)

    # Its thread

    def consume(self, conf: Mapping[str, Any], context: TopologyContext) -> None:
        try:
            consumer = load_consumer(self.registration.class_name)
            consumer.prepare(conf, self.registration.argument, context)
        except BaseException as error:  # noqa: BLE001 - whatever the user's code raises, asyncio's cancellation too
            self.collector.report_error(error)
            with self.changed:
                self.stopping = True
            return
        while reports := self.take():
            try:
                consumer.handle_all([(info, self.chosen(points)) for info, points in reports])
            except BaseException as error:  # noqa: BLE001
                self.collector.report_error(error)
        try:
            consumer.cleanup()
        except BaseException as error:  # noqa: BLE001
            self.collector.report_error(error)

    def take(self) -> list[tuple[TaskInfo, list[DataPoint]]]:
        """All that waits, once something does; nothing: the worker ends."""
        with self.changed:
            self.changed.wait_for(lambda: self.waiting or self.stopping)
            found = list(self.waiting)
            self.waiting.clear()
            return found

    def chosen(self, points: Sequence[DataPoint]) -> list[DataPoint]:
        """Those that the registration asks for, in its form."""
        wanted = [
            point
            for point in points
            if (not self.only or any(each.search(point.name) for each in self.only))
            and not any(each.search(point.name) for each in self.but)
        ]
        if not self.registration.expand:
            return wanted
        expanded: list[DataPoint] = []
        for name, value in wanted:
            if isinstance(value, dict):
                separator = self.registration.separator
                expanded += [DataPoint(f"{name}{separator}{key}", each) for key, each in value.items()]
            else:
                expanded.append(DataPoint(name, value))
        return expanded
