from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from storm.client.topology_file import TopologyFileError, load_topology
from storm.errors import InvalidTopologyError, PackageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HEAD = "from storm.topology.structure import StormTopology\n"


@pytest.fixture(autouse=True)
def _modules_of_the_test_are_forgotten() -> Iterator[None]:
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def file(tmp_path: Path, text: str, name: str = "my_topology.py") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_a_topology_as_a_variable(tmp_path: Path) -> None:
    loaded = load_topology(file(tmp_path, HEAD + "topology = StormTopology()"), {})
    assert loaded.topology.spouts == {}
    assert set(loaded.files) == {"my_topology.py"}


def test_a_topology_as_a_function_of_conf_and_arguments(tmp_path: Path) -> None:
    text = """
conf = {"topology.workers": 3, "own": "file"}
def topology(conf, args):
    conf["seen"] = [conf["own"], *args]
    conf["topology.workers"] = 9
    return StormTopology()
"""
    loaded = load_topology(file(tmp_path, HEAD + text), {"own": "command line", "topology.workers": 2}, ["a", "b"])
    assert loaded.conf == {"topology.workers": 2, "own": "command line", "seen": ["command line", "a", "b"]}


def test_modules_beside_the_file_are_shipped(tmp_path: Path) -> None:
    file(tmp_path, "WORDS = 1", "words_of_loading_test.py")
    text = HEAD + "from words_of_loading_test import WORDS\ntopology = StormTopology()"
    assert set(load_topology(file(tmp_path, text), {}).files) == {
        "my_topology.py",
        "words_of_loading_test.py",
    }


