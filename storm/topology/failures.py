"""Why a spout's tuple failed, and how often and how late it is told so: what `Spout.failed` and `Spout.retries` are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from storm.errors import InvalidTopologyError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storm.ids import ComponentId, StreamId
    from storm.topology.structure import StreamInfo

DEAD_LETTER_STREAM = "dead-letter"
DEAD_LETTER_WIDTH = 3  # message id, attempts, reason

FailureKind: TypeAlias = Literal["failed", "timeout", "worker-died"]


class Failure(NamedTuple):
    """Why a tuple of a spout was not processed.

    `kind`: "failed" by a bolt; "timeout": not done within `topology.message.timeout.secs`; "worker-died": a worker that
    may have held a part of it died. `component`: who failed it, or who held it when it timed out; None where that is
    not known. `text` says all that is known, for people.
    """

    kind: FailureKind
    component: ComponentId | None
    text: str


@dataclass(frozen=True, slots=True)
class Retries:
    """Of a spout that wants to hear of failures later and later, and in the end no more: `retries = Retries()`.

    `failed` is called `first_secs` after a tuple's first failure, `factor` times as long after each further one, at
    most `max_secs`, and up to a fifth sooner or later than that. Its failure number `attempts` is the last: it is given
    up; None: it never is. Raises InvalidTopologyError for values that make no sense.
    """

    first_secs: float = 1.0
    factor: float = 2.0
    max_secs: float = 60.0
    attempts: int | None = 5

    def __post_init__(self) -> None:
        for name, least in (("first_secs", 0.0), ("factor", 1.0), ("max_secs", self.first_secs)):
            value = getattr(self, name)
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_number or not least <= value < math.inf:
                raise InvalidTopologyError(f"Retries: {name} must be a number from {least:g} on, got {value!r}")
        attempts = self.attempts
        if attempts is not None and (isinstance(attempts, bool) or not isinstance(attempts, int) or attempts < 1):
            raise InvalidTopologyError(f"Retries: attempts must be a whole number from 1 on, or None, got {attempts!r}")


def check_retries(component_id: ComponentId, spout: Any, streams: Mapping[StreamId, StreamInfo]) -> None:
    """Raises InvalidTopologyError unless a spout's `retries` and its dead letters are what they should be."""
    retries = getattr(spout, "retries", None)
    if retries is None:
        return
    where = f"spout {component_id!r}"
    if not isinstance(retries, Retries):
        raise InvalidTopologyError(f"{where}: retries must be an object of Retries, such as Retries(), got {retries!r}")
    stream = streams.get(DEAD_LETTER_STREAM)
    if stream is None:
        return
    if stream.direct or len(stream.fields) != DEAD_LETTER_WIDTH:
        raise InvalidTopologyError(
            f"{where}: its stream {DEAD_LETTER_STREAM!r} is for tuples that are given up: declare it with three "
            f'fields, such as ["message_id", "attempts", "reason"], and not direct; it has {list(stream.fields)}'
        )
    if retries.attempts is None:
        raise InvalidTopologyError(
            f"{where}: it declares {DEAD_LETTER_STREAM!r}, but never gives up: set attempts in its Retries"
        )
