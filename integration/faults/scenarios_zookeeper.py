"""Scenarios of what lies in ZooKeeper: wiped, damaged, stale, not permitted."""

from __future__ import annotations

import shutil
import signal
import time
from typing import TYPE_CHECKING

from daemons import StormDaemon
from fault_site import Plan
from kazoo.client import KazooClient
from kazoo.exceptions import KazooException, NoNodeError
from nemesis_run import audit
from scenario import Context, Outcome, Scenario
from scenarios_process import RATE, finish
from zookeeper_servers import give_to_another

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fault_site import FaultSite

ROOT = "/storm"
SETTLE_SECS = 2.0
REGISTERED_SECS = 2.0
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
    """Each kind of node in turn holds what nobody can read. A damaged assignment counts as none: each time Nimbus may
    assign anew, and what is under way comes again. No other node costs a worker.
    """
    with context.site(Plan()) as site:
        load = context.load(site, 6_000, RATE)
        zk = client(site)
        count = 0
        try:
            site.storm("set-log-level", load.name, "-l", "numbers=DEBUG:600", code=None)
            for path in list(_nodes(zk, load.topology_id)):
                before = {worker.pid for worker in load.processes()}
                try:
                    good, _ = zk.get(path)
                    for bad in (*BAD, good[: len(good) // 2]):
                        zk.set(path, bad)
                        time.sleep(SETTLE_SECS / 2)
                        count += 1
                    zk.set(path, good)
                except NoNodeError:
                    continue  # its owner has replaced it meanwhile
                site.wait(load.is_settled, "its workers run", load.grace_secs)
                load.wait_progress(20)
                if "/assignments/" not in path:
                    running = {worker.pid for worker in load.processes()}
                    context.check(running == before, f"workers were restarted by {path}", "C-ALIVE")
                for daemon in site.daemons:
                    context.check(daemon.is_running, f"{daemon.name} ended by {path}", "C-ALIVE")
            context.check(count >= 4 * 6, f"only {count} damages were done")
            context.check(not [each for each in site.endings if not each.asked], f"daemons ended: {site.endings}")
        finally:
            zk.stop()
            zk.close()
        return finish(context, site, load, "nodes-damaged", count, rounds=len(BAD) + 1)


def _nodes(zk: KazooClient, topology_id: str) -> Iterator[str]:
    """One of each kind that daemons read."""
    yield f"{ROOT}/storms/{topology_id}"
    yield f"{ROOT}/assignments/{topology_id}"
    yield f"{ROOT}/leader-info"
    for kind in ("supervisors", "nimbuses", "leader-lock", "logconfigs"):
        try:
            children = zk.get_children(f"{ROOT}/{kind}")
        except KazooException:
            continue
        yield from (f"{ROOT}/{kind}/{child}" for child in sorted(children)[:1])


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
    Scenario("nodes-damaged", "Z7", "garbage in each kind of node that daemons read", damaged_nodes),
    Scenario("zookeeper-denies", "Z9", "a Nimbus and a supervisor may not use their root node", no_permission),
    Scenario(
        "blocking-listener", "Z11", "a state listener that calls ZooKeeper",
        missing="a property of the code, tested by integration/contracts/test_cluster_zookeeper_session.py",
    ),
]  # fmt: skip
