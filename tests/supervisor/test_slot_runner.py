from __future__ import annotations

from dataclasses import replace

import pytest
from supervisor_models import ModelBlobs, ModelWorkers

from storm.ids import ExecutorId
from storm.supervisor.assignment_sync import BlobHash, LocalAssignment
from storm.supervisor.slot import BlobsSeen, BlobsState, SlotLimits, SlotState, WorkerSeen
from storm.supervisor.slot_runner import TAKEN_REMEMBERED_SECS, Failure, SlotRunner
from storm.supervisor.worker_beats import WorkerBeat, WorkerBeats

PORT = 6700
WORDS = LocalAssignment("words", (ExecutorId(1, 2),), 1, (BlobHash("code", "a"),))
TAKEN = WorkerSeen("exited with code 14", port_taken=True)


class Shop:
    """A runner over a model machine."""

    def __init__(self, workers: ModelWorkers | None = None) -> None:
        self.workers = workers or ModelWorkers()
        self.blobs = ModelBlobs()
        self.beats = WorkerBeats()
        self.failures: list[Failure] = []
        self.runner = SlotRunner(
            [PORT, PORT + 1], SlotLimits(), self.workers, self.blobs, self.beats, self.failures.append
        )

    def beat(self, port: int, now: float) -> None:
        handle = self.runner.running()[port]
        beat = WorkerBeat(handle.worker_id, handle.assignment.topology_id, port, None, is_prepared=True)
        self.beats.receive(beat, now)

    def state(self, port: int = PORT) -> SlotState:
        return self.runner.slots()[port].state


@pytest.fixture
def shop() -> Shop:
    return Shop()


def test_wanted_work_runs_and_the_next_call_is_the_heartbeats_end(shop: Shop) -> None:
    shop.runner.want({PORT: WORDS})
    assert shop.runner.step(0.0) == 120.0
    shop.beat(PORT, 1.0)
    assert shop.runner.step(1.0) == 31.0
    assert [handle.assignment for handle in shop.workers.alive()] == [WORDS]
    assert shop.state() is SlotState.RUNNING


def test_a_dead_worker_is_replaced_within_one_step_and_told_of(shop: Shop) -> None:
    shop.runner.want({PORT: WORDS})
    shop.runner.step(0.0)
    shop.beat(PORT, 1.0)
    (first,) = shop.workers.alive()
    shop.workers.die(first)
    shop.runner.step(2.0)
    (second,) = shop.workers.alive()
    assert second.worker_id != first.worker_id
    (failure,) = shop.failures
    assert failure.text == (
        f"The worker on port {PORT} exited with code 1 (an executor failed); it is tried again at once.\n"
        f"Last lines of its log:\nlast words on {PORT}"
    )


def test_a_port_that_somebody_has_is_remembered_for_a_while_or_until_a_worker_has_it(shop: Shop) -> None:
    shop.runner.want({PORT: WORDS})
    shop.runner.step(0.0)
    shop.workers.die(shop.workers.alive()[0])
    shop.runner.step(1.0)
    assert shop.runner.taken(1.0) == (), "another death says nothing of the port"
    shop.workers.die(shop.workers.alive()[0], TAKEN)
    shop.runner.step(4.0)
    shop.runner.want({PORT + 1: WORDS})
    shop.runner.step(5.0)
    assert shop.runner.taken(TAKEN_REMEMBERED_SECS + 3.9) == (PORT,)
    assert shop.runner.taken(TAKEN_REMEMBERED_SECS + 4.0) == ()
    assert [shop.runner.works(PORT), shop.runner.works(PORT)] == [True, False]
    assert shop.runner.taken(5.0) == ()


def test_the_port_of_a_worker_that_cannot_be_ended_is_taken_until_it_is_gone(shop: Shop) -> None:
    shop.runner.want({PORT: WORDS})
    shop.runner.step(0.0)
    shop.workers.are_unkillable = True
    shop.runner.want({})
    for now, taken in ((1.0, ()), (18.9, ()), (19.0, (PORT,)), (60.0, (PORT,))):
        shop.runner.step(now)
        assert shop.runner.taken(now) == taken
    shop.workers.die(shop.workers.alive()[0])
    shop.runner.step(61.0)
    assert shop.runner.taken(61.0) == ()


