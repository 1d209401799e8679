"""Spouts that write down what they find of their blobs, whenever it changes.

Settings: reader.dir, where they write, a line of JSON for each change. The blobs `words` and, if it is there,
`model/number` are read.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storm import Spout, StormTopology, TopologyBuilder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storm import SpoutOutputCollector, TopologyContext


class BlobSpout(Spout):
    outputs = ["nothing"]

    def open(self, conf: Mapping[str, Any], context: TopologyContext, collector: SpoutOutputCollector) -> None:
        self.context = context
        self.file = Path(conf["reader.dir"], f"seen-{context.task_id}").open("a", buffering=1)  # noqa: SIM115
        self.seen: dict[str, Any] = {}

    def next_tuple(self) -> None:
        model = self.context.blob("model") / "number"
        seen = {
            "pid": os.getpid(),
            "words": Path("words").read_text(),
            "same": self.context.blob("words").samefile("words"),
            "model": model.read_text() if model.exists() else None,
        }
        if seen != self.seen:
            self.seen = seen
            self.file.write(json.dumps(seen) + "\n")


def topology(conf: Mapping[str, Any]) -> StormTopology:
    builder = TopologyBuilder()
    builder.set_spout("reader", BlobSpout(), conf["topology.workers"])
    return builder.create_topology()
