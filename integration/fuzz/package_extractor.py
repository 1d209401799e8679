"""Unpacks packages, or archives for blobs, as a supervisor does, one after the other, and looks at what that did to
the disk.

`package_extractor.py KIND DIRECTORY`: a length (4 bytes) and an archive on standard input, a line on standard output:
`taken`, `refused`, or what is wrong. Around the target directory there are files that must stay as they are.
"""

from __future__ import annotations

import shutil
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from storm.errors import PackageError
from storm.supervisor import blob_unpacking
from storm.supervisor.package_extraction import PackageLimits, extract

if TYPE_CHECKING:
    from collections.abc import Callable

# Smaller than the supervisor's, so that the disk is not written full: a bomb is one all the same.
BYTES_MAX = 32 << 20
BLOB_PATHS_MAX = 500
OUTSIDE = Path("/tmp/storm-fuzz-outside")  # what some of the corpus name


def extract_package(package: Path, target: Path) -> None:
    extract(package, target, PackageLimits(total_bytes=BYTES_MAX))


def unpack_blob(archive: Path, target: Path) -> None:
    blob_unpacking.UNPACKED_BYTES_MAX = BYTES_MAX
    blob_unpacking.PATHS_MAX = BLOB_PATHS_MAX
    blob_unpacking.unpack(archive, target)


KINDS: dict[str, Callable[[Path, Path], None]] = {"package": extract_package, "blob-archive": unpack_blob}


def main(kind: str, directory: Path) -> None:
    sandbox = directory / "host" / "storm-local"
    sandbox.mkdir(parents=True)
    for name in ("x", "app", "link", "host/x", "host/bolt.py", "host/storm-local/other"):
        (directory / name).write_text("untouched")
    before = everything_but(directory, sandbox / "code")
    while len(head := sys.stdin.buffer.read(4)) == 4:
        (size,) = struct.unpack(">I", head)
        package = sandbox / "stormjar.jar"
        package.write_bytes(sys.stdin.buffer.read(size))
        print(unpacked(KINDS[kind], package, sandbox / "code"), flush=True)
        package.unlink()
        shutil.rmtree(sandbox / "code", ignore_errors=True)
        if (changed := everything_but(directory, sandbox / "code")) != before or OUTSIDE.exists():
            print(f"changed outside of the target: {sorted(set(changed.items()) ^ set(before.items()))}", flush=True)
            return


def unpacked(unpack: Callable[[Path, Path], None], package: Path, target: Path) -> str:
    try:
        unpack(package, target)
    except PackageError as error:
        if target.exists():
            return f"refused and left a part: {error}"
        return "refused" if package.name in str(error) else f"refused without naming the package: {error}"
    except Exception as error:  # noqa: BLE001  that is what is looked for
        return f"raised {type(error).__name__}: {error}"
    odd = [path for path in target.rglob("*") if path.is_symlink() or not (path.is_file() or path.is_dir())]
    special = [path for path in target.rglob("*") if path.lstat().st_mode & 0o7000]
    return f"unpacked what it must not: {odd + special}" if odd or special else "taken"


def everything_but(directory: Path, left_out: Path) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes() if path.is_file() else b""
        for path in directory.rglob("*")
        if path != left_out and left_out not in path.parents
    }


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
