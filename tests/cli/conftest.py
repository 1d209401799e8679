"""What the tests of commands share."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from storm.cli.interrupts import ENDING_SIGNALS

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def interrupts() -> Iterator[None]:
    """Puts back what the signals that end a command do in the tests."""
    before = {number: signal.getsignal(number) for number in ENDING_SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
