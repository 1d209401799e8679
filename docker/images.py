"""The images of the cluster, made only when what they are made of has changed: its hash is a label of each.

Where python and zookeeper can be pulled, they are the bases. Elsewhere a base is made of Debian's packages by
debootstrap, and wheels are fetched by this machine's pip, so that the build needs nothing but Debian's mirror.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from engine import Trouble, docker, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

ROOT = Path(__file__).resolve().parents[1]
WHEELHOUSE = ROOT / "docker" / "wheelhouse"
PYTHON_IMAGE, ZOOKEEPER_IMAGE = "python:3.11-slim", "zookeeper:3.9"
CLUSTER_IMAGE, MADE_BASE, MADE_ZOOKEEPER = "storm-cluster", "storm-cluster-base", "storm-cluster-zookeeper"
LABEL = "storm.inputs"
# What the Dockerfile copies, and what says how.
SOURCES = (
    "docker/Dockerfile", ".dockerignore", "setup.py", "pyproject.toml", "README.md", "LICENSE", "storm",
    "docker/answers.py",
)  # fmt: skip
ZOOKEEPER_SOURCES = ("docker/zookeeper/Dockerfile", "docker/zookeeper/start")
MADE_FROM_SOURCES = {".so", ".pyc", ".c"}  # not in the image: .dockerignore
NOT_COMPILED = "storm/not_compiled.txt"
PACKAGES = ("ca-certificates", "iproute2", "python3", "python3-venv")
MIRROR = "http://deb.debian.org/debian"
PULL_SECS = 120
MARKER = "inputs"  # in the wheelhouse: what the wheels were fetched for; it is not there where somebody else put them


class Images(NamedTuple):
    """What the compose files are told."""

    cluster: str
    zookeeper: str
    base: str

    def variables(self) -> dict[str, str]:
        return {"CLUSTER_IMAGE": self.cluster, "ZOOKEEPER_IMAGE": self.zookeeper, "BASE_IMAGE": self.base}


def fingerprint(root: Path, sources: Iterable[str], *more: str) -> str:
    """A hash of names and contents of these files and directories below root, and of `more`; times do not count."""
    digest = hashlib.sha256()
    for path in sorted(file for source in sources for file in _files(root / source)):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(root)}\0{path.stat().st_mode & 0o111:o}\0{content}\n".encode())
    for text in more:
        digest.update(f"{text}\0".encode())
    return digest.hexdigest()


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    for found in path.rglob("*"):
        if found.is_file() and found.suffix not in MADE_FROM_SOURCES and not found.match(NOT_COMPILED):
            yield found


def requirements(root: Path) -> list[str]:
    """What the package needs to be built and to run."""
    project = tomllib.loads((root / "pyproject.toml").read_text())
    return sorted({*project["build-system"]["requires"], *project["project"]["dependencies"]})


@contextmanager
def one_at_a_time(what: str) -> Iterator[None]:
    """Two who want the same thing made: the second waits, and finds it."""
    with (WHEELHOUSE / f"{what}.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def label_of(tag: str) -> str | None:
    """The hash of what this image was made of; None where there is no such image."""
    done = subprocess.run(
        ["docker", "image", "inspect", "--format", f'{{{{index .Config.Labels "{LABEL}"}}}}', tag],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout.strip() if done.returncode == 0 else None


def is_there(tag: str) -> bool:
    return label_of(tag) is not None


def prepare(say: Callable[[str], None], base: str | None, bootstrap: bool) -> Images:
    """Make what is missing or out of date, and say so. Raises Trouble.

    `base`: the Python image to build on; None: the official one, or one that is made here. `bootstrap`: without asking
    a registry.
    """
    if base is not None or (not bootstrap and _can_have(PYTHON_IMAGE, say) and _can_have(ZOOKEEPER_IMAGE, say)):
        chosen = base or PYTHON_IMAGE
        if not is_there(chosen):
            docker("pull", "--quiet", chosen)
        made = Images(_cluster(say, chosen, wheels_for(chosen), ()), ZOOKEEPER_IMAGE, chosen)
    else:
        made = _all_made_here(say)
    # Those before them; another `up` may be at it, too.
    run(["docker", "image", "prune", "--force", "--filter", f"label={LABEL}"], check=False)
    return made


def _all_made_here(say: Callable[[str], None]) -> Images:
    make_base(say)
    # Their package managers use this machine's network, which may be the only one that reaches the mirror.
    on_host = ("--network", "host")
    with ThreadPoolExecutor() as side:  # one waits for the network, the other compiles
        zookeeper = side.submit(_zookeeper, say, on_host)
        fetch_wheels(say)
        cluster = _cluster(say, MADE_BASE, wheels(), on_host)
        return Images(cluster, zookeeper.result(), MADE_BASE)


def _can_have(tag: str, say: Callable[[str], None]) -> bool:
    """Whether the image is here or could be pulled."""
    if is_there(tag):
        return True
    say(f"pulling {tag}")
    try:
        done = subprocess.run(
            ["docker", "pull", "--quiet", tag], stdin=subprocess.DEVNULL, capture_output=True, timeout=PULL_SECS,
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _cluster(say: Callable[[str], None], base: str, usable: Sequence[str], options: tuple[str, ...]) -> str:
    """`usable`: the wheels that it is made of; none: PyPI is asked, whatever is in the wheelhouse."""
    flags = f"STORM_CFLAGS={os.environ.get('STORM_CFLAGS', '')}"
    inputs = fingerprint(ROOT, SOURCES, image_id(base), flags, *usable)
    given = ("--build-arg", f"BASE_IMAGE={base}", "--build-arg", flags)
    given = (*given, *(() if usable else ("--build-arg", "WHEELHOUSE=")))
    build(say, CLUSTER_IMAGE, inputs, (*given, *options), SOURCES[0])
    return CLUSTER_IMAGE


def _zookeeper(say: Callable[[str], None], options: tuple[str, ...]) -> str:
    inputs = fingerprint(ROOT, ZOOKEEPER_SOURCES, image_id(MADE_BASE))
    build(say, MADE_ZOOKEEPER, inputs, ("--build-arg", f"BASE_IMAGE={MADE_BASE}", *options), ZOOKEEPER_SOURCES[0])
    return MADE_ZOOKEEPER


def build(say: Callable[[str], None], tag: str, inputs: str, options: tuple[str, ...], file: str) -> None:
    """Build the image by this Dockerfile unless there is one of these inputs. Raises Trouble."""
    with one_at_a_time(tag):
        if label_of(tag) == inputs:
            return
        say(f"building the image {tag}")
        labelled = ("--quiet", "--label", f"{LABEL}={inputs}")
        docker("build", *labelled, *options, "-f", str(ROOT / file), "-t", tag, str(ROOT))


def image_id(tag: str) -> str:
    return docker("image", "inspect", "--format", "{{.Id}}", tag).strip()


# --- without a registry


def suite(os_release: Path = Path("/etc/os-release")) -> str:
    """Debian's release to make a base of: this machine's own, so that its Python is of the same version."""
    lines = os_release.read_text().splitlines() if os_release.exists() else []
    found = dict(line.replace('"', "").split("=", 1) for line in lines if "=" in line)
    return found["VERSION_CODENAME"] if found.get("ID") == "debian" and "VERSION_CODENAME" in found else "bookworm"


def make_base(say: Callable[[str], None]) -> None:
    """Make MADE_BASE: a minimal Debian with Python. Raises Trouble."""
    release = suite()
    inputs = fingerprint(ROOT, (), release, MIRROR, *PACKAGES)
    with one_at_a_time(MADE_BASE):
        if label_of(MADE_BASE) != inputs:
            _bootstrap(say, release, inputs)


def _bootstrap(say: Callable[[str], None], release: str, inputs: str) -> None:
    if os.geteuid() != 0:
        raise Trouble("no registry is reachable, and to make a base image of Debian's packages needs root")
    if shutil.which("debootstrap") is None:
        raise Trouble(
            "no registry is reachable, and there is no debootstrap to make a base image: apt-get install debootstrap"
        )
    say(f"making the image {MADE_BASE} of Debian {release}'s packages")
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="storm-base-") as directory:
        included = f"--include={','.join(PACKAGES)}"
        run(["debootstrap", "--variant=minbase", included, release, f"{directory}/root", MIRROR])
        for archive in Path(directory).glob("root/var/cache/apt/archives/*.deb"):
            archive.unlink()
        with subprocess.Popen(["tar", "-C", f"{directory}/root", "-c", "."], stdout=subprocess.PIPE) as tar:
            done = subprocess.run(
                ["docker", "import", "--change", f"LABEL {LABEL}={inputs}", "--change", 'CMD ["bash"]', "-", MADE_BASE],
                stdin=tar.stdout, capture_output=True, text=True, check=False,
            )  # fmt: skip
        if done.returncode != 0 or tar.returncode != 0:
            raise Trouble(f"docker import failed: {done.stderr.strip()}")


def wheels() -> list[str]:
    """The names of those in the wheelhouse."""
    return sorted(path.name for path in WHEELHOUSE.glob("*.whl"))


def wheels_for(base: str) -> list[str]:
    """Those that an image on this base can be made of; none where they were fetched for another.

    Wheels that somebody put there, and nothing else, are taken as they are. Raises Trouble.
    """
    with one_at_a_time("wheels"):
        marker = WHEELHOUSE / MARKER
        were_fetched = marker.exists() and bool(wheels())
        fit = not were_fetched or marker.read_text() == inputs_of_wheels(base_python(base))
        return wheels() if fit else []


def inputs_of_wheels(version: str) -> str:
    """What the wheelhouse has for this version of Python, such as 3.11, as MARKER says it."""
    return fingerprint(ROOT, (), version, *requirements(ROOT))


def fetch_wheels(say: Callable[[str], None]) -> None:
    """Fill the wheelhouse for the base's Python with what the package needs. Raises Trouble."""
    version = base_python(MADE_BASE)
    inputs, marker = inputs_of_wheels(version), WHEELHOUSE / MARKER
    with one_at_a_time("wheels"):
        if not marker.exists() or marker.read_text() != inputs:
            marker.write_text("")  # of nothing, until all of them are there
            _fetch(say, version, requirements(ROOT))
            marker.write_text(inputs)


