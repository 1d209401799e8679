from __future__ import annotations

import os
import random
import signal
import socket
import time
from typing import TYPE_CHECKING

from worker_site import NODE, TOPOLOGY_ID, until

from storm.cluster.records import TopologyStatus
from storm.messaging.batch import WorkerAddress, batch_frame, node_hash, topology_hash, tuple_section
from storm.messaging.columns import columns
from storm.messaging.tuple_codec import encode_rows
from storm.messaging.zeromq import ZeroMqTransport
from storm.tuples import Origin, Tuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker_site import Site


def test_tuples_and_acks_cross_and_a_signal_ends_both_in_order(make_site: Callable[..., Site]) -> None:
    site = make_site()
    workers = [site.launch(site.a), site.launch(site.b)]
    site.until_acked(1000)
    assert len(site.noted("failed")) == 0
    until(lambda: all(worker.logged("Every peer was heard of") for worker in workers), "both are ready")
    first = {beat.worker_id: beat for beat in reversed(site.supervisor.beats)}
    assert {beat.port for beat in first.values()} == {site.a.port, site.b.port}
    until(lambda: any(beat.executor_stats for beat in site.supervisor.beats), "stats in a heartbeat")
    for worker in workers:
        worker.signal(signal.SIGTERM)
    began = time.monotonic()
    assert [worker.exit_code() for worker in workers] == [0, 0]
    assert time.monotonic() - began < 10
    assert site.noted("closed") == [""]
    assert site.noted("cleaned") == ["", ""]


def test_a_worker_that_is_killed_and_started_again_goes_on(make_site: Callable[..., Site]) -> None:
    site = make_site({"topology.message.timeout.secs": 600})  # what is lost is replayed long before
    site.launch(site.a)
    victim = site.launch(site.b)
    site.until_acked(200)
    victim.kill()
    site.launch(site.b)
    site.until_acked(2000)
    got = set(map(int, site.noted("acked")))
    until(lambda: set(range(1, max(got) + 1)) <= set(map(int, site.noted("acked"))), "every number acked")


def test_what_a_dead_worker_may_have_held_fails_at_once_though_nobody_comes_in_its_place(
    make_site: Callable[..., Site],
) -> None:
    site = make_site({"topology.message.timeout.secs": 600})
    site.launch(site.a)
    victim = site.launch(site.b)
    site.until_acked(200)
    victim.kill()
    until(lambda: site.noted("failed"), "what was under way fails")


def test_hostile_bytes_are_dropped_and_counted_and_tuples_go_on(make_site: Callable[..., Site]) -> None:
    site = make_site()
    worker = site.launch(site.b)
    site.launch(site.a)
    site.until_acked(100)
    rng = random.Random(7)
    stranger = ZeroMqTransport()
    sender = stranger.connect("127.0.0.1", site.b.port)
    good = late_frame(site, epoch=1)
    try:
        until(lambda: stranger.wait(0.02) or sender.connected, "a connection")
        for i in range(300):
            frame = bytearray(good) if i % 2 else bytearray(rng.randbytes(rng.randrange(2000)))
            if i % 2:
                for _ in range(rng.randrange(1, 5)):
                    frame[rng.randrange(len(frame))] ^= 1 << rng.randrange(8)
            until(lambda frame=frame: sender.try_send(bytes(frame)) or stranger.wait(0.01, [sender]), "room")
    finally:
        stranger.close()
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", rng.randbytes(5000), b"\xff" * 100):
        with socket.create_connection(("127.0.0.1", site.b.port)) as connection:
            connection.sendall(garbage)
    site.until_acked(500)
    assert worker.process.poll() is None
    worker.signal(signal.SIGTERM)
    assert worker.exit_code() == 0
    assert worker.logged("a malformed frame")
    assert "987654321" not in site.noted("got")


def late_frame(site: Site, epoch: int) -> bytes:
    """A frame as slot `a` would send it, with a number that nobody else emits."""
    source = WorkerAddress(topology_hash(TOPOLOGY_ID), node_hash(NODE), site.a.port, epoch)
    spout_task = max(executor.end_task for executor in site.executors[site.a])
    origin = Origin("numbers", "default", spout_task, ["number", "text"])
    parts = columns([Tuple([987654321, "some text"], origin)])
    return batch_frame(source, [tuple_section(site.bolt_tasks[0], origin, parts, encode_rows(parts.rows))])


