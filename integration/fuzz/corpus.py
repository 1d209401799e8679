"""The corpus: a directory for each surface, a file for each case; its bytes are what is sent, and nothing else.

Long ones are compressed. `make_corpus.py` writes the files with telling names again. A file named by its hash was found
by a run: it killed or stalled a daemon once, and stays for ever.
"""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from typing import NamedTuple

LONG_BYTES = 4096
CORPUS = Path(__file__).with_name("corpus")


class Case(NamedTuple):
    name: str
    data: bytes


def load(surface: str) -> list[Case]:
    """The cases of a surface by name."""
    found = []
    for path in sorted((CORPUS / surface).glob("*.bin*")):
        data = path.read_bytes()
        found.append(Case(path.name.partition(".bin")[0], gzip.decompress(data) if path.suffix == ".gz" else data))
    return found


def save(surface: str, data: bytes, name: str | None = None) -> Path:
    """Keep a case, by its hash unless it has a name; its file."""
    path = CORPUS / surface / f"{name or hashlib.sha256(data).hexdigest()[:16]}.bin"
    path.parent.mkdir(parents=True, exist_ok=True)
    if len(data) > LONG_BYTES:
        path = path.with_name(path.name + ".gz")
        data = gzip.compress(data, mtime=0)
    path.write_bytes(data)
    return path
