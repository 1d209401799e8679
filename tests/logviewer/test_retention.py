from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from storm.logviewer.logs import LogFile, Worker
from storm.logviewer.retention import AgeClock, Limits, to_remove

NOW = 1_000_000.0
WORDS, OTHER = Worker("words-1-1", 6700), Worker("other-2-2", 6701)
ROOMY = Limits(age_secs=3600, worker_bytes=1 << 40, sum_bytes=1 << 40)


def file(worker: Worker, name: str, size: int = 10, age: float = 0.0) -> LogFile:
    return LogFile(worker, name, size, NOW - age)


def names(removed: list[LogFile]) -> list[str]:
    return [f"{one.worker.topology_id[0]}:{one.name}" for one in removed]


def test_old_logs_of_dead_workers_go_and_those_of_living_ones_stay() -> None:
    files = [
        file(WORDS, "worker.log", age=9_000),
        file(WORDS, "worker.log.1", age=9_001),
        file(OTHER, "worker.log", age=3_599),
        file(OTHER, "worker.log.1", age=3_601),
    ]
    assert names(to_remove(files, {WORDS}, ROOMY, NOW)) == ["o:worker.log.1"]
    assert names(to_remove(files, set(), ROOMY, NOW)) == ["w:worker.log.1", "w:worker.log", "o:worker.log.1"]


def test_the_oldest_of_a_worker_go_until_the_others_fit() -> None:
    files = [file(WORDS, "worker.log", 50, 0), *(file(WORDS, f"worker.log.{n}", 40, n) for n in (1, 2, 3))]
    files.append(file(OTHER, "worker.log", 100, 5))
    limits = ROOMY._replace(worker_bytes=100)
    assert names(to_remove(files, {WORDS}, limits, NOW)) == ["w:worker.log.3", "w:worker.log.2"]


def test_the_oldest_of_all_go_until_the_others_fit() -> None:
    files = [file(WORDS, "worker.log", 60, 9), file(WORDS, "worker.log.1", 60, 5), file(OTHER, "worker.log", 60, 7)]
    limits = ROOMY._replace(sum_bytes=120)
    assert names(to_remove(files, {WORDS}, limits, NOW)) == ["o:worker.log"]
    assert names(to_remove(files, {WORDS, OTHER}, limits, NOW)) == ["w:worker.log.1"]


def test_what_living_workers_write_to_stays_though_it_is_too_much() -> None:
    files = [file(WORDS, "worker.log", 1_000, 9_000), file(OTHER, "worker.log.1", 1)]
    limits = Limits(age_secs=1, worker_bytes=1, sum_bytes=1)
    assert names(to_remove(files, {WORDS, OTHER}, limits, NOW)) == ["o:worker.log.1"]


def test_a_clock_that_was_set_back_removes_nothing() -> None:
    assert to_remove([file(WORDS, "worker.log", age=-9_000)], set(), ROOMY, NOW) == []


def test_a_clock_that_is_set_forward_makes_nothing_old_at_once() -> None:
    ages = AgeClock(3_600)
    assert ages.now_secs(10, NOW) == NOW
    ahead = NOW + 1e9
    assert [ages.now_secs(10 + secs, ahead + secs) for secs in (600, 1_200, 3_600)] == [
        NOW + 600,
        NOW + 1_200,
        NOW + 3_600,
    ]
    assert ages.now_secs(4_200, ahead + 4_190) == ahead + 4_190  # what was written before is as old as that now


def test_a_clock_that_is_set_right_or_back_counts_at_once() -> None:
    ages = AgeClock(3_600)
    assert [ages.now_secs(now, NOW + wall) for now, wall in ((0, 0), (10, 1e9), (20, 20), (30, -500))] == [
        NOW, NOW + 10, NOW + 20, NOW - 500,
    ]  # fmt: skip


workers = st.sampled_from([WORDS, OTHER, Worker("words-1-1", 6701)])
log_files = st.builds(
    LogFile, workers, st.sampled_from(["worker.log", "worker.log.1", "worker.log.2"]), st.integers(0, 100),
    st.floats(NOW - 100, NOW),
)  # fmt: skip


@given(
    st.lists(log_files, max_size=9, unique_by=lambda one: one.path), st.sets(workers), st.integers(0, 200),
    st.integers(0, 300),
)  # fmt: skip
def test_the_rest_fits_unless_living_workers_need_it(
    files: list[LogFile], alive: set[Worker], worker_bytes: int, sum_bytes: int
) -> None:
    limits = Limits(50, worker_bytes, sum_bytes)
    removed = to_remove(files, alive, limits, NOW)
    assert len(set(removed)) == len(removed)
    assert set(removed) <= set(files)
    assert not [one for one in removed if one.worker in alive and one.name == "worker.log"]
    left = [one for one in files if one not in removed]
    movable = [one for one in left if one.worker not in alive or one.name != "worker.log"]
    assert not [one for one in left if one.worker not in alive and NOW - one.changed_secs > limits.age_secs]
    assert sum(one.size for one in left) <= sum_bytes or not sum(one.size for one in movable)
