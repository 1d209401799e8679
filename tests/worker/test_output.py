from __future__ import annotations

import io
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from storm.worker.output import LogFile

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import logging, os, sys
from storm.worker.daemon import configure_logging
configure_logging()
print("from user code")
sys.stdout.buffer.write(b"bytes")
print("to the other", file=sys.stderr)
logging.getLogger("x").error("logged")
sys.stdout.flush()
os._exit(7)
"""


def test_a_full_disk_harms_nobody_who_prints() -> None:
    with open("/dev/full", "wb") as full:
        assert subprocess.run([sys.executable, "-c", PROGRAM], stdout=full, stderr=full, check=False).returncode == 7


def test_nor_does_a_reader_who_has_gone() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    assert subprocess.run([sys.executable, "-c", PROGRAM], stdout=writer, stderr=writer, check=False).returncode == 7
    os.close(writer)


def test_what_is_written_is_in_the_log_at_once_in_any_characters(tmp_path: Path) -> None:
    path = tmp_path / "worker.log"
    with path.open("ab") as file:
        result = subprocess.run([sys.executable, "-c", PROGRAM], stdout=file, stderr=file, check=False)
    assert result.returncode == 7
    text = path.read_text()
    assert text.startswith("from user code\nbytesto the other\n")
    assert text.endswith("Z ERROR [-] x: logged\n")


def test_a_gap_is_told_when_there_is_room_again(tmp_path: Path) -> None:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    stream = io.TextIOWrapper(LogFile(descriptor), encoding="utf-8", write_through=True)
    print("lost", file=stream)
    print("lost too", file=stream)
    file = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    os.dup2(file, descriptor)
    print("there", file=stream)
    print("again", file=stream)
    stream.close()
    os.close(file)
    os.close(descriptor)
    assert (tmp_path / "log").read_text() == "(14 bytes of the log could not be written and are lost)\nthere\nagain\n"
