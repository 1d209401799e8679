from __future__ import annotations

import resource
from typing import TYPE_CHECKING

import pytest

from storm import open_files
from storm.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def test_ending_workers_where_none_run_ends_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "supervisor").mkdir()
    (tmp_path / "supervisor" / "node-id").write_text("3f0d9f4e-0000-4000-8000-000000000000\n")
    with pytest.raises(SystemExit) as ended:
        main(["kill-workers", "-c", f"storm.local.dir={tmp_path}"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == "0 workers ended\n"


def test_ending_workers_where_no_supervisor_has_run_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["kill-workers", "-c", f"storm.local.dir={tmp_path}"])
    assert ended.value.code == 1
    assert f"there is no {tmp_path}/supervisor/node-id and no {tmp_path}/workers" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_local_directory_of_a_unit_is_not_taken_for_a_supervisors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    units = tmp_path / "supervisor"
    for name in ("supervisor", "workers", "logs"):
        (units / name).mkdir(parents=True)
    with pytest.raises(SystemExit) as ended:
        main(["kill-workers", "-c", f"storm.local.dir={tmp_path}"])
    assert ended.value.code == 1
    assert "name that: -c storm.local.dir=..." in capsys.readouterr().err
    assert not (units / "supervisor.lock").exists()


@pytest.mark.parametrize("port", ["0", "65536", "x"])
def test_a_port_that_is_none_is_wrong_usage(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["dev-zookeeper", "--port", port])
    assert ended.value.code == 2
    assert "--port" in capsys.readouterr().err


@pytest.fixture
def few_files() -> Iterator[int]:
    """A low limit of open files, as most systems begin with; the limit is put back afterwards."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    low = min(200, hard) if hard != resource.RLIM_INFINITY else 200
    resource.setrlimit(resource.RLIMIT_NOFILE, (low, hard))
    yield low
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("daemon", ["ui", "logviewer"])
def test_what_serves_http_takes_as_many_files_as_it_may(daemon: str, few_files: int, tmp_path: Path) -> None:
    words = (f"storm.local.dir={tmp_path}", f"{daemon}.host=192.0.2.1")  # where it may not listen
    with pytest.raises(SystemExit) as ended:
        main([daemon, *(word for setting in words for word in ("-c", setting))])
    assert ended.value.code == 1
    assert open_files.limit() > few_files
