"""The slot's state machine as short stories, and as laws over random stories."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storm.ids import ExecutorId
from storm.supervisor.assignment_sync import BlobHash, LocalAssignment
from storm.supervisor.slot import (
    BLOBS_LOOK_SECS,
    ITS_CODE,
    BlobsSeen,
    BlobsState,
    Cause,
    Command,
    DownloadBlobs,
    ForgetWorker,
    KillWorker,
    LaunchWorker,
    ReportFailure,
    Slot,
    SlotInputs,
    SlotLimits,
    SlotState,
    WorkerSeen,
    adopted,
    back_off_secs,
    resumed_back_off,
    step,
)

LIMITS = SlotLimits(start_timeout_secs=120, heartbeat_timeout_secs=30, kill_grace_secs=3, kill_repeat_secs=5)
WORDS = LocalAssignment("words", (ExecutorId(1, 2),), 1, (BlobHash("code", "a"),))
MOVED = replace(WORDS, executors=(ExecutorId(1, 3),), epoch=2)
NEW_CODE = replace(WORDS, blob_hashes=(BlobHash("code", "b"),), epoch=2)
OTHER = LocalAssignment("other", (ExecutorId(1, 1),), 1)
ALIVE = WorkerSeen()
DEAD = WorkerSeen("exited with code 1")
TAKEN = WorkerSeen("exited with code 14", port_taken=True)


class Story:
    """A slot, what is seen of it, and the time; `commands` is what the last look asked for."""

    def __init__(self, slot: Slot | None = None) -> None:
        self.slot = slot or Slot(6700)
        self.seen = SlotInputs(None)
        self.now = 0.0
        self.due: float | None = None

    def look(self, **seen: object) -> list[Command]:
        self.seen = replace(self.seen, **seen)  # type: ignore[arg-type]
        self.slot, commands, self.due = step(self.slot, self.seen, LIMITS, self.now)
        return commands

    def at(self, now: float) -> Story:
        self.now = now
        return self

    @property
    def state(self) -> SlotState:
        return self.slot.state


def running() -> Story:
    """A worker of WORDS has been running since second 10."""
    story = Story().at(10)
    story.look(wanted=WORDS)
    story.look(blobs=BlobsSeen(BlobsState.READY))
    story.look(worker=ALIVE, heartbeat_at=10.0)
    assert story.state is SlotState.RUNNING
    return story


def test_an_assignment_is_downloaded_launched_and_runs() -> None:
    story = Story()
    assert story.look(wanted=WORDS) == [DownloadBlobs(WORDS)]
    assert story.look() == []
    assert story.look(blobs=BlobsSeen(BlobsState.READY)) == [LaunchWorker(WORDS)]
    assert (story.look(worker=ALIVE), story.state) == ([], SlotState.WAITING_FOR_WORKER_START)
    assert (story.look(heartbeat_at=0.5), story.state) == ([], SlotState.RUNNING)
    assert story.due == 30.5


def test_nothing_wanted_means_nothing_done() -> None:
    story = Story()
    assert (story.look(), story.state, story.due) == ([], SlotState.EMPTY, None)


def test_what_takes_long_to_come_is_looked_at_again() -> None:
    story = Story().at(5)
    story.look(wanted=WORDS)
    assert (story.look(), story.due) == ([], None)
    story.look(blobs=BlobsSeen(BlobsState.PENDING, waits_for=ITS_CODE))
    assert story.due == 5 + BLOBS_LOOK_SECS


def test_a_first_death_is_followed_by_a_launch_at_once() -> None:
    story = running()
    commands = story.at(20).look(worker=DEAD)
    assert commands == [ForgetWorker(), ReportFailure(WORDS, "exited with code 1", 1, 0.0), DownloadBlobs(WORDS)]
    assert story.look(worker=None, blobs=BlobsSeen(BlobsState.READY)) == [LaunchWorker(WORDS)]


def test_a_worker_that_dies_again_and_again_waits_longer_and_longer() -> None:
    story = running()
    waits = []
    for _ in range(10):
        commands = story.look(worker=DEAD, heartbeat_at=None, blobs=BlobsSeen(BlobsState.READY))
        (report,) = [each for each in commands if isinstance(each, ReportFailure)]
        waits.append(report.retry_secs)
        story.now += report.retry_secs
        while LaunchWorker(WORDS) not in commands:
            commands = story.look(worker=None)
    assert waits == [0, 1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_a_worker_that_ran_long_enough_dies_a_first_death_again() -> None:
    story = running()
    story.slot = replace(story.slot, deaths=6, worker_deaths=6)
    story.look(is_prepared=True)
    story.at(10 + LIMITS.healthy_secs).look(worker=DEAD)
    assert (story.slot.deaths, story.slot.worker_deaths, story.state) == (1, 1, SlotState.WAITING_FOR_BLOBS)


def test_it_ran_from_when_its_components_were_prepared() -> None:
    for prepared_at, deaths in ((None, 7), (200, 7), (199, 1)):
        story = running()
        story.slot = replace(story.slot, deaths=6, worker_deaths=6)
        if prepared_at is not None:
            story.at(prepared_at).look(is_prepared=True, heartbeat_at=prepared_at)
        story.at(199 + LIMITS.healthy_secs).look(worker=DEAD)
        assert (story.slot.deaths, story.slot.worker_deaths) == (deaths, deaths)
    again = running()
    again.look(is_prepared=True)
    again.at(20).look(worker=DEAD, is_prepared=False)
    again.look(worker=None, blobs=BlobsSeen(BlobsState.READY))
    again.look(worker=ALIVE, heartbeat_at=20.0)
    assert (again.state, again.slot.prepared_at) == (SlotState.RUNNING, None)


def test_only_what_ends_a_process_out_of_order_is_a_death_of_the_worker() -> None:
    story = Story()
    story.look(wanted=WORDS)
    for _ in range(2):  # downloads
        story.look(blobs=BlobsSeen(BlobsState.FAILED, "Nimbus is away"))
    story.at(1).look(blobs=BlobsSeen(BlobsState.READY))
    story.look()
    story.look(worker=WorkerSeen("could not be launched", launched=False))
    assert (story.slot.deaths, story.slot.worker_deaths) == (3, 0)
    for now, seen, worker_deaths in (
        (5, TAKEN, 0),
        (10, DEAD, 1),
        (20, WorkerSeen("exited with code 0", orderly=True), 1),
        (40, DEAD, 2),
    ):
        story.at(now).look(worker=None)
        story.look()
        assert story.state is SlotState.WAITING_FOR_WORKER_START
        story.look(worker=seen)
        assert story.slot.worker_deaths == worker_deaths
    story.at(100).look(worker=None, blobs=BlobsSeen(BlobsState.FAILED, "Nimbus is away"))
    story.look()
    assert (story.state, story.slot.worker_deaths) == (SlotState.BACKING_OFF, 2)
    story.look(wanted=NEW_CODE)
    assert (story.state, story.slot.worker_deaths) == (SlotState.WAITING_FOR_BLOBS, 0)


def test_a_settled_worker_that_somebody_killed_dies_a_first_death_each_time() -> None:
    killed = WorkerSeen("was killed by signal 9", from_outside=True)
    for ran_secs, deaths in ((LIMITS.settled_secs, 1), (LIMITS.settled_secs - 0.1, 7)):
        story = running()
        story.slot = replace(story.slot, deaths=6)
        story.at(10 + ran_secs).look(worker=killed)
        assert story.slot.deaths == deaths
    starting = Story()
    starting.look(wanted=WORDS)
    starting.look(blobs=BlobsSeen(BlobsState.READY))
    starting.at(60).look(worker=killed)
    starting.look(worker=None)
    report = ReportFailure(WORDS, "was killed by signal 9", 2, 1.0, cause=Cause.NOT_STARTED)
    assert starting.look(worker=killed)[1] == report


def test_a_death_counts_as_what_it_was() -> None:
    for worker, cause in (
        (DEAD, Cause.DIED),
        (WorkerSeen("was killed by signal 9, perhaps for want of memory"), Cause.DIED),
        (WorkerSeen("was killed by signal 9", from_outside=True), Cause.KILLED),
        (None, Cause.DIED),
        (TAKEN, Cause.PORT_TAKEN),
    ):
        [report] = [each for each in running().look(worker=worker) if isinstance(each, ReportFailure)]
        assert report.cause is cause


def test_a_worker_that_a_signal_had_stopped_is_killed_when_it_is_silent_and_that_is_no_loop() -> None:
    story = running()
    story.slot = replace(story.slot, deaths=6)
    stopped = WorkerSeen(from_outside=True)
    assert story.at(39).look(worker=stopped) == []
    reason = "sent no heartbeat for 30 s: a signal had stopped it"
    assert story.at(40).look(worker=stopped) == [KillWorker(reason, force=True)]
    report = ReportFailure(WORDS, reason, 1, 0.0, cause=Cause.SILENT)
    assert story.look(worker=DEAD) == [ForgetWorker(), report, DownloadBlobs(WORDS)]


def test_code_that_died_on_another_port_keeps_its_count_here() -> None:
    story = Story()
    story.look(wanted=WORDS, deaths_elsewhere=6)
    story.look(blobs=BlobsSeen(BlobsState.READY))
    report = ReportFailure(WORDS, "exited with code 1", 7, 32.0, cause=Cause.NOT_STARTED)
    assert story.look(worker=DEAD, deaths_elsewhere=6)[1] == report
    story.at(100).look(worker=None)
    assert story.slot.deaths == 7


def test_who_found_itself_replaced_before_the_supervisor_heard_of_it_delays_nobody() -> None:
    ended = WorkerSeen("exited with code 0", orderly=True)
    story = running()
    story.look(worker=ended)
    story.look(worker=None, blobs=BlobsSeen(BlobsState.READY))
    story.look(worker=ended)
    assert (story.state, story.slot.deaths) == (SlotState.BACKING_OFF, 2)
    assert story.look(worker=None, wanted=MOVED) == [DownloadBlobs(MOVED)]
    assert (story.state, story.slot.deaths) == (SlotState.WAITING_FOR_BLOBS, 1)


def test_who_ends_in_order_again_and_again_is_waited_for() -> None:
    story = running()
    for _ in range(2):
        story.look(worker=WorkerSeen("exited with code 0", orderly=True))
        story.look(worker=None, blobs=BlobsSeen(BlobsState.READY))
    assert (story.state, story.slot.deaths) == (SlotState.BACKING_OFF, 2)


def test_one_orderly_end_is_no_failure() -> None:
    assert running().look(worker=WorkerSeen("exited with code 0", orderly=True)) == [
        ForgetWorker(),
        DownloadBlobs(WORDS),
    ]


def test_a_worker_that_does_not_start_is_killed_and_told_of() -> None:
    story = Story()
    story.look(wanted=WORDS)
    story.look(blobs=BlobsSeen(BlobsState.READY))
    assert story.at(119.9).look(worker=ALIVE) == []
    (kill,) = story.at(120).look()
    assert kill == KillWorker("did not start within 120 s", force=True)
    commands = story.at(121).look(worker=DEAD)
    report = ReportFailure(WORDS, "did not start within 120 s", 1, 0.0, cause=Cause.NOT_STARTED)
    assert commands[:2] == [ForgetWorker(), report]


def test_a_silent_worker_is_killed_for_certain_at_once() -> None:
    story = running()
    assert story.at(39.9).look() == []
    assert story.at(40).look() == [KillWorker("sent no heartbeat for 30 s", force=True)]


def test_a_worker_that_may_go_is_asked_first_and_then_killed_until_it_is_dead() -> None:
    story = running()
    assert story.at(20).look(wanted=None) == [KillWorker("its slot is wanted no more")]
    assert story.at(22.9).look() == []
    assert [each.force for each in story.at(23).look() if isinstance(each, KillWorker)] == [True]
    assert story.at(27).look() == []
    assert len(story.at(28).look()) == 1
    assert (story.at(29).look(worker=DEAD), story.state) == ([ForgetWorker()], SlotState.EMPTY)


def test_changed_executors_replace_the_worker_and_only_after_its_death() -> None:
    story = running()
    assert story.look(wanted=MOVED) == [KillWorker("its assignment changed")]
    assert story.look() == []
    assert story.look(worker=DEAD) == [ForgetWorker(), DownloadBlobs(MOVED)]


def test_the_old_assignment_back_while_killing_still_gets_a_new_worker() -> None:
    story = running()
    story.look(wanted=None)
    assert story.look(wanted=WORDS) == []
    assert story.look(worker=DEAD) == [ForgetWorker(), DownloadBlobs(WORDS)]


def test_a_failed_download_backs_off_and_is_tried_again() -> None:
    story = Story()
    story.look(wanted=WORDS)
    failed = BlobsSeen(BlobsState.FAILED, "Nimbus is away")
    report = ReportFailure(WORDS, "Nimbus is away", 1, 0.0, "", Cause.NO_CODE)
    assert story.look(blobs=failed) == [report, DownloadBlobs(WORDS)]
    assert story.look(blobs=failed) == [replace(report, deaths=2, retry_secs=1.0)]
    assert (story.state, story.due) == (SlotState.BACKING_OFF, 1.0)
    assert story.at(1).look(blobs=BlobsSeen(BlobsState.PENDING)) == [DownloadBlobs(WORDS)]


def test_what_failed_for_longer_is_asked_for_again_when_it_may_be_better() -> None:
    story = Story()
    story.look(wanted=WORDS)
    failed = BlobsSeen(BlobsState.FAILED, "pip says no", "ERROR: no", retry_secs=7.5, lacks_environment=True)
    report = ReportFailure(WORDS, "pip says no", 1, 7.5, "ERROR: no", Cause.NO_CODE, lacks_environment=True)
    assert story.look(blobs=failed) == [report]
    assert (story.state, story.due) == (SlotState.BACKING_OFF, 7.5)
    assert story.at(7).look() == []
    assert story.at(7.5).look(blobs=BlobsSeen(BlobsState.PENDING)) == [DownloadBlobs(WORDS)]


def test_back_off_ends_for_new_code_and_stays_for_moved_executors() -> None:
    slot = resumed_back_off(6700, WORDS, 5, LIMITS, now=0)
    moved = Story(slot)
    assert moved.look(wanted=MOVED) == []
    assert moved.at(8).look() == [DownloadBlobs(MOVED)]
    assert moved.slot.deaths == 5
    fresh = Story(slot)
    assert fresh.look(wanted=NEW_CODE) == [DownloadBlobs(NEW_CODE)]
    assert fresh.slot.deaths == 0
    gone = Story(slot)
    assert (gone.look(), gone.state) == ([], SlotState.EMPTY)


def test_an_adopted_worker_runs_on_if_it_beats_and_is_replaced_if_not() -> None:
    story = Story(adopted(6700, WORDS, now=100.0)).at(100)
    assert (story.look(wanted=WORDS, worker=ALIVE), story.due) == ([], 130.0)
    assert (story.at(110).look(heartbeat_at=110.0), story.due) == ([], 140.0)
    assert story.at(140).look() == [KillWorker("sent no heartbeat for 30 s", force=True)]


@pytest.mark.parametrize(("own", "secs"), [(180.0, 180.0), (10.0, 30.0), (9_999.0, 600.0)])
def test_a_topology_can_have_its_worker_waited_for_longer_but_not_shorter_nor_without_end(
    own: float, secs: float
) -> None:
    story = running()
    assert (story.look(own_timeout_secs=own), story.due) == ([], 10 + secs)
    assert story.at(10 + secs - 0.1).look() == []
    assert story.at(10 + secs).look() == [KillWorker(f"sent no heartbeat for {secs:g} s", force=True)]


def test_so_it_is_while_the_worker_starts() -> None:
    story = Story()
    story.look(wanted=WORDS)
    story.look(blobs=BlobsSeen(BlobsState.READY))
    assert (story.look(worker=ALIVE, own_timeout_secs=180.0), story.due) == ([], 180.0)
    assert story.at(180).look() == [KillWorker("did not start within 180 s", force=True)]


def test_back_off_grows_to_its_limit() -> None:
    assert [back_off_secs(deaths, 60.0) for deaths in (0, 1, 2, 3, 7, 8, 1000)] == [0, 0, 1, 2, 32, 60, 60]


ASSIGNMENTS = st.sampled_from([None, WORDS, MOVED, NEW_CODE, OTHER])
EVENTS = st.one_of(
    st.tuples(st.just("want"), ASSIGNMENTS),
    st.tuples(st.just("blobs"), st.sampled_from(BlobsState)),
    st.tuples(st.just("dies"), st.booleans()),
    st.tuples(st.just("beats"), st.none()),
    st.tuples(st.just("prepared"), st.none()),
    st.tuples(st.just("passes"), st.floats(0, 200)),
)


class Machine:
    """One port of a model machine: it carries commands out, and holds what must always be true."""

    def __init__(self) -> None:
        self.slot = Slot(6700)
        self.wanted: LocalAssignment | None = None
        self.blobs = BlobsState.PENDING
        self.worker: LocalAssignment | None = None
        self.exit: WorkerSeen | None = None
        self.beat_at: float | None = None
        self.is_prepared = False
        self.is_deaf = False
        self.now = 0.0

    def look(self) -> float | None:
        for _ in range(8):
            worker = None if self.worker is None else self.exit or WorkerSeen()
            before = self.slot
            seen = SlotInputs(self.wanted, BlobsSeen(self.blobs, "no"), worker, self.beat_at, self.is_prepared)
            self.slot, commands, due = step(before, seen, LIMITS, self.now)
            for command in commands:
                self.carry_out(command)
            if not commands and self.slot == before:
                assert (self.slot.assignment is None) == (self.slot.state is SlotState.EMPTY)
                assert due is None or due > self.now, "a slot that wants to be called must have something to do"
                return due
        raise AssertionError(f"a port never settles: {self.slot}")

    def carry_out(self, command: Command) -> None:
        match command:
            case LaunchWorker(assignment):
                assert self.worker is None, "two workers on a port"
                assert assignment == self.wanted
                self.worker, self.exit, self.beat_at, self.is_prepared = assignment, None, None, False
            case KillWorker(_, force):
                assert self.worker is not None
                if force or not self.is_deaf:
                    self.exit = self.exit or WorkerSeen("killed")
            case ForgetWorker():
                assert self.worker is not None, "forgotten twice"
                assert self.exit is not None, "a living worker was forgotten"
                self.worker = self.exit = self.beat_at = None
            case DownloadBlobs():
                self.blobs = BlobsState.PENDING
            case ReportFailure():
                pass

    def happens(self, kind: str, value: object) -> None:
        match kind, value:
            case "want", wanted:
                self.wanted = wanted  # type: ignore[assignment]
            case "blobs", BlobsState() as blobs:
                self.blobs = blobs
            case "dies", bool(orderly):
                if self.worker is not None:
                    self.exit = self.exit or WorkerSeen("exited", orderly=orderly)
            case "beats", None:
                if self.worker is not None and self.exit is None:
                    self.beat_at = self.now
            case "prepared", None:
                if self.beat_at is not None and self.exit is None:
                    self.beat_at, self.is_prepared = self.now, True
            case "passes", float(secs):
                self.now += secs


@pytest.mark.slow
@given(st.lists(EVENTS, max_size=40), st.booleans())
def test_whatever_happens_the_wanted_state_is_reached_once_faults_stop(
    events: list[tuple[str, object]], is_deaf: bool
) -> None:
    machine = Machine()
    machine.is_deaf = is_deaf
    for kind, value in events:
        machine.happens(kind, value)
        machine.look()
    for _ in range(200):
        machine.blobs = BlobsState.READY
        machine.happens("beats", None)
        due = machine.look()
        is_reached = machine.worker == machine.wanted and machine.exit is None
        if is_reached and machine.slot.state in {SlotState.RUNNING, SlotState.EMPTY}:
            return
        machine.now = machine.now + 0.1 if due is None else max(due, machine.now)
    raise AssertionError(f"never reached {machine.wanted}: {machine.slot}")


# Another version of a blob


def test_a_worker_whose_turn_it_is_makes_room_for_one_with_the_new_blob() -> None:
    story = running().at(20)
    assert story.look(is_outdated=True) == [KillWorker("a blob that it runs with has a new version")]
    assert story.look(worker=DEAD, is_outdated=False) == [ForgetWorker(), DownloadBlobs(WORDS)]
    story.look(worker=None, heartbeat_at=None)
    assert (story.state, story.slot.deaths) == (SlotState.WAITING_FOR_WORKER_START, 0)


def test_a_worker_that_is_just_starting_is_let_start() -> None:
    story = Story()
    story.look(wanted=WORDS)
    story.look(blobs=BlobsSeen(BlobsState.READY))
    assert story.look(worker=ALIVE, is_outdated=True) == []
    assert story.look(heartbeat_at=1.0) == []
    assert story.look() == [KillWorker("a blob that it runs with has a new version")]
