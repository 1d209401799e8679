"""Answers SIGUSR1 with the stacks of all threads, also while code in C holds the interpreter."""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)


def answer_signal(file: Path) -> None:
    """From now on each signal adds to `file`. Where it cannot be written, that is logged, and nothing is answered."""
    try:
        stacks = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)  # as long as this lives
        faulthandler.register(signal.SIGUSR1, stacks, all_threads=True)
    except OSError as error:
        logger.warning("The stacks of this worker cannot be shown: %s: %s", file, error.strerror or error)
