"""What logs say of faults and of workers that ended; what is noted when a check cannot go on."""

from __future__ import annotations

import math
import signal
import socket
import time
from pathlib import Path  # noqa: TC003
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from fault_site import Appearance, WorkerProcess
from faults import NOTICED_SECS, Fault, Hit, Said
from log_lines import Logs, monotonic_offset
from nemesis import Drawable, Event, Shape, to_json
from nemesis_run import Finished, all_said, ends, observe, ports_taken, replayed, said
from network import Loopback
from timers import SHORT

if TYPE_CHECKING:
    from checkers import End, Observed

PORT = 6700


class Site:
    """What is asked of a site: logs, and which workers came and went."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.appearances: list[Appearance] = []

    def logs(self, role: str) -> list[Path]:
        return sorted([*self.directory.glob(f"{role}.log"), *self.directory.glob(f"{role}-[0-9].log")])

    def worker_logs(self, worker: WorkerProcess) -> list[Path]:
        return sorted(self.directory.glob(f"{worker.host}-{worker.port}.log"))

    def worker_events(self) -> list[Appearance]:
        return self.appearances

    def write(self, name: str, text: str, ago_secs: float = 0.0) -> None:
        moment = time.localtime(time.time() - ago_secs)
        with (self.directory / f"{name}.log").open("a") as log:
            log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S', moment)},000 INFO {text}\n")


@pytest.fixture
def site(tmp_path: Path) -> Any:
    return Site(tmp_path)


def worker(pid: int, host: str = "a", port: int = PORT) -> WorkerProcess:
    return WorkerProcess(pid, host, port, "t-1", f"/host-{host}/workers/id-{pid}/launch.json")


def told(site: Any, pattern: str, *victims: WorkerProcess) -> bool:
    hit = Hit(Event(0.0, "worker-killed", "worker-0", 0.0), victims=list(victims))
    logs = Logs(monotonic_offset())
    return said(site, logs, Said("victim", pattern), hit, (0.0, float("inf"))) is not None


def test_of_a_worker_tells_the_log_of_its_own_host_and_port(site: Any) -> None:
    pattern = r"The worker on port {port} was killed by signal 9"
    site.write("a", f"The worker on port {PORT} was killed by signal {int(signal.SIGKILL)}")
    assert told(site, pattern, worker(1))
    assert not told(site, pattern, worker(1, "b"))
    assert not told(site, pattern, worker(1, port=PORT + 1))
    assert told(site, pattern, worker(1, "b"), worker(2))
    assert not told(site, pattern)


def test_its_own_log_tells_too(site: Any) -> None:
    site.write(f"a-{PORT}", "Ending (exit code 0): told by a signal")
    assert told(site, "Ending .*: told", worker(1))
    assert not told(site, "Ending .*: told", worker(1, port=PORT + 1))


BACK = (Said("worker", "Connected", each=True, after="is lost"), Said("nimbus", "leads now", after="is lost"))


def back_secs_ago(site: Any, healed_secs_ago: float | None = None) -> float | None:
    """Since when logs have said all of BACK, of what happened in the last minute."""
    hit, now = Hit(Event(0.0, "zookeeper-lost", "zookeeper", 0.0)), time.monotonic()
    hit.healed_at = None if healed_secs_ago is None else now - healed_secs_ago
    at = all_said(site, Logs(monotonic_offset()), BACK, hit, (now - 60, now + 60))
    return None if at is None else now - at


def test_who_lost_something_has_to_say_that_it_has_it_again(site: Any) -> None:
    assert back_secs_ago(site) == pytest.approx(60, abs=0.1)  # nobody lost anything
    site.write("worker", "Connected", 50)
    site.write("worker", "is lost", 40)
    assert back_secs_ago(site) is None
    site.write("worker", "Connected", 30)
    assert back_secs_ago(site) == pytest.approx(30, abs=2)
    site.write("nimbus", "is lost", 40)
    site.write("nimbus", "leads no more", 35)
    assert back_secs_ago(site) is None
    site.write("nimbus", "leads now", 10)
    assert back_secs_ago(site) == pytest.approx(10, abs=2)


def test_where_one_of_several_has_to_say_it_any_may_once_one_lost_it(site: Any) -> None:
    site.write("nimbus-1", "leads now", 50)
    site.write("nimbus-2", "is lost", 40)
    assert back_secs_ago(site) is None
    site.write("nimbus-1", "leads now", 20)
    assert back_secs_ago(site) == pytest.approx(20, abs=2)


def test_where_each_has_to_say_it_nobody_does_for_another(site: Any) -> None:
    for name in ("worker-1", "worker-2"):
        site.write(name, "is lost", 40)
    site.write("worker-1", "Connected", 20)
    assert back_secs_ago(site) is None
    site.write("worker-2", "Connected", 10)
    assert back_secs_ago(site) == pytest.approx(10, abs=2)


def test_what_was_lost_after_a_fault_was_healed_was_lost_by_another(site: Any) -> None:
    site.write("worker", "is lost", 30)
    assert back_secs_ago(site, healed_secs_ago=40) == pytest.approx(60, abs=0.1)
    assert back_secs_ago(site, healed_secs_ago=20) is None


def test_the_last_loss_counts_of_a_log_that_has_several(site: Any) -> None:
    for text, ago_secs in (("is lost", 40), ("Connected", 35), ("is lost", 30)):
        site.write("worker", text, ago_secs)
    assert back_secs_ago(site) is None
    site.write("worker", "Connected", 20)
    assert back_secs_ago(site) == pytest.approx(20, abs=2)


@pytest.mark.parametrize(
    ("lost_secs_ago", "next_secs_ago", "found"),
    [
        (29, -100, 20),
        (31, -100, 20),
        (30 - NOTICED_SECS - 2, -100, None),  # too late to have been lost by it
        (26, 28, None),  # another fault had begun
    ],
)
def test_who_stood_still_may_notice_a_moment_later_what_he_lost(
    site: Any, lost_secs_ago: float, next_secs_ago: float, found: float | None
) -> None:
    now = time.monotonic()
    hit = Hit(Event(0.0, "everything-paused", "all", 0.0), healed_at=now - 30, next_at=now - next_secs_ago)
    site.write("worker", "is lost", lost_secs_ago)
    site.write("worker", "Connected", 20)
    said_at = said(site, Logs(monotonic_offset()), BACK[0]._replace(late=True), hit, (now - 60, now))
    assert said_at == (now - 60 if found is None else pytest.approx(now - found, abs=2))


def test_of_a_host_its_own_workers_tell(site: Any) -> None:
    hit, logs = Hit(Event(0.0, "worker-session-expired", "a", 0.0)), Logs(monotonic_offset())
    site.write("b's workers", "ended")
    between = (0.0, math.inf)
    assert said(site, logs, Said("target's workers", "ended"), hit, between) is None
    site.write("a's workers", "ended")
    assert said(site, logs, Said("target's workers", "ended"), hit, between) is not None


def observed(site: Any, kind: Fault, hit: Hit, *others: Hit) -> Observed:
    site.timers = SHORT
    load: Any = SimpleNamespace(topology_id="t-1")
    hit.at, hit.healed_at = time.monotonic() - 30, time.monotonic() - 20
    kinds = {kind.name: kind, "g": kind._replace(name="g", target="cluster", never=None)}
    return observe(Finished(site, load, [hit, *others], kinds))[0]


def kind_of(target: str, *back: Said) -> Fault:
    return Fault("f", "-", "a fault", target, lambda hand: None, told=Said("supervisor", "lost"), back=back)


def test_of_what_there_was_nothing_to_hit_nobody_has_to_tell(site: Any) -> None:
    kind = kind_of("host", Said("target", "Connected"))
    hit = Hit(Event(0.0, "f", "a", 0.0))
    assert (observed(site, kind, hit).must_be_told, observed(site, kind, hit).has_back) == (True, True)
    hit.missed = True
    assert (observed(site, kind, hit).must_be_told, observed(site, kind, hit).has_back) == (False, False)


def test_of_a_worker_that_was_not_well_when_it_was_hit_no_line_has_to_come(site: Any) -> None:
    kind = kind_of("worker", Said("victim", "exited with code 0"))
    hit = Hit(Event(0.0, "f", "worker-0", 0.0), victims=[worker(1)])
    assert (observed(site, kind, hit).must_be_told, observed(site, kind, hit).has_back) == (True, True)
    hit.settled = False
    assert (observed(site, kind, hit).must_be_told, observed(site, kind, hit).has_back) == (False, False)


def test_what_no_log_may_say_is_wrong_until_the_next_fault(site: Any) -> None:
    kind = kind_of("worker")._replace(never=Said("victim", r"port {port} was killed by signal \d+"))
    hit = Hit(Event(0.0, "f", "worker-0", 0.0), victims=[worker(1)])
    site.write("a", f"port {PORT + 1} was killed by signal 15", 25)
    assert observed(site, kind, hit).wrong == ()
    next_one = Hit(Event(0.0, "g", "all", 0.0), at=time.monotonic() - 10)
    site.write("a", f"port {PORT} was killed by signal 9", 5)
    assert observed(site, kind, hit, next_one).wrong == ()
    site.write("a", f"port {PORT} was killed by signal 15", 25)
    assert len(observed(site, kind, hit, next_one).wrong) == 1
    hit.wrong.clear()
    next_one.at = time.monotonic() - 28
    assert len(observed(site, kind, hit, next_one).wrong) == 1  # it began while this one went on
    hit.wrong.clear()
    hit.settled = False
    assert observed(site, kind, hit).wrong == ()


def test_where_no_line_is_due_the_ledger_says_that_all_is_well(site: Any) -> None:
    kind = kind_of("cluster", *BACK)
    hit = Hit(Event(0.0, "f", "all", 0.0))
    assert not observed(site, kind, hit).has_back
    site.write("worker", "is lost", 25)
    assert (observed(site, kind, hit).has_back, observed(site, kind, hit).back_at) == (True, None)
    site.write("worker", "Connected", 15)
    assert observed(site, kind, hit).back_at == pytest.approx(time.monotonic() - 15, abs=2)


def test_what_a_hit_knows_of_links_and_of_who_takes_over_is_observed(site: Any) -> None:
    links = frozenset({("a", "b")})
    found = observed(site, kind_of("link"), Hit(Event(0.0, "f", "a-b", 0.0), links=links, from_blow=True))
    assert (found.links, found.from_blow) == (links, True)


def ended(site: Any, *workers: WorkerProcess) -> list[End]:
    now = time.monotonic()
    site.appearances = [Appearance(now - 5, each, gone=False) for each in workers]
    site.appearances += [Appearance(now + 1, each, gone=True) for each in workers]
    load: Any = SimpleNamespace(topology_id="t-1")
    return ends(Finished(site, load))


@pytest.mark.parametrize("why", ["its assignment changed", "its slot is wanted no more"])
def test_whom_its_supervisor_ended_for_another_assignment_was_moved(site: Any, why: str) -> None:
    site.write("a", f"port {PORT}: stopping worker id-1 of t-1: {why}")
    assert [(end.pid, end.moved) for end in ended(site, worker(1), worker(2), worker(1, "b"))] == [
        (1, True), (2, False), (1, False),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("reason", "moved"),
    [
        ("assignment 7 has no worker on port 6700 of this node any more", True),
        ("assignment 7 gives port 6700 other executors (epoch 7)", True),
        ("told by a signal", False),
    ],
)
def test_a_worker_that_heard_first_of_another_assignment_was_moved(site: Any, reason: str, moved: bool) -> None:
    site.write(f"a-{PORT}", f"Ending (exit code 0): {reason}")
    assert [end.moved for end in ended(site, worker(1))] == [moved]


def test_workers_of_other_topologies_are_none_of_the_loads(site: Any) -> None:
    assert ended(site, worker(1)._replace(topology_id="t-2")) == []


def test_a_slot_where_somebody_listens_without_a_worker_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.create_server(("127.0.0.1", 0)) as working:
        ports = [each.getsockname()[1] for each in (listening, working)]
        daemon = SimpleNamespace(settings={"supervisor.slots.ports": ports}, place=Loopback().place("a"))
        site: Any = SimpleNamespace(supervisors={"a": daemon}, workers=lambda: [worker(1, "a", ports[1])])
        assert ports_taken(site) == [f"somebody listening on port {ports[0]} of host a"]


KINDS = {
    "worker-paused": Drawable("worker-paused", "worker", (6.0, 9.0), frozenset({"workers"})),
    "nimbus-killed": Drawable("nimbus-killed", "nimbus", (1.0, 3.0), frozenset({"nimbus"})),
    "coordination-paused": Drawable("coordination-paused", "cluster", (1.0, 3.0), frozenset({"nimbus"})),
}
PAUSED = Event(1.0, "worker-paused", "worker-2", 6.0)


def written(directory: Path, *events: Event) -> Path:
    file = directory / "schedule.json"
    file.write_text(to_json(1, Shape(), events))
    return file


def test_a_schedule_that_was_written_is_followed(tmp_path: Path) -> None:
    events = [PAUSED, Event(2.0, "nimbus-killed", "nimbus", 1.0)]
    assert replayed(written(tmp_path, *events), KINDS, Shape()) == events


@pytest.mark.parametrize(
    ("event", "shape", "why"),
    [
        (Event(9.0, "link-cut", "a-b", 1.0), Shape(), "has faults that are not of this scenario.*'link-cut'"),
        (
            Event(9.0, "nimbus-killed", "nimbus", 1.0), Shape(nimbuses=("nimbus-1", "nimbus-2")),
            "lets nimbus-killed hit nimbus; here it can hit nimbus-1, nimbus-2",
        ),
        (Event(2.0, "worker-paused", "worker-0", 1.0), Shape(), "worker-paused, at 1.0 s, and .* cannot overlap"),
    ],
)  # fmt: skip
def test_a_schedule_that_does_not_suit_this_scenario_is_refused(
    tmp_path: Path, event: Event, shape: Shape, why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        replayed(written(tmp_path, PAUSED, event), KINDS, shape)
