from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from storm.cli.hosts import (
    UNSEEN_SECS,
    Left,
    drained_lines,
    host_rows,
    host_table,
    illness_lines,
    left_on,
    node_id_here,
    result,
    wait_empty,
)
from storm.cli.main import main
from storm.errors import StormError
from storm.supervisor.home import node_id_file
from storm.thrift.interface import storm_thrift

if TYPE_CHECKING:
    from pathlib import Path


def cluster(used: int, running: int, status: str | None = None, leaving: list[str] | None = None) -> Any:
    """Two supervisors, of which `a` is drained and in use as told, and one that is drained and gone."""
    t = storm_thrift()

    def supervisor(node: str, used: int, running: int, **meta: str) -> Any:
        return t.SupervisorSummary(
            host=f"host-{node}", uptime_secs=60, num_workers=4, num_used_workers=used, supervisor_id=node,
            version="0.1.0", num_running_workers=running, scheduler_meta=meta,
        )  # fmt: skip

    return t.ClusterSummary(
        supervisors=[supervisor("a", used, running), supervisor("b", 1, 1, tags="gpu", zone="east")],
        topologies=[
            t.TopologySummary(name="w", sched_status=status, leaving_supervisors=leaving),
            t.TopologySummary(name="other"),
        ],
        nimbuses=[],
        drained=[t.DrainedSupervisor(supervisor_id=node, host=f"host-{node}", since_secs=1) for node in "ac"],
    )


class Nimbus:
    """Tells one summary after the other, the last for ever."""

    def __init__(self, *summaries: Any) -> None:
        self.summaries = list(summaries)

    def call(self, method: str) -> Any:
        assert method == "getClusterInfo"
        return self.summaries.pop(0) if len(self.summaries) > 1 else self.summaries[0]


class MovedClock:
    def __init__(self) -> None:
        self.secs = 0.0

    def now(self) -> float:
        return self.secs

    def sleep(self, secs: float) -> None:
        self.secs += secs


def test_hosts_have_a_row_each_also_drained_ones_that_are_gone() -> None:
    rows = host_rows(cluster(2, 2))
    assert [(row["host"], row["state"], row["used"], row["tags"]) for row in rows] == [
        ("host-a", "drained", 2, []),
        ("host-b", "in use", 1, ["gpu", "zone=east"]),
        ("host-c", "drained, gone", None, []),
    ]
    assert drained_lines(cluster(2, 1)) == [
        "host-a is drained: 2 workers left; `storm undrain host-a` lets it work again",
        "host-c is drained, gone: what is left there is not known; `storm undrain host-c` lets it work again",
    ]


def test_what_workers_use_is_told_of_what_a_host_has() -> None:
    summary = cluster(2, 2)
    first, second = summary.supervisors
    first.used_mem, first.used_cpu = 1234.5, 87.6
    first.total_resources = {"memory.mb": 16000.0, "cpu.pcore.percent": 400.0}
    second.used_mem = 10.0
    rows = host_rows(summary)
    assert (rows[0]["used_mem"], rows[0]["total_mem"], rows[0]["total_cpu"]) == (1234.5, 16000.0, 400.0)
    lines = host_table(rows).splitlines()
    assert "1,234 of 16,000 MB  88 of 400 %" in lines[1]
    assert " 10 MB " in lines[2]


def test_an_ill_host_is_called_so() -> None:
    summary = cluster(0, 0)
    for each in summary.supervisors:
        each.illness = "disk.sh says ERROR sda"
    assert [(row["state"], row["illness"]) for row in host_rows(summary)[:2]] == [
        ("drained, ill", "disk.sh says ERROR sda"),
        ("ill", "disk.sh says ERROR sda"),
    ]


def test_what_a_health_script_says_does_nothing_to_the_terminal() -> None:
    summary = cluster(0, 0)
    summary.supervisors[1].illness = "disk.sh says \x1b[2J"
    told = illness_lines(host_rows(summary))
    assert told == ["host-b is ill, and has ended its workers: disk.sh says \\x1b[2J"]


def test_a_worker_that_still_runs_is_left_though_nothing_is_assigned() -> None:
    assert left_on(cluster(0, 1), {"a"}).workers == 1
    assert left_on(cluster(2, 0), {"a"}).workers == 2
    assert left_on(cluster(0, 0), {"a"}).workers == 0


