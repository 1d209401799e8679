"""Other releases of this package, made of its sources: the next one, and the one after it.

    root = next_release(tmp_path)      # a directory that holds `storm/`: to be PYTHONPATH and working directory
    later = release_after(tmp_path)

Each differs from the release before it in every format that daemons, workers and clients share, by the rules of
docs/wire.md and `record_codec`: the next one reads version 2 of every record and writes version 1 with one more field,
and speaks version 2 of frames to those who read it; the one after it writes version 2 of records, and no longer speaks
version 1 of frames. Both add fields to Thrift structs, launch files, local states and meta files of blobs.

A patch that no longer fits the sources is an AssertionError that names the file.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import storm

SOURCES = Path(storm.__file__).parent
ADDED = "added_by_a_later_release"  # the name of every field that is added
_STRUCTS = (
    "ComponentCommon", "StormTopology", "TopologySummary", "NimbusSummary", "WorkerSummary", "ClusterSummary",
    "SupervisorWorkerHeartbeat", "SupervisorWorkerHeartbeats",
)  # fmt: skip
_RECORDS = ("StormBase", "Assignment", "SupervisorInfo", "Drain", "NimbusInfo", "ErrorInfo", "LogConfig", "UserBlob")


def this_release() -> Path:
    """The directory that holds `storm/` as it is."""
    return SOURCES.parent


def next_release(directory: Path) -> Path:
    """The directory of the next release, which is made in `directory` if it is not there yet."""
    root = directory / "next_release"
    if not root.exists():
        package = root / "storm"
        shutil.copytree(SOURCES, package, ignore=shutil.ignore_patterns("__pycache__"))
        _patch(package / "__init__.py", (f'__version__ = "{storm.__version__}"', '__version__ = "98.0.0"'))
        _add_to_frames(package)
        _add_to_records(package)
        _add_to_files(package)
        _add_to_thrift(package)
    return root


def release_after(directory: Path) -> Path:
    """The directory of the release after the next one, likewise."""
    root = directory / "release_after"
    if not root.exists():
        package = root / "storm"
        shutil.copytree(next_release(directory) / "storm", package, ignore=shutil.ignore_patterns("__pycache__"))
        _patch(package / "__init__.py", ('__version__ = "98.0.0"', '__version__ = "99.0.0"'))
        _patch(package / "messaging" / "batch.py", ("OLDEST, NEWEST = 1, 2", "OLDEST, NEWEST = 2, 3"))
        _write_the_new_version_of_records(package)
    return root


def release_of(pid: int) -> Path:
    """The directory whose `storm/` a process runs that was started with one of these in its PYTHONPATH."""
    variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    [python_path] = [each for each in variables if each.startswith(b"PYTHONPATH=")]
    return Path(os.fsdecode(python_path).removeprefix("PYTHONPATH=").split(os.pathsep)[0])


def _add_to_frames(package: Path) -> None:
    """Version 2 has a kind of section that version 1 lacks, in every frame; hellos are longer."""
    _patch(
        package / "messaging" / "batch.py",
        ("OLDEST, NEWEST = 1, 1", "OLDEST, NEWEST = 1, 2"),
        ("[_HELLO.pack(*hello)]", "[_HELLO.pack(*hello), bytes(5)]"),
        (
            "return _frame(source, FrameKind.BATCH, sections, version)",
            "return _frame(source, FrameKind.BATCH, [*sections, *([bytes([99]) * 9] if version > 1 else [])], version)",
        ),
        (
            '            else:\n                raise FrameError(f"unknown kind of section {section_kind}")',
            "            elif section_kind == 99:\n                at += 9\n"
            '            else:\n                raise FrameError(f"unknown kind of section {section_kind}")',
        ),
    )


def _add_to_records(package: Path) -> None:
    records = package / "cluster" / "records.py"
    for name in _RECORDS:
        text = records.read_text()
        head, found, rest = text.partition(f"class {name}:\n")
        assert found, f"{records}: class {name}"
        *_, last = re.finditer(r"^    \w+: .*$", rest.partition("\n\n\n")[0].partition("    def ")[0], re.MULTILINE)
        added = f'\n    {ADDED}: str = "something"'
        records.write_text(head + found + rest[: last.end()] + added + rest[last.end() :])
    codec = package / "cluster" / "record_codec.py"
    for name in _RECORDS:
        _patch(codec, (f'Format("{name}")', f'Format("{name}", also_read={{2: lambda wrapped: wrapped["fields"]}})'))


def _write_the_new_version_of_records(package: Path) -> None:
    """It has the fields one level deeper, which the former version does not read."""
    codec = package / "cluster" / "record_codec.py"
    for name in _RECORDS:
        _patch(
            codec,
            (
                f'Format("{name}", also_read={{2: lambda wrapped: wrapped["fields"]}})',
                f'Format("{name}", 2, also_read={{1: dict}})',
            ),
        )
    _patch(
        codec,
        ("_encode((kind, version, record))", '_encode((kind, version, {"fields": record}))'),
        (
            "_bodies[record_type].decode(body)",
            'msgspec.convert(_fields.decode(body)["fields"], record_type)',
        ),
    )


def _add_to_files(package: Path) -> None:
    """What supervisors and Nimbuses keep on disk."""
    _patch(
        package / "supervisor" / "assignment_sync.py",
        ('        "epoch": assignment.epoch,\n', f'        "epoch": assignment.epoch,\n        "{ADDED}": [1],\n'),
    )
    _patch(
        package / "blobstore" / "blob_store.py",
        ("    version: int = 1\n", f'    version: int = 1\n    {ADDED}: str = "something"\n'),
    )


def _add_to_thrift(package: Path) -> None:
    for name in _STRUCTS:
        _patch(
            package / "thrift" / "storm.thrift",
            (f"struct {name} {{\n", f'struct {name} {{\n  999: optional string {ADDED} = "something";\n'),
        )


def _patch(file: Path, *changes: tuple[str, str]) -> None:
    text = file.read_text()
    for old, new in changes:
        assert text.count(old) == 1, f"{file} has {old!r} {text.count(old)} times"
        text = text.replace(old, new)
    file.write_text(text)