def send_late(site: Site, epoch: int) -> None:
    stranger = ZeroMqTransport()
    try:
        sender = stranger.connect("127.0.0.1", site.b.port)
        until(lambda: stranger.wait(0.02) or sender.connected, "a connection")
        assert sender.try_send(late_frame(site, epoch))
    finally:
        stranger.close()


def test_frames_of_a_worker_that_was_replaced_are_dropped(make_site: Callable[..., Site]) -> None:
    site = make_site()
    worker = site.launch(site.b)
    old = site.launch(site.a)
    site.until_acked(100)
    site.assign(version=2, epochs={site.a: 2})
    assert old.exit_code() == 0
    assert old.logged("epoch 2")
    until(lambda: worker.logged("(epoch 2)"), "the new assignment was seen")
    send_late(site, epoch=1)
    until(lambda: worker.logged("a frame of a worker that was replaced"), "the old frame was dropped")
    site.launch(site.a, epoch=2)
    site.until_acked(100)
    assert "987654321" not in site.noted("got")
    send_late(site, epoch=2)  # the same frame with the right epoch does arrive
    until(lambda: "987654321" in site.noted("got"), "the frame of the present epoch")


def test_a_worker_ends_when_its_slot_is_taken_away_or_the_supervisor_says_so(make_site: Callable[..., Site]) -> None:
    site = make_site()
    a, b = site.launch(site.a), site.launch(site.b)
    site.until_acked(100)
    site.assign(version=2, without_b=True)
    assert b.exit_code() == 0
    site.supervisor.replaced.add("worker-0")
    assert a.exit_code() == 0
    assert a.logged("another worker owns this slot")


def test_spouts_are_silent_while_the_topology_is_inactive(make_site: Callable[..., Site]) -> None:
    site = make_site()
    worker = site.launch(site.a)  # the one that has the spout, and so was active once there are acks
    site.launch(site.b)
    site.until_acked(100)
    site.set_status(TopologyStatus.INACTIVE)
    until(lambda: worker.logged("Spouts are inactive"), "the new status was seen")
    silent_at = -1

    def silent() -> bool:
        nonlocal silent_at
        before, silent_at = silent_at, site.acked()
        time.sleep(0.3)
        return before == silent_at

    until(silent, "no acks any more")
    site.set_status(TopologyStatus.ACTIVE)
    site.until_acked(100)


def test_a_worker_whose_bolts_compute_without_end_goes_on_with_all_else(make_site: Callable[..., Site]) -> None:
    site = make_site({"topology.tick.tuple.freq.secs": 1}, busy=True)
    site.launch(site.a)
    worker = site.launch(site.b)
    until(lambda: site.noted("got"), "a bolt computes")

    def beats() -> int:
        return sum(beat.port == site.b.port for beat in site.supervisor.beats)

    before = beats()
    until(lambda: beats() >= before + 3, "heartbeats of the busy worker")
    site.set_status(TopologyStatus.INACTIVE)
    until(lambda: worker.logged("Spouts are inactive"), "it saw the new status")
    assert site.acked() == 0  # all that while the bolt was at its first tuple
    site.set_status(TopologyStatus.ACTIVE)
    (site.notes / "enough").touch()
    ticks = len(site.noted("tick"))
    until(lambda: len(site.noted("tick")) >= ticks + 2, "ticks to bolts that are never without work")
    site.until_acked(100)


def test_an_exception_in_a_component_is_reported_and_ends_the_worker(make_site: Callable[..., Site]) -> None:
    site = make_site(poison=True)
    site.launch(site.a)
    worker = site.launch(site.b)
    assert worker.exit_code() == 1
    [error] = site.state.errors(TOPOLOGY_ID, "check")
    assert "poison was drunk" in error.text
    assert (error.host, error.port) == ("127.0.0.1", site.b.port)


