"""A blob's bytes from Nimbus to a file on this machine, which is what its hash says or is refused."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from storm.errors import BlobCorruptError, PackageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Download = Callable[[str, Callable[[bytes], object]], object]


def download_verified(download: Download, key: str, path: Path, sha256: str, bytes_max: int | None = None) -> None:
    """Write the blob to `path` and see it safe on the disk.

    `download(key, write)` gives the blob's bytes to `write`, chunk by chunk, and raises a StormError if it cannot.
    Raises PackageError where more than `bytes_max` come (None: Nimbus limited them when they were uploaded),
    BlobCorruptError where they do not have the SHA-256 `sha256`, OSError; what was written until then is left.
    """
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

        download(key, write)
        file.flush()
        os.fsync(file.fileno())
    if digest.hexdigest() != sha256:
        raise BlobCorruptError(f"blob {key}: its {size:,} bytes do not have the hash that its record names")
