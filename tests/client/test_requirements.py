from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from storm.client.requirements import find_requirements, requirements_beside
from storm.errors import PackageError

if TYPE_CHECKING:
    from pathlib import Path

PYLOCK_OF_X = "lock-version = '1.0'\n[[packages]]\nname = 'x'\nversion = '1'\n"


def no_uv(directory: Path) -> str:
    raise AssertionError(f"uv was asked for {directory}")


def lines(path: Path, named: Path | None = None) -> tuple[str, ...]:
    found = find_requirements(path, named, no_uv)
    return () if found is None else found.lines


def test_a_project_without_a_list_needs_nothing(tmp_path: Path) -> None:
    assert find_requirements(tmp_path, None, no_uv) is None
    (tmp_path / "pyproject.toml").write_text("[tool.storm]\ntopology = 'x.py'\n")
    (tmp_path / "requirements.txt").write_text("# nothing yet\n--pre\n")
    assert find_requirements(tmp_path, None, no_uv) is None


def test_the_first_of_lock_requirements_and_pyproject_counts(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\ndependencies = ["a >= 1", "Storm_Cluster"]\n')
    assert lines(tmp_path) == ("a >= 1",)
    (tmp_path / "requirements.txt").write_text("b==2\nstorm-cluster>=0.1\n")
    assert lines(tmp_path) == ("b==2",)
    (tmp_path / "pylock.toml").write_text(
        'lock-version = "1.0"\n[[packages]]\nname = "c"\nversion = "3"\nmarker = "python_version >= \'3\'"\n'
        f'[packages.sdist]\nurl = "https://x/c.tar.gz"\nhashes = {{sha256 = "{"a" * 64}"}}\n'
        f'[[packages.wheels]]\nurl = "https://x/c.whl"\nhashes = {{sha256 = "{"b" * 64}"}}\n'
    )
    assert lines(tmp_path) == (f"c==3 ; python_version >= '3' --hash=sha256:{'a' * 64} --hash=sha256:{'b' * 64}",)
    (tmp_path / "uv.lock").write_text(
        "[[package]]\nname = 'x'\n[package.metadata]\nrequires-dist = [{ name = 'a', specifier = '>=1' }]\n"
    )
    found = find_requirements(tmp_path, None, lambda directory: "d==4 \\\n    --hash=sha256:aa\n")
    assert found is not None
    assert (found.lines, found.source.name, found.projects) == (("d==4 --hash=sha256:aa",), "uv.lock", 1)
    assert lines(tmp_path, tmp_path / "requirements.txt") == ("b==2",)


def test_a_lock_of_what_the_project_asked_for_before_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\ndependencies = ['colours==2.0']\n")
    (tmp_path / "uv.lock").write_text("[[package]]\nname = 'x'\n")
    with pytest.raises(PackageError, match=r"uv\.lock does not know of 'colours==2\.0', .*: run `uv lock`"):
        find_requirements(tmp_path, None, lambda directory: "")
    (tmp_path / "pyproject.toml").unlink()  # the root of a workspace may have none of its own
    assert find_requirements(tmp_path, None, lambda directory: "") is None


POETRY = "[tool.poetry.dependencies]\npython = '^3.11'\nStorm_Cluster = '*'\n"


@pytest.mark.parametrize(
    ("name", "text", "command"),
    [
        ("poetry.lock", "", "poetry export -o requirements.txt"),
        ("pyproject.toml", f"{POETRY}colours = '2'\n", "poetry export -o requirements.txt"),
        ("pyproject.toml", f"[project]\nname = 'x'\n{POETRY}colours = '2'\n", "poetry export -o requirements.txt"),
        ("Pipfile", "[packages]\ncolours = '*'\n", "pipenv requirements > requirements.txt"),
        ("Pipfile.lock", "{}", "pipenv requirements > requirements.txt"),
        ("pdm.lock", "", "pdm export -o requirements.txt"),
    ],
)
def test_what_other_tools_alone_know_is_refused_with_how_to_tell_it(
    tmp_path: Path, name: str, text: str, command: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(PackageError, match=rf"{re.escape(name)}, which is not read: .*`{command}`.*--no-env"):
        find_requirements(tmp_path, None, no_uv)
    if name == "pyproject.toml":
        with pytest.raises(PackageError, match="which is not read"):
            find_requirements(tmp_path, tmp_path / name, no_uv)
    (tmp_path / "requirements.txt").write_text("# nothing: hosts have it\n")
    assert find_requirements(tmp_path, None, no_uv) is None


def test_what_other_tools_know_does_not_matter_where_it_is_nothing_or_told_to_all(tmp_path: Path) -> None:
    (tmp_path / "poetry.lock").touch()
    (tmp_path / "pyproject.toml").write_text(POETRY)
    (tmp_path / "Pipfile").write_text("[packages]\nstorm-cluster = '*'\n[dev-packages]\npytest = '*'\n")
    (tmp_path / "Pipfile.lock").touch()
    assert find_requirements(tmp_path, None, no_uv) is None
    (tmp_path / "pdm.lock").touch()
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n[tool.pdm]\n")
    assert find_requirements(tmp_path, None, no_uv) is None
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\ndependencies = ['a']\n[tool]\npoetry = 3\n")
    assert lines(tmp_path) == ("a",)


def test_beside_a_single_file_only_requirements_txt_counts(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\ndependencies = ["a"]\n')
    file = tmp_path / "topology.py"
    file.touch()
    assert lines(file) == ()
    assert requirements_beside(tmp_path) is None
    (tmp_path / "requirements.txt").write_text("b\n")
    assert lines(file) == ("b",)
    assert requirements_beside(tmp_path) == find_requirements(file, None, no_uv)


def test_included_files_become_part_and_stay_in_the_project(tmp_path: Path) -> None:
    root = tmp_path / "project"
    (root / "more").mkdir(parents=True)
    (root / "requirements.txt").write_text("a\n-r more/other.txt\nb\n")
    (root / "more" / "other.txt").write_text("--requirement=last.txt\n")
    (root / "more" / "last.txt").write_text("c\n")
    assert lines(root) == ("a", "c", "b")
    (root / "more" / "last.txt").write_text("-r ../../secret.txt\n")
    (tmp_path / "secret.txt").write_text("password")
    with pytest.raises(PackageError, match=r"secret\.txt is outside of the project"):
        lines(root)
    (root / "more" / "last.txt").unlink()
    (root / "more" / "last.txt").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(PackageError, match=r"last\.txt is outside of the project"):
        lines(root)
    (root / "more" / "other.txt").write_text("-r ../requirements.txt\n")
    with pytest.raises(PackageError, match="includes itself"):
        lines(root)


@pytest.mark.parametrize(
    "line",
    [
        "storm-cluster @ file:///tmp/dist/storm_cluster-0.9.0-py3-none-any.whl",  # pip freeze
        "storm-cluster @ file:///tmp/storm#sha256=aa ; python_version >= '3.11'",
        "-e git+https://example.org/storm.git@abc#egg=storm_cluster",
        "./dist/storm_cluster-0.9.0-cp311-cp311-linux_x86_64.whl --hash=sha256:aa",  # uv export
        "../my dist/storm_cluster-0.9.0.tar.gz ; python_version >= '3.11' --hash=sha256:aa",
        "file:///tmp/Storm_Cluster-0.9.0-py3-none-any.whl#sha256=aa",
    ],
)
def test_what_asks_for_this_package_is_left_out_wherever_it_was_installed_from(tmp_path: Path, line: str) -> None:
    (tmp_path / "requirements.txt").write_text(f"a==1\n{line}\n")
    assert lines(tmp_path) == ("a==1",)
    (tmp_path / "uv.lock").touch()
    found = find_requirements(tmp_path, None, lambda directory: f"{line}\nb==2\n")
    assert found is not None
    assert found.lines == ("b==2",)


def test_so_it_is_in_a_pyproject_and_a_pylock(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\ndependencies = ["a", "storm-cluster @ file:///tmp/storm"]\n')
    assert lines(tmp_path) == ("a",)
    (tmp_path / "pylock.toml").write_text(
        f'{PYLOCK_OF_X}sdist = {{hashes = {{sha256 = "{"a" * 64}"}}}}\n'
        "[[packages]]\nname = 'storm-cluster'\ndirectory = {path = '../storm'}\n"
        "[[packages]]\nname = 'Storm_Cluster'\nversion = '1'\narchive = {path = 'storm.whl'}\n"
    )
    assert lines(tmp_path) == (f"x==1 --hash=sha256:{'a' * 64}",)


@pytest.mark.parametrize(
    "line",
    [
        "other @ file:///tmp/storm_cluster-0.9.0-py3-none-any.whl",
        "./storm_cluster_extras-0.9.0-py3-none-any.whl",
        "--find-links ./storm_cluster-0.9.0-py3-none-any.whl",
    ],
)
def test_what_only_looks_like_this_package_is_not(tmp_path: Path, line: str) -> None:
    (tmp_path / "requirements.txt").write_text(f"{line}\n")
    with pytest.raises(PackageError, match=r"requirements\.txt, line 1: .*by --wheelhouse"):
        lines(tmp_path)


@pytest.mark.parametrize(
    ("line", "is_file"),
    [
        ("x @ file:///tmp/x-1-py3-none-any.whl", True),
        ("./x-1-py3-none-any.whl --hash=sha256:aa", True),
        ("-e ../x", True),
        ("--find-links wheels", False),
        ("x==", False),
    ],
)
def test_what_to_write_for_a_file_is_said(tmp_path: Path, line: str, is_file: bool) -> None:
    (tmp_path / "requirements.txt").write_text(f"{line}\n")
    with pytest.raises(PackageError) as raised:
        lines(tmp_path)
    assert str(raised.value).endswith("by --wheelhouse, and write `name==version` instead") == is_file
    (tmp_path / "uv.lock").touch()
    with pytest.raises(PackageError) as raised:
        find_requirements(tmp_path, None, lambda directory: line)
    assert str(raised.value).endswith(", and write `name==version` into a list for --requirements") == is_file


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("requirements.txt", "a\n\n-e .\n", r"requirements\.txt, line 3: the requirement '-e \.' names a directory"),
        ("requirements.txt", "-r gone.txt\n", r"cannot read .*gone\.txt: No such file"),
        ("requirements.txt", "\xff", r"requirements\.txt is not UTF-8 text"),
        ("pyproject.toml", "[project", r"pyproject\.toml: Expected"),
        ("pyproject.toml", "[project]\ndependencies = 'a'\n", "must be a list of texts"),
        ("pyproject.toml", "[project]\ndynamic = ['dependencies']\n", r"write them into .*requirements\.txt"),
        (
            "pyproject.toml",
            "[project]\ndependencies = ['x @ file:///x']\n",
            r"pyproject\.toml: the requirement 'x @ file",
        ),
        ("pyproject.toml", "project = 3\n", r"pyproject\.toml: \[project\] must be a table, got 3"),
        ("pylock.toml", "lock-version = '1.0'\npackages = [3]\n", "must be a table, got 3"),
        ("pylock.toml", PYLOCK_OF_X + "wheels = [{url = 'https://x'}]\n", "x has a file without hashes"),
        ("pylock.toml", PYLOCK_OF_X + "wheels = ['https://x']\n", "x has a file without hashes"),
        ("pylock.toml", PYLOCK_OF_X + "wheels = 3\n", "x has a file without hashes"),
        ("pylock.toml", PYLOCK_OF_X + "sdist = {hashes = 3}\n", "x has a file without hashes"),
        ("pylock.toml", "lock-version = '2'\n", "no lock file of version 1"),
        ("pylock.toml", "lock-version = '1.0'\n[[packages]]\nname = 'x'\n", "x comes from a directory"),
    ],
)
def test_what_no_host_could_follow_is_refused_with_its_place(
    tmp_path: Path, name: str, text: str, complaint: str
) -> None:
    (tmp_path / name).write_bytes(text.encode("latin-1"))
    with pytest.raises(PackageError, match=complaint):
        lines(tmp_path)


def test_a_list_that_is_a_link_to_itself_is_named(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("-r more.txt\n")
    (tmp_path / "more.txt").symlink_to("more.txt")
    with pytest.raises(PackageError, match=r"cannot read .*more\.txt: Too many levels"):
        lines(tmp_path)
