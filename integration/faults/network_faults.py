"""Faults of links: cut, cut in one direction, unplugged without a word, slow, damaging."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from faults import CONNECTED, LOST, TAKEN, Fault, Hand, Said, bar, heard_again, new_leader
from tcp_proxy import BitFlips
from timers import past_reassignment, past_session

if TYPE_CHECKING:
    from collections.abc import Iterable

    from timers import Timers

DELAY_SECS, JITTER_SECS = 0.2, 0.1
FLIP_EVERY = 5_000  # bytes
STALLED_SECS = 0.2
SLOW_SECS = 10.0  # that a busy machine may be late with what takes a moment
REGISTERED_SECS = 1.0  # how often it says in ZooKeeper what it has


def cut(hand: Hand, some: Iterable[str], others: Iterable[str], *, both: bool = True) -> None:
    """Nothing passes from `some` places to `others`, nor, with `both`, back; sessions through proxies included."""
    site, network = hand.site, hand.site.network
    hand.hit.undo.append(lambda: heal(hand))
    pairs = [(one, other) for one in some for other in others]
    for one, other in pairs:
        sides = (network.place(one), network.place(other))
        network.drop([sides[0]], [sides[1]])
        if both:
            network.drop([sides[1]], [sides[0]])
        for key in ((one, other), (other, one)):
            if key in site.zookeeper_proxies:
                site.zookeeper_proxies[key].stall()


def heal(hand: Hand) -> None:
    hand.site.network.deliver()
    for proxy in hand.site.zookeeper_proxies.values():
        proxy.heal()


def cut_link(hand: Hand) -> None:
    one, _, other = hand.target.partition("-")
    hand.hit.links = frozenset({(one, other), (other, one)})
    cut(hand, [one], [other])


def cut_one_way(hand: Hand) -> None:
    """Nothing passes for long in the other direction, either, since no receipts come back."""
    one, _, other = hand.target.partition("-")
    hand.hit.links = frozenset({(one, other), (other, one)})
    cut(hand, [one], [other], both=False)


def cut_from_zookeeper(hand: Hand) -> None:
    cut(hand, [hand.target], [daemon.name for daemon in hand.site.zookeepers])


def cut_from_nimbus(hand: Hand) -> None:
    cut(hand, [hand.target], [daemon.name for daemon in hand.site.nimbuses])


def cut_nimbus_off(hand: Hand) -> None:
    """Another leads meanwhile, where there is one; one that did not lead need not lead afterwards, either."""
    site = hand.site
    if hand.leads():
        hand.hit.from_blow = len(site.nimbuses) > 1
    else:
        hand.hit.back = (TARGET_BACK,)
    cut(hand, [hand.target], [*site.supervisors, *(daemon.name for daemon in site.zookeepers)])


def cut_in_halves(hand: Hand) -> None:
    """Nimbus, ZooKeeper and the first host on one side, the other hosts on the other."""
    site = hand.site
    first, *others = site.supervisors
    hand.workers_may_end(others)
    masters = [daemon.name for daemon in (*site.nimbuses, *site.zookeepers)]
    cut(hand, [*masters, first], others)


def unplug(hand: Hand) -> None:
    place = hand.site.network.place(hand.target)
    hand.workers_may_end([hand.target])
    hand.hit.undo.append(lambda: hand.site.network.plug(place))
    hand.site.network.unplug(place)


def delay(hand: Hand) -> None:
    """All frames between workers come later."""
    ways = [proxy.to_server for proxy in hand.site.worker_proxies]

    def undo() -> None:
        for way in ways:
            way.delay_secs = way.jitter_secs = 0.0

    hand.hit.undo.append(undo)
    before = passed_bytes(hand)
    hand.hit.proofs.append(("frames between workers passed the proxies", lambda: passed_bytes(hand) > before))
    for way in ways:
        way.delay_secs, way.jitter_secs = DELAY_SECS, JITTER_SECS


def damage(hand: Hand) -> None:
    """Bits of frames between workers are turned."""
    flips = BitFlips(len(hand.hit.event.fault), FLIP_EVERY)
    ways = [proxy.to_server for proxy in hand.site.worker_proxies]

    def undo() -> None:
        for way in ways:
            way.change = None

    hand.hit.undo.append(undo)
    hand.hit.proofs.append(("a bit was turned", lambda: flips.flips > 0))
    for way in ways:
        way.change = flips


def stall(hand: Hand) -> None:
    """Connections between workers stay open, and nothing passes."""
    proxies, hosts = hand.site.worker_proxies, hand.site.supervisors
    hand.hit.links = frozenset((one, other) for one in hosts for other in hosts if one != other)

    def undo() -> None:
        for proxy in proxies:
            proxy.heal()

    hand.hit.undo.append(undo)
    before = passed_bytes(hand)
    hand.site.wait(lambda: passed_bytes(hand) > before, "frames between workers pass the proxies", hand.load.grace_secs)
    for proxy in proxies:
        proxy.stall()
    time.sleep(STALLED_SECS)  # what was being written when they stopped
    stalled = passed_bytes(hand)
    hand.hit.proofs.append(("nothing passed while they were stalled", lambda: passed_bytes(hand) == stalled))


def passed_bytes(hand: Hand) -> int:
    """What went through the proxies between workers so far."""
    return sum(proxy.to_server.passed_bytes for proxy in hand.site.worker_proxies)


def _a_message_timeout(timers: Timers) -> tuple[float, float]:
    return 0.6 * timers.message_secs, 1.6 * timers.message_secs


def _is_told_in_time(timers: Timers) -> bool:
    """Whether Nimbus waits for a worker's heartbeats until its supervisor tells of them through ZooKeeper, however slow
    the machine is."""
    return timers.executor_secs > SLOW_SECS + 2 * REGISTERED_SECS


LINKS = frozenset({"links"})
LINK_BAR = bar(3.0)
PROXY = frozenset({"worker-proxy"})
TARGET_LOST = Said("target", LOST)
TARGET_BACK = Said("target", CONNECTED, after=LOST)

NETWORK_FAULTS = [
    Fault(
        "link-cut", "N1", "nothing passes between two hosts of workers", "link", cut_link, _a_message_timeout,
        spares_workers=True, needs=LINKS, bar=LINK_BAR,
    ),
    Fault(
        "link-cut-one-way", "N4", "nothing passes from one host to another, but back", "link", cut_one_way,
        _a_message_timeout, spares_workers=True, needs=LINKS, bar=LINK_BAR,
    ),
    Fault(
        "host-unplugged", "N3", "a host's cable is pulled, without FIN; back after its workers were replaced", "host",
        unplug, past_reassignment, told=TARGET_LOST, back=(TARGET_BACK,), needs=LINKS,
    ),
    Fault(
        "host-cut-from-zookeeper", "N7", "a host does not reach ZooKeeper for longer than a session", "host",
        cut_from_zookeeper, past_session, spares_workers=True, told=TARGET_LOST, back=(TARGET_BACK,),
        needs=frozenset({"zookeeper-proxy"}),
    ),
    Fault(
        "host-cut-from-nimbus", "N7", "a host does not reach Nimbus, nor Nimbus it", "host", cut_from_nimbus,
        past_reassignment, spares_workers=True, patience=_is_told_in_time, back=(Said("target", TAKEN),), needs=LINKS,
    ),
    Fault(
        "nimbus-cut-off", "N7", "Nimbus reaches neither ZooKeeper nor the hosts", "nimbus", cut_nimbus_off,
        past_session, spares_workers=True, back=(Said("nimbus", "leads now"),), bar=new_leader, needs=LINKS,
    ),
    Fault(
        "cluster-in-halves", "N7", "Nimbus, ZooKeeper and one host on one side, the other hosts on the other",
        "cluster", cut_in_halves, past_reassignment, told=TARGET_LOST._replace(role="supervisor"),
        back=(TARGET_BACK._replace(role="supervisor", each=True), heard_again()), needs=LINKS,
    ),
    Fault(
        "link-slow", "N6", "all frames between workers come 200 to 300 ms later", "cluster", delay,
        past_session, spares_workers=True, needs=PROXY,
    ),
    Fault(
        "link-stalled", "N1", "connections between workers stay open and nothing passes", "cluster", stall,
        _a_message_timeout, spares_workers=True, needs=PROXY, bar=LINK_BAR,
    ),
    Fault(
        "frames-damaged", "N5", "one bit in 5,000 bytes between workers is turned", "cluster", damage,
        past_session, spares_workers=True, needs=PROXY,
    ),
]  # fmt: skip
