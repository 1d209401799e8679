"""A supervisor and its surroundings: taken ports, memory, disks, copies of its directory, a ZooKeeper that forgot."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from supervisor_site import is_alive, wait_until
from wheels import make_wheel
from zookeeper_servers import give_to_another

from storm.client.code_package import PackedRequirements, build_package, python_version
from storm.ids import WorkerSlot
from storm.supervisor.environment_build import built_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from supervisor_site import SupervisorSite

TOPOLOGY, OTHER = "words-1-1700000000", "fine-2-1700000000"
DISK_BYTES = 1 << 20
UNRESOLVED = "name..with..empty.labels"


def run_topology(site: SupervisorSite, conf: dict[str, object], ports: list[int]) -> None:
    """Start the supervisor on an empty disk and have it run one topology."""
    site.start()
    site.assign(TOPOLOGY, ports, hashes=site.put_topology(TOPOLOGY, conf))


def run_beside(site: SupervisorSite) -> int:
    """Another topology on the second port, which nothing of this may harm; its worker's process id."""
    port = site.ports[1]
    site.assign(OTHER, [port], hashes=site.put_topology(OTHER, {}))
    wait_until(lambda: port in site.beating(), "the other topology runs", site)
    return site.workers()[port]


def test_who_has_a_workers_port_is_named_and_the_worker_runs_when_it_is_free(site: SupervisorSite) -> None:
    (port,) = site.ports[:1]
    thief = socket.create_server(("127.0.0.1", port))
    run_topology(site, {"listens": True}, [port])
    assigned = time.monotonic()
    wait_until(lambda: port in site.failures(), "the slot is told of", site)
    print(f"told of {time.monotonic() - assigned:.2f} s after it was assigned")
    other = run_beside(site)
    failure = site.failures()[port]
    assert site.state.supervisors()[site.node_id()].taken_ports == (port,)
    assert f": port {port} is taken by process {os.getpid()} (" in failure.reason
    assert failure.last_lines.splitlines()[-1].startswith(f"cannot listen on port {port}: ")
    thief.close()
    wait_until(lambda: port in site.beating(), "the worker runs", site)
    assert site.workers()[site.ports[1]] == other


def test_a_worker_without_memory_says_so_and_harms_no_other(site: SupervisorSite) -> None:
    (port,) = site.ports[:1]
    run_topology(site, {"memory_bytes": 1 << 28}, [port])
    other = run_beside(site)
    wait_until(lambda: site.failures().get(port) and site.failures()[port].deaths >= 3, "three deaths", site)
    failure = site.failures()[port]
    assert failure.reason.startswith("exited with code 1")
    assert failure.last_lines.splitlines()[-1] == "MemoryError"
    assert site.workers()[site.ports[1]] == other


def test_a_copy_of_the_directory_is_refused_and_the_original_goes_on(site: SupervisorSite) -> None:
    run_topology(site, {}, site.ports)
    wait_until(lambda: site.beating() == set(site.ports), "both workers beat", site)
    before = site.workers()
    copy = site.directory / "copy"
    shutil.copytree(site.directory / "local", copy)
    second = site.spawn(storm_local_dir=str(copy))
    assert second.wait(30) == 1
    refusal = site.log.read_text().splitlines()[-1]
    assert f"a supervisor on host 127.0.0.1 with local directory {site.directory / 'local'} has it" in refusal
    assert f"The local directory {copy} of this one" in refusal
    assert "Traceback" not in site.log.read_text()
    assert site.workers() == before
    info = site.state.supervisors()[site.node_id()]
    assert info.local_dir == str(site.directory / "local")
    (copy / "supervisor" / "node-id").unlink()
    third = site.spawn(storm_local_dir=str(copy))
    wait_until(lambda: len(site.state.supervisor_ids()) == 2, "it has an id of its own", site)
    third.kill()
    third.wait()


def test_after_a_kill_it_is_registered_again_while_its_old_session_lives(site: SupervisorSite) -> None:
    site.start()
    first = site.state.supervisors()[site.node_id()].incarnation
    site.stop(signal.SIGKILL)
    started = time.monotonic()
    site.process = site.spawn()

    def is_new() -> bool:
        info = site.state.supervisors().get(site.node_id())
        return info is not None and info.incarnation != first

    wait_until(is_new, "registered anew", site)
    print(f"registered {time.monotonic() - started:.2f} s after its start")
    assert "waiting to see whether it lives" not in site.log.read_text()


