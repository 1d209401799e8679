"""The Python packages that a topology needs beside its own code: what its package says of them. Pure.

They are a list of requirements, one logical line of a requirements.txt each, the minor version of Python that they are
for, and the wheels that travel in the package, {name: sha256}. Whoever needs exactly the same on a host shares one
environment, named by `EnvironmentSpec.key`. A client checks the lines so that what cannot work on a host is refused
when it is submitted, a supervisor because it cannot know who made a package.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from storm.errors import PackageError
from storm.package_rules import check_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

MANIFEST = "STORM-MANIFEST.json"  # its name in a package
MANIFEST_BYTES_MAX = 8 << 20
SOURCE_KEY = "source"  # of a manifest: the directory that is a root of modules beside the package's top
WHEELS = "STORM-WHEELS"  # the directory of wheels in a package
OWN_PROJECT = "storm-cluster"
LINES_MAX = 5_000
LINE_CHARS_MAX = 1 << 18
TEXT_CHARS_MAX = 4 << 20  # a lock with the hashes of a thousand files has about 1 MB
WHEELS_MAX = 2_000
KEY_CHARS = 32
SHOWN_CHARS = 120
#: How a failure to make an environment begins; who reads it knows so that the code of the topology never ran.
NOT_BUILT = "could not build its environment"

_OPTIONS = {  # {option of requirements.txt that both pip and uv know: whether its value is an address}
    "-i": True, "--index-url": True, "--extra-index-url": True, "-f": True, "--find-links": True,
    "--no-binary": False, "--only-binary": False, "--trusted-host": False,
}  # fmt: skip
_FLAGS = {"--pre", "--prefer-binary", "--require-hashes", "--no-index"}
# Text, which `re` compiles at its first use and keeps: most processes that import this never read a requirement.
_NAME = r"([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(\[[^\]]*\])?\s*"
_ONE_VERSION = r"(?:===|==|~=|!=|<=|>=|<|>)\s*[A-Za-z0-9][A-Za-z0-9.!+*_-]*"
# A comma between any two: were it optional, the blanks around it could be matched in many ways.
_VERSION = rf"\(?\s*(?:{_ONE_VERSION}(?:\s*,\s*{_ONE_VERSION})*)?\s*,?\s*\)?"
_ADDRESS = r"(https?|git\+https?|git\+ssh)://[^\s]+"
_HASH = r"\s+--hash[= ](sha256|sha384|sha512):[0-9a-f]+(?=\s|$)"
_PYTHON = r"3\.\d{1,3}"
_WHEEL = r"(?a)[A-Za-z0-9][\w.]*-[\w.!+]+(-\d[\w.]*)?-[\w.]+-[\w.]+-[\w.]+\.whl"
_SHA256 = r"[0-9a-f]{64}"


@dataclass(frozen=True, slots=True)
class EnvironmentSpec:
    """`python` as "3.11"; `requirements` one logical line each; `wheels` {file name: sha256 in hex}, sorted.

    With wheels, nothing but they is installed: no index is asked.
    """

    python: str
    requirements: tuple[str, ...]
    wheels: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> str:
        """The name of the environment that these make: 32 hexadecimal digits."""
        text = json.dumps([1, self.python, self.requirements, self.wheels])
        return hashlib.sha256(text.encode()).hexdigest()[:KEY_CHARS]

    def to_plain(self) -> dict[str, Any]:
        """As JSON can hold it; `from_plain` reads it."""
        return {"python": self.python, "requirements": list(self.requirements), "wheels": dict(self.wheels)}


def from_plain(plain: Any) -> EnvironmentSpec:
    """Raises PackageError for what no client of ours writes: it comes from a package."""
    python, lines, wheels = _fields(plain)
    if not isinstance(python, str) or not re.fullmatch(_PYTHON, python):
        raise PackageError(f"its manifest names Python {python!r:.50}, which is no version such as 3.11")
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise PackageError("the requirements of its manifest are not a list of texts")
    if not isinstance(wheels, dict) or len(wheels) > WHEELS_MAX:
        raise PackageError("the wheels of its manifest are not a list of names and hashes")
    for name, sha256 in wheels.items():
        if not re.fullmatch(_WHEEL, name) or not isinstance(sha256, str) or not re.fullmatch(_SHA256, sha256):
            raise PackageError(
                f"its manifest names the wheel {name[:SHOWN_CHARS]!r}, which is none, or has no hash of it"
            )
    check_lines(lines)
    return EnvironmentSpec(python, tuple(lines), tuple(sorted(wheels.items())))


def read_manifest(data: bytes) -> EnvironmentSpec | None:
    """What a package's manifest says of its environment; None: it runs on the host's Python.

    Raises PackageError for a manifest that is not readable.
    """
    plain = _read(data).get("environment")
    return None if plain is None else from_plain(plain)


def read_source(data: bytes) -> str:
    """The directory of the package that a manifest says modules are found in, beside the package's top; "": none.

    Raises PackageError as above, and for one that is not in the package.
    """
    source = _read(data).get(SOURCE_KEY, "")
    if not isinstance(source, str):
        raise PackageError(f"the {SOURCE_KEY} of its manifest is {source!r:.50}, which is no directory")
    if source:
        check_name(source)
    return source


def _read(data: bytes) -> dict[str, Any]:
    try:
        manifest = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise PackageError(f"its manifest is not readable: {error}") from None
    return manifest if isinstance(manifest, dict) else {}


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """(number of its first line, logical line) of a requirements.txt: without comments, continued lines joined."""
    begun, parts = 0, list[str]()
    for number, line in enumerate([*text.splitlines(), ""], 1):
        begun = begun if parts else number
        is_continued = line.rstrip().endswith("\\") and not line.lstrip().startswith("#")
        parts.append(_without_comment(line.rstrip()[:-1] if is_continued else line))
        if not is_continued:
            joined = " ".join(" ".join(parts).split())
            parts = []
            if joined:
                yield begun, joined


def _without_comment(line: str) -> str:
    return re.sub(r"(^|\s)#.*$", "", line)


def check_lines(lines: Iterable[str]) -> None:
    """Raises PackageError naming the first line that no host could follow, or more of them than anybody needs."""
    chars = 0
    for count, line in enumerate(lines, 1):
        chars += len(line)
        if count > LINES_MAX or chars > TEXT_CHARS_MAX:
            raise PackageError(f"there are more than {LINES_MAX} requirements, or {TEXT_CHARS_MAX} characters of them")
        check_line(line)


def check_line(line: str) -> None:
    """Raises PackageError unless it is `name`, with extras, versions, a marker, an http address, and hashes, or an
    option that pip and uv know and that names no file.

    Files of a host are none of a package's business: pip would print one that it cannot read as requirements.
    """
    shown = repr(line[:SHOWN_CHARS])
    if len(line) > LINE_CHARS_MAX:
        raise PackageError(f"the requirement {shown} has more than {LINE_CHARS_MAX:,} characters")
    if line != " ".join(line.split()):  # also so that no pattern here meets long runs of blanks
        raise PackageError(f"the requirement {shown} has blanks that none needs")
    if any(ord(char) < 32 or ord(char) == 127 for char in line):
        raise PackageError(f"the requirement {shown} has a character in it that is no text")
    if "${" in line:
        raise PackageError(f"the requirement {shown} names a variable of the environment: no host has yours")
    if line.startswith("-"):
        _check_option(line, shown)
        return
    name = re.match(_NAME, line)
    plain = re.sub(_HASH, "", line)
    if " --" in plain:
        raise PackageError(f"the requirement {shown} has an option other than --hash")
    wanted, _, marker = plain.partition(" ;") if " @ " in plain else plain.partition(";")
    rest = wanted[name.end() :].strip() if name else "?"
    if rest.startswith("@"):
        if not re.fullmatch(_ADDRESS, rest[1:].strip()):
            raise PackageError(f"the requirement {shown} must name an http or git address: {_TRAVELS}")
    elif name is None or not re.fullmatch(_VERSION, rest) or wanted.strip().endswith((".whl", ".zip", ".gz")):
        if wanted.startswith((".", "/", "file:")) or wanted.strip().endswith((".whl", ".zip", ".gz")):
            raise PackageError(f"the requirement {shown} names a file, which no host has: {_TRAVELS}")
        raise PackageError(f"the requirement {shown} is none that pip understands")
    if "--" in marker:
        raise PackageError(f"the requirement {shown} has an option in its marker")


_TRAVELS = "put its wheel into a directory and name that by --wheelhouse"


def _check_option(line: str, shown: str) -> None:
    option, _, value = line.partition("=" if line.startswith("--") and "=" in line.split(" ")[0] else " ")
    if option in _FLAGS and not value:
        return
    if option not in _OPTIONS:
        if option in {"-e", "--editable"}:
            raise PackageError(f"the requirement {shown} names a directory, which no host has: {_TRAVELS}")
        raise PackageError(f"the option {shown} among the requirements is none that hosts follow")
    value = value.strip()
    if not value or " " in value or value.startswith("-"):
        raise PackageError(f"the option {shown} among the requirements needs one value")
    if _OPTIONS[option] and not re.fullmatch(r"https?://\S+", value):
        raise PackageError(f"the option {shown} among the requirements must name an http address: {_TRAVELS}")


def project_of(line: str) -> str | None:
    """The project that a requirement names, as indexes compare names (PEP 503); None for an option."""
    found = None if line.startswith("-") else re.match(_NAME, line)
    return None if found is None else normalised(found[1])


def from_wheels(line: str, wheels: Iterable[tuple[str, str]]) -> str:
    """A requirement as it holds where nothing but these wheels, (file name, sha256), is installed: its address, from
    which nobody is to fetch it, is left out. It is the version of its wheel, if there is one only.
    """
    found = None if line.startswith("-") else re.match(_NAME, line)
    if found is None or not line[found.end() :].startswith("@"):
        return line
    _, _, more = line[found.end() + 1 :].strip().partition(" ")
    parts = [name.split("-") for name, _ in wheels]
    versions = {each[1] for each in parts if normalised(each[0]) == normalised(found[1])}
    pin = f"=={min(versions)}" if len(versions) == 1 else ""
    return f"{found[1]}{found[2] or ''}{pin} {more}".strip()


def normalised(name: str) -> str:
    """A project's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _fields(plain: Any) -> tuple[Any, Any, Any]:
    if not isinstance(plain, dict):
        raise PackageError("what its manifest says of its environment is not an object")
    given: Mapping[str, Any] = plain
    return given.get("python"), given.get("requirements"), given.get("wheels", {})