def test_a_stuck_executor_is_reported_and_its_worker_ends_where_the_topology_wants_that(
    make_site: Callable[..., Site],
) -> None:
    conf = {"topology.executor.stuck.secs": 0.5, "topology.executor.stuck.restart": True}
    site = make_site({**conf, "topology.message.timeout.secs": 600}, hangs=True)
    site.launch(site.a)
    worker = site.launch(site.b)
    assert worker.exit_code() == 21
    assert worker.logged("Ending (exit code 21): component 'check' is stuck")
    [error] = site.state.errors(TOPOLOGY_ID, "check")
    assert "has been in one call for" in error.text
    assert "It works on [5, 'some text'] from 'numbers'" in error.text
    assert "in hang\n" in error.text
    site.launch(site.b)
    until(lambda: "5" in site.noted("acked"), f"the tuple that it held is replayed at once; logs:\n{site.logs()}")
    assert all(why.endswith("worker-died None") for why in site.noted("why"))


def test_a_timeout_names_the_bolt_in_another_worker_that_holds_the_tuple(make_site: Callable[..., Site]) -> None:
    site = make_site({"topology.message.timeout.secs": 1, "topology.executor.stuck.secs": 1}, hangs=True)
    site.launch(site.a)
    worker = site.launch(site.b)
    # On a busy machine the first timeout may be told before the other worker has answered; the tuple comes again.
    until(lambda: "5 timeout check" in site.noted("why"), f"a timeout that names the bolt; logs:\n{site.logs()}")
    until(lambda: worker.logged("component 'check', task"), "the executor that hangs is reported")
    assert worker.process.poll() is None

    def told() -> bool:
        return any("of spout 'numbers' timed out" in error.text for error in site.state.errors(TOPOLOGY_ID, "check"))

    until(told, "the timeout is an error of the bolt too, reported by the other worker")


def test_a_worker_that_cannot_start_says_why(make_site: Callable[..., Site]) -> None:
    site = make_site()
    code = site.dist / "code" / "crossing_topology.py"
    code.write_text("raise RuntimeError('cannot be imported')")
    broken = site.launch(site.a)
    assert broken.exit_code() == 13
    assert broken.logged("cannot be imported")
    (site.dist / "stormcode.ser").write_bytes(b"rubbish")
    assert site.launch(site.a).exit_code() == 13


def test_a_port_that_is_taken_is_named(make_site: Callable[..., Site]) -> None:
    site = make_site()
    with socket.create_server(("127.0.0.1", site.a.port)):
        worker = site.launch(site.a)
        assert worker.exit_code() == 14
    assert worker.logged(f"127.0.0.1:{site.a.port}")


def test_it_goes_on_without_zookeeper_and_supervisor(
    make_site: Callable[..., Site], embedded_zookeeper: object
) -> None:
    site = make_site()
    workers = [site.launch(site.a), site.launch(site.b)]
    site.until_acked(100)
    embedded_zookeeper.kill()  # type: ignore[attr-defined]
    site.supervisor.server.stop()
    until(lambda: all(worker.logged("The supervisor does not take") for worker in workers), "both are noticed")
    site.until_acked(1000)
    os.kill(workers[0].process.pid, signal.SIGTERM)
    assert workers[0].exit_code() == 0


def test_one_that_starts_while_zookeeper_is_away_works_if_its_supervisor_knew_the_topology(
    make_site: Callable[..., Site], embedded_zookeeper: object
) -> None:
    site = make_site({"topology.message.timeout.secs": 600})
    site.settings["task.refresh.poll.secs"] = 600  # it is not by this that they hear of it
    victims = [site.launch(site.a), site.launch(site.b)]
    site.until_acked(100)
    embedded_zookeeper.kill()  # type: ignore[attr-defined]
    for victim in victims:
        victim.kill()
    workers = [site.launch(slot, known=TopologyStatus.ACTIVE) for slot in (site.a, site.b)]
    site.until_acked(1000)
    assert all(worker.logged("Going by assignment 1, as the supervisor knew it") for worker in workers)
    embedded_zookeeper.start()  # type: ignore[attr-defined]
    site.set_status(TopologyStatus.INACTIVE)
    until(lambda: workers[0].logged("Spouts are inactive now"), "it hears of ZooKeeper that is back")
    workers[1].signal(signal.SIGTERM)
    assert workers[1].exit_code() == 0