def test_a_zookeeper_that_forgot_everything_ends_no_worker_while_nimbus_has_the_code(site: SupervisorSite) -> None:
    run_topology(site, {}, site.ports)
    wait_until(lambda: site.beating() == set(site.ports), "both workers beat", site)
    before = site.workers()
    site.storage.delete("/assignments", recursive=True)
    wait_until(lambda: "but Nimbus still has its code. Its workers run on" in site.log.read_text(), "said", site)
    site.stop(signal.SIGKILL)
    site.nimbus.beats.clear()
    site.start()
    wait_until(lambda: site.beating() == set(site.ports), "both beat to the next supervisor", site)
    assert site.workers() == before
    site.nimbus.blobs.clear()
    wait_until(lambda: not site.workers(), "no worker of a topology that nobody knows", site)


def test_a_zookeeper_that_gives_no_permission_ends_the_supervisor_and_no_worker(site: SupervisorSite) -> None:
    run_topology(site, {}, site.ports)
    wait_until(lambda: site.beating() == set(site.ports), "both workers beat", site)
    before = site.workers()
    give_to_another(site.zookeeper.hosts, "/storm/assignments", readable=False)
    first, site.process = site.process, None
    assert first is not None
    assert first.wait(30) == 1
    assert site.spawn().wait(30) == 1  # one that is started is told so too
    told = [line for line in site.log.read_text().splitlines() if "permission" in line]
    assert told == 2 * [
        f"ZooKeeper at {site.zookeeper.hosts} gives a client without credentials no permission to read"
        " /storm/assignments: check storm.zookeeper.auth.scheme and storm.zookeeper.auth.payload,"
        " and the ACLs of this node and of the one above it."
    ]
    assert "Traceback" not in site.log.read_text()
    assert site.workers() == before


def test_what_was_given_to_another_host_meanwhile_ends_when_the_supervisor_is_back(site: SupervisorSite) -> None:
    run_topology(site, {}, site.ports)
    wait_until(lambda: site.beating() == set(site.ports), "both workers beat", site)
    before = site.workers()
    site.stop(signal.SIGKILL)
    moved, kept = site.ports
    present = site.state.assignment(TOPOLOGY)
    assert present is not None
    elsewhere, here = WorkerSlot("another-node", moved), WorkerSlot(site.node_id(), kept)
    slots = dict(zip(sorted(present.executor_slots), (elsewhere, here), strict=True))
    site.state.put_assignment(replace(present, version=2, executor_slots=slots, slot_epochs={elsewhere: 2, here: 1}))
    site.start()
    wait_until(lambda: not is_alive(before[moved]), "the one that is not wanted has ended", site)
    assert site.workers() == {kept: before[kept]}


def test_a_chatty_worker_fills_no_disk(site: SupervisorSite) -> None:
    run_topology(site, {"log_bytes": 150 << 20}, site.ports[:1])
    wait_until(site.beating, "the worker beats", site)
    log = site.worker_log(TOPOLOGY, site.ports[0])
    wait_until(lambda: log.with_name("worker.log.1").exists() and log.stat().st_size < 100 << 20, "put aside", site)
    assert sum(each.stat().st_size for each in log.parent.glob("worker.log*")) <= 160 << 20


def test_a_dead_adopted_worker_is_no_zombie_of_the_supervisors(site: SupervisorSite) -> None:
    run_topology(site, {}, site.ports)
    wait_until(lambda: site.beating() == set(site.ports), "both workers beat", site)
    adopted = site.workers()[site.ports[0]]
    site.stop(signal.SIGKILL)
    site.start()
    started = site.workers()[site.ports[1]]
    for pid in (adopted, started):
        os.kill(pid, signal.SIGKILL)
    wait_until(
        lambda: set(site.workers().values()).isdisjoint({adopted, started}) and len(site.workers()) == 2, "", site
    )
    assert site.process is not None
    assert zombies_of(site.process.pid) == []