def _fetch(say: Callable[[str], None], version: str, wanted: Sequence[str]) -> None:
    python = python_with_pip(version)
    say(f"fetching wheels with {python}")
    for old in WHEELHOUSE.glob("*.whl"):
        old.unlink()
    options = ("--quiet", "--disable-pip-version-check", "--wheel-dir", str(WHEELHOUSE))
    run([python, "-m", "pip", "wheel", *options, *wanted])


def base_python(base: str) -> str:
    """The version of Python in this image, such as 3.11. Raises Trouble."""
    asks = "import sys; print('%d.%d' % sys.version_info[:2])"
    return docker("run", "--rm", "--entrypoint", "python3", base, "-c", asks).strip()


def python_with_pip(version: str) -> str:
    """A Python of this machine of this version, such as 3.11, that has pip. Raises Trouble."""
    for candidate in (sys.executable, f"python{version}", "python3", "/usr/bin/python3"):
        path = shutil.which(candidate)
        if path is None:
            continue
        asks = "import sys, pip; sys.exit('%d.%d' % sys.version_info[:2] != sys.argv[1])"
        if subprocess.run([path, "-c", asks, version], capture_output=True, check=False).returncode == 0:
            return path
    raise Trouble(
        f"the image has Python {version}, and this machine has none of that version with pip to fetch wheels with; "
        f"on Debian: apt-get install python3-pip"
    )
