"""What a user writes to take metrics elsewhere, and how he registers it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from storm.topology.consumer_registration import Registration, wrong

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from storm.metrics.data_points import DataPoint, TaskInfo
    from storm.topology.context import TopologyContext


class MetricsConsumer:
    """Takes metrics to where people see them. Called by one thread of its own, so it may wait for a network.

    An exception is shown as an error of the consumer, and what it was given is lost; the topology goes on.
    """

    def prepare(self, conf: Mapping[str, Any], argument: Any, context: TopologyContext) -> None:
        """Called once, before all else. `argument` is what the registration says."""

    def handle_data_points(self, task_info: TaskInfo, data_points: Sequence[DataPoint]) -> None:
        """What one task has measured: called for each, every `topology.builtin.metrics.bucket.size.secs`."""
        raise NotImplementedError

    def handle_all(self, reports: Sequence[tuple[TaskInfo, Sequence[DataPoint]]]) -> None:
        """All that waits, oldest first: for consumers that send several reports at once."""
        for task_info, data_points in reports:
            self.handle_data_points(task_info, data_points)

    def cleanup(self) -> None:
        """The worker ends in good order."""


class Choice(TypedDict, total=False):
    """Which points a consumer is given, and how: by Storm's names, as in storm.yaml."""

    whitelist: list[str]
    blacklist: list[str]
    expandMapType: bool
    metricNameSeparator: str


def metrics_consumer(
    consumer: type[MetricsConsumer] | str,
    argument: Any = None,
    parallelism: int = 1,
    kept: int = 100,
    **choice: Unpack[Choice],
) -> dict[str, Any]:
    """An entry for `topology.metrics.consumer.register`: `conf = {"topology.metrics.consumer.register":
    [metrics_consumer(MyConsumer, {"to": "..."}, expandMapType=True)]}`.

    `consumer` is a class of a module that workers can import, "log" or "http"; `argument` is given to its `prepare` and
    must be JSON; `kept`: reports that may wait for it. Of points whose name one of `whitelist` is found in (regular
    expressions; none: all) and none of `blacklist`, it is given each entry of a map as a point of its own with
    `expandMapType`, its name and the entry's key joined by `metricNameSeparator` ("."). Raises InvalidTopologyError.
    """
    name = consumer if isinstance(consumer, str) else f"{consumer.__module__}.{consumer.__qualname__}"
    if not isinstance(consumer, str) and (consumer.__module__ == "__main__" or "<locals>" in consumer.__qualname__):
        raise wrong(f"workers cannot import {name}: define the class at the top level of a module of the topology")
    entry = {
        "class": name,
        "argument": argument,
        "parallelism.hint": parallelism,
        "max.retain.metric.tuples": kept,
        **choice,
    }
    Registration.of(entry)
    return entry
