"""Scenarios of what lies in ZooKeeper: wiped, damaged, stale, not permitted."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import time
from typing import TYPE_CHECKING

from daemons import StormDaemon
from fault_site import Plan
from kazoo.client import KazooClient
from kazoo.exceptions import NoNodeError
from nemesis_run import audit
from recovery import CEILING
from scenario import Context, Outcome, Scenario
from scenarios_process import RATE, finish
from zookeeper_servers import give_to_another

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fault_site import FaultSite, WorkerProcess
    from load import Load

ROOT = "/storm"
SETTLE_SECS = 2.0
REGISTERED_SECS = 2.0
AWAY_SECS = 20.0  # two rounds of deaths, and what comes after
MESSAGES_MANY = 100_000  # more than come while all is damaged in turn
BLOB = "words"
SAID_OF = {  # records of which some log says that they cannot be read
    "storms", "assignments", "supervisors", "nimbuses", "leader-lock", "logconfigs", "drains", "userblobs",
    "cluster-id",
}  # fmt: skip
READERS = ("nimbus", "supervisor", "worker")  # of records; what else lies there is read as it is
BAD = (b"", b"\x00 nothing that anybody can read {", b"\x91\x93\xc0")


def client(site: FaultSite) -> KazooClient:
    """A session of the harness's own, to do what no daemon does."""
    daemon = site.zookeepers[0]
    found = KazooClient(f"{daemon.place.address}:{daemon.port}", timeout=20.0)
    found.start(30)
    return found


def wiped(context: Context) -> Outcome:
    """ZooKeeper comes back without its data: what runs goes on until an operator acts."""
    with context.site(Plan()) as site:
        load = context.load(site, 4_000, RATE)
        before = {worker.pid for worker in load.processes()}
        server = site.zookeepers[0]
        server.end(signal.SIGKILL)
        shutil.rmtree(server.directory / "data")
        (server.directory / "data").mkdir()
        site.restart(server)
        time.sleep(context.timers.session_secs + context.timers.executor_secs + 5.0)
        after = {worker.pid for worker in load.processes()}
        context.check(after == before, f"{len(before - after)} of {len(before)} workers were ended")
        load.wait_progress(100)
        blobs = list(site.nimbuses[0].local_dir.rglob(f"*{load.topology_id}*"))
        context.check(blobs, "Nimbus deleted the code of what runs")
        audit(context, load)
        for daemon in site.daemons:
            context.check(daemon.is_running, f"{daemon.name} ended", "C-ALIVE")
        names = [summary.name for summary in site.call("getTopologySummaries")]
        context.notes.append(f"Nimbus now knows of {names or 'no topology'}; the workers run on")
        return context.outcome("zookeeper-wiped")


def damaged_nodes(context: Context) -> Outcome:
    """Each kind of node in turn holds what nobody can read, and then the right data again, or is deleted. A damaged
    assignment counts as none: each time Nimbus may assign anew, and what is under way comes again. No other node costs
    a worker. Who reads a record says that it cannot.
    """
    with context.site(Plan(hosts=4)) as site, contextlib.ExitStack() as closing:
        spare = (site.supervisors["d"].local_dir / "supervisor" / "node-id").read_text().strip()
        site.storm("drain", spare)
        blob = site.directory / "blob"
        blob.write_text("first\n")
        site.storm("blobstore", "create", "-f", str(blob), BLOB)
        use = {BLOB: {"localname": "blob", "workerRestart": True}}
        load = context.load(site, MESSAGES_MANY, RATE, topology__blobstore__map=use)
        zk = client(site)
        closing.callback(zk.close)
        closing.callback(zk.stop)
        site.storm("set-log-level", load.name, "-l", "numbers=DEBUG:600")
        count = 0
        for path in list(_nodes(zk, load.topology_id)):
            before = {worker.pid for worker in load.processes()}
            count += _damage(zk, path, site)
            site.wait(load.is_settled, "its workers run", load.grace_secs)
            load.wait_progress(20)
            if "/assignments/" not in path:
                running = {worker.pid for worker in load.processes()}
                context.check(running == before, f"workers were restarted by {path}", "C-ALIVE")
            for daemon in site.daemons:
                context.check(daemon.is_running, f"{daemon.name} ended by {path}", "C-ALIVE")
            if path.split("/")[2] in SAID_OF:
                context.check(_is_told(site, path), f"no log says that {path} cannot be read", "C-LOG")
        context.check(not [each for each in site.endings if not each.asked], f"daemons ended: {site.endings}")
        drained = [each.supervisor_id for each in site.call("getClusterInfo").drained or []]
        context.check(drained == [spare], f"{spare} is drained, and these are said to be: {drained}")
        _damaged_turn(context, site, load, zk)
        kept = site.storm("blobstore", "cat", BLOB).stdout
        context.check(kept == blob.read_text(), f"the blob holds {kept!r}")
        second = context.load(site, 50, RATE, topology__workers=1)
        audit(context, second)
        second.kill()
        load.end()
        return finish(context, site, load, "nodes-damaged", count + 1, restarts=3, rounds=len(BAD) + 1 + 2 * 3)


