"""The runner of many seeds: what it tells, and that it goes on where it was interrupted."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import pytest
import seeds
from seeds import Chunk, Progress
from simulated_cluster import Outcome

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = "commit 1234567, interpreted"


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    progress = Progress(tmp_path / "there" / "done", SOURCE)
    assert progress.left(range(7, 130)) == [range(7, 57), range(57, 107), range(107, 130)]
    done = [Chunk(57, 106, 900, 11.5, {"60": ["a problem", "another"]}), Chunk(0, 56, 800, 10.0, {})]
    for chunk in done:
        progress.add(chunk)
    again = Progress(tmp_path / "there" / "done", SOURCE)
    assert again.chunks == done
    assert again.left(range(7, 130)) == [range(107, 130)]


def test_a_run_that_was_killed_while_it_wrote_loses_that_chunk_only(tmp_path: Path) -> None:
    file = tmp_path / "done"
    Progress(file, SOURCE).add(Chunk(0, 49, 900, 11.5, {}))
    with file.open("a") as torn:
        torn.write("[50, 99, 87")
    Progress(file, SOURCE).add(Chunk(100, 149, 700, 9.0, {}))
    assert [chunk.first for chunk in Progress(file, SOURCE).chunks] == [0, 100]


def test_seeds_of_other_sources_do_not_count(tmp_path: Path) -> None:
    Progress(tmp_path / "done", SOURCE)
    with pytest.raises(SystemExit, match=r"is of commit 1234567, interpreted, and this is commit 7654321.*--done"):
        Progress(tmp_path / "done", "commit 7654321, compiled")


@pytest.mark.parametrize("text", ["", "5..", "9..3", "-3..4", "many"])
def test_a_range_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"0\.\.99999"):
        seeds.seed_range(text)


def test_progress_says_how_fast_it_goes_and_how_long_it_takes() -> None:
    told = seeds.how_far(12_000, 100_000, 2, 1_200.0)
    assert told == "12,000 of 100,000 seeds, 2 failed; 10.0 a second, 2 h 27 min left"


def test_a_seed_that_cannot_be_simulated_has_failed() -> None:
    def outcome(seed: int) -> Outcome:
        if seed == 4:
            raise ZeroDivisionError("a fault of the simulation")
        return Outcome(seed, [], acked=10, failed=1, events=100)

    chunk = seeds.simulated(range(3, 6), outcome)
    assert chunk.acked == 20
    assert list(chunk.failed) == ["4"]
    assert "a fault of the simulation" in chunk.failed["4"][0]


def test_a_seed_that_never_ends_has_failed() -> None:
    def endless(seed: int) -> Outcome:
        while True:
            pass

    assert "was not over" in seeds.simulated(range(1), endless, cpu_secs_max=0.05).failed["0"][0]


@pytest.mark.slow
def test_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--seeds", "3..5", "--processes", "1", "--done", str(tmp_path / "done")]
    assert seeds.main(arguments) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("3 seeds, 0 failed; ")  # below progress, if it was slow


def test_what_failed_is_told_again_after_an_interruption(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Progress(tmp_path / "done", seeds.source()).add(Chunk(3, 5, 80, 0.5, {"4": ["an item is lost"]}))
    assert seeds.main(["--seeds", "3..5", "--done", str(tmp_path / "done")]) == 1
    told = capsys.readouterr().out
    assert "STORM_SIMULATION_SEED=4" in told
    assert "an item is lost" in told
    assert "3 seeds, 1 failed" in told
    assert told.endswith("failed: 4\n")


@pytest.mark.slow
def test_without_time_left_it_says_how_many_seeds_were_simulated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seeds, "CHUNK", 1)
    arguments = ["--seeds", "0..99", "--processes", "2", "--secs", "0.3", "--done", str(tmp_path / "done")]
    assert seeds.main(arguments) == 0
    said = capsys.readouterr().out.splitlines()[-1]
    done = sum(chunk.last - chunk.first + 1 for chunk in Progress(tmp_path / "done", seeds.source()).chunks)
    assert 0 < done < 100, "what was begun in that time"
    assert said.startswith(f"{done} seeds of 100, for want of time, 0 failed; ")


def test_too_few_seeds_are_no_success(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Progress(tmp_path / "done", seeds.source()).add(Chunk(0, 49, 80, 0.5, {}))
    arguments = ["--seeds", "0..99", "--secs", "0", "--done", str(tmp_path / "done")]
    assert seeds.main([*arguments, "--least", "50"]) == 0
    assert seeds.main([*arguments, "--least", "51"]) == 3
    assert capsys.readouterr().out.endswith("too few: at least 51 were asked for\n")
