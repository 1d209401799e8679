"""What is on the disk of a simulated host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulated_cluster import SimulatedCluster
from simulated_machines import DOWNLOAD_SECS, Host, HostBlobs

from storm.supervisor.slot import BlobsState

if TYPE_CHECKING:
    from collections.abc import Callable

    from storm.supervisor.assignment_sync import LocalAssignment

NIMBUS_SECS = 3.0


class SlowBlobs(HostBlobs):
    """Each download takes so long that others act meanwhile."""

    def _fetched(self, assignment: LocalAssignment) -> dict[str, bytes]:
        self._host.cluster.events.run_below(NIMBUS_SECS)
        return super()._fetched(assignment)


def host_that_downloads(meanwhile: Callable[[Host], object]) -> tuple[Host, LocalAssignment]:
    """A host that had no code and has asked for it; `meanwhile` happens after the download has begun."""
    cluster = SimulatedCluster(1)
    cluster.start()
    worker = cluster.workers()[0]
    host, assignment = worker.host, worker.handle.assignment
    host.code.clear()
    host.blobs = SlowBlobs(host)
    host.blobs.request(assignment)
    cluster.events.after(DOWNLOAD_SECS + 0.5, "meanwhile", lambda: meanwhile(host))
    cluster.events.run_for(DOWNLOAD_SECS + NIMBUS_SECS)
    return host, assignment


def test_code_that_was_asked_for_comes() -> None:
    host, assignment = host_that_downloads(lambda host: None)

    assert set(host.code) == {assignment.topology_id}
    assert host.blobs.look(assignment).state is BlobsState.READY


def test_code_that_nobody_wants_any_more_when_it_has_come_is_not_kept() -> None:
    host, _ = host_that_downloads(lambda host: host.blobs.keep(frozenset()))

    assert not host.code


def test_a_download_ends_with_its_supervisor() -> None:
    def restart(host: Host) -> None:
        assert host.supervisor is not None
        host.supervisor.die("SIGKILL")
        host.start_supervisor()

    host, _ = host_that_downloads(restart)

    assert not host.code
