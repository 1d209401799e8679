"""What a worker's former processes may have died of: a file beside its log, for `executor.caution`."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from typing import TYPE_CHECKING

from storm.executor.caution import CAREFUL_SECS, DEATHS_LEAST, Caution

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from storm.executor.caution import Suspect
    from storm.worker.launch import Launch

logger = logging.getLogger(__name__)

SUSPECTS_FILE = "suspects.json"
FILE_BYTES_MAX = 1 << 20


def caution_of(told: Launch) -> Caution | None:
    """For a worker whose processes died one after the other; None: they did not."""
    file = told.log_dir / SUSPECTS_FILE
    if told.deaths < DEATHS_LEAST:
        with contextlib.suppress(OSError):
            file.unlink()
        return None
    seen = read(file)
    were_alone = [f"{text} of {name} ({count})" for (name, text), count in sorted(seen.items())]
    logger.warning(
        "This worker died %d times in a row. Where a spout gives messages up (`retries`), and none has `async` methods,"
        " its spouts have one tuple at a time under way for %d s, to find one that ends it."
        " Under way alone when it died, and how often: %s.",
        told.deaths,
        CAREFUL_SECS,
        ", ".join(were_alone) or "none so far",
    )
    return Caution(told.deaths, seen, lambda suspects: save(file, suspects))


def read(file: Path) -> dict[Suspect, int]:
    """{suspect: how often}; nothing where there is no such file, or none of ours."""
    try:
        with file.open("rb") as opened:
            found = json.loads(opened.read(FILE_BYTES_MAX))
        return {(str(name), str(text)): int(count) for name, text, count in found}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as error:
        logger.warning("%s cannot be read, and what is in it does not count: %s", file, error)
        return {}


def save(file: Path, seen: Mapping[Suspect, int]) -> None:
    """It is for the next process of this machine: nothing is forced to the disk."""
    being_written = file.with_name(f"{SUSPECTS_FILE}.tmp")
    try:
        being_written.write_text(json.dumps([[*suspect, count] for suspect, count in seen.items()]))
        os.replace(being_written, file)
    except OSError as error:
        logger.warning("%s cannot be written: a tuple that ends the worker may not be found (%s)", file, error)
