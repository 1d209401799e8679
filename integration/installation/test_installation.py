"""Ways to install the package, each ending compiled or interpreted as a whole, and saying so.

Everything is built from one sdist, once, without optimising; the registries are not asked.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
LIMIT_SECS = 280  # of one command; the compiler takes a minute on one core that is free

pytestmark = pytest.mark.timeout(LIMIT_SECS + 20)
NEEDED = ("setup.py", "pyproject.toml", "README.md", "LICENSE")
MAKE_SDIST = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input")


def run(*words: str | Path, cwd: Path, check: bool = True, **variables: str | Path) -> subprocess.CompletedProcess[str]:
    """Without any setting of this process's own tests but `variables`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("STORM_", "PYTHON", "CC"))}
    env = {**kept, **{name: str(value) for name, value in variables.items()}}
    done = subprocess.run(
        [str(word) for word in words], cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=LIMIT_SECS, check=False,
    )  # fmt: skip
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def mode_of(installed: Path, **variables: str) -> str:
    """What `storm version` says of the package in this directory."""
    done = run(sys.executable, "-m", "storm.cli", "version", "--json", cwd=installed, PYTHONPATH=installed, **variables)
    return str(json.loads(done.stdout)["hot_path"])


def compiled_modules(names: list[str]) -> set[str]:
    suffix = EXTENSION_SUFFIXES[0]
    return {name.removesuffix(suffix).replace("/", ".") for name in names if name.endswith(suffix)}


def modules_with_types() -> set[str]:
    sources = (REPOSITORY / "storm").rglob("*.pxd")
    return {".".join(path.relative_to(REPOSITORY).with_suffix("").parts) for path in sources}


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    checkout = tmp_path_factory.mktemp("sdist") / "checkout"
    shutil.copytree(
        REPOSITORY / "storm", checkout / "storm", ignore=shutil.ignore_patterns("*.so", "__pycache__", "*.txt")
    )
    for name in NEEDED:
        shutil.copy2(REPOSITORY / name, checkout)
    run(sys.executable, "-c", MAKE_SDIST, checkout.parent, cwd=checkout)
    return next(checkout.parent.glob("*.tar.gz"))


@pytest.fixture(scope="module")
def unpacked(sdist: Path) -> Path:
    run("tar", "-xzf", sdist, cwd=sdist.parent)
    return sdist.parent / sdist.name.removesuffix(".tar.gz")


