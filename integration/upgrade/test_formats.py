"""What one release writes, the releases before and after it read, as if they had written it themselves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from releases import next_release, release_after, this_release

if TYPE_CHECKING:
    from collections.abc import Mapping

SCRIPT = Path(__file__).with_name("format_samples.py")
RUN_SECS = 60


class Release(NamedTuple):
    """`newest` is the newest version of frames that it reads."""

    root: Path
    newest: int

    def run(self, *words: object) -> str:
        environment = {"PYTHONPATH": str(self.root), "STORM_PURE": "1"}
        command = [sys.executable, str(SCRIPT), *map(str, words)]
        done = subprocess.run(
            command, env=environment, cwd=self.root, capture_output=True, text=True, timeout=RUN_SECS, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def write(self, directory: Path, peer: Release) -> Path:
        """One of everything, as this release writes it for `peer`."""
        self.run("write", directory, peer.newest)
        return directory

    def read(self, directory: Path) -> Mapping[str, str]:
        found: dict[str, str] = json.loads(self.run("read", directory).replace(str(directory), "DIRECTORY"))
        return found


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Release]:
    directory = tmp_path_factory.mktemp("releases")
    return {
        "this": Release(this_release(), 1),
        "next": Release(next_release(directory), 2),
        "after": Release(release_after(directory), 3),
    }


@pytest.fixture(scope="module")
def expected(releases: dict[str, Release], tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """What this release reads of what it wrote itself."""
    this = releases["this"]
    found = this.read(this.write(tmp_path_factory.mktemp("expected") / "samples", this))
    assert not [text for text in found.values() if "Error" in text and "ErrorInfo" not in text]
    return found


@pytest.mark.parametrize(
    ("writer", "reader"), [("this", "next"), ("next", "this"), ("next", "after"), ("after", "next"), ("after", "after")]
)
def test_neighbours_read_what_each_other_writes(
    releases: dict[str, Release], expected: Mapping[str, str], tmp_path: Path, writer: str, reader: str
) -> None:
    samples = releases[writer].write(tmp_path / "samples", releases[reader])
    assert releases[reader].read(samples) == expected


def test_releases_that_are_further_apart_say_so(
    releases: dict[str, Release], expected: Mapping[str, str], tmp_path: Path
) -> None:
    found = releases["this"].read(releases["after"].write(tmp_path / "newer", releases["this"]))
    wrong = {name: text for name, text in found.items() if text != expected[name]}
    records = {"StormBase", "Assignment", "SupervisorInfo", "NimbusInfo", "ErrorInfo", "LogConfig", "Drain", "UserBlob"}
    assert set(wrong) == records
    assert all("one release at a time" in text for text in wrong.values())
    found = releases["after"].read(releases["this"].write(tmp_path / "older", releases["after"]))
    assert [text for name, text in found.items() if text != expected[name]] == [found["HELLO"]]
    assert "one release at a time" in found["HELLO"]
