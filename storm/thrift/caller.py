"""Who makes the Thrift call that a thread serves."""

from __future__ import annotations

import contextlib
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_address: ContextVar[str] = ContextVar("address", default="")


def address() -> str:
    """The client's IP address; empty where this thread serves no call."""
    return _address.get()


@contextlib.contextmanager
def calling_from(client_address: str) -> Iterator[None]:
    """What runs meanwhile in this thread serves that client."""
    before = _address.set(client_address)
    try:
        yield
    finally:
        _address.reset(before)