def test_deaths_for_a_taken_port_are_not_the_codes_where_it_goes(shop: Shop) -> None:
    shop.runner.want({PORT: WORDS})
    now = 0.0
    shop.runner.step(now)
    for _ in range(4):
        now += 60.0
        shop.workers.die(shop.workers.alive()[0], TAKEN)
        shop.runner.step(now)
        now += 60.0
        shop.runner.step(now)
    shop.runner.want({PORT + 1: WORDS})
    for _ in range(3):
        now += 10.0
        shop.runner.step(now)
    shop.workers.die(next(each for each in shop.workers.alive() if each.port == PORT + 1))
    shop.runner.step(now + 1.0)
    assert shop.failures[-1].deaths == 1
    assert "it is tried again at once" in shop.failures[-1].text


def test_a_worker_that_cannot_be_launched_backs_off(shop: Shop) -> None:
    shop.workers.launch_failure = "no such file: python"
    shop.runner.want({PORT: WORDS})
    shop.runner.step(0.0)
    assert shop.state() is SlotState.BACKING_OFF
    assert shop.failures[-1].ending == "could not be launched: no such file: python (2 times in a row)"
    assert shop.failures[-1].ending in shop.failures[-1].text
    shop.workers.launch_failure = None
    shop.runner.step(1.0)
    assert shop.workers.alive(PORT)


def test_one_topology_without_code_delays_no_other_port(shop: Shop) -> None:
    shop.blobs.states["words"] = BlobsSeen(BlobsState.PENDING)
    shop.runner.want({PORT: WORDS, PORT + 1: replace(WORDS, topology_id="other")})
    shop.runner.step(0.0)
    assert (shop.state(), len(shop.workers.alive(PORT + 1))) == (SlotState.WAITING_FOR_BLOBS, 1)


def test_what_a_slot_waits_for_is_told_and_what_failed_is_told_with_its_own_last_lines(shop: Shop) -> None:
    shop.blobs.states["words"] = BlobsSeen(BlobsState.PENDING, waits_for="its environment")
    shop.runner.want({PORT: WORDS, PORT + 1: replace(WORDS, topology_id="other")})
    shop.runner.step(0.0)
    assert {port: text for port, (_, text) in shop.runner.preparing(0.0).items()} == {PORT: "its environment"}
    shop.blobs.states["words"] = BlobsSeen(BlobsState.FAILED, "could not build it", "ERROR: no", retry_secs=5.0)
    shop.runner.step(1.0)
    assert shop.runner.preparing(1.0) == {}
    (failure,) = shop.failures
    assert failure.text == (
        f"The worker on port {PORT} could not build it; it is tried again in 5 s.\nLast lines of its log:\nERROR: no"
    )
    del shop.blobs.states["words"]
    shop.runner.step(5.9)
    assert not shop.workers.alive(PORT)
    shop.runner.step(6.0)
    assert shop.workers.alive(PORT)


def test_code_is_kept_while_wanted_or_running_and_then_removed(shop: Shop) -> None:
    shop.runner.want({PORT: WORDS})
    shop.runner.step(0.0)
    assert shop.blobs.kept == {"words"}
    shop.workers.processes[shop.workers.alive()[0].worker_id].is_deaf = True
    shop.runner.want({})
    shop.runner.step(1.0)
    assert shop.blobs.kept == {"words"}
    shop.runner.step(4.0)
    assert (shop.blobs.kept, shop.workers.processes) == (frozenset(), {})


def test_a_port_that_is_not_configured_is_served_as_long_as_it_is_wanted(shop: Shop) -> None:
    shop.runner.want({9999: WORDS})
    shop.runner.step(0.0)
    assert shop.workers.alive(9999)


def test_the_next_supervisor_adopts_and_only_the_unwanted_ends(shop: Shop) -> None:
    shop.runner.want({PORT: WORDS, PORT + 1: WORDS})
    shop.runner.step(0.0)
    before = shop.workers.alive()
    successor = Shop(shop.workers)
    assert successor.runner.adopt(0.0) == before
    successor.runner.step(0.0)
    assert shop.workers.alive() == before
    successor.runner.want({PORT: WORDS})
    successor.runner.step(1.0)
    assert shop.workers.alive() == before[:1]


def test_of_two_workers_on_a_port_the_newer_epoch_is_adopted(shop: Shop) -> None:
    newer = shop.workers.launch(PORT, replace(WORDS, epoch=2))
    shop.workers.launch(PORT, WORDS)
    shop.runner.adopt(0.0)
    assert shop.workers.alive() == [newer]
    assert shop.runner.running() == {PORT: newer}
    assert shop.workers.processes.keys() == {newer.worker_id}, "the other one is let go of"


