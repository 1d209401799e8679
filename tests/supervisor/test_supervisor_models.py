from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from supervisor_models import ModelWorkers
from workers_contract import WorkersContract

if TYPE_CHECKING:
    from storm.supervisor.slot import WorkerSeen
    from storm.supervisor.slot_runner import WorkerHandle


class ModelMachine:
    def __init__(self) -> None:
        self.workers = ModelWorkers()

    def restarted(self) -> ModelWorkers:
        return self.workers

    def ended(self, worker: WorkerHandle) -> WorkerSeen:
        return self.workers.look(worker)


class TestModelWorkers(WorkersContract):
    @pytest.fixture
    def machine(self) -> ModelMachine:
        return ModelMachine()
