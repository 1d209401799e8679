from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from storm.client.project_settings import named_topology, source_directory
from storm.errors import InvalidTopologyError

if TYPE_CHECKING:
    from pathlib import Path


def project(root: Path, *names: str, pyproject: str = "") -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    if pyproject:
        (root / "pyproject.toml").write_text(pyproject)
    return root


@pytest.mark.parametrize(
    ("names", "source"),
    [
        (["src/orders/__init__.py"], "src"),
        (["src/company/orders/__init__.py"], "src"),
        (["src/__init__.py", "src/orders/__init__.py"], ""),
        (["src/orders.py", "src/data/words.txt"], ""),
        (["orders/__init__.py"], ""),
    ],
)
def test_a_src_that_holds_packages_and_is_none_is_a_root_of_modules(
    tmp_path: Path, names: list[str], source: str
) -> None:
    assert source_directory(project(tmp_path, *names)) == source
    assert source_directory(project(tmp_path, pyproject="[project]\nname = 'orders'\n")) == source


@pytest.mark.parametrize(
    ("said", "source"), [("python/lib", "python/lib"), ("python/../python/", "python"), (".", ""), ("link", "python")]
)
def test_a_project_may_name_another_directory_or_none(tmp_path: Path, said: str, source: str) -> None:
    project(tmp_path, "src/orders/__init__.py", "python/lib/orders.py")
    (tmp_path / "link").symlink_to("python")
    assert source_directory(project(tmp_path, pyproject=f"[tool.storm]\nsource = '{said}'\n")) == source


@pytest.mark.parametrize(
    ("pyproject", "message"),
    [
        ("[tool.storm]\nsource = 'lib'", "source = 'lib', and there is no such directory"),
        ("[tool.storm]\nsource = '..'", r"source = '\.\.' leads out of the project"),
        ("[tool.storm]\nsource = 3", "source must be the name of a directory, got 3"),
        ("[tool.storm", r"pyproject\.toml: "),
    ],
)
def test_what_is_no_directory_of_the_project_is_refused(tmp_path: Path, pyproject: str, message: str) -> None:
    with pytest.raises(InvalidTopologyError, match=message):
        source_directory(project(tmp_path, pyproject=pyproject))


def test_the_file_of_the_topology(tmp_path: Path) -> None:
    assert named_topology(tmp_path) is None
    assert named_topology(project(tmp_path, pyproject="tool = 3")) is None
    assert named_topology(project(tmp_path, pyproject="[tool.storm]\ntopology = 'flow.py'")) == "flow.py"
    with pytest.raises(InvalidTopologyError, match="topology must be the name of a file, got 3"):
        named_topology(project(tmp_path, pyproject="[tool.storm]\ntopology = 3"))