def test_a_topologys_own_timeout_is_read_once_for_each_worker_also_for_one_that_is_adopted(shop: Shop) -> None:
    shop.blobs.timeouts = {"words": 100.0}
    shop.runner.want({PORT: WORDS})
    shop.runner.step(0.0)
    shop.beat(PORT, 1.0)
    assert shop.runner.step(1.0) == 101.0
    assert shop.blobs.timeouts_asked == ["words"]
    successor = Shop(shop.workers)
    successor.blobs.timeouts = {"words": 100.0}
    successor.runner.adopt(2.0)
    assert successor.runner.step(2.0) == 102.0
    assert successor.blobs.timeouts_asked == ["words"]


def successor_at_100(shop: Shop) -> Shop:
    """The next supervisor, once a worker of this one could not be launched again and again."""
    shop.workers.launch_failure = "no"
    shop.runner.want({PORT: WORDS})
    for now in (0.0, 1.0, 3.0):
        shop.runner.step(now)
    successor = Shop()
    successor.runner.adopt(100.0, shop.runner.back_offs())
    return successor


def test_counted_deaths_survive_the_supervisor(shop: Shop) -> None:
    successor = successor_at_100(shop)
    successor.runner.want({PORT: WORDS})
    assert successor.runner.step(100.0) == 104.0
    assert successor.workers.launched == []
    ((slot, failure),) = successor.runner.failing(100.0)
    assert (slot.state, failure.deaths) == (SlotState.BACKING_OFF, 4)
    assert (failure.reason, failure.last_lines) == ("could not be launched: no", f"last words on {PORT}")


def test_how_often_the_workers_themselves_died_survives_the_supervisor_too(shop: Shop) -> None:
    shop.runner.want({PORT: WORDS})
    shop.runner.step(0.0)
    for now in (0.0, 1.0):
        shop.workers.die(shop.workers.alive()[0])
        shop.runner.step(now)
        shop.runner.step(now + 1.0)
    successor, former = Shop(), Shop()
    told = shop.runner.back_offs()
    successor.runner.adopt(100.0, told)
    assert successor.runner.slots()[PORT].worker_deaths == 2
    del told[str(PORT)]["worker_deaths"]  # as a former release leaves it
    former.runner.adopt(100.0, told)
    slot = former.runner.slots()[PORT]
    assert (slot.deaths, slot.worker_deaths) == (2, 0)
    assert successor_at_100(Shop()).runner.slots()[PORT].worker_deaths == 0, "there was no process"


def test_a_pause_goes_on_though_a_step_comes_before_the_first_word_of_what_is_wanted(shop: Shop) -> None:
    successor = successor_at_100(shop)
    assert successor.runner.step(100.0) is None
    assert successor.runner.back_offs() == shop.runner.back_offs()
    successor.runner.want({PORT: WORDS})
    assert successor.runner.step(101.0) == 104.0
    assert successor.workers.launched == []


def test_a_pause_for_what_is_wanted_no_more_ends_with_the_first_word(shop: Shop) -> None:
    shop.workers.launch_failure = "no"
    shop.runner.want({PORT: WORDS})
    shop.runner.step(0.0)
    successor = Shop()
    successor.runner.adopt(100.0, shop.runner.back_offs())
    successor.runner.step(200.0)
    assert (successor.state(), successor.workers.launched) == (SlotState.BACKING_OFF, [])
    successor.runner.want({})
    successor.runner.step(200.0)
    assert successor.state() is SlotState.EMPTY


def test_that_an_environment_could_not_be_built_is_known_after_a_restart(shop: Shop) -> None:
    shop.blobs.states["words"] = BlobsSeen(BlobsState.FAILED, "no", retry_secs=5.0, lacks_environment=True)
    shop.runner.want({PORT: WORDS})
    shop.runner.step(0.0)
    successor = Shop()
    successor.runner.adopt(100.0, shop.runner.back_offs())
    ((_, failure),) = successor.runner.failing(100.0)
    assert (failure.reason, failure.lacks_environment) == ("no", True)


@pytest.mark.parametrize("plain", [None, [], {"x": 1}, {"6700": {"assignment": {}, "deaths": 1}}])
def test_back_offs_that_are_none_are_ignored(shop: Shop, plain: object) -> None:
    shop.runner.adopt(0.0, plain)
    assert shop.state() is SlotState.EMPTY


