from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from transport_contract import TransportContract

from storm.messaging.in_process import InProcessNetwork

if TYPE_CHECKING:
    from collections.abc import Callable

    from storm.messaging.transport import Transport


class TestInProcess(TransportContract):
    @pytest.fixture
    def make(self) -> Callable[[], Transport]:
        return InProcessNetwork().transport