def test_the_wait_ends_when_nothing_is_left_and_tells_what_changes(capsys: pytest.CaptureFixture[str]) -> None:
    why = "Leaves host-a (drained), once what is under way is done."
    clock: Any = MovedClock()
    leaving = cluster(2, 2, why, ["a"])
    nimbus: Any = Nimbus(leaving, leaving, cluster(0, 1), cluster(0, 0))
    assert wait_empty(nimbus, {"a"}, None, clock).is_empty
    assert capsys.readouterr().out.splitlines() == ["2 workers left", f"  w: {why}", "1 worker left"]
    assert clock.secs == 3


def test_the_wait_ends_after_its_time() -> None:
    clock: Any = MovedClock()
    nimbus: Any = Nimbus(cluster(1, 1))
    assert wait_empty(nimbus, {"a"}, 5, clock) == Left(1, ())
    assert clock.secs == 5


def test_a_supervisor_that_nimbus_does_not_see_is_not_empty(capsys: pytest.CaptureFixture[str]) -> None:
    clock: Any = MovedClock()
    nimbus: Any = Nimbus(cluster(1, 1), cluster(0, 0))
    left = wait_empty(nimbus, {"a", "c"}, None, clock)
    assert left == Left(0, (), ("host-c (c)",))
    assert clock.secs == UNSEEN_SECS
    assert capsys.readouterr().out.splitlines() == [
        "1 worker left",
        "waiting for host-c (c), which Nimbus does not see",
        "waiting for host-c (c), which Nimbus does not see",
    ]
    assert result("host-c", left).startswith("host-c (c) is not seen by Nimbus, so that workers may be left there")
    assert not left.is_empty
    restarted = cluster(0, 0)
    restarted.supervisors[0].supervisor_id = "c"
    nimbus = Nimbus(*[cluster(0, 0)] * 10, restarted)
    left = wait_empty(nimbus, {"c"}, None, clock)
    assert result("host-c", left).startswith("host-c is empty: its supervisor can be stopped")


@pytest.mark.parametrize(
    ("leaving", "is_told"), [(["b", "a"], True), (["b"], False), ([], False), (None, False)], ids=str
)
def test_only_topologies_that_leave_these_supervisors_are_told_of(leaving: list[str] | None, is_told: bool) -> None:
    """None: a Nimbus of the former release does not tell which those are."""
    found = left_on(cluster(1, 1, "Shall leave host-a.", leaving), {"a"})
    assert found.troubles == (("w: Shall leave host-a.",) if is_told else ())


@pytest.mark.parametrize("words", [["drain"], ["drain", "h", "--here"], ["undrain"]])
def test_one_host_must_be_named(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "--here" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["drain", "undrain"])
def test_where_this_machines_supervisor_was_looked_for_is_said(
    tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = node_id_file(tmp_path / "supervisor" / "supervisor")
    empty.parent.mkdir(parents=True)
    empty.touch()
    with pytest.raises(SystemExit) as ended:
        main([command, "--here", "-c", f"storm.local.dir={tmp_path}"])
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert f"{node_id_file(tmp_path / 'supervisor')} (No such file or directory), {empty} (it is empty)" in said


@pytest.mark.parametrize("place", [".", "supervisor"])
def test_this_machines_supervisor_is_found_where_systemds_unit_has_it_too(tmp_path: Path, place: str) -> None:
    kept = node_id_file(tmp_path / place / "supervisor")
    kept.parent.mkdir(parents=True)
    kept.write_text("5c0a\n")
    assert node_id_here(tmp_path) == "5c0a"


def test_of_two_supervisors_of_this_machine_none_is_chosen(tmp_path: Path) -> None:
    for directory, node_id in ((tmp_path, "old"), (tmp_path / "supervisor", "new")):
        node_id_file(directory / "supervisor").parent.mkdir(parents=True, exist_ok=True)
        node_id_file(directory / "supervisor").write_text(node_id)
    with pytest.raises(
        StormError, match=r"two supervisors have run .*: old \(by .*\), new \(by .*\)\. Name one by its id"
    ):
        node_id_here(tmp_path)
