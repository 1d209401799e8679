from __future__ import annotations

from pathlib import Path

import pytest

import storm.examples.word_count as example
from storm.client.project_settings import Home, home_of, named_topology, source_directory
from storm.errors import InvalidTopologyError


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


PACKAGE = ["src/shop/__init__.py", "src/shop/jobs/__init__.py"]
SPREAD = ["src/company/shop/__init__.py", "src/company/shop/jobs/__init__.py"]  # company is a namespace


@pytest.mark.parametrize(
    ("names", "file", "home"),
    [
        ([], "flow.py", Home(Path(), "", is_project=False)),
        (["pyproject.toml"], "flow.py", Home(Path(), "", is_project=False)),
        (["pyproject.toml", *PACKAGE], "jobs/flow.py", Home(Path("jobs"), "", is_project=False)),
        (["pyproject.toml", *PACKAGE], "src/flow.py", Home(Path("src"), "", is_project=False)),
        (PACKAGE, "src/shop/jobs/flow.py", Home(Path("src"), "", is_project=False, package="shop")),
        (["pyproject.toml", *PACKAGE], "src/shop/jobs/flow.py", Home(Path(), "src", is_project=True)),
        (["pyproject.toml", *SPREAD], "src/company/shop/jobs/flow.py", Home(Path(), "src", is_project=True)),
        (["pyproject.toml", "shop/__init__.py"], "shop/flow.py", Home(Path(), "", is_project=True)),
        (
            ["pyproject.toml", "libs/shop/__init__.py"],
            "libs/shop/flow.py",
            Home(Path("libs"), "", is_project=False, package="shop"),
        ),
        (
            ["shop/v-1/__init__.py", "shop/__init__.py"],
            "shop/v-1/flow.py",
            Home(Path("shop/v-1"), "", is_project=False),
        ),
    ],
)
def test_a_file_in_a_package_belongs_to_what_is_above_it(
    tmp_path: Path, names: list[str], file: str, home: Home
) -> None:
    project(tmp_path, *names, file)
    assert home_of(tmp_path / file) == home._replace(root=tmp_path / home.root)


def test_an_example_is_a_single_file() -> None:
    file = Path(example.__file__).resolve()
    assert home_of(file) == Home(file.parent, "", is_project=False)