def _nodes(zk: KazooClient, topology_id: str) -> Iterator[str]:
    """One of each kind that daemons read; and such as nobody has made, for something that does not exist."""
    yield f"{ROOT}/storms/{topology_id}"
    yield f"{ROOT}/assignments/{topology_id}"
    yield f"{ROOT}/leader-info"
    yield f"{ROOT}/cluster-id"
    for kind in ("supervisors", "nimbuses", "leader-lock", "logconfigs", "drains", "userblobs", "blobstore"):
        yield from (f"{ROOT}/{kind}/{child}" for child in sorted(zk.get_children(f"{ROOT}/{kind}"))[:1])
    for key in sorted(zk.get_children(f"{ROOT}/blobstore"))[:1]:
        yield from (f"{ROOT}/blobstore/{key}/{child}" for child in zk.get_children(f"{ROOT}/blobstore/{key}"))
        yield f"{ROOT}/blobstore/{key}/nonsense"
    for kind in ("drains", "userblobs", "blobstore", "restartturns"):
        yield f"{ROOT}/{kind}/nobody"


def _damage(zk: KazooClient, path: str, site: FaultSite) -> int:
    """How often it held what nobody can read. It holds what it held, or is deleted where there was none."""
    count = 0
    is_there = zk.exists(path) is not None
    try:
        if not is_there:
            zk.create(path)
        good, _ = zk.get(path)
        for bad in (*BAD, good[: len(good) // 2]):
            zk.set(path, bad)
            time.sleep(SETTLE_SECS / 2)
            site.call("getClusterInfo")  # people have their answers meanwhile
            count += 1
        if is_there:
            zk.set(path, good)
        else:
            zk.delete(path)
    except NoNodeError:  # its owner has replaced it meanwhile
        return count
    return count


def _is_told(site: FaultSite, path: str) -> bool:
    told = re.compile(rf"{re.escape(path.removeprefix(ROOT))} (does not hold a readable|was '.*' and is) ")
    return any(told.search(log.read_text(errors="replace")) for role in READERS for log in site.logs(role))


def _damaged_turn(context: Context, site: FaultSite, load: Load, zk: KazooClient) -> None:
    """The turn to restart workers belongs to nobody that there is: a new version of a blob comes to all of them."""
    before = {worker.pid for worker in load.processes()}
    zk.create(f"{ROOT}/restartturns/{load.topology_id}", BAD[1])
    blob = site.directory / "blob"
    blob.write_text("second\n")
    site.storm("blobstore", "update", "-f", str(blob), BLOB)
    context.must(
        lambda: len({worker.pid for worker in load.processes()} - before) == len(before),
        "all workers are started with the new version of their blob", 90,
    )  # fmt: skip
    site.wait(load.is_settled, "its workers run", load.grace_secs)
    said = any("who has it, is no supervisor" in log.read_text() for log in site.logs("supervisor"))
    context.check(said, "no supervisor says who had the turn", "C-LOG")


def killed_without_zookeeper(context: Context) -> Outcome:
    """kill -9 a worker while ZooKeeper is away, then all of them: each time their successors work before it is back."""
    with context.site(Plan(hosts=2)) as site:
        load = context.load(site, int(AWAY_SECS * RATE), RATE)
        server = site.zookeepers[0]
        server.end(signal.SIGKILL)
        times: list[float] = []
        workers = len(load.processes())

        def writing() -> list[WorkerProcess]:
            return [worker for worker in load.processes() if load.has_written(worker)]

        for count in (1, workers):
            site.wait(lambda: len(writing()) == workers, "all workers write")
            killed = {worker.pid for worker in writing()[:count]}
            for pid in killed:
                os.kill(pid, signal.SIGKILL)
            took = context.must(
                lambda killed=killed: len({worker.pid for worker in writing()} - killed) == workers,
                f"{count} successors write", 5 * CEILING,
            )  # fmt: skip
            times += [] if took is None else [took]
        after = {worker.pid for worker in load.processes()}
        site.restart(server)
        load.wait_progress(1_000)
        now = {worker.pid for worker in load.processes()}
        context.check(now == after, f"workers were restarted as ZooKeeper came back: {after - now}", "C-ALIVE")
        return finish(
            context,
            site,
            load,
            "worker-killed-without-zookeeper",
            2,
            recovered=times,
            restarts=1 + len(after),
            rounds=2,
        )


def stale_ephemeral(context: Context) -> Outcome:
    """kill -9 a supervisor and start it at once: its node of the session before is still there."""
    with context.site(Plan(hosts=2)) as site:
        load = context.load(site, 2_000, RATE, topology__workers=2)
        zk = client(site)
        times = []
        try:
            daemon = site.supervisors["a"]
            node_id = (daemon.local_dir / "supervisor" / "node-id").read_text().strip()
            path = f"{ROOT}/supervisors/{node_id}"
            for _ in range(3):
                owner = zk.exists(path).ephemeralOwner
                daemon.end(signal.SIGKILL)
                daemon.start()
                took = context.must(
                    lambda owner=owner: (found := zk.exists(path)) and found.ephemeralOwner != owner,
                    "it is registered in its new session", context.timers.session_secs + 10,
                )  # fmt: skip
                times += [] if took is None else [took]
                time.sleep(context.timers.session_secs * 2)
                context.check(zk.exists(path), "its node vanished with the session before", "C-ALIVE")
        finally:
            zk.stop()
            zk.close()
        return finish(context, site, load, "stale-ephemeral", 3, recovered=times)


def no_permission(context: Context) -> Outcome:
    """The root node belongs to somebody else: a Nimbus and a supervisor say so and end."""
    with context.site(Plan(hosts=1)) as site:
        daemon = site.zookeepers[0]
        give_to_another(f"{daemon.place.address}:{daemon.port}", "/locked", readable=True)
        for command, like in (("nimbus", site.nimbuses[0]), ("supervisor", site.supervisors["a"])):
            settings = {**like.settings, "storm.zookeeper.root": "/locked", f"{command}.thrift.port": 16627}
            name = f"locked-out-{command}"
            second = StormDaemon(command, name, like.place, site.directory / name, settings)
            second.start()
            if context.must(lambda it=second: not it.is_running, f"a locked out {command} ends", 40) is not None:
                code = second.end()
                context.check(code == 1, f"the {command}'s exit code is {code}, not 1")
            second.end()
            said = second.log.read_text(errors="replace")
            is_told = "no permission" in said and "/locked/" in said and "storm.zookeeper.auth" in said
            context.check(is_told, f"the {command} does not say why: {said[-300:]}")
            context.check("Traceback" not in said, f"the {command} shows a traceback", "C-LOG")
        return context.outcome("zookeeper-denies")


ZOOKEEPER_SCENARIOS = [
    Scenario(
        "create-repeated", "Z4", "a create whose answer was lost is made again",
        missing="tested where single answers can be dropped: integration/contracts/test_cluster_zookeeper_session.py",
    ),
    Scenario("stale-ephemeral", "Z5", "a supervisor starts while its former session still stands", stale_ephemeral),
    Scenario("zookeeper-wiped", "Z6", "ZooKeeper comes back without its data", wiped),
    Scenario(
        "worker-killed-without-zookeeper", "Z1 P1", "kill -9 a worker, then all, while ZooKeeper is away",
        killed_without_zookeeper,
    ),
    Scenario("nodes-damaged", "Z7", "garbage in each kind of node that daemons read", damaged_nodes),
    Scenario("zookeeper-denies", "Z9", "a Nimbus and a supervisor may not use their root node", no_permission),
    Scenario(
        "blocking-listener", "Z11", "a state listener that calls ZooKeeper",
        missing="a property of the code, tested by integration/contracts/test_cluster_zookeeper_session.py",
    ),
]  # fmt: skip
