"""What a process tells of its host, for `storm doctor`. Frozen; no I/O. Every daemon imports it."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - dataclasses are read by their annotations
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class DiskSpace:
    """Of the file system that holds `path`, as far as an ordinary user may fill it. `why_not`: why it is not known."""

    path: str
    free_bytes: int = 0
    total_bytes: int = 0
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Resolution:
    """A host name as one host resolves it: `addresses` (none: it does not), `names` those that these lead back to.

    `is_back_late`: not all names are known, for the resolver did not answer in time.
    """

    addresses: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    is_back_late: bool = False


@dataclass(frozen=True, slots=True)
class HostReport:
    """What a process tells of its host.

    `host` is what others are to reach it by; `time_millis` its wall clock, since the epoch; `versions` those of the
    libraries that matter between hosts; `open_files_max` how many files it may have open; `resolutions` has an entry
    for each name that it was asked for. `illness`: what its health scripts say, empty: nothing.
    """

    host: str
    time_millis: int
    python: str
    versions: Mapping[str, str] = field(default_factory=dict)
    hot_path: str = ""
    disks: tuple[DiskSpace, ...] = ()
    open_files_max: int = 0
    resolutions: Mapping[str, Resolution] = field(default_factory=dict)
    illness: str = ""
