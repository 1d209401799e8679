"""The supervisor with real processes, ZooKeeper and Thrift: what happens when workers or it die."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import time
import zipfile
from typing import TYPE_CHECKING

from supervisor_site import CHUNK_BYTES, HELD_AFTER, NimbusStandIn, is_alive, wait_until

from storm.cluster.records import BlobReplica
from storm.config.settings import Settings
from storm.ids import SYSTEM_COMPONENT
from storm.supervisor.daemon import kill_all_workers
from storm.thrift.client import ThriftClient

if TYPE_CHECKING:
    from supervisor_site import SupervisorSite

    from storm.cluster.records import ErrorInfo

TOPOLOGY = "words-1-1700000000"


def run_topology(site: SupervisorSite, conf: dict[str, object], ports: list[int]) -> None:
    """Start the supervisor on an empty disk and have it run one topology."""
    site.start()
    site.assign(TOPOLOGY, ports, hashes=site.put_topology(TOPOLOGY, conf))


def errors(site: SupervisorSite) -> list[ErrorInfo]:
    return site.state.errors(TOPOLOGY, SYSTEM_COMPONENT)


def test_an_empty_disk_and_an_assignment_make_a_worker_that_nimbus_hears(site: SupervisorSite) -> None:
    run_topology(site, {}, site.ports)
    wait_until(lambda: site.beating() == set(site.ports), "both workers beat", site)
    dist = site.supervisor_dir / "stormdist" / TOPOLOGY
    assert (dist / "code" / "app" / "bolt.py").read_text() == "x = 1\n"
    info = site.state.supervisors()[site.node_id()]
    assert info.slot_ports == tuple(site.ports)
    with ThriftClient("Supervisor", "127.0.0.1", info.thrift_port, 5.0) as client:
        assert client.call("getLocalAssignmentForStorm", TOPOLOGY).node_host == {site.node_id(): "127.0.0.1"}
        part = client.call("readWorkerLog", TOPOLOGY, "127.0.0.1", site.ports[0], 0, 1000)
        assert part.data.startswith(b"stand-in worker")


def test_while_no_nimbus_leads_code_comes_from_one_that_zookeeper_says_has_it(site: SupervisorSite) -> None:
    hashes = site.put_topology(TOPOLOGY, {})
    other = NimbusStandIn()
    try:
        other.blobs, site.nimbus.blobs = site.nimbus.blobs, {}
        other.leads = site.nimbus.leads = False
        for key, sha256 in hashes.items():
            site.state.put_blob_replica(key, BlobReplica("127.0.0.1:1", sha256))  # one that has died
            site.state.put_blob_replica(key, BlobReplica(f"127.0.0.1:{other.server.port}", sha256))
        site.start()
        site.assign(TOPOLOGY, site.ports[:1], hashes=hashes)
        wait_until(lambda: set(site.workers()) == set(site.ports[:1]), "the worker runs", site)
    finally:
        other.server.stop()


def test_that_code_still_comes_is_told_until_its_worker_runs(site: SupervisorSite) -> None:
    site.start()
    site.nimbus.flows.clear()
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("app/bulk", bytes(2 * HELD_AFTER * CHUNK_BYTES))
    site.assign(TOPOLOGY, site.ports[:1], hashes=site.put_topology(TOPOLOGY, {}, package.getvalue()))

    def states() -> list[str]:
        return [failure.state for failure in site.failures().values()]

    wait_until(lambda: states() == ["fetching"], "the supervisor's record says that code comes", site)
    assert site.beating() == set()
    site.nimbus.flows.set()
    wait_until(lambda: site.beating() == set(site.ports[:1]), "Nimbus hears of the worker", site)
    wait_until(lambda: states() == [], "the record says no more of it", site)


def test_a_killed_worker_is_replaced_at_once(site: SupervisorSite) -> None:
    run_topology(site, {}, site.ports[:1])
    wait_until(site.beating, "the worker beats", site)
    (port,) = site.ports[:1]
    before = site.workers()[port]
    os.kill(before, signal.SIGKILL)
    killed = time.monotonic()
    wait_until(lambda: site.workers().get(port, before) != before, "a new worker process", site)
    print(f"new worker process {time.monotonic() - killed:.3f} s after SIGKILL")
    site.nimbus.beats.clear()
    wait_until(site.beating, "it beats", site)
    wait_until(lambda: errors(site), "told", site)
    (error,) = errors(site)
    assert f"The worker on port {port} was killed by signal 9 (SIGKILL)" in error.text
    assert "tried again at once" in error.text
    assert "stand-in worker" in error.text
    assert (error.host, error.port) == ("127.0.0.1", port)


def test_workers_outlive_the_supervisor_and_are_adopted(site: SupervisorSite) -> None:
    run_topology(site, {}, site.ports)
    wait_until(lambda: site.beating() == set(site.ports), "both workers beat", site)
    before, node_id = site.workers(), site.node_id()
    assert site.stop(signal.SIGTERM) == 0
    site.nimbus.beats.clear()
    site.start()
    wait_until(lambda: site.beating() == set(site.ports), "both beat to the new supervisor", site)
    site.stop(signal.SIGKILL)
    site.nimbus.beats.clear()
    site.start()
    wait_until(lambda: site.beating() == set(site.ports), "both beat to the third one", site)
    assert (site.workers(), site.node_id()) == (before, node_id)
    # Not its child, and yet its death is noticed at once and its place taken.
    os.kill(before[site.ports[0]], signal.SIGKILL)
    wait_until(lambda: site.workers().get(site.ports[0], 0) not in {0, before[site.ports[0]]}, "replaced", site)


def test_a_lost_disk_costs_no_running_worker(site: SupervisorSite) -> None:
    run_topology(site, {}, site.ports)
    wait_until(lambda: site.beating() == set(site.ports), "both workers beat", site)
    before, node_id = site.workers(), site.node_id()
    site.stop(signal.SIGKILL)
    state = site.supervisor_dir / "localstate" / "state.json"
    state.write_bytes(b"\0" * 100)
    (site.supervisor_dir / "node-id").write_bytes(b"\xff")
    site.nimbus.beats.clear()
    site.start()
    wait_until(lambda: site.beating() == set(site.ports), "both beat again", site)
    assert (site.workers(), site.node_id()) == (before, node_id)
    assert "state.json is damaged" in site.log.read_text()


def test_without_zookeeper_a_dead_worker_is_replaced_also_by_a_new_supervisor(site: SupervisorSite) -> None:
    run_topology(site, {}, site.ports[:1])
    wait_until(site.beating, "the worker beats", site)
    site.zookeeper.kill()
    (port,) = site.ports[:1]
    first = site.workers()[port]
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: site.workers().get(port, first) != first, "replaced", site)
    site.stop(signal.SIGKILL)
    os.kill(site.workers()[port], signal.SIGKILL)
    wait_until(lambda: not site.workers(), "no worker", site)
    site.process = site.spawn()
    wait_until(site.workers, "a worker, from what the disk remembers", site)
    site.zookeeper.restart()
    wait_until(lambda: site.node_id() in site.state.supervisor_ids(), "registered again", site)


def test_a_worker_that_cannot_start_backs_off_and_says_why(site: SupervisorSite) -> None:
    run_topology(site, {"exit_code": 13}, site.ports[:1])
    site.assign("fine-2-1700000000", site.ports[1:], hashes=site.put_topology("fine-2-1700000000", {}))
    wait_until(lambda: len(errors(site)) >= 3, "three failures", site)
    failure = site.failures()[site.ports[0]]
    assert (failure.deaths >= 2, failure.topology_id) == (True, TOPOLOGY)
    assert failure.reason == "exited with code 13 (it could not start)"
    assert "No module named 'nowhere'" in failure.last_lines
    wait_until(lambda: site.failures()[site.ports[0]].retry_wall_secs, "told when it is tried again", site)
    newest = errors(site)[0].text
    assert "exited with code 13 (it could not start)" in newest
    assert "No module named 'nowhere'" in newest
    wait_until(lambda: site.ports[1] in site.beating(), "the other topology runs", site)


def test_a_silent_worker_is_killed_with_all_it_started(site: SupervisorSite) -> None:
    run_topology(site, {"child": True}, site.ports[:1])
    wait_until(site.beating, "the worker beats", site)
    (port,) = site.ports[:1]
    worker = site.workers()[port]
    child = int(site.worker_log(TOPOLOGY, port).with_name("child.pid").read_text())
    os.kill(worker, signal.SIGSTOP)
    wait_until(lambda: not is_alive(worker) and not is_alive(child), "worker and child are dead", site)
    wait_until(lambda: site.workers().get(port, worker) != worker, "replaced", site)
    wait_until(
        lambda: any("sent no heartbeat for 3 s: a signal had stopped it" in each.text for each in errors(site)),
        "told",
        site,
    )


def test_a_worker_whose_topology_has_a_longer_timeout_is_waited_for(site: SupervisorSite) -> None:
    run_topology(site, {"topology.worker.timeout.secs": 6}, site.ports[:1])
    wait_until(site.beating, "the worker beats", site)
    os.kill(site.workers()[site.ports[0]], signal.SIGSTOP)
    wait_until(lambda: any("sent no heartbeat for 6 s" in each.text for each in errors(site)), "told", site)


def test_a_removed_assignment_ends_a_worker_that_ignores_sigterm(site: SupervisorSite) -> None:
    run_topology(site, {"deaf": True}, site.ports[:1])
    wait_until(site.beating, "the worker beats", site)
    site.nimbus.blobs.clear()
    site.state.remove_assignment(TOPOLOGY)
    wait_until(lambda: not site.workers(), "no worker", site)
    wait_until(lambda: not (site.supervisor_dir / "stormdist" / TOPOLOGY).exists(), "no code", site)
    assert list((site.directory / "local" / "workers").iterdir()) == []


def test_a_changed_assignment_replaces_the_worker(site: SupervisorSite) -> None:
    run_topology(site, {}, site.ports[:1])
    wait_until(site.beating, "the worker beats", site)
    (port,) = site.ports[:1]
    before = site.workers()[port]
    site.assign(TOPOLOGY, [port], version=2, hashes=site.put_topology(TOPOLOGY, {"changed": True}))
    wait_until(lambda: site.workers().get(port, before) != before, "replaced", site)
    assert not is_alive(before)


def test_a_second_supervisor_on_the_same_directory_ends_at_once(site: SupervisorSite) -> None:
    site.start()
    assert site.process is not None
    second = site.spawn()
    assert second.wait(30) == 1
    assert f"already running in {site.supervisor_dir}, pid {site.process.pid}" in site.log.read_text()
    assert site.process.poll() is None


def test_kill_all_workers_ends_what_a_dead_supervisor_left(site: SupervisorSite) -> None:
    bystander = subprocess.Popen(["sleep", "600"], start_new_session=True)
    run_topology(site, {}, site.ports)
    wait_until(lambda: site.beating() == set(site.ports), "both workers beat", site)
    site.stop(signal.SIGKILL)
    assert kill_all_workers(Settings.of(site.settings)) == 2
    assert site.workers() == {}
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


def test_an_ill_host_runs_no_worker_until_it_is_well(site: SupervisorSite) -> None:
    checks = site.directory / "checks"
    checks.mkdir()
    sign = site.directory / "sda-is-broken"
    script = checks / "disk.sh"
    script.write_text(f"#!/bin/sh\n[ ! -e {sign} ] || echo ERROR sda\n")
    script.chmod(0o755)
    site.settings["storm.health.check.dir"] = str(checks)
    run_topology(site, {}, site.ports)
    wait_until(lambda: site.beating() == set(site.ports), "both workers beat", site)
    site.stop()
    assert len(site.workers()) == 2
    sign.touch()
    site.start()
    wait_until(lambda: not site.workers(), "its workers are ended", site)
    found = site.state.supervisor(site.node_id())
    assert found is not None
    assert (found[0].slot_ports, found[0].illness) == ((), "disk.sh says ERROR sda")
    site.stop()
    sign.unlink()
    site.start()
    wait_until(lambda: len(site.workers()) == 2, "it works again", site)
