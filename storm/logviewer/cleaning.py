"""Removes logs that `retention` does not leave, every so often: the shell around that decision."""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from storm.logviewer.log_files import found_logs
from storm.logviewer.logs import CURRENT_LOG, Worker
from storm.logviewer.retention import AgeClock, to_remove
from storm.supervisor import process_table
from storm.supervisor.worker_launch import launched_with

if TYPE_CHECKING:
    import threading

    from storm.clock import Clock
    from storm.logviewer.logs import LogFile
    from storm.logviewer.options import LogviewerOptions

log = logging.getLogger(__name__)

FIRST_SECS = 5.0  # after the start: who restarts a daemon for want of room should not wait for long
ASIDE = ".{}.removed"  # the name of a log that is about to go


class LogCleaner:
    """One thread calls it. Another one may do the same beside it: what is gone already is passed over."""

    def __init__(self, options: LogviewerOptions, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._ages = AgeClock(options.limits.age_secs)
        self._is_full = False

    def run(self, stopping: threading.Event) -> None:
        """Clean on the configured period until `stopping` is set."""
        period = self._options.cleanup_secs
        pause = FIRST_SECS
        while period is not None and not stopping.wait(pause):
            pause = period
            try:
                self.clean()
            except Exception:
                log.exception("Old logs below %s could not be removed; it is tried again", self._options.artifacts_dir)

    def clean(self) -> list[str]:
        """One pass; the paths of the files that were removed, relative to the workers' logs."""
        options = self._options
        files = list(found_logs(options.artifacts_dir))
        alive = living_workers(options.workers_dir)
        now_secs = self._ages.now_secs(self._clock.now(), self._clock.wall_secs())
        chosen = to_remove(files, alive, options.limits, now_secs)
        removed = [file for file in chosen if self._remove(file)]
        self._remove_empty_directories(now_secs)
        if removed:
            size = sum(file.size for file in removed) / 1e6
            log.info("Removed %d old logs of workers, %.1f MB, the first %s", len(removed), size, removed[0].path)
        self._tell_of_excess(sum(file.size for file in files) - sum(file.size for file in removed))
        return [file.path for file in removed]

    def _remove(self, file: LogFile) -> bool:
        """A worker may start meanwhile, and append to the log of the dead one before it: then that comes back.

        If it opened the log before that was renamed, it is seen to have it open; if it came later, it began a new one.
        """
        path = self._options.artifacts_dir / file.path
        try:
            if file.name != CURRENT_LOG:
                path.unlink()
                return True
            aside = path.with_name(ASIDE.format(file.name))
            path.rename(aside)
            is_open = process_table.use(path.parent) or file.worker in living_workers(self._options.workers_dir)
            if is_open:
                with contextlib.suppress(FileExistsError):
                    os.link(aside, path)
            aside.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            log.error("The log %s cannot be removed: %s", path, error.strerror or error)
            return False
        return not is_open

    def _remove_empty_directories(self, now_secs: float) -> None:
        """Only old ones: a worker that starts makes its directory, and then its log in it."""
        oldest = now_secs - self._options.limits.age_secs
        for directory in (*_directories(self._options.artifacts_dir, 2), *_directories(self._options.artifacts_dir, 1)):
            with contextlib.suppress(OSError):
                if directory.stat().st_mtime < oldest:
                    directory.rmdir()

    def _tell_of_excess(self, left_bytes: int) -> None:
        is_full = left_bytes > self._options.limits.sum_bytes
        if is_full and not self._is_full:
            log.warning(
                "Living workers alone write %.0f MB of logs below %s, more than "
                "logviewer.max.sum.worker.logs.size.mb: let them log less (storm set-log-level), or allow for more",
                left_bytes / 1e6, self._options.artifacts_dir,
            )  # fmt: skip
        self._is_full = is_full


def living_workers(workers_dir: Path) -> set[Worker]:
    """The workers that run, or may: those that a supervisor has launched and not yet cleared away."""
    found = set()
    for directory in launched_with(workers_dir, "log_dir"):
        if isinstance(directory, str) and Path(directory).name.isdecimal():
            found.add(Worker(Path(directory).parent.name, int(Path(directory).name)))
    return found


def _directories(root: Path, depth: int) -> list[Path]:
    """Those so far below `root`, none through a link."""
    found = [root]
    for _ in range(depth):
        below: list[Path] = []
        for directory in found:
            with contextlib.suppress(OSError), os.scandir(directory) as entries:
                below += [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
        found = below
    return found
