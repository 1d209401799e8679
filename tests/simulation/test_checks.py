"""The checks find what they are there for: cores that were broken on purpose fail within a few seeds.

Each is simulated with the faults that it does not survive; where a second safeguard hides it, that is broken too.
"""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import checks
import faults_of_surroundings
import pytest
import simulated_topology
import simulated_user
from broken_cores import Broken, is_found, named
from event_loop import HostClock

from storm import hot_path
from storm.cluster import paths
from storm.cluster.leader_election import LeaderElection
from storm.cluster.storm_cluster_state import StormClusterState
from storm.errors import NoPermissionError
from storm.executor.acker import AckLedger
from storm.executor.groupings import AllChoice, TargetChoice
from storm.executor.lanes import Lanes
from storm.executor.pending import Pending
from storm.ids import WorkerSlot
from storm.messaging import batch
from storm.nimbus import assignments, core, departures, remains
from storm.nimbus.cluster_snapshot import ClusterSnapshot
from storm.nimbus.core import NimbusCore
from storm.nimbus.heartbeats import Heartbeats
from storm.nimbus.topology_blobs import TopologyBlobs
from storm.nimbus.topology_status import Waits
from storm.scheduler import even
from storm.supervisor import registration, slot, slot_runner
from storm.supervisor.assignment_sync import from_plain
from storm.supervisor.core import SupervisorCore
from storm.supervisor.slot_runner import SlotRunner
from storm.supervisor.worker_beats import WorkerBeats
from storm.worker import connections, launch

if TYPE_CHECKING:
    from storm.nimbus.pending_submissions import PendingSubmission
    from storm.topology.failures import FailureKind

# The engine


def acked_too_early(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Pending, "fold", lambda self, root, value: self.settle(root, True))


def never_timed_out(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Pending, "rotate", lambda self: 0)


def told_twice(patch: pytest.MonkeyPatch) -> None:
    fail = Pending.fail

    def twice(self: Pending, root: int, kind: FailureKind, by: int) -> None:
        before = len(self.failed)
        fail(self, root, kind, by)
        self.failed += self.failed[before:]

    patch.setattr(Pending, "fail", twice)


def a_tree_may_begin_twice(patch: pytest.MonkeyPatch) -> None:
    """Where an acker in another worker holds it."""
    patch.setattr(simulated_user, "ACKERS_SHARE", 1.0)
    take = AckLedger.take

    def again(self: AckLedger, root: int, value: int, is_init: bool, is_fail: bool) -> int:
        begun = is_init and self.trees.find(root) >= 0 and self.trees.marks[self.trees.find(root)] & 1
        return take(self, root, value, is_init and not begun, is_fail)

    patch.setattr(AckLedger, "take", again)


