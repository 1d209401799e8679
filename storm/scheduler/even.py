"""Storm's even scheduling, with the fewest moves from what is there.

From nothing it does what Storm's EvenScheduler does: nodes with the most free slots first, one port of each in turn,
the i-th executor on slot i modulo the number of slots.

From an existing placement it moves no more than it must; Storm's DefaultScheduler frees whole slots that do not fit.
For each topology in its turn, given the slots that it has and those that nobody has, these are the goals. Each decides
only between placements that are equally good by those before it:

1. every executor has a slot, if there is a slot at all;
2. as many slots as the topology wants workers, but not more than it has executors, nor than there are;
3. few of them are slots to `avoid` on which it has nothing, the less the more those are to be avoided; a free one of a
   node where its workers die is such a slot too;
4. with `spread` (a rebalance): its slots are shared out evenly over the nodes, as far as those have slots;
5. the slots' numbers of executors differ by one at most;
6. few executors change their slot;
7. few slots change their executors, for only those need a new worker process.

What is still open then: slots that had tasks of the topology come before others, different nodes before the same.

An executor is its range of tasks. Where a component's parallelism changes, those with a new range are new and are
dealt out over the slots that have room. They do not follow their tasks: these start in new processes anyway, and who
asks for more executors of a component wants it in more processes.

Only slots of nodes that the topology may use are given to it. A slot that it has elsewhere may go on, and so may one
that no supervisor offers, because its worker beats, but nobody could or should start it anew: if it cannot keep
exactly what it has, it is left, provided that there are as many slots without it.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from storm.ids import ExecutorId, NodeId, TopologyId, WorkerSlot
    from storm.scheduler.scheduling_state import Placement, SchedulingState, TopologyNeeds

Rank: TypeAlias = tuple[int, int, int]


@dataclass(slots=True)
class _Held:
    """What a topology has on a slot: executors that it wants still, whether others ran there too, tasks in all."""

    staying: list[ExecutorId] = field(default_factory=list)
    had_others: bool = False
    tasks: int = 0

    def is_exactly(self, count: int) -> bool:
        """Whether the slot does not change if it shall have so many executors."""
        return len(self.staying) == count and not self.had_others


class _Choice(NamedTuple):
    """The slots that a topology may have: `held` are its own, `free` nobody's, by node, in order."""

    held: Mapping[WorkerSlot, _Held]
    free: Mapping[NodeId, Sequence[WorkerSlot]]
    avoid: Mapping[WorkerSlot, int]
    failing: Collection[NodeId]

    def badness(self, slot: WorkerSlot) -> int:
        """How much it is to be avoided, where the topology has nothing there; on a node where its workers die by 1."""
        return max(self.avoid.get(slot, 0), slot.node_id in self.failing)


NOTHING = _Held()
FREE_RANK: Rank = (3, 0, 0)


def schedule(state: SchedulingState) -> dict[TopologyId, Placement]:
    """A placement for each topology; empty where no slot is left for it.

    Who gives slots up comes first, then who has executors without a slot, then who merely wants more workers; of
    equal ones first who may not run everywhere.
    """
    claims = _claims(state.topologies)
    offered = set(state.slots)
    free: dict[NodeId, list[WorkerSlot]] = {}
    for slot in sorted(offered.difference(*claims.values())):
        free.setdefault(slot.node_id, []).append(slot)
    placements: dict[TopologyId, Placement] = {}
    for needs in sorted(state.topologies, key=lambda needs: _turn(needs, claims[needs.topology_id])):
        held = claims[needs.topology_id]
        may_take = free if needs.nodes is None else {n: slots for n, slots in free.items() if n in needs.nodes}
        may_start = offered if needs.nodes is None else {slot for slot in offered if slot.node_id in needs.nodes}
        placement = _place(needs, _Choice(held, may_take, state.avoid, needs.failing), may_start)
        used = set(placement.values())
        for slot in (held.keys() - used) & offered:
            insort(free.setdefault(slot.node_id, []), slot)
        for slot in used - held.keys():
            free[slot.node_id].remove(slot)
        placements[needs.topology_id] = placement
    return placements


