"""For tests of topologies in a `LocalCluster`: what feeds them, and what keeps what comes out."""

from storm.testing.spouts_and_bolts import (
    AckTracker,
    Capture,
    CapturedTuple,
    FeederSpout,
    FixedTupleSpout,
    SplitSentence,
    TupleCaptureBolt,
    WordCounter,
)

__all__ = [
    "AckTracker",
    "Capture",
    "CapturedTuple",
    "FeederSpout",
    "FixedTupleSpout",
    "SplitSentence",
    "TupleCaptureBolt",
    "WordCounter",
]