@pytest.fixture(scope="module")
def wheel(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    without = ("--no-build-isolation", "--no-deps")
    run(
        sys.executable, *PIP, "wheel", *without, "-w", directory, unpacked,
        cwd=directory, STORM_CFLAGS="-O0", STORM_PURE="0",
    )  # fmt: skip
    return next(directory.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    target = wheel.parent / "installed"
    run(sys.executable, *PIP, "install", "--no-deps", "--no-index", "--target", target, wheel, cwd=wheel.parent)
    return target


@pytest.fixture
def checkout(unpacked: Path, wheel: Path, tmp_path: Path) -> Path:
    """With scripts and an environment, and what the wheel was made of at hand, so that little is left to compile."""
    root = tmp_path / "checkout"
    shutil.copytree(unpacked, root)
    shutil.copytree(REPOSITORY / "bin", root / "bin")
    venv = root / ".venv"
    (venv / "bin").mkdir(parents=True)
    python = venv / "bin" / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{root}" exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return root


def test_an_sdist_has_sources_and_types_and_nothing_made_of_them(sdist: Path) -> None:
    with tarfile.open(sdist) as file:
        names = {name.split("/", 1)[-1] for name in file.getnames()}
    expected = {f"{module.replace('.', '/')}{suffix}" for module in modules_with_types() for suffix in (".py", ".pxd")}
    assert expected | {"setup.py", "pyproject.toml", "storm/py.typed"} <= names
    assert not [name for name in names if name.endswith((".c", ".so", ".o"))]


def test_a_wheel_has_every_module_compiled_and_runs_so(wheel: Path, installed: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        assert compiled_modules(file.namelist()) == modules_with_types()
    assert mode_of(installed) == "compiled"
    assert mode_of(installed, STORM_PURE="1") == "interpreted (STORM_PURE is set)"


def test_a_set_that_is_not_whole_is_interpreted(installed: Path, tmp_path: Path) -> None:
    partly = tmp_path / "partly"
    shutil.copytree(installed, partly)
    next((partly / "storm" / "executor").glob(f"*{EXTENSION_SUFFIXES[0]}")).unlink()
    assert mode_of(partly) == "interpreted (not built: Storm was installed without compiling it)"
    refused = run(sys.executable, "-m", "storm.cli", cwd=partly, check=False, PYTHONPATH=partly, STORM_PURE="0")
    assert refused.returncode != 0
    assert "STORM_PURE=0 asks for the compiled hot path" in refused.stderr


def test_without_a_compiler_it_is_installed_interpreted_and_says_why(unpacked: Path, tmp_path: Path) -> None:
    sources, target = tmp_path / "sources", tmp_path / "installed"
    shutil.copytree(unpacked, sources, ignore=shutil.ignore_patterns("lib.*", "temp.*"))
    install = ("install", "--no-build-isolation", "--no-deps", "--no-index", "--target", target, sources)
    run(sys.executable, *PIP, *install, cwd=tmp_path, CC="/bin/false")
    assert not list(target.rglob("*.so"))
    assert mode_of(target) == "interpreted (not built: /bin/false failed with exit code 1)"


def test_where_compiled_is_asked_for_a_failure_is_an_error(unpacked: Path, tmp_path: Path) -> None:
    sources, target = tmp_path / "sources", tmp_path / "installed"
    shutil.copytree(unpacked, sources, ignore=shutil.ignore_patterns("lib.*", "temp.*"))
    install = ("install", "--no-build-isolation", "--no-deps", "--no-index", "--target", target, sources)
    failed = run(sys.executable, *PIP, *install, cwd=tmp_path, check=False, CC="/bin/false", STORM_PURE="0")
    assert failed.returncode != 0
    assert "/bin/false" in failed.stdout + failed.stderr


def test_scripts_work_on_what_is_compiled_from_the_present_sources(checkout: Path) -> None:
    def storm(**variables: str) -> subprocess.CompletedProcess[str]:
        return run(checkout / "bin" / "storm", "version", cwd=checkout, check=False, STORM_CFLAGS="-O0", **variables)

    first = storm()
    assert "compiling" in first.stderr
    assert "hot path compiled" in first.stdout
    assert storm().stderr == ""
    changed = checkout / "storm" / "executor" / "tracking.py"
    good = changed.read_text()
    changed.write_text(good + "def broken(:\n")
    fallen_back = storm()
    assert "tracking.py" in fallen_back.stderr  # the compiler's own words
    assert "hot path interpreted (not built: Cython could not translate" in fallen_back.stdout
    assert "compiling" not in storm().stderr  # nothing has changed since it failed
    refused = storm(STORM_PURE="0")
    assert refused.returncode != 0
    assert refused.stdout == ""
    changed.write_text(good)
    assert "compiling" not in storm(STORM_PURE="1").stderr
    assert "hot path compiled" in storm().stdout


def test_scripts_that_start_at_once_compile_once(checkout: Path) -> None:
    command = [str(checkout / "bin" / "storm"), "version"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("STORM_")}
    several = [
        subprocess.Popen(command, cwd=checkout, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    done = [process.communicate(timeout=LIMIT_SECS) for process in several]
    assert sum("compiling" in errors for _, errors in done) == 1
    assert all("hot path compiled" in shown for shown, _ in done)


def test_what_was_built_of_a_source_that_is_compiled_no_more_goes(checkout: Path) -> None:
    run(checkout / "bin" / "storm", "version", cwd=checkout, STORM_CFLAGS="-O0")
    left = checkout / "storm" / f"ids{EXTENSION_SUFFIXES[0]}"
    left.write_text("no library")
    done = run(checkout / "bin" / "storm", "version", cwd=checkout, STORM_CFLAGS="-O0")
    assert "hot path compiled" in done.stdout
    assert not left.exists()
