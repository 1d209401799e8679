"""The unit tests of the compiled modules under valgrind's memcheck: no byte is read or written that is not ours.

    integration/sanitizers/run [--examples N] [PATH...]

Python's own allocator is left out (PYTHONMALLOC=malloc), so that every object and every array is a block that memcheck
knows. Only errors and leaks in whose stack one of our modules stands are reported: what Python and other libraries do
by themselves is not ours to judge. Ends with 1 if there is one, or if a test failed. Takes several minutes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
TESTS = ("tests/executor", "tests/messaging", "tests/test_tuples.py")
EXAMPLES = 10  # of each test that draws them: under valgrind everything takes forty times as long
CALLERS = 30  # frames of a stack that are kept


class Frame(NamedTuple):
    function: str
    library: str  # the file that the code was loaded from

    def __str__(self) -> str:
        return f"{self.function or '???'} ({Path(self.library).name})"


class Complaint(NamedTuple):
    """What memcheck complains of: its kind ("InvalidRead", "Leak_DefinitelyLost", ...), in words, and where."""

    kind: str
    text: str
    frames: tuple[Frame, ...]

    def is_in(self, folder: Path) -> bool:
        """Whether code from this folder is on the stack."""
        return any(Path(frame.library).is_relative_to(folder) for frame in self.frames if frame.library)

    def __str__(self) -> str:
        return "\n".join([f"{self.kind}: {self.text}", *[f"    {frame}" for frame in self.frames]])


def errors_in(xml: str) -> list[Complaint]:
    """All errors of a memcheck report. Raises ParseError if it was cut short."""
    return [_error(found) for found in ElementTree.fromstring(xml).iter("error")]


def _error(found: ElementTree.Element) -> Complaint:
    frames = [Frame(each.findtext("fn", ""), each.findtext("obj", "")) for each in found.findall("./stack/frame")]
    text = found.findtext("what") or found.findtext("./xwhat/text", "")
    return Complaint(found.findtext("kind", ""), text, tuple(frames))


def command(reports: Path, paths: list[str]) -> list[str]:
    """Each process has its report, by its id: what tests fork would go on writing into the first one's."""
    return [
        "valgrind", "--tool=memcheck", "--xml=yes", f"--xml-file={reports}/%p.xml", f"--num-callers={CALLERS}",
        "--error-limit=no", "--leak-check=full", "--show-leak-kinds=definite", "--errors-for-leak-kinds=definite",
        sys.executable, "-m", "pytest", "-q", "-p", "fewer_examples", "--timeout=0", *paths,
    ]  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", metavar="PATH", default=list(TESTS), help=" ".join(TESTS))
    parser.add_argument("--examples", type=int, default=EXAMPLES, help="of each Hypothesis test (%(default)s)")
    wanted = parser.parse_args()
    if shutil.which("valgrind") is None:
        print("valgrind must be installed (Debian: valgrind)", file=sys.stderr)
        return 2
    sys.path.insert(0, str(REPOSITORY))
    from storm import hot_path

    if not hot_path.is_compiled():
        print(f"there is nothing compiled to look at: {hot_path.mode()}", file=sys.stderr)
        return 2
    environment = {
        **os.environ,
        "PYTHONMALLOC": "malloc",
        "PYTHONPATH": str(HERE),
        "STORM_TEST_EXAMPLES": str(wanted.examples),
    }
    with tempfile.TemporaryDirectory() as folder:
        reports = Path(folder)
        with subprocess.Popen(command(reports, wanted.paths), cwd=REPOSITORY, env=environment) as process:
            code = process.wait()
        found = errors_in((reports / f"{process.pid}.xml").read_text(errors="replace"))
    ours = [error for error in found if error.is_in(REPOSITORY / "storm")]
    for error in ours:
        print(f"\n{error}")
    print(
        f"\nmemcheck: {len(ours)} errors in our modules ({len(found) - len(ours)} elsewhere); tests ended with {code}"
    )
    return 1 if ours or code else 0


if __name__ == "__main__":
    sys.exit(main())