def test_a_slot_is_told_of_from_its_workers_death_until_one_has_been_well_for_a_while(shop: Shop) -> None:
    shop.runner.want({PORT: WORDS})
    shop.runner.step(0.0)
    assert shop.runner.failing(0.0) == []
    for now in (0.0, 1.0, 2.0):
        shop.workers.die(shop.workers.alive()[0])
        shop.runner.step(now)
        ((slot, failure),) = shop.runner.failing(now)
        assert (slot.port, failure.at, failure.deaths) == (PORT, now, slot.deaths)
        shop.runner.step(now + slot.due_at)
    assert (slot.deaths, slot.due_at) == (3, 4.0)
    shop.runner.step(4.0)
    shop.beat(PORT, 5.0)
    shop.runner.step(5.0)
    assert [slot.state for slot, _ in shop.runner.failing(64.0)] == [SlotState.RUNNING]
    assert shop.runner.failing(65.0) == []


@pytest.mark.parametrize(
    ("change", "after_secs", "deaths"),
    [
        ({"epoch": 2}, 1.0, 4),
        ({"epoch": 2}, 601.0, 1),
        ({"blob_hashes": (BlobHash("code", "b"),)}, 1.0, 1),
        ({"topology_id": "other"}, 1.0, 1),
    ],
)
def test_code_that_fails_here_is_given_no_fresh_count_with_another_port(
    shop: Shop, change: dict[str, object], after_secs: float, deaths: int
) -> None:
    shop.runner.want({PORT: WORDS})
    shop.runner.step(0.0)
    for now in (0.0, 1.0, 3.0):
        shop.workers.die(shop.workers.alive()[0])
        shop.runner.step(now)
        shop.runner.step(now + 2.0)
    shop.runner.want({})
    shop.runner.step(5.0)
    assert shop.runner.slots()[PORT].deaths == 0
    shop.runner.want({PORT + 1: replace(WORDS, **change)})  # type: ignore[arg-type]
    shop.runner.step(5.0 + after_secs)
    shop.workers.die(shop.workers.alive(PORT + 1)[0])
    shop.runner.step(5.0 + after_secs)
    assert shop.failures[-1].deaths == deaths


@pytest.mark.parametrize(("first", "second"), [(PORT, PORT + 1), (PORT + 1, PORT)])
def test_code_that_fails_here_is_given_no_fresh_count_as_it_moves_from_one_port_to_another(
    shop: Shop, first: int, second: int
) -> None:
    shop.runner.want({first: WORDS})
    shop.runner.step(0.0)
    for now in (0.0, 1.0, 3.0):
        shop.workers.die(shop.workers.alive()[0])
        shop.runner.step(now)
        shop.runner.step(now + 2.0)
    assert shop.state(first) is SlotState.WAITING_FOR_WORKER_START
    shop.runner.want({second: replace(WORDS, epoch=2)})
    shop.runner.step(6.0)
    shop.workers.die(shop.workers.alive(second)[0])
    shop.runner.step(6.0)
    assert shop.failures[-1].deaths == 4


def test_a_second_port_with_the_same_code_has_a_count_of_its_own(shop: Shop) -> None:
    shop.runner.want({PORT: WORDS})
    shop.runner.step(0.0)
    shop.workers.die(shop.workers.alive()[0])
    shop.runner.step(0.0)
    shop.runner.want({PORT: WORDS, PORT + 1: replace(WORDS, executors=(ExecutorId(3, 3),))})
    shop.runner.step(1.0)
    shop.workers.die(shop.workers.alive(PORT + 1)[0])
    shop.runner.step(1.0)
    assert shop.failures[-1].deaths == 1


def test_code_that_was_well_when_it_left_has_a_fresh_count(shop: Shop) -> None:
    shop.runner.want({PORT: WORDS})
    shop.runner.step(0.0)
    shop.workers.die(shop.workers.alive()[0])
    shop.runner.step(1.0)
    shop.beat(PORT, 1.0)
    shop.runner.step(1.0)
    shop.beat(PORT, 61.0)
    shop.runner.want({})
    for now in (61.0, 62.0):
        shop.runner.step(now)
    shop.runner.want({PORT + 1: WORDS})
    shop.runner.step(63.0)
    shop.workers.die(shop.workers.alive(PORT + 1)[0])
    shop.runner.step(63.0)
    assert shop.failures[-1].deaths == 1


