from __future__ import annotations

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest

from storm.client.module_names import NEEDED, refuse_taken
from storm.errors import PackageError

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
# Neither workers nor clients import them.
OF_DAEMONS = {"jinja2", "prometheus-client", "psutil", "starlette", "uvicorn"}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("statistics.py", "/at/statistics.py has the name of Python's module statistics, and"),
        ("numbers/__init__.py", "/at/numbers has the name of Python's module numbers, and"),
        ("zmq.abi3.so", "/at/zmq.abi3.so has the name of the module zmq that Storm needs, and"),
        ("storm/__init__.py", "/at/storm has the name of the module storm that Storm needs, and"),
    ],
)
def test_a_module_whose_name_is_taken_is_refused(name: str, said: str) -> None:
    with pytest.raises(PackageError, match=f"^{re.escape(said)} a worker may import the one for the other: rename it$"):
        refuse_taken({"topology.py": Path("/at/topology.py"), name: Path("/at", name)})


@pytest.mark.parametrize(
    "name",
    [
        "orders.py", "orders/statistics.py", "orders/numbers/__init__.py", "numbers/table.csv", "queue.txt", "queue",
        "site/index.html", "code/readme.py", "__init__.py", "__main__.py",
    ],
)  # fmt: skip
def test_what_no_import_finds_at_the_top_may_have_any_name(name: str) -> None:
    refuse_taken({name: Path("/at", name)})


def test_of_a_directory_that_is_a_root_of_modules_too() -> None:
    files = {"src/queue/__init__.py": Path("/at/src/queue/__init__.py")}
    refuse_taken(files)
    with pytest.raises(PackageError, match=r"^/at/src/queue has the name of Python's module queue"):
        refuse_taken(files, "src")
    refuse_taken({"src/orders/queue.py": Path("/at/orders/queue.py")}, "src")
    with pytest.raises(PackageError, match=r"^/at/queue\.py has the name"):
        refuse_taken({"queue.py": Path("/at/queue.py")}, "src")


def test_every_module_of_the_dependencies_and_of_theirs_is_known() -> None:
    dependencies = tomllib.loads(PYPROJECT.read_text())["project"]["dependencies"]
    waiting, seen = [name for name in map(_name, dependencies) if name not in OF_DAEMONS], set[str]()
    modules = {"storm"}
    while waiting:
        distribution = importlib.metadata.distribution(waiting.pop())
        seen.add(_name(distribution.name))
        tops = {file.parts[0] for file in distribution.files or ()}
        modules |= {top.removesuffix(".py") for top in tops if top.removesuffix(".py").isidentifier()}
        waiting += {_name(each) for each in distribution.requires or () if ";" not in each} - seen
    assert modules | {"storm"} == NEEDED


def _name(requirement: str) -> str:
    found = re.match(r"[\w.-]+", requirement)
    assert found is not None
    return found[0].lower()
