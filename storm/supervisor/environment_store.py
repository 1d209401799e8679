"""The virtual environments of a supervisor's topologies: built, shared, removed when no topology uses them.

    <supervisor dir>/environments/<key>.<of Storm>/   an environment; without storm-environment.json it is not whole
    <supervisor dir>/environments-cache/              what pip and uv keep for the next builds; emptied for want of room
    <supervisor dir>/tmp/                             what is being removed; wiped at each start

What Storm itself requires bounds what is in one, and so has its part in the name: after an upgrade another one is built
for the same key, and the one of before stays as long as a topology here needs that key, whose workers may run in it.
Threads of its own build and remove, so that slots and downloads never wait for them.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import logging
import os
import shutil
import threading
from functools import cached_property
from typing import TYPE_CHECKING

from storm.host_paths import tmp_dir
from storm.supervisor import process_table
from storm.supervisor.environment_build import (
    BUILD_VARIABLE,
    EnvironmentBuild,
    HostPython,
    built_for,
    cache_dir,
    host_python,
    write_host_path,
)
from storm.supervisor.environments import (
    Build,
    BuildFailure,
    EnvironmentLimits,
    Environments,
    EnvironmentSeen,
    Remove,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from storm.clock import Clock
    from storm.environment_spec import EnvironmentSpec

log = logging.getLogger(__name__)

BUILD_TIMEOUT_SECS = 600.0
SUFFIX_CHARS = 8
CACHE_BYTES_MAX = 4 << 30  # room for the largest that topologies ask for, such as PyTorch with CUDA


class EnvironmentStore:
    """`want`, `look` and `use` never wait for a build. `wake` is called from any thread when one has ended."""

    def __init__(
        self,
        supervisor_dir: Path,
        clock: Clock,
        wake: Callable[[], None],
        limits: EnvironmentLimits | None = None,
        host: HostPython | None = None,
        build_timeout_secs: float = BUILD_TIMEOUT_SECS,
    ) -> None:
        self._directory = supervisor_dir / "environments"
        self._tmp_dir = tmp_dir(supervisor_dir)
        self._clock = clock
        self._wake = wake
        self._limits = limits or EnvironmentLimits()
        self._given_host = host
        self._timeout_secs = build_timeout_secs
        self._environments = Environments(self._limits)
        # By names of directories, as all that is not public here.
        self._sources: dict[str, tuple[EnvironmentSpec, Path]] = {}
        self._builds: dict[str, EnvironmentBuild] = {}
        self._former: frozenset[str] = frozenset()
        self._changed = threading.Condition()
        self._room = threading.Lock()  # taken before `_changed`
        self._rounds = 0  # in which room was made
        self._threads: list[threading.Thread] = []
        self._numbers = itertools.count()
        self._closed = False
        self._take_over()

    @cached_property
    def host(self) -> HostPython:
        """What builds here. To find out takes some time, and most supervisors never build an environment."""
        return self._given_host or host_python()

    @cached_property
    def _suffix(self) -> str:
        return "." + hashlib.sha256("\n".join(self.host.constraints).encode()).hexdigest()[:SUFFIX_CHARS]

    def want(self, spec: EnvironmentSpec, wheels_dir: Path) -> None:
        """Build it, unless it is there, or has failed just now. Its wheels are in `wheels_dir`."""
        with self._changed:
            self._sources[self._name(spec.key)] = (spec, wheels_dir)
            self._environments.want(self._name(spec.key), self._clock.now())
            self._work_is_there()

    def look(self, key: str) -> EnvironmentSeen:
        """How it is."""
        with self._changed:
            return self._environments.look(self._name(key), self._clock.now())

    def use(self, keys: frozenset[str]) -> None:
        """The topologies of this host need these and no others."""
        with self._changed:
            former = (name for name in self._former if name.partition(".")[0] in keys)
            names = {*map(self._name, keys), *former}
            now = self._clock.now()
            self._environments.use(names, now)
            kept = names.union(self._builds)
            self._sources = {name: source for name, source in self._sources.items() if name in kept}
            if self._environments.due(now) is not None:
                self._work_is_there()

    def python(self, key: str) -> Path:
        """The Python of an environment that is ready."""
        return self._directory / self._name(key) / "bin" / "python"

    def children(self) -> set[int]:
        """The processes that build, which nobody else may wait for."""
        with self._changed:
            found = [build.child() for build in self._builds.values()]
        return {pid for pid in found if pid is not None}

    def make_room(self) -> bool:
        """Remove what pip and uv keep or, where that is nothing, what no topology here needs; whether there was
        anything. Any thread may call it, when the disk is full: who comes while another one removes waits for that.
        """
        why, rounds = "there was no room", self._rounds
        with self._room:
            if self._rounds != rounds:
                return True
            doomed = [self._emptied_cache(why)]
            if not any(doomed):
                with self._changed:
                    doomed = [self._removed(name, why) for name in self._environments.give_up()]
            for path in filter(None, doomed):
                shutil.rmtree(path, ignore_errors=True)
            self._rounds += any(doomed)
            return any(doomed)

    def close(self) -> None:
        """End what is being built; nothing of it is left after the next start."""
        with self._changed:
            self._closed = True
            for build in self._builds.values():
                build.stop("the supervisor ends")
            self._changed.notify_all()

    def _name(self, key: str) -> str:
        return key + self._suffix

    def _take_over(self) -> None:
        """Keep what a former run has built, and throw away what it had not."""
        found = {path: built_for(path) for path in sorted(self._directory.glob("*"))}
        broken = [path for path, version in found.items() if version is None]
        if broken:
            # What built them may be at it still, if the supervisor was killed.
            process_table.kill_all_with_environment(f"{BUILD_VARIABLE}={self._directory}")
        for path in broken:
            shutil.rmtree(path, ignore_errors=True)
        for path, version in found.items():
            if version == self.host.version:
                # The supervisor may run from another place than the one that built it did.
                with contextlib.suppress(OSError):
                    write_host_path(path, self.host)
        # Also those for another Python, which workers of a former supervisor may run on.
        with self._changed:
            self._former = frozenset(path.name for path in found if path not in broken)
            self._environments.found(self._former, self._clock.now())

    def _work_is_there(self) -> None:
        """One thread a build, and one more so that removals wait for none; started when they are needed."""
        while len(self._threads) <= self._limits.builds_max and not self._closed:
            thread = threading.Thread(target=self._work, name="environments", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                if self._closed:
                    return
                now = self._clock.now()
                command = self._environments.next(now)
                if command is None:
                    due = self._environments.due(now)
                    self._changed.wait(None if due is None else max(0.0, due - now))
                    continue
                why = f"no topology here has used it for {self._limits.keep_secs:g} s"
                doomed = self._removed(command.key, why) if isinstance(command, Remove) else None
                build = self._begin(command) if isinstance(command, Build) else None
            if doomed is not None:
                shutil.rmtree(doomed, ignore_errors=True)
            if build is not None:
                self._run(command.key, build)

    def _begin(self, command: Build) -> EnvironmentBuild:
        spec, wheels_dir = self._sources[command.key]
        build = EnvironmentBuild(spec, wheels_dir, self._directory / command.key, self.host)
        self._builds[command.key] = build
        log.info("building environment %s of %d requirements", command.key, len(spec.requirements))
        return build

    def _run(self, name: str, build: EnvironmentBuild) -> None:
        began = self._clock.now()
        try:
            failure = build.run(self._timeout_secs)
        except Exception as error:  # slots wait for this thread's word
            log.exception("building environment %s failed", name)
            failure = BuildFailure(f"{type(error).__name__}: {error}")
        took = self._clock.now() - began
        if failure is None:
            log.info("environment %s is built, in %.1f s", name, took)
        else:
            log.warning("environment %s was not built: %s\n%s", name, failure.reason, failure.last_lines)
        with self._changed:
            del self._builds[name]
        if failure is not None and failure.no_room:
            while self.make_room():
                pass
        else:
            self._bound_cache()
        with self._changed:
            self._environments.ended(name, failure, self._clock.now())
            self._changed.notify_all()
        self._wake()

    def _removed(self, name: str, why: str) -> Path | None:
        """Move an environment into tmp/; where to."""
        log.info("environment %s is removed: %s", name, why)
        return self._aside(self._directory / name)

    def _bound_cache(self) -> None:
        """Logs, and what others put on this disk, find it full, too, and empty nothing."""
        if bytes_freed(cache_dir(self._directory)) > CACHE_BYTES_MAX:
            doomed = self._emptied_cache(f"it takes more than {CACHE_BYTES_MAX >> 30} GB")
            if doomed is not None:
                shutil.rmtree(doomed, ignore_errors=True)

    def _emptied_cache(self, why: str) -> Path | None:
        """Move the cache of pip and uv into tmp/, unless a build may be reading it; where to. Where this host names one
        of its own, that is left.
        """
        cache = cache_dir(self._directory)
        with self._changed:
            doomed = None if self._builds or not cache.exists() else self._aside(cache)
        if doomed is not None:
            log.info("%s is emptied: %s", cache, why)
        return doomed

    def _aside(self, path: Path) -> Path | None:
        """Move it into tmp/, which is one rename; where to."""
        aside = self._tmp_dir / f"{path.name}.{next(self._numbers)}.environment"
        try:
            os.replace(path, aside)
        except OSError as error:
            log.error("%s cannot be removed: %s", path, error)
            return None
        return aside


def bytes_freed(directory: Path) -> int:
    """What it would free to remove it; of files that are linked elsewhere, as uv does in environments, nothing."""
    found = 0
    for parent, _, names in os.walk(directory):
        for name in names:
            with contextlib.suppress(OSError):  # gone: another build is at work there
                status = os.lstat(os.path.join(parent, name))
                found += status.st_blocks * 512 if status.st_nlink == 1 else 0
    return found