def groupings_choose_nobody(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(TargetChoice, "choose_many", lambda self, values: ())


def a_task_of_all_is_left_out(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(AllChoice, "choose_many", lambda self, values: self.positions[1:])


def spouts_never_stop(patch: pytest.MonkeyPatch) -> None:
    """While more is under way than queues should hold: a sound core exceeds this bound in one of 300 seeds."""
    patch.setattr(simulated_topology, "BURSTS", 0.1)
    patch.setattr(simulated_topology, "ITEMS_OPEN_MAX", 100)
    patch.setattr(checks, "QUEUED_MAX", 25)
    patch.setattr(Lanes, "_hold", lambda self: None)


# Between workers


def frames_of_replaced_workers_pass(patch: pytest.MonkeyPatch) -> None:
    def sender(seen: connections.View, address: batch.WorkerAddress) -> connections.Sender:
        return connections.Sender(False, seen.peers.get((address.node_hash, address.port)))

    patch.setattr(connections, "sender", sender)


def damaged_frames_pass(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(batch, "zlib", SimpleNamespace(crc32=lambda data: 0))


def replaced_workers_stay(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(launch, "why_replaced", lambda told, assignment: None)


# Nimbus


def dead_workers_keep_their_executors(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(assignments, "_may_stay", lambda snapshot, used, this: True)


def slots_of_a_killed_topology_count_as_free(patch: pytest.MonkeyPatch) -> None:
    state = assignments.scheduling_state

    def unreserved(snapshot: Any, this: Any) -> Any:
        schedulable = snapshot.schedulable()
        kept = {key: value for key, value in snapshot.assignments.items() if key in schedulable}
        return state(replace(snapshot, assignments=kept), this)

    patch.setattr(assignments, "scheduling_state", unreserved)


def leaders_write_without_a_fence(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(StormClusterState, "_leading", lambda self: self._storage)


def an_own_candidate_that_was_forgotten_stays(patch: pytest.MonkeyPatch) -> None:
    stand = LeaderElection._stand
    patch.setattr(LeaderElection, "_stand", lambda self, candidates: stand(self, []))


def a_leader_cannot_begin_anew(patch: pytest.MonkeyPatch) -> None:
    stand = LeaderElection._stand

    def once(self: LeaderElection, candidates: list[str]) -> str:
        return stand(self, candidates) if self._path is None else self._path

    patch.setattr(LeaderElection, "_stand", once)


def a_candidates_path_may_come_again(patch: pytest.MonkeyPatch) -> None:
    """As a version may: after a wipe both are counted from zero."""
    patch.setattr(paths, "candidate", lambda nimbus_address, nonce: f"{paths.LEADER_LOCK}/n-")


def a_nimbus_is_listed_once(patch: pytest.MonkeyPatch) -> None:
    register, registered = NimbusCore._register, set()

    def once(self: NimbusCore) -> None:
        if self not in registered:
            register(self)
            registered.add(self)

    patch.setattr(NimbusCore, "_register", once)


def heartbeats_of_replaced_workers_count(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        Heartbeats, "slot_of", lambda self, beat, assignment: assignment.executor_slots.get(min(beat.executors))
    )


def a_new_leader_does_not_wait(patch: pytest.MonkeyPatch) -> None:
    def is_alive(
        self: Heartbeats, used: Any, live_supervisors: Any, own_secs: float, now: float, *, is_dying: bool
    ) -> bool:
        seen = self._seen.get(used)
        return seen is not None and now - seen.seen_at <= self._limits.timeout_secs

    patch.setattr(Heartbeats, "_is_alive", is_alive)


def names_of_unreadable_topologies_are_free(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ClusterSnapshot, "taken_by", ClusterSnapshot.id_of)


def supervisors_are_not_believed(patch: pytest.MonkeyPatch) -> None:
    """While hosts are far from Nimbus for longer than it has patience."""
    patch.setattr(faults_of_surroundings, "down_secs", lambda cluster: 35.0)
    patch.setattr(Heartbeats, "believe", lambda self, supervisors, now: None)


def names_are_not_looked_up(patch: pytest.MonkeyPatch) -> None:
    submit = NimbusCore.begin_submission

    def blind(self: NimbusCore, request: core.SubmitRequest) -> PendingSubmission:
        with patch.context() as inner:
            inner.setattr(ClusterSnapshot, "taken_by", lambda self, name: None)
            inner.setattr(ClusterSnapshot, "id_of", lambda self, name: None)
            return submit(self, request)

    patch.setattr(NimbusCore, "begin_submission", blind)


def remains_stay(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(remains, "orphans", lambda first_seen, remains, delay_secs, is_lost, now: ({}, []))


def waits_do_not_end(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Waits, "left_secs", lambda self, topology_id, now: 1.0)


def nobody_leaves_a_drained_host(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(departures, "begun", lambda snapshot, scheduler, dead, delay: [])


def a_drained_host_is_used_as_any_other(patch: pytest.MonkeyPatch) -> None:
    """By the scheduler; what is there leaves again and again."""
    state = assignments.scheduling_state

    def offering(snapshot: Any, this: Any) -> Any:
        drained = [WorkerSlot(info.node_id, port) for info in snapshot.supervisors.values()
                   if info.node_id in snapshot.drains for port in info.slot_ports]  # fmt: skip
        found = state(snapshot, this)
        return replace(found, slots=tuple(sorted({*found.slots, *drained})))

    patch.setattr(assignments, "scheduling_state", offering)


def workers_without_a_port_stay(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(assignments, "_without_port", lambda snapshot: frozenset())


def everybody_moves(patch: pytest.MonkeyPatch) -> None:
    share_out = even._share_out
    patch.setattr(even, "_share_out", lambda executors, mine, slots: share_out(executors, {}, slots))


def topologies_get_one_slot_of_many(patch: pytest.MonkeyPatch) -> None:
    slots_wanted = even._slots_wanted
    patch.setattr(even, "_slots_wanted", lambda needs, choice: min(1, slots_wanted(needs, choice)))


# Supervisors


def a_slot_does_not_wait_for_the_old_worker_to_die(patch: pytest.MonkeyPatch) -> None:
    def impatient(before: Any, seen: Any, limits: Any, now: float) -> Any:
        after, commands = slot._follow(before, seen.wanted, now)
        return after, [slot.ForgetWorker(), *commands]

    patch.setitem(slot._HANDLERS, slot.SlotState.KILLING, impatient)


def what_dies_is_started_at_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(slot, "back_off_secs", lambda deaths, max_secs: 0.0)


def workers_are_not_adopted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SlotRunner, "adopt", lambda self, now, back_offs=None: [])


def who_is_cut_off_ends_its_workers(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SupervisorCore, "use_remembered", lambda self, why: self._want({}))


def whatever_the_disk_holds_is_believed(patch: pytest.MonkeyPatch) -> None:
    def read(plain: Any) -> Any:
        return [(int(port), from_plain(each["assignment"]), each["deaths"], 0) for port, each in (plain or {}).items()]

    patch.setattr(slot_runner, "_read_back_offs", read)


def timeouts_follow_the_wall_clock(patch: pytest.MonkeyPatch) -> None:
    """Which is set forward only: what it goes back by would count as patience, and hide that."""

    def forward(self: HostClock, secs: int) -> None:
        self._wall_off_secs += abs(secs)

    patch.setattr(HostClock, "jump", forward)
    patch.setattr(HostClock, "now", lambda self: self._clock.now() + self._boot_secs + self._wall_off_secs)


def who_has_no_permission_wants_nothing(patch: pytest.MonkeyPatch) -> None:
    coordinate = SupervisorCore.coordinate

    def hasty(self: SupervisorCore) -> float:
        try:
            return coordinate(self)
        except NoPermissionError:
            self._want({})
            return self._clock.now() + 1.0

    patch.setattr(SupervisorCore, "coordinate", hasty)


def what_has_no_assignment_is_over(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SupervisorCore, "_not_over", lambda self, cluster_state, vanished: set())


def what_nobody_can_read_is_not_wanted(patch: pytest.MonkeyPatch) -> None:
    ids = StormClusterState.assignment_ids

    def readable(self: StormClusterState, watch: Any = None) -> list[str]:
        found = ids(self, watch)
        return found if watch is None else [each for each in found if self.assignment(each) is not None]

    patch.setattr(StormClusterState, "assignment_ids", readable)
    patch.setattr(SupervisorCore, "_not_over", lambda self, cluster_state, vanished: set())


def copies_of_a_directory_are_not_found(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(registration, "look", lambda own, there, holder: registration.Look(registration.Claim.OURS, None))


def a_wiped_zookeeper_is_taken_for_the_same(patch: pytest.MonkeyPatch) -> None:
    """So that what it forgot looks like the remains of topologies that ended."""
    patch.setattr(TopologyBlobs, "cluster_id", lambda self, topology_id: None)


def only_the_first_heartbeat_counts(patch: pytest.MonkeyPatch) -> None:
    receive = WorkerBeats.receive

    def first(self: WorkerBeats, beat: Any, now: float) -> bool:
        at = self.seen_at(beat.port, beat.worker_id)
        return receive(self, beat, now if at is None else at)

    patch.setattr(WorkerBeats, "receive", first)


def supervisors_vouch_for_nobody(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(WorkerBeats, "unheard", lambda self: {})


OF_THE_ENGINE = [
    Broken(acked_too_early, "not all of its tree was processed"),
    Broken(never_timed_out, "has not ended since", ("link_is_cut",)),
    Broken(told_twice, "ended twice"),
    Broken(a_tree_may_begin_twice, "not all of its tree was processed", ("frame duplicated",)),
    Broken(groupings_choose_nobody, "went to"),
    Broken(a_task_of_all_is_left_out, "went to"),
]
BROKEN = [
    Broken(spouts_never_stop, "tuples wait for one task", ("worker_hangs", "bolt slow"), first=19),
    Broken(frames_of_replaced_workers_pass, "which had been replaced", ("worker_is_a_zombie",), first=72),
    Broken(damaged_frames_pass, "that was damaged", ("frame damaged",), first=8),
    Broken(replaced_workers_stay, "runs where nothing is assigned", ("supervisor_is_lost",), first=8),
    Broken(dead_workers_keep_their_executors, "has no worker on", ("host_is_lost",), first=10),
    Broken(slots_of_a_killed_topology_count_as_free, "is given to", first=26),
    Broken(leaders_write_without_a_fence, "somebody else took office", ("leader_pauses_at_a_write",)),
    Broken(
        a_candidates_path_may_come_again,
        "somebody else took office",
        ("data_is_lost", "leader_pauses_at_a_write"),
        first=13,
    ),
    Broken(an_own_candidate_that_was_forgotten_stays, "no Nimbus leads", ("answers_are_lost",), first=13),
    Broken(a_leader_cannot_begin_anew, "no Nimbus leads", ("data_is_lost",), first=13),
    Broken(a_nimbus_is_listed_once, "Nimbuses known", ("all_sessions_expire",)),
    Broken(heartbeats_of_replaced_workers_count, "counts for", ("worker_is_a_zombie",), first=23),
    Broken(a_new_leader_does_not_wait, "has just taken office", ("nimbuses_are_gone",)),
    Broken(
        supervisors_are_not_believed, "is given up, and its supervisor vouched", ("host_is_far_from_nimbus",), first=13
    ),
    Broken(names_are_not_looked_up, "share a name"),
    Broken(names_of_unreadable_topologies_are_free, "share a name", ("record_is_damaged", "submit")),
    Broken(remains_stay, "is gone and left", ("disk_of_nimbus_is_full", "nimbuses_are_gone"), first=18),
    Broken(waits_do_not_end, "is still", ("clock_jumps",)),
    Broken(nobody_leaves_a_drained_host, "are on drained hosts and used", ("drain",), first=26),
    Broken(a_drained_host_is_used_as_any_other, "are on drained hosts and used", ("drain",)),
    Broken(workers_without_a_port_stay, "somebody else has the ports of", ("port_is_taken",)),
    Broken(everybody_moves, "executors stay"),
    Broken(topologies_get_one_slot_of_many, "has 1 slots, not"),
    Broken(a_slot_does_not_wait_for_the_old_worker_to_die, "is given up and lives"),
    Broken(what_dies_is_started_at_once, "that dies each time", ("topology_crashes",)),
    Broken(what_dies_is_started_at_once, "that dies each time", ("port_is_taken",)),
    Broken(workers_are_not_adopted, "is launched while", ("all_are_restarted",)),
    Broken(who_is_cut_off_ends_its_workers, "does not reach ZooKeeper", ("host_is_far_from_zookeeper",)),
    Broken(who_is_cut_off_ends_its_workers, "does not reach ZooKeeper", ("zookeeper_is_gone",)),
    Broken(whatever_the_disk_holds_is_believed, "ended by", ("local_state_is_damaged",)),
    Broken(timeouts_follow_the_wall_clock, "is given up, and beat", ("clock_jumps",), first=3),
    Broken(who_has_no_permission_wants_nothing, "has no permission", ("permission_is_refused",), first=4),
    Broken(what_has_no_assignment_is_over, "nobody ended its topology", ("data_is_lost",)),
    Broken(a_wiped_zookeeper_is_taken_for_the_same, "its code is not all there", ("data_is_lost",)),
    Broken(what_nobody_can_read_is_not_wanted, "nobody can read its assignment", ("record_is_damaged",)),
    Broken(copies_of_a_directory_are_not_found, "launches a worker beside", ("directory_is_copied",)),
    Broken(only_the_first_heartbeat_counts, "sent no heartbeat"),
    Broken(supervisors_vouch_for_nobody, "tells neither Nimbus nor ZooKeeper", ("host_is_far_from_nimbus",)),
]


@pytest.mark.slow
@pytest.mark.parametrize("broken", BROKEN, ids=named)
def test_a_broken_core_is_found(broken: Broken, monkeypatch: pytest.MonkeyPatch) -> None:
    is_found(broken, monkeypatch)


if not hot_path.is_compiled():  # compiled classes cannot be patched; the checks are the same in both modes

    @pytest.mark.slow
    @pytest.mark.parametrize("broken", OF_THE_ENGINE, ids=named)
    def test_a_broken_engine_is_found(broken: Broken, monkeypatch: pytest.MonkeyPatch) -> None:
        is_found(broken, monkeypatch)