def _claims(topologies: Iterable[TopologyNeeds]) -> dict[TopologyId, dict[WorkerSlot, _Held]]:
    """What each topology has, and where: of two that claim the same slot, the first has it."""
    owner: dict[WorkerSlot, TopologyId] = {}
    claims: dict[TopologyId, dict[WorkerSlot, _Held]] = {}
    for needs in topologies:
        wanted = set(needs.executors)
        held = claims[needs.topology_id] = {}
        for executor, slot in sorted(needs.placed.items()):
            if owner.setdefault(slot, needs.topology_id) != needs.topology_id:
                continue
            there = held.setdefault(slot, _Held())
            there.tasks += len(executor.tasks())
            if executor in wanted:
                there.staying.append(executor)
            else:
                there.had_others = True
    return claims


def _turn(needs: TopologyNeeds, held: Mapping[WorkerSlot, _Held]) -> tuple[bool, bool, bool]:
    gives_up = len(held) > min(needs.num_workers, len(needs.executors))
    is_placed = sum(len(there.staying) for there in held.values()) == len(needs.executors)
    return not gives_up, is_placed, needs.nodes is None


def _place(needs: TopologyNeeds, choice: _Choice, offered: Collection[WorkerSlot]) -> Placement:
    if _is_settled(needs, choice):
        return {executor: slot for slot, there in choice.held.items() for executor in there.staying}
    rooms = _rooms(needs, choice)
    fewer, fewer_rooms = choice, rooms
    while stuck := _stuck(fewer_rooms, fewer.held, offered):
        fewer = fewer._replace(held={slot: there for slot, there in fewer.held.items() if slot not in stuck})
        fewer_rooms = _rooms(needs, fewer)
    if len(fewer_rooms) in (0, len(rooms)):  # where no slot can be changed at all, everything had better stay as it is
        choice, rooms = fewer, fewer_rooms
    return _share_out(needs.executors, choice.held, rooms)


def _is_settled(needs: TopologyNeeds, choice: _Choice) -> bool:
    """Whether nothing has to move. So it is for most topologies in most rounds: it is found out without a search."""
    loads = [len(there.staying) for there in choice.held.values()]
    return (
        not needs.spread
        and not any(there.had_others for there in choice.held.values())
        and sum(loads) == len(needs.executors)
        and len(loads) == _slots_wanted(needs, choice)
        and max(loads, default=0) - min(loads, default=0) <= 1
    )


def _slots_wanted(needs: TopologyNeeds, choice: _Choice) -> int:
    there_are = len(choice.held) + sum(map(len, choice.free.values()))
    return min(needs.num_workers, len(needs.executors), there_are)


def _stuck(
    rooms: Mapping[WorkerSlot, int], held: Mapping[WorkerSlot, _Held], offered: Collection[WorkerSlot]
) -> set[WorkerSlot]:
    """Slots that would have to change, while nobody is there to start their workers anew."""
    return {slot for slot, room in rooms.items() if slot not in offered and not held[slot].is_exactly(room)}


def _rooms(needs: TopologyNeeds, choice: _Choice) -> dict[WorkerSlot, int]:
    """{each slot that it shall use: how many executors it shall have there}, in the order of choice."""
    count = _slots_wanted(needs, choice)
    if count == 0:
        return {}
    share, larger = divmod(len(needs.executors), count)

    def preference(slot: WorkerSlot) -> tuple[bool, bool]:
        """Who shall have large shares: first who would lose an executor else, last who has exactly a small share."""
        there = choice.held.get(slot, NOTHING)
        if len(there.staying) > share:
            return False, not there.is_exactly(share + 1)
        return True, there.is_exactly(share)

    slots = _choose_slots(count, needs, choice)
    large = set(sorted(slots, key=preference)[:larger])
    return {slot: share + (slot in large) for slot in slots}