def test_a_failing_slot_that_turns_to_another_topology_is_not_told_of(shop: Shop) -> None:
    shop.workers.launch_failure = "no"
    shop.runner.want({PORT: WORDS})
    shop.runner.step(0.0)
    shop.workers.launch_failure = None
    shop.runner.want({PORT: replace(WORDS, topology_id="other")})
    shop.runner.step(0.5)
    assert shop.runner.failing(0.5) == []


# Blobs that restart workers


class Outdated:
    """Workers launched before the blob changed want a restart."""

    def __init__(self, shop: Shop) -> None:
        self.workers = shop.blobs.outdated = {handle.worker_id for handle in shop.workers.alive()}


def both_running(shop: Shop) -> None:
    shop.runner.want({PORT: WORDS, PORT + 1: WORDS})
    shop.runner.step(0.0)
    for port in (PORT, PORT + 1):
        shop.beat(port, 1.0)
    shop.runner.step(1.0)


def alive_of(shop: Shop, workers: set[str]) -> int:
    return sum(handle.worker_id in workers for handle in shop.workers.alive())


def test_workers_with_an_old_blob_are_replaced_one_by_one(shop: Shop) -> None:
    both_running(shop)
    old = Outdated(shop).workers
    assert shop.runner.step(1.0) == 2.0  # the other one runs too short
    assert alive_of(shop, old) == 2
    shop.runner.step(6.0)
    assert (alive_of(shop, old), len(shop.workers.alive())) == (1, 2)
    assert shop.state() is SlotState.WAITING_FOR_WORKER_START
    shop.runner.step(20.0)
    assert alive_of(shop, old) == 1
    for port in (PORT, PORT + 1):
        shop.beat(port, 21.0)
    shop.runner.step(21.0)
    assert alive_of(shop, old) == 1
    shop.runner.step(26.0)
    assert alive_of(shop, old) == 0
    assert shop.failures == []


def test_a_worker_that_prepares_for_long_holds_up_the_next_ones_restart(shop: Shop) -> None:
    both_running(shop)
    old = Outdated(shop).workers
    for now in (6, 20, 40):
        shop.runner.step(float(now))
        for handle in shop.workers.alive():
            shop.beats.receive(WorkerBeat(handle.worker_id, "words", handle.port, None), float(now))
    assert (shop.state(), alive_of(shop, old)) == (SlotState.RUNNING, 1)
    shop.beat(PORT, 41.0)
    for now, left in ((41.0, 1), (45.9, 1), (46.0, 0)):
        shop.runner.step(now)
        assert alive_of(shop, old) == left


def test_a_new_blob_that_ends_its_worker_is_given_to_no_other(shop: Shop) -> None:
    both_running(shop)
    old = Outdated(shop).workers
    shop.runner.step(6.0)
    for now in range(7, 100):
        for handle in shop.workers.alive():
            if handle.worker_id not in old and shop.state(handle.port) is SlotState.RUNNING:
                shop.workers.die(handle)
        for handle in shop.workers.alive():
            shop.beat(handle.port, float(now))
        shop.runner.step(float(now))
        assert alive_of(shop, old) == 1
    assert shop.failures


def test_topologies_do_not_wait_for_each_others_restarts(shop: Shop) -> None:
    shop.runner.want({PORT: WORDS, PORT + 1: replace(WORDS, topology_id="other")})
    shop.runner.step(0.0)
    for port in (PORT, PORT + 1):
        shop.beat(port, 1.0)
    shop.runner.step(1.0)
    old = Outdated(shop).workers
    shop.runner.step(1.5)
    assert alive_of(shop, old) == 0


def test_a_worker_that_somebody_wants_started_again_is_and_no_other(shop: Shop) -> None:
    shop.runner.want({PORT: WORDS, PORT + 1: WORDS})
    shop.runner.step(0.0)
    before = dict(shop.runner.running())
    assert not shop.runner.ask_restart(before[PORT])  # it is starting
    for port in (PORT, PORT + 1):
        shop.beat(port, 1.0)
    shop.runner.step(1.0)
    assert shop.runner.ask_restart(before[PORT])
    shop.runner.step(2.0)
    shop.runner.step(2.1)
    after = shop.runner.running()
    assert after[PORT + 1] == before[PORT + 1]
    assert after[PORT].worker_id != before[PORT].worker_id
    assert (shop.failures, len(shop.workers.alive())) == ([], 2)
    assert not shop.runner.ask_restart(before[PORT])  # it is gone
    shop.beat(PORT, 3.0)
    shop.runner.step(3.0)
    assert shop.state() is SlotState.RUNNING
