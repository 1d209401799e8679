"""A blob's bytes from a Nimbus to a file on this machine, which is what its hash says or is refused; and why not."""

from __future__ import annotations

import hashlib
import logging
import os
from typing import TYPE_CHECKING, NamedTuple

from storm.errors import BlobCorruptError, BlobStoreError, PackageError, StormError
from storm.supervisor.local_state import is_full

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    Write = Callable[[bytes], object]
    Download = Callable[[Write], object]  # gives a blob's bytes, chunk by chunk; raises StormError if it cannot
    Sources = Callable[[str, str], Iterable[Download]]  # (key, sha256) -> from where the blob may come, best first

log = logging.getLogger(__name__)


class FetchFailure(NamedTuple):
    """Why something is not here, in words; `is_lasting`: for what it is, which never changes."""

    text: str
    is_lasting: bool = False


def failure_of(fetch: Callable[[], None], what: str, make_room: Callable[[], bool]) -> FetchFailure | None:
    """Let `fetch` bring `what`, "its code" say, here; None: it did. It raises nothing: a slot waits for this word.

    Where `fetch` finds the disk full, it is called once more, each time that `make_room` has found anything to remove.
    """
    try:
        while not _is_fetched(fetch, make_room):
            pass
    except (StormError, OSError) as error:
        return FetchFailure(f"could not get {what}: {error}", isinstance(error, PackageError))
    except Exception as error:
        log.exception("could not get %s", what)
        return FetchFailure(f"could not get {what}: {type(error).__name__}: {error}")
    return None


def _is_fetched(fetch: Callable[[], None], make_room: Callable[[], bool]) -> bool:
    """False: the disk was full, and there is more room now."""
    try:
        fetch()
    except OSError as error:
        if is_full(error) and make_room():
            return False
        raise
    return True


def download_verified(sources: Sources, key: str, path: Path, sha256: str, bytes_max: int | None = None) -> None:
    """Write the blob to `path`, from the first of its sources that gives what the hash says; see it safe on the disk.

    Raises what the sources said if that is the same, BlobStoreError with all of it if not. What one may say:
    PackageError where more than `bytes_max` come (None: Nimbus limited them when they were uploaded), BlobCorruptError
    where they do not have the SHA-256 `sha256`. Raises OSError. What was written until then is left.
    """
    failures: dict[str, StormError] = {}
    for download in sources(key, sha256):
        try:
            _download(download, key, path, sha256, bytes_max)
        except StormError as error:
            failures.setdefault(str(error), error)
        else:
            return
    if len(failures) == 1:
        raise failures.popitem()[1]
    raise BlobStoreError("; ".join(failures))


def _download(download: Download, key: str, path: Path, sha256: str, bytes_max: int | None) -> None:
    digest = hashlib.sha256()
    size = 0
    with path.open("wb") as file:

        def write(chunk: bytes) -> None:
            nonlocal size
            size += len(chunk)
            if bytes_max is not None and size > bytes_max:
                raise PackageError(f"blob {key} has more than {bytes_max:,} bytes")
            digest.update(chunk)
            file.write(chunk)

        download(write)
        file.flush()
        os.fsync(file.fileno())
    if digest.hexdigest() != sha256:
        raise BlobCorruptError(f"blob {key}: its {size:,} bytes do not have the hash that its record names")
