"""Which versions of blobs workers should find, which must be fetched, and which nobody needs any more; pure.

A version is a content, as it came or unpacked, so it never changes: a blob that is updated is another version from then
on. A worker finds a version by a link in its directory. The link of a blob whose `workerRestart` is true stays as it
was when the worker was launched: the next worker gets the new one.

`contents` below are {key of a blob: the SHA-256 of what it has now, empty where there is no such blob}; a key that is
not there is not known yet. `links` are a worker's, {local name: the version that it leads to}.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from storm.config.blob_map import BlobUse

_UNPACKED = ".unpacked"
_HASH_CHARS = 64


class Version(NamedTuple):
    """What one directory on this machine holds: the content with this SHA-256 (hex), or what was unpacked of it."""

    sha256: str
    is_unpacked: bool = False

    @property
    def name(self) -> str:
        """Of its directory."""
        return self.sha256 + (_UNPACKED if self.is_unpacked else "")


def version_of(name: str) -> Version | None:
    """The version whose directory has this name; None: it is none."""
    sha256 = name.removesuffix(_UNPACKED)
    if len(sha256) != _HASH_CHARS or set(sha256) - set("0123456789abcdef"):
        return None
    return Version(sha256, name != sha256)


def wanted(use: BlobUse, contents: Mapping[str, str]) -> Version | None:
    """The present version of a blob; None: there is none, or it is not known yet."""
    sha256 = contents.get(use.key)
    return Version(sha256, use.is_unpacked) if sha256 else None


def wanted_links(uses: Iterable[BlobUse], contents: Mapping[str, str]) -> dict[str, Version]:
    """What a worker that is launched now finds, as far as is known."""
    found = ((use.local_name, wanted(use, contents)) for use in uses)
    return {name: version for name, version in found if version is not None}


def to_swap(
    uses: Iterable[BlobUse], contents: Mapping[str, str], here: AbstractSet[Version], links: Mapping[str, Version]
) -> dict[str, Version]:
    """The links of a running worker that should lead elsewhere now: {local name: to this}."""
    found = {}
    for use in uses:
        version, present = wanted(use, contents), links.get(use.local_name)
        may_change = not use.restarts_workers or present is None
        if version is not None and version in here and version != present and may_change:
            found[use.local_name] = version
    return found


def wants_restart(
    uses: Iterable[BlobUse], contents: Mapping[str, str], here: AbstractSet[Version], links: Mapping[str, Version]
) -> bool:
    """Whether a running worker has an old version of a blob that restarts workers, and another would find all here."""
    present = {use: wanted(use, contents) for use in uses}
    is_outdated = any(
        use.restarts_workers and version is not None and links.get(use.local_name, version) != version
        for use, version in present.items()
    )
    return is_outdated and all(version in here for version in present.values())


def unneeded(
    here: Iterable[Version], needed: Iterable[Mapping[str, Version]], fetched: AbstractSet[Version]
) -> set[Version]:
    """Those that nobody needs: no link that is there or wanted leads to them, nor are they just being fetched."""
    used = {version for links in needed for version in links.values()}
    return set(here) - used - fetched
