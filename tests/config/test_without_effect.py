from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import TYPE_CHECKING

from storm.config.loading import load_settings
from storm.config.options import OPTIONS
from storm.config.topology_conf import TOPOLOGY_PREFIX, TopologyOptions, checked_conf
from storm.config.without_effect import WITHOUT_EFFECT, warning_of

if TYPE_CHECKING:
    import pytest

SOURCES = Path(__file__).parents[2] / "storm"
# These describe keys; all others read them.
DESCRIBING = {
    f"config/{name}.py"
    for name in ("keys", "options", "topology_conf", "topology_options", "unsupported", "without_effect")
}


def test_every_key_is_read_or_said_to_have_no_effect() -> None:
    paths = [path for path in SOURCES.rglob("*.py") if str(path.relative_to(SOURCES)) not in DESCRIBING]
    text = "\n".join(path.read_text() for path in paths)
    words = {*re.findall(r"[\w.\-]+", text), *re.findall(r"\w+", text)}
    typed = {
        TOPOLOGY_PREFIX + field.name.replace("_", "."): field.name for field in dataclasses.fields(TopologyOptions)
    }
    unread = {key for key in OPTIONS if key not in words and typed.get(key) not in words}
    assert unread == WITHOUT_EFFECT.keys()


def test_who_sets_one_of_them_is_told_what_counts() -> None:
    _, warnings = checked_conf({"topology.users": ["alice"], "topology.stats.sample.rate": 0.05})
    assert warnings == [
        "the topology's conf: topology.users has no effect: callers are not authenticated, so whoever reaches a port "
        "may do everything"
    ]
    assert warning_of("ui.port", 9000) is None


def test_so_is_whoever_does_so_in_a_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "storm.yaml"
    file.write_text("nimbus.users: [alice]\nui.title: Storm UI\n")
    load_settings(file, (), {})
    [record] = caplog.records
    assert record.getMessage().startswith(f"{file}:1: nimbus.users has no effect: callers are not authenticated")