def zombies_of(parent: int) -> list[str]:
    """The dead children that a process has not reaped."""
    children = subprocess.run(
        ["ps", "-o", "pid=,stat=", "--ppid", str(parent)], capture_output=True, text=True, check=False
    ).stdout.splitlines()
    return [child for child in children if child.split()[1].startswith("Z")]


@pytest.fixture
def small_disk(site: SupervisorSite) -> Iterator[Path]:
    """The supervisor's local directory is a disk of one megabyte."""
    directory = site.directory / "local"
    directory.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(directory)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no disk of a size can be mounted here: {mounted.stderr.decode().strip()}")
    site.settings["storm.log.dir"] = str(site.directory / "logs")
    yield directory
    site.close()
    subprocess.run(["umount", "--lazy", str(directory)], check=True)


def fill(directory: Path) -> Path:
    """Leave no byte free."""
    path = directory / "filler"
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            return path


def test_a_full_disk_ends_nobody_and_what_it_hindered_goes_on_when_there_is_room(
    site: SupervisorSite, small_disk: Path
) -> None:
    first, second = site.ports
    run_topology(site, {}, [first])
    wait_until(site.beating, "the worker beats", site)
    survivor = site.workers()[first]
    filler = fill(small_disk)
    site.assign(OTHER, [second], hashes=site.put_topology(OTHER, {}))
    wait_until(lambda: second in site.failures(), "the slot is told of", site)
    assert "No space left on device" in site.failures()[second].reason
    assert not list((site.supervisor_dir / "stormdist").glob(OTHER))

    site.stop(signal.SIGKILL)
    site.nimbus.beats.clear()
    site.start()
    wait_until(lambda: site.beating() == {first}, "a supervisor that starts on the full disk adopts", site)
    assert site.workers()[first] == survivor
    os.kill(survivor, signal.SIGKILL)
    wait_until(lambda: first in site.failures(), "the other slot is told of too", site)

    filler.unlink()
    freed = time.monotonic()
    wait_until(lambda: site.beating() == {first, second}, "both run", site)
    print(f"both run {time.monotonic() - freed:.2f} s after there is room")
    assert "Traceback" not in site.log.read_text()


def test_on_a_full_disk_code_takes_the_place_of_what_pip_and_uv_have_kept(
    site: SupervisorSite, small_disk: Path
) -> None:
    first, second = site.ports
    run_topology(site, {}, [first])
    wait_until(site.beating, "the worker beats", site)
    cache = site.supervisor_dir / "environments-cache"
    cache.mkdir()
    fill(cache)
    site.assign(OTHER, [second], hashes=site.put_topology(OTHER, {}))
    wait_until(lambda: site.beating() == {first, second}, "both run", site)
    assert not cache.exists()
    assert "could not get its code" not in site.log.read_text()


def with_wheel(site: SupervisorSite, body: str = "") -> bytes:
    """A package of a topology that needs `broad`, of which the wheel travels."""
    wheel = make_wheel(site.directory / "wheels", "broad", body=body)
    requirements = PackedRequirements(("broad==1.0",), {wheel.name: wheel})
    return build_package({}, site.directory / "package.zip", requirements).path.read_bytes()


def test_a_build_that_hangs_keeps_no_other_slot_waiting(
    site: SupervisorSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    begun, go, bell = (tmp_path / name for name in ("begun", "go", "bell"))
    os.mkfifo(bell)
    slow = tmp_path / "bin" / "uv"
    slow.parent.mkdir()
    slow.write_text(f'#!/bin/sh\n[ -e {go} ] || {{ touch {begun}; read line <{bell}; }}\nexec {uv} "$@"\n')
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}:{os.environ['PATH']}")
    site.start()
    site.assign(TOPOLOGY, site.ports[:1], hashes=site.put_topology(TOPOLOGY, {}, with_wheel(site)))
    wait_until(begun.exists, "its environment is being built", site)
    run_beside(site)
    assert site.workers().keys() == {site.ports[1]}
    go.touch()
    bell.write_text("go on\n")
    wait_until(lambda: site.beating() == set(site.ports), "both run once it is built", site)


