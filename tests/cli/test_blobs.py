"""What `storm blobstore` says before it asks anybody; integration/cluster/test_blobs.py has the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from storm.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["blobstore", *args])
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "-h")
    assert code == 0
    assert all(name in out for name in ("cat", "create", "delete", "list", "replication", "update"))


@pytest.mark.parametrize("command", ["create", "update"])
def test_a_file_that_cannot_be_read_is_named(command: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for file in (tmp_path / "missing", tmp_path):
        code, out, err = run(capsys, command, "-f", str(file), "key")
        assert (code, out) == (1, "")
        assert f"{file} cannot be read" in err


def test_where_a_blob_cannot_be_written_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for target, complaint in (
        (".", ". is a directory"),
        ("/", "/ is a directory"),
        ("", ". is a directory"),
        (str(tmp_path), f"{tmp_path} is a directory"),
        (str(tmp_path / "file" / "x"), "cannot be written: Not a directory"),
        (str(tmp_path / "missing" / "x"), "cannot be written: No such file or directory"),
        (str(tmp_path / ("x" * 255)), "cannot be written: File name too long"),
    ):
        code, out, err = run(capsys, "cat", "-f", target, "key")
        assert (code, out) == (1, "")
        assert complaint in err
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


@pytest.mark.parametrize(
    "words",
    [["--update"], ["-r", "2"], ["--read", "-r", "2"], ["--read", "--update", "-r", "2"], ["--update", "-r", "0"]],
)
def test_replication_is_read_or_set(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "replication", *words, "key")
    assert code == 2
    assert "Usage" in err


def test_without_a_nimbus_it_says_where_it_looked(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "list", "-c", "nimbus.seeds=[127.0.0.1]", "-c", "nimbus.thrift.port=1")
    assert code == 1
    assert "127.0.0.1:1" in err
