"""How values are distributed: counts in buckets whose width is a fixed share of their values, so that parts add up.

A power of two is cut into eight buckets, so a quantile is wrong by 1/16 at most, whatever the values' size: unlike
samples of each task, which cannot be put together, the buckets of all tasks make those of a component.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PARTS = 8  # of a power of two
EXPONENT_MAX = 64  # values beyond 2**64, or nearer to 0 than 2**-64, share the outermost buckets
ZERO_BUCKET = -PARTS * (EXPONENT_MAX + 1)  # of all values that are not above 0
LAST_BUCKET = PARTS * EXPONENT_MAX + PARTS - 1
# Powers of four: the bounds of times that Prometheus is shown, whatever takes them, so that all can be added up.
SECONDS_BOUNDS = tuple(4.0**exponent for exponent in range(-9, 4))  # 4 microseconds to a minute
# Of latencies of tuples: a bucket for the values up to each bound, and one for those above all.
LATENCY_BUCKETS = tuple(2 * PARTS * exponent + PARTS - 1 for exponent in range(-9, 5))
QUANTILES = ((".p50", 0.5), (".p75", 0.75), (".p95", 0.95), (".p98", 0.98), (".p99", 0.99), (".p999", 0.999))


def bucket_of(value: float) -> int:
    """The number of a value's bucket; larger values have larger ones. Raises ValueError or OverflowError where it is
    not finite, and TypeError where it is no number.
    """
    if value <= 0:
        if value == -math.inf:
            raise OverflowError("a value must be finite")
        return ZERO_BUCKET
    share, exponent = math.frexp(value)
    part = math.ceil((share - 0.5) * (2 * PARTS)) - 1  # raises for what is not finite
    if exponent > EXPONENT_MAX:
        return LAST_BUCKET
    return max(PARTS * exponent + part, -PARTS * EXPONENT_MAX)


def upper_bound(bucket: int) -> float:
    """The largest value of a bucket."""
    if bucket <= ZERO_BUCKET:
        return 0.0
    exponent, part = divmod(bucket, PARTS)
    return math.ldexp(0.5 + (part + 1) / (2 * PARTS), exponent)


def middle(bucket: int) -> float:
    """The value that stands for all of a bucket."""
    if bucket <= ZERO_BUCKET:
        return 0.0
    exponent, part = divmod(bucket, PARTS)
    return math.ldexp(0.5 + (part + 0.5) / (2 * PARTS), exponent)


@dataclass(frozen=True, slots=True)
class Distribution:
    """`buckets` is {number of a bucket: values in it}; `least` and `most` are 0 where there is no value."""

    count: int = 0
    total: float = 0.0
    least: float = 0.0
    most: float = 0.0
    buckets: Mapping[int, int] = field(default_factory=dict)

    def mean(self) -> float:
        return self.total / self.count if self.count else 0.0

    def quantile(self, share: float) -> float:
        """About the value that this share of all values does not exceed; 0 where there is none."""
        wanted = share * sum(self.buckets.values())
        seen = 0
        for bucket in sorted(self.buckets):
            seen += self.buckets[bucket]
            if seen >= wanted and self.buckets[bucket]:
                return min(max(middle(bucket), self.least), self.most)
        return 0.0

    def deviation(self) -> float:
        """About the standard deviation."""
        number = sum(self.buckets.values())
        if not number:
            return 0.0
        mean = sum(middle(bucket) * n for bucket, n in self.buckets.items()) / number
        return math.sqrt(sum((middle(bucket) - mean) ** 2 * n for bucket, n in self.buckets.items()) / number)

    def since(self, before: Distribution) -> Distribution:
        """What came after `before`, of the same values. Its least and most are those of its buckets."""
        buckets = {
            bucket: n - before.buckets.get(bucket, 0)
            for bucket, n in self.buckets.items()
            if n > before.buckets.get(bucket, 0)
        }
        if not buckets:
            return Distribution()
        least, most = min(buckets), max(buckets)
        return Distribution(
            self.count - before.count,
            self.total - before.total,
            max(self.least, upper_bound(least - 1)) if least > ZERO_BUCKET else self.least,
            min(self.most, upper_bound(most)),
            buckets,
        )

    def at_most(self, bounds: Iterable[float]) -> list[int]:
        """How many values are not above each bound, which must be a power of two."""
        return [sum(n for bucket, n in self.buckets.items() if upper_bound(bucket) <= bound) for bound in bounds]


def together(parts: Iterable[Distribution]) -> Distribution:
    """The values of all parts."""
    some = [part for part in parts if part.count]
    if not some:
        return Distribution()
    buckets: dict[int, int] = {}
    for part in some:
        for bucket, n in part.buckets.items():
            buckets[bucket] = buckets.get(bucket, 0) + n
    return Distribution(
        sum(part.count for part in some),
        sum(part.total for part in some),
        min(part.least for part in some),
        max(part.most for part in some),
        buckets,
    )