def test_a_name_that_does_not_resolve_is_told_at_once(site: SupervisorSite) -> None:
    """Its port is another one's, so that it ends before it listens."""
    names = {"storm_security_insecure": True, "storm_local_hostname": UNRESOLVED}
    process = site.spawn(**names, supervisor_thrift_port=site.nimbus.server.port)
    assert process.wait(30) == 1
    assert f"{UNRESOLVED}, by which others are to reach this supervisor, does not resolve here" in site.log.read_text()


def test_an_environment_that_the_disk_cannot_hold_is_built_when_there_is_room_and_leaves_nothing_else(
    site: SupervisorSite, small_disk: Path
) -> None:
    """And it goes when no topology has needed it for a while."""
    port = site.ports[0]
    package = with_wheel(site, "#" * (2 * DISK_BYTES))
    assert len(package) < DISK_BYTES / 4, "it is unpacked where there is no room for it"
    site.settings["supervisor.environments.keep.secs"] = 1
    site.start()
    site.assign(TOPOLOGY, [port], hashes=site.put_topology(TOPOLOGY, {}, package))

    def is_full() -> bool:
        failure = site.failures().get(port)
        return failure is not None and "No space left on device" in failure.reason + failure.last_lines

    wait_until(is_full, "the slot tells of the full disk", site)
    environments = site.supervisor_dir / "environments"
    wait_until(lambda: not list(environments.iterdir()), "nothing is left of what was begun", site)

    subprocess.run(["mount", "-o", f"remount,size={16 * DISK_BYTES}", str(small_disk)], check=True)
    wait_until(lambda: port in site.beating(), "the worker runs", site)
    [built] = environments.iterdir()
    assert built_for(built) == python_version()
    assert len(list(built.rglob("broad.py"))) == 1
    site.nimbus.blobs.clear()
    site.state.remove_assignment(TOPOLOGY)
    wait_until(lambda: not list(environments.iterdir()), "nobody needs it any more", site)
    assert "no topology here has used it for 1 s" in site.log.read_text()
    assert "Traceback" not in site.log.read_text()


def test_a_read_only_disk_is_one_clear_line_at_the_start_and_harms_no_running_worker(
    site: SupervisorSite, small_disk: Path
) -> None:
    run_topology(site, {}, site.ports)
    wait_until(lambda: site.beating() == set(site.ports), "both workers beat", site)
    before = site.workers()
    site.stop(signal.SIGKILL)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    said = len(site.log.read_text())
    assert site.spawn().wait(30) == 1
    lines = site.log.read_text()[said:].splitlines()
    assert len(lines) == 1
    assert f"{small_disk}/supervisor" in lines[0]
    assert "Read-only file system" in lines[0]
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    site.nimbus.beats.clear()
    site.start()
    wait_until(lambda: site.beating() == set(site.ports), "both are adopted", site)
    assert site.workers() == before


CUTS = {
    "empty": lambda data: b"",
    "one byte": lambda data: data[:1],
    "half": lambda data: data[: len(data) // 2],
    "all but one": lambda data: data[:-1],
    "zeros": lambda data: bytes(len(data)),
    "garbage": lambda data: bytes((byte * 7 + 13) % 256 for byte in data),
}


@pytest.mark.parametrize("cut", CUTS)
def test_damage_to_any_file_of_the_supervisors_costs_no_topology(site: SupervisorSite, cut: str) -> None:
    run_topology(site, {}, site.ports)
    wait_until(lambda: site.beating() == set(site.ports), "both workers beat", site)
    node_id = site.node_id()
    site.stop(signal.SIGKILL)
    dist = site.supervisor_dir / "stormdist" / TOPOLOGY
    launch_files = sorted((site.directory / "local" / "workers").glob("*/launch.json"))
    damaged = [
        site.supervisor_dir / "localstate" / "state.json", site.supervisor_dir / "node-id",
        site.supervisor_dir / "supervisor.lock", *(each for each in sorted(dist.iterdir()) if each.is_file()),
        launch_files[0],
    ]  # fmt: skip
    assert len(damaged) == 8
    for path in damaged:
        path.write_bytes(CUTS[cut](path.read_bytes()))
    site.nimbus.beats.clear()
    site.process = site.spawn()
    wait_until(lambda: site.beating() == set(site.ports), "both workers beat again", site)
    assert site.node_id() == node_id
    assert "Traceback" not in site.log.read_text()