def test_a_project_names_its_file(tmp_path: Path) -> None:
    (tmp_path / "flows").mkdir()
    file(tmp_path / "flows", HEAD + "topology = StormTopology()", "orders_flow.py")
    (tmp_path / "pyproject.toml").write_text('[tool.storm]\ntopology = "flows/orders_flow.py"\n')
    assert set(load_topology(tmp_path, {}).files) == {"flows/orders_flow.py", "pyproject.toml"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no topology: write"),
        ("topology = 3", "must be what create_topology.. returns, got int"),
        ("conf = 3\ntopology = 3", "`conf` must be a dict of settings, got int"),
        ("raise SystemExit(4)", r"ended the program while it was imported \(exit code 4\)"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises((InvalidTopologyError, TopologyFileError), match=message):
        load_topology(file(tmp_path, text), {})


@pytest.mark.parametrize(
    ("name", "message"),
    [("gone.py", "no such file"), ("x.txt", "not a Python file"), ("", "needs topology.py")],
)
def test_what_is_not_a_topology_file_is_refused(tmp_path: Path, name: str, message: str) -> None:
    file(tmp_path, "", "x.txt")
    with pytest.raises(InvalidTopologyError, match=message):
        load_topology(tmp_path / name, {})


def test_a_file_named_like_a_loaded_module_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidTopologyError, match="has the name of the module pytest, which is loaded"):
        load_topology(file(tmp_path, HEAD, "pytest.py"), {})


@pytest.mark.parametrize("name", ["queue.py", "turtledemo.py", "kazoo.py", "storm.py"])
def test_a_file_named_like_a_module_that_workers_have_is_refused_unread(tmp_path: Path, name: str) -> None:
    with pytest.raises(PackageError, match=rf"{name} has the name of .*: rename it$"):
        load_topology(file(tmp_path, "raise AssertionError", name), {})


def test_a_module_beside_the_file_with_such_a_name_is_refused_if_the_file_uses_it(tmp_path: Path) -> None:
    topology = file(tmp_path, HEAD + "topology = StormTopology()")
    file(tmp_path, "", "turtledemo.py")
    assert set(load_topology(topology, {}).files) == {"my_topology.py"}
    topology = file(tmp_path, HEAD + "import turtledemo\ntopology = StormTopology()", "my_other_topology.py")
    with pytest.raises(PackageError, match=r"turtledemo\.py has the name of Python's module turtledemo"):
        load_topology(topology, {})


def test_a_project_with_such_a_module_is_refused_unless_it_is_not_shipped(tmp_path: Path) -> None:
    file(tmp_path, HEAD + "topology = StormTopology()", "topology.py")
    (tmp_path / "msgpack").mkdir()
    file(tmp_path / "msgpack", "", "__init__.py")
    with pytest.raises(PackageError, match="msgpack has the name of the module msgpack that Storm needs"):
        load_topology(tmp_path, {})
    (tmp_path / ".stormignore").write_text("/msgpack/\n")
    assert set(load_topology(tmp_path, {}).files) == {"topology.py", ".stormignore"}


def test_nor_may_the_directory_of_a_projects_file_have_such_a_name(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    file(tmp_path / "code", HEAD + "topology = StormTopology()", "orders_flow.py")
    (tmp_path / "pyproject.toml").write_text('[tool.storm]\ntopology = "code/orders_flow.py"\n')
    with pytest.raises(PackageError, match="code has the name of Python's module code"):
        load_topology(tmp_path, {})


@pytest.mark.parametrize(
    "text", ["import no_such_module_at_all", "def topology(conf):\n    return 1 / 0", "topology = ("]
)
def test_the_users_traceback_has_no_frame_of_ours(tmp_path: Path, text: str) -> None:
    with pytest.raises(TopologyFileError) as caught:
        load_topology(file(tmp_path, text), {})
    shown = str(caught.value)
    assert "my_topology.py" in shown
    assert "topology_file.py" not in shown
    assert "importlib" not in shown


@pytest.mark.parametrize("head", ["if True:", "def topology(conf):"])
def test_a_wrong_topology_is_shown_with_the_line_that_makes_it(tmp_path: Path, head: str) -> None:
    text = f"from storm import TopologyBuilder\n{head}\n    topology = TopologyBuilder().create_topology()\n"
    with pytest.raises(InvalidTopologyError, match="the topology has no spout") as caught:
        load_topology(file(tmp_path, text), {})
    shown = str(caught.value)
    assert 'my_topology.py", line 3' in shown
    for ours in ("topology_file.py", "builder.py", "contextlib"):
        assert ours not in shown


def test_the_path_and_the_arguments_of_this_process_stay_as_they_were(tmp_path: Path) -> None:
    path, argv = list(sys.path), list(sys.argv)
    load_topology(
        file(tmp_path, HEAD + "import sys\nassert sys.argv[1:] == ['x']\ntopology = StormTopology()"),
        {},
        ["x"],
    )
    assert (sys.path, sys.argv) == (path, argv)


SOURCE_PROJECT = {
    "src/loading_shop/__init__.py": "",
    "src/loading_shop/prices.py": "PRICE = 3",
    "src/loading_shop/flow.py": HEAD + "from . import prices\nfrom loading_shop.prices import PRICE\n"
    "topology = StormTopology()\nconf = {'module': __name__, 'same': prices.PRICE == PRICE}",
    "flow_of_loading_shop.py": HEAD + "from loading_shop import prices\ntopology = StormTopology()",
}


def test_a_src_that_holds_packages_is_a_root_of_modules(tmp_path: Path) -> None:
    for name, text in SOURCE_PROJECT.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "pyproject.toml").write_text('[tool.storm]\ntopology = "src/loading_shop/flow.py"\n')
    loaded = load_topology(tmp_path, {})
    assert loaded.conf == {"module": "loading_shop.flow", "same": True}
    assert (loaded.root, loaded.source) == (tmp_path, "src")
    assert loaded.module_roots == [tmp_path, tmp_path / "src"]
    assert set(loaded.files) == {*SOURCE_PROJECT, "pyproject.toml"}

    single = load_topology(tmp_path / "flow_of_loading_shop.py", {})
    assert single.source == "src"
    assert set(single.files) == set(SOURCE_PROJECT), "flow.py is imported, too"


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


FILE_IN_PACKAGE = {
    "src/loading_stall/__init__.py": "",
    "src/loading_stall/prices.py": "PRICE = 3",
    "src/loading_stall/late.py": "",
    "src/loading_stall/words.txt": "",
    "src/loading_stall/jobs/__init__.py": "",
    "src/loading_stall/jobs/flow.py": HEAD + "from ..prices import PRICE\nfrom loading_stall import prices\n"
    "import beside_loading_stall\ntopology = StormTopology()\nconf = {'module': __name__}",
    "src/beside_loading_stall.py": "",
    "src/of_something_else.py": "",
}


def test_a_file_in_a_package_is_what_python_m_makes_of_it_and_its_package_is_shipped(tmp_path: Path) -> None:
    write(tmp_path, FILE_IN_PACKAGE)
    loaded = load_topology(tmp_path / "src/loading_stall/jobs/flow.py", {})
    assert loaded.conf == {"module": "loading_stall.jobs.flow"}
    assert (loaded.root, loaded.source, loaded.is_project) == (tmp_path / "src", "", False)
    shipped = {name.removeprefix("src/") for name in FILE_IN_PACKAGE} - {"of_something_else.py"}
    assert set(loaded.files) == shipped
    assert all(path == tmp_path / "src" / name for name, path in loaded.files.items())


def test_with_a_pyproject_above_its_project_is(tmp_path: Path) -> None:
    write(tmp_path, {**FILE_IN_PACKAGE, "pyproject.toml": "", ".stormignore": "words.txt\njobs/flow.py\n"})
    loaded = load_topology(tmp_path / "src/loading_stall/jobs/flow.py", {})
    assert loaded.conf == {"module": "loading_stall.jobs.flow"}
    assert (loaded.root, loaded.source, loaded.is_project) == (tmp_path, "src", True)
    others = {*FILE_IN_PACKAGE, "pyproject.toml", ".stormignore"} - {"src/loading_stall/words.txt"}
    assert set(loaded.files) == others, "flow.py was asked for"


@pytest.mark.parametrize("beside", ["loading_words.py", "loading_words/parts.py"])
def test_what_a_file_in_a_package_imports_as_if_it_were_in_none_is_told(tmp_path: Path, beside: str) -> None:
    write(tmp_path, {"loading_kiosk/__init__.py": "", f"loading_kiosk/{beside}": ""})
    topology = file(tmp_path / "loading_kiosk", HEAD + "import loading_words\ntopology = StormTopology()", "flow.py")
    with pytest.raises(TopologyFileError) as caught:
        load_topology(topology, {})
    assert str(caught.value).endswith(
        "flow.py is in the package loading_kiosk here, and so is loading_words: "
        "write `from loading_kiosk import loading_words`"
    )


def test_nor_may_a_module_of_src_have_the_name_of_one_that_workers_have(tmp_path: Path) -> None:
    (tmp_path / "src" / "queue").mkdir(parents=True)
    file(tmp_path / "src" / "queue", "", "__init__.py")
    file(tmp_path, HEAD + "topology = StormTopology()", "topology.py")
    with pytest.raises(PackageError, match="src/queue has the name of Python's module queue") as caught:
        load_topology(tmp_path, {})
    assert 'say `source = "."` under [tool.storm]' in str(caught.value)
    (tmp_path / "pyproject.toml").write_text('[tool.storm]\nsource = "."\n')
    assert load_topology(tmp_path, {}).source == ""


def test_a_file_in_src_that_is_imported_by_another_name_is_told_how(tmp_path: Path) -> None:
    (tmp_path / "src" / "bolts").mkdir(parents=True)
    file(tmp_path / "src" / "bolts", "", "__init__.py")
    file(tmp_path / "src", HEAD + "from . import bolts\ntopology = StormTopology()", "relative_topo.py")
    (tmp_path / "pyproject.toml").write_text('[tool.storm]\ntopology = "src/relative_topo.py"\n')
    with pytest.raises(TopologyFileError, match=r'say `source = "\."` under'):
        load_topology(tmp_path, {})


def test_a_file_has_nothing_to_do_with_a_broken_pyproject_beside_it(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.storm\n")
    alone = file(tmp_path, HEAD + "topology = StormTopology()", "beside_broken.py")
    assert load_topology(alone, {}).source == ""
    with pytest.raises(InvalidTopologyError, match=r"pyproject\.toml"):
        load_topology(tmp_path, {})


def test_a_module_that_is_not_there_is_told_with_who_looked_for_it(tmp_path: Path) -> None:
    for name, text in (("a.py", "import no_such_module"), ("b.py", "def topology(conf): import no_such_module")):
        with pytest.raises(TopologyFileError) as caught:
            load_topology(file(tmp_path, text, f"lacks_a_module_{name}"), {})
        shown = str(caught.value).splitlines()
        assert shown[-3].endswith("ModuleNotFoundError: No module named 'no_such_module'")
        assert shown[-1].startswith(f"The topology is imported by the Python that `storm` runs on, {sys.executable}.")
        assert "'no_such_module'" in shown[-1]
        assert "install Storm there" in shown[-1]


def test_a_project_whose_topology_is_elsewhere_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "project"
    root.mkdir()
    (tmp_path / "orders.py").touch()
    (root / "pyproject.toml").write_text('[tool.storm]\ntopology = "../orders.py"\n')
    with pytest.raises(InvalidTopologyError, match=r"orders\.py is outside of the project"):
        load_topology(root, {})
    (root / "pyproject.toml").write_text("tool = 3\n")
    (root / "topology.py").symlink_to("../orders.py")
    with pytest.raises(InvalidTopologyError, match=r"topology\.py is outside of the project"):
        load_topology(root, {})


def test_a_file_that_cannot_be_looked_at_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidTopologyError, match=r"cannot read .*: File name too long"):
        load_topology(tmp_path / f"{'x' * 300}.py", {})
