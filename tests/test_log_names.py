from __future__ import annotations

from storm.log_names import OLD_LOGS_KEPT, is_put_aside


def test_logs_of_before_have_numbers() -> None:
    assert all(is_put_aside(f"worker.log.{number}") for number in range(1, OLD_LOGS_KEPT + 1))
    others = ("worker.log", "worker.log.0", f"worker.log.{OLD_LOGS_KEPT + 1}", "worker.log.1\n", "worker_log.1")
    assert not any(map(is_put_aside, others))
