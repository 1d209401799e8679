from __future__ import annotations

import linecache
import os
import shutil
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from storm.environment_spec import EnvironmentSpec
from storm.supervisor import environment_store
from storm.supervisor.environment_build import HostPython
from storm.supervisor.environment_store import EnvironmentStore, bytes_freed
from storm.supervisor.environments import EnvironmentLimits, EnvironmentSeen, EnvironmentState
from storm.testing.simulated_clock import SimulatedClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAIT_SECS = 30
#: Stands in for uv: makes what looks like an environment; `fail` and `hold` in its directory are what it does then.
UV = """#!/bin/sh
cd "$(dirname "$0")"
echo "$1" >> calls
if [ "$1" = venv ]; then
    for target; do :; done
    mkdir -p "$target/bin"
    printf '#!/bin/sh\\nexit 0\\n' > "$target/bin/python"
    chmod +x "$target/bin/python"
    exit 0
fi
if [ -p hold ]; then mv hold held; echo > begun; cat held; fi
if [ -e fail ]; then cat fail; exit 1; fi
"""


class Host:
    """A supervisor's directory, the uv of its machine, and the store that uses both."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.uv = directory / "uv" / "uv"
        self.uv.parent.mkdir()
        self.uv.write_text(UV)
        self.uv.chmod(0o755)
        self.clock = SimulatedClock()
        self.changed = threading.Condition()
        self.ended = 0  # builds
        (directory / "tmp").mkdir()
        self.store = self.started()

    def started(self, constraints: tuple[str, ...] = ()) -> EnvironmentStore:
        host = HostPython("python3", "3.11", ("/srv/site-packages",), constraints, str(self.uv), False)
        limits = EnvironmentLimits(keep_secs=100.0)
        return EnvironmentStore(self.directory, self.clock, self.woken, limits, host)

    def woken(self) -> None:
        with self.changed:
            self.ended += 1
            self.changed.notify_all()

    def outcome(self, spec: EnvironmentSpec) -> EnvironmentSeen:
        """Want it, and wait until it is there or cannot be."""
        self.store.want(spec, self.directory)
        return self.settled(spec)

    def settled(self, spec: EnvironmentSpec) -> EnvironmentSeen:
        over = {EnvironmentState.READY, EnvironmentState.FAILED}
        with self.changed:
            assert self.changed.wait_for(lambda: self.store.look(spec.key).state in over, WAIT_SECS)
        return self.store.look(spec.key)

    def try_in_vain(self, spec: EnvironmentSpec, wait_secs: float) -> None:
        """Want it, wait until a try has failed which nobody is told of, and let so much time pass."""
        before = self.ended
        self.store.want(spec, self.directory)
        with self.changed:
            assert self.changed.wait_for(lambda: self.ended > before, WAIT_SECS)
        assert self.store.look(spec.key).state is EnvironmentState.WAITING
        self.clock.advance(wait_secs)

    def there(self) -> list[str]:
        """Keys and other endings than those of environments."""
        names = (path.name for path in (self.directory / "environments").iterdir())
        return sorted(name.partition(".")[0] + (".tmp" if name.endswith(".tmp") else "") for name in names)

    def hold(self) -> None:
        """Let the next installation wait; `begun` is written to when it is there."""
        os.mkfifo(self.uv.parent / "hold")
        os.mkfifo(self.uv.parent / "begun")

    def wait_begun(self) -> None:
        (self.uv.parent / "begun").read_text()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    found = Host(tmp_path)
    yield found
    found.store.close()


COLOURS = EnvironmentSpec("3.11", ("colours==1",))
SHADES = EnvironmentSpec("3.11", ("shades==1",))


def test_an_environment_is_built_once_for_all_who_want_it(host: Host) -> None:
    assert host.outcome(COLOURS).state is EnvironmentState.READY
    assert host.outcome(replace(COLOURS)).state is EnvironmentState.READY
    assert (host.uv.parent / "calls").read_text().split() == ["venv", "pip"]
    assert host.store.python(COLOURS.key).exists()
    (host_path,) = (host.directory / "environments").rglob("zz_storm_host.pth")
    assert host_path.read_text() == "/srv/site-packages\n"


def test_what_is_whole_is_kept_over_a_restart_and_what_is_not_thrown_away(host: Host) -> None:
    host.outcome(COLOURS)
    host.hold()
    host.store.want(SHADES, host.directory)
    host.wait_begun()
    assert host.there() == sorted([COLOURS.key, SHADES.key, f"{SHADES.key}.tmp"])
    (pid,) = host.store.children()
    # As after kill -9: nobody ends the build, whose directory is there.
    successor = host.started()
    assert (host.there(), successor.look(SHADES.key).state) == ([COLOURS.key], None)
    assert successor.look(COLOURS.key).state is EnvironmentState.READY
    assert host.settled(SHADES).reason.startswith("uv exited with code -9"), f"process {pid} was ended"
    successor.close()


def test_a_build_holds_up_no_other_and_ends_with_the_supervisor(host: Host) -> None:
    host.hold()
    host.store.want(COLOURS, host.directory)
    host.wait_begun()
    assert host.outcome(SHADES).state is EnvironmentState.READY
    assert host.store.look(COLOURS.key).state is EnvironmentState.BUILDING
    host.store.close()
    assert host.settled(COLOURS).reason == "the supervisor ends"
    assert host.there() == [SHADES.key]


def test_for_a_full_disk_room_is_made_and_it_is_tried_again_before_it_is_told(host: Host) -> None:
    host.outcome(COLOURS)
    host.store.use(frozenset())
    cached = host.directory / "environments-cache" / "of-uv"
    cached.parent.mkdir()
    cached.touch()
    full = host.uv.parent / "fail"
    full.write_text("error: write failed\n  cause: No space left on device (os error 28)\n")
    for wait_secs in (1, 2):
        host.try_in_vain(SHADES, wait_secs)
    assert not cached.exists()
    seen = host.outcome(SHADES)
    assert (seen.state, seen.reason) == (
        EnvironmentState.FAILED,
        "uv says: write failed: No space left on device (os error 28)",
    )
    full.unlink()
    host.clock.advance(seen.retry_secs)
    assert host.outcome(SHADES).state is EnvironmentState.READY
    assert host.store.look(COLOURS.key).state is None, "nobody used it, and it took room"


def test_whoever_finds_the_disk_full_has_removed_what_nobody_uses(host: Host) -> None:
    host.outcome(COLOURS)
    host.outcome(SHADES)
    host.store.use(frozenset({SHADES.key}))
    cached = host.directory / "environments-cache" / "of-uv"
    cached.parent.mkdir()
    cached.touch()
    unused = host.store.python(COLOURS.key)
    assert host.store.make_room()
    assert (unused.exists(), cached.exists()) == (True, False), "what costs least goes first"
    assert host.store.make_room()
    assert (unused.exists(), list((host.directory / "tmp").iterdir())) == (False, [])
    assert host.store.look(COLOURS.key).state is None
    assert host.store.look(SHADES.key).state is EnvironmentState.READY
    assert host.store.python(SHADES.key).exists()
    assert not host.store.make_room(), "there is nothing more"


def test_who_finds_the_disk_full_while_room_is_made_has_that_room(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    cached = host.directory / "environments-cache" / "of-uv"
    cached.parent.mkdir()
    cached.touch()
    removing, goes_on = threading.Event(), threading.Event()
    rmtree = shutil.rmtree

    def slowly(path: Path, ignore_errors: bool) -> None:
        removing.set()
        assert goes_on.wait(60)
        rmtree(path, ignore_errors)

    monkeypatch.setattr(shutil, "rmtree", slowly)
    found: list[bool] = []
    first, second = (threading.Thread(target=lambda: found.append(host.store.make_room()), daemon=True) for _ in "12")
    first.start()
    assert removing.wait(60)
    second.start()
    while not waits_for_a_lock(second):
        os.sched_yield()
    goes_on.set()
    for thread in (first, second):
        thread.join(60)
    assert found == [True, True]


def waits_for_a_lock(thread: threading.Thread) -> bool:
    frame = sys._current_frames().get(thread.ident or 0)
    return frame is not None and "with self._room" in linecache.getline(frame.f_code.co_filename, frame.f_lineno)


def test_a_cache_that_another_build_may_be_reading_is_left(host: Host) -> None:
    cached = host.directory / "environments-cache" / "of-uv"
    cached.parent.mkdir()
    cached.touch()
    host.hold()
    host.store.want(COLOURS, host.directory)
    host.wait_begun()
    (host.uv.parent / "fail").write_text("No space left on device\n")
    host.try_in_vain(SHADES, 1)
    assert cached.exists()


def test_a_cache_that_has_grown_large_is_emptied_after_a_build(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment_store, "CACHE_BYTES_MAX", 1 << 20)
    cache = host.directory / "environments-cache"
    cache.mkdir()
    (cache / "small").write_bytes(bytes(1000))
    assert host.outcome(COLOURS).state is EnvironmentState.READY
    assert (cache / "small").exists()
    (cache / "large").write_bytes(bytes(2 << 20))
    assert host.outcome(SHADES).state is EnvironmentState.READY
    assert not cache.exists()
    assert host.store.python(COLOURS.key).exists()


def test_what_is_linked_elsewhere_takes_no_room(tmp_path: Path) -> None:
    (tmp_path / "cache" / "deep").mkdir(parents=True)
    linked = tmp_path / "cache" / "deep" / "linked"
    linked.write_bytes(bytes(1 << 20))
    alone = bytes_freed(tmp_path / "cache")
    assert alone >= 1 << 20
    os.link(linked, tmp_path / "environment")
    assert bytes_freed(tmp_path / "cache") == alone - linked.stat().st_blocks * 512
    (tmp_path / "cache" / "dangling").symlink_to("nowhere")
    assert bytes_freed(tmp_path / "nowhere") == 0


def test_what_nobody_uses_is_removed_after_a_while(host: Host) -> None:
    host.outcome(COLOURS)
    host.store.use(frozenset())
    host.clock.advance(99)
    assert host.outcome(SHADES).state is EnvironmentState.READY
    host.store.use(frozenset({SHADES.key}))
    assert host.there() == sorted([COLOURS.key, SHADES.key])
    host.clock.advance(1)
    host.store.use(frozenset({SHADES.key}))
    assert host.outcome(EnvironmentSpec("3.11", ("hues",))).state is EnvironmentState.READY
    assert COLOURS.key not in host.there()


def test_after_an_upgrade_of_storm_it_is_built_anew_beside_the_one_that_workers_run_in(host: Host) -> None:
    host.outcome(COLOURS)
    former = host.store.python(COLOURS.key)
    host.store.close()
    host.store = host.started(("msgpack>=2",))
    assert host.store.look(COLOURS.key).state is None, "what Storm needs may not be in it"
    host.store.use(frozenset({COLOURS.key}))
    host.clock.advance(1000)
    assert host.outcome(COLOURS).state is EnvironmentState.READY
    assert host.store.python(COLOURS.key) != former
    host.store.use(frozenset({COLOURS.key}))
    host.clock.advance(1000)
    assert host.outcome(SHADES).state is EnvironmentState.READY
    assert (former.exists(), host.store.python(COLOURS.key).exists()) == (True, True)
    host.store.use(frozenset({SHADES.key}))
    host.clock.advance(100)
    host.store.use(frozenset({SHADES.key}))
    assert host.outcome(EnvironmentSpec("3.11", ("hues",))).state is EnvironmentState.READY
    assert (former.exists(), host.store.python(COLOURS.key).exists()) == (False, False)
