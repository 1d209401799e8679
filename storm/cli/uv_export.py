"""A project's uv.lock as requirements, which every installer understands: uv itself knows how."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

from storm.environment_spec import OWN_PROJECT
from storm.errors import PackageError

if TYPE_CHECKING:
    from pathlib import Path

TIMEOUT_SECS = 60
_EXPORT = [
    "export", "--frozen", "--no-dev", "--no-emit-project", "--no-emit-package", OWN_PROJECT, "--no-header",
    "--no-annotate", "--quiet", "--format", "requirements-txt",
]  # fmt: skip


def export_uv_lock(directory: Path, uv: str | None = None) -> str:
    """The text of a requirements.txt of the uv.lock in `directory`, with hashes. Raises PackageError."""
    file = directory / "uv.lock"
    program = uv or shutil.which("uv")
    if program is None:
        raise PackageError(
            f"{file} can be read by uv only, and there is none on this machine: install it (`pip install uv`), or name "
            "another list by --requirements FILE"
        )
    command = [program, *_EXPORT, "--directory", str(directory)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=TIMEOUT_SECS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PackageError(f"{file}: uv cannot read it: {error}") from None
    if done.returncode != 0:
        raise PackageError(f"{file}: uv cannot read it: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