def _choose_slots(count: int, needs: TopologyNeeds, choice: _Choice) -> list[WorkerSlot]:
    """Those that keep the most executors, and of such those that leave the most slots as they are.

    A slot keeps as many executors as its share allows, and only `larger` shares are large. So slots with more than a
    small share are worth most, but no more of them than there are large shares: any further one keeps no more than a
    slot that has exactly a small share, and that need not be restarted. Hence they are preferred one after the other,
    each of which adds at most one of them to those chosen, until there are enough.
    """
    held = choice.held
    share, larger = divmod(len(needs.executors), count)
    fuller = {slot: not there.is_exactly(share + 1) for slot, there in held.items() if len(there.staying) > share}
    in_turn = sorted(fuller, key=lambda slot: (fuller[slot], slot))
    rank: dict[WorkerSlot, Rank] = {
        slot: (1, 0, 0) if there.is_exactly(share) else (3, -len(there.staying), -there.tasks)
        for slot, there in held.items()
    }

    def chosen(preferred: int) -> list[WorkerSlot]:
        for turn, slot in enumerate(in_turn):
            rank[slot] = (0 if turn < preferred else 2, fuller[slot], 0)
        return _first_slots(count, choice, rank, needs.spread)

    def count_fuller(preferred: int) -> int:
        return len(fuller.keys() & chosen(preferred))

    return chosen(bisect_left(range(len(fuller)), larger, key=count_fuller))


def _first_slots(count: int, choice: _Choice, rank: Mapping[WorkerSlot, Rank], spread: bool) -> list[WorkerSlot]:
    """`count` slots, by rank, and of equal ones on the node that has the fewest so far; with `spread` by that first.

    Of equal nodes the one with the most slots to choose from comes first. Slots to avoid are last.
    """
    by_node: dict[NodeId, list[WorkerSlot]] = {}
    for slot in sorted(rank, key=lambda slot: (rank[slot], slot)):
        by_node.setdefault(slot.node_id, []).append(slot)
    for node, free in choice.free.items():
        by_node.setdefault(node, []).extend(sorted(free, key=choice.badness) if choice.avoid else free)

    def entry(node: NodeId, turn: int) -> tuple[tuple[int, ...], WorkerSlot]:
        slots = by_node[node]
        slot = slots[turn]
        own = rank.get(slot, FREE_RANK)
        order = (turn, *own) if spread else (*own, turn)
        return (0 if slot in rank else choice.badness(slot), *order, -len(slots)), slot

    heads = [entry(node, 0) for node, slots in by_node.items() if slots]
    heapq.heapify(heads)
    turns: Counter[NodeId] = Counter()
    found: list[WorkerSlot] = []
    while len(found) < count:
        _, slot = heapq.heappop(heads)
        found.append(slot)
        turns[slot.node_id] += 1
        if turns[slot.node_id] < len(by_node[slot.node_id]):
            heapq.heappush(heads, entry(slot.node_id, turns[slot.node_id]))
    return found


def _share_out(
    executors: Sequence[ExecutorId], held: Mapping[WorkerSlot, _Held], rooms: Mapping[WorkerSlot, int]
) -> dict[ExecutorId, WorkerSlot]:
    """Every executor on a slot, as many on each as `rooms` says, which is all of them; none moves that need not."""
    placed: dict[ExecutorId, WorkerSlot] = {}
    room = dict(rooms)
    for slot in rooms:
        staying = _evenly(held.get(slot, NOTHING).staying, room[slot])
        placed.update(dict.fromkeys(staying, slot))
        room[slot] -= len(staying)
    homeless = sorted(executor for executor in executors if executor not in placed) if rooms else []
    while homeless:
        open_slots = [slot for slot in rooms if room[slot]]
        for executor, slot in zip(homeless, open_slots, strict=False):
            placed[executor] = slot
            room[slot] -= 1
        homeless = homeless[len(open_slots) :]
    return placed


def _evenly(executors: Sequence[ExecutorId], count: int) -> list[ExecutorId]:
    """`count` of them (or all), at even distances, so that each component gives up its part and none all of it."""
    if count >= len(executors):
        return list(executors)
    return [executors[turn * len(executors) // count] for turn in range(count)]
