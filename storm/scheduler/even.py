"""Storm's even scheduling: equal shares of executors on slots that are interleaved over nodes.

From nothing it does what Storm's EvenScheduler does: nodes with the most free slots first, one port of each
in turn, the i-th executor on slot i modulo the number of slots. From an existing placement it moves the
smallest number of executors that makes the shares equal again: Storm's DefaultScheduler frees whole slots
that do not fit; here a slot that has too many gives up only its surplus, and one with too few keeps what it
has.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from storm.ids import ExecutorId, NodeId, TopologyId, WorkerSlot
    from storm.scheduler.scheduling_state import Placement, SchedulingState, TopologyNeeds


def schedule(state: SchedulingState) -> dict[TopologyId, Placement]:
    """A placement for each topology; empty where no slot is left for it.

    A topology that has executors without a slot comes before one that merely wants more workers.
    """
    kept = _claims(state.topologies)
    taken = {slot for placement in kept.values() for slot in placement.values()}
    placements: dict[TopologyId, Placement] = {}
    for needs in sorted(state.topologies, key=lambda needs: len(kept[needs.topology_id]) == len(needs.executors)):
        mine = kept[needs.topology_id]
        free = [slot for slot in state.slots if slot not in taken]
        slots = _choose_slots(needs, mine, free, state.avoid)
        placement = _share_out(needs.executors, mine, slots) if slots else {}
        taken.difference_update(mine.values())
        taken.update(placement.values())
        placements[needs.topology_id] = placement
    return placements


def _claims(topologies: Iterable[TopologyNeeds]) -> dict[TopologyId, dict[ExecutorId, WorkerSlot]]:
    """What each topology may keep: of two that claim the same slot, the first has it."""
    owner: dict[WorkerSlot, TopologyId] = {}
    for needs in topologies:
        for slot in needs.placed.values():
            owner.setdefault(slot, needs.topology_id)
    return {
        needs.topology_id: {
            executor: needs.placed[executor]
            for executor in needs.executors
            if executor in needs.placed and owner[needs.placed[executor]] == needs.topology_id
        }
        for needs in topologies
    }


def _choose_slots(
    needs: TopologyNeeds, mine: Placement, free: Sequence[WorkerSlot], avoid: Collection[WorkerSlot]
) -> list[WorkerSlot]:
    """At most as many slots as there are executors: those with the most executors first, then free ones."""
    wanted = min(needs.num_workers, len(needs.executors))
    load = Counter(mine.values())
    if needs.spread:
        return _interleaved([*load, *free], load, avoid)[:wanted]
    kept = _interleaved(load, load, ())
    kept.sort(key=lambda slot: -load[slot])
    kept = kept[:wanted]
    return kept + _interleaved(free, Counter(dict.fromkeys(kept, 1)), avoid)[: wanted - len(kept)]


def _interleaved(
    slots: Iterable[WorkerSlot], load: Counter[WorkerSlot], avoid: Collection[WorkerSlot]
) -> list[WorkerSlot]:
    """`slots` in the order of choice: one of each node in turn, `avoid` at the end.

    A node's turns that its slots in `load` have had already count, whether or not those are among `slots`. Of
    equal nodes the one with the most slots in `load` is first (they stay), then the one with the most slots
    to choose from.
    """
    by_node: defaultdict[NodeId, list[WorkerSlot]] = defaultdict(list)
    for slot in set(slots):
        by_node[slot.node_id].append(slot)
    had = Counter(slot.node_id for slot in load)
    turns: list[tuple[bool, int, int, int, WorkerSlot]] = []
    for node, found in by_node.items():
        found.sort(key=lambda slot: (slot in avoid, -load[slot], slot.port))
        past = sum(slot.node_id == node for slot in load if slot not in found)
        turns.extend((slot in avoid, past + turn, -had[node], -len(found), slot) for turn, slot in enumerate(found))
    return [slot for *_, slot in sorted(turns)]


def _share_out(
    executors: Sequence[ExecutorId], mine: Placement, slots: Sequence[WorkerSlot]
) -> dict[ExecutorId, WorkerSlot]:
    """Every executor on one of `slots`, whose numbers of executors differ by at most one; the fewest move."""
    here: dict[WorkerSlot, list[ExecutorId]] = {slot: [] for slot in slots}
    for executor in sorted(mine):
        if mine[executor] in here:
            here[mine[executor]].append(executor)
    share, larger = divmod(len(executors), len(slots))
    # The larger shares go first to slots that have more than a small one (nothing moves then), last to slots that
    # have exactly a small one (their workers need not be restarted).
    order = sorted(slots, key=lambda slot: (len(here[slot]) <= share, len(here[slot]) == share))
    room = {slot: share + (turn < larger) for turn, slot in enumerate(order)}
    placed = {executor: slot for slot in slots for executor in _evenly(here[slot], room[slot])}
    for slot in placed.values():
        room[slot] -= 1
    homeless = sorted(executor for executor in executors if executor not in placed)
    while homeless:
        open_slots = [slot for slot in slots if room[slot]]
        for executor, slot in zip(homeless, open_slots, strict=False):
            placed[executor] = slot
            room[slot] -= 1
        homeless = homeless[len(open_slots) :]
    return placed


def _evenly(executors: Sequence[ExecutorId], count: int) -> list[ExecutorId]:
    """`count` of them (or all), at even distances, so that each component gives up its part and none all of
    it.
    """
    if count >= len(executors):
        return list(executors)
    return [executors[turn * len(executors) // count] for turn in range(count)]
