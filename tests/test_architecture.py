"""The rules of the house, R1 to R6, checked; ARCHITECTURE.md gives the reasons."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import storm

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(storm.__file__).parent
TESTS = Path(__file__).parent
INTEGRATION = TESTS.parent / "integration"

# R1. Package -> the packages of `storm` that it may import. The order of lines is the order of layers.
ALLOWED: dict[str, set[str]] = {
    "hot_path": set(),
    "errors": set(),
    "ids": set(),
    "clock": set(),
    "open_files": set(),
    "file_lock": set(),
    "listening": set(),
    "log_lines": set(),
    "log_names": set(),
    "log_repeats": set(),
    "level_names": set(),
    "package_rules": {"errors"},
    "environment_spec": {"errors", "package_rules"},
    "host_paths": {"ids"},
    "tuples": {"errors", "ids"},
    "config": {"errors"},
    "hosts": {"clock", "config", "errors", "hot_path", "open_files"},
    "http": {"clock", "config", "errors", "listening"},
    "metrics": {"ids"},
    "exposition": {"clock", "config", "errors", "http", "listening", "log_repeats", "metrics"},
    "scheduler": {"errors", "ids"},
    "topology": {"clock", "config", "errors", "ids", "metrics", "tuples"},
    "messaging": {"clock", "errors", "ids", "open_files", "tuples"},
    "cluster": {"config", "errors", "ids", "clock"},
    "blobstore": {"cluster", "config", "errors", "ids", "clock"},
    "thrift": {
        "clock", "cluster", "config", "errors", "hosts", "ids", "level_names", "listening", "log_repeats", "metrics",
        "open_files", "topology",
    },
    "diagnosis": {"config", "metrics"},
    "client": {"clock", "config", "environment_spec", "errors", "ids", "package_rules", "thrift", "topology"},
    "executor": {"clock", "config", "errors", "ids", "log_repeats", "metrics", "topology", "tuples"},
    "supervisor": {
        "blobstore", "clock", "cluster", "config", "environment_spec", "errors", "exposition", "file_lock",
        "host_paths", "hosts", "ids", "log_lines", "log_names", "log_repeats", "metrics", "package_rules", "thrift",
    },
    "nimbus": {
        "blobstore", "clock", "cluster", "config", "environment_spec", "errors", "exposition", "file_lock", "hosts",
        "ids", "log_repeats", "metrics", "scheduler", "thrift", "topology",
    },
    "worker": {
        "clock", "cluster", "config", "environment_spec", "errors", "executor", "host_paths", "hot_path", "ids",
        "level_names", "log_lines", "log_repeats", "messaging", "metrics", "open_files", "thrift", "topology", "tuples",
    },
    "logviewer": {"clock", "config", "errors", "exposition", "http", "log_lines", "metrics", "supervisor"},
    "ui": {"clock", "config", "diagnosis", "errors", "http", "ids", "level_names", "log_names", "metrics", "thrift"},
    "dev_zookeeper": {"clock", "errors", "file_lock", "open_files"},
}  # fmt: skip
LEAVES = {"local", "testing", "cli", "examples", "__init__"}  # may import the rest
IMPORTED_BY = {"local": {"cli", "testing", "__init__"}, "testing": set(), "cli": set(), "examples": {"cli", "testing"}}

# R2. The outside world -> the only modules that may touch it. A trailing `*` takes in all that begin so.
ONLY_IN: dict[str, set[str]] = {
    "kazoo": {"cluster.zookeeper", "cluster.zookeeper_session"},
    "zmq": {"messaging.zeromq"},
    "msgpack": {"messaging.tuple_codec", "cluster.record_codec"},
    "msgspec": {"messaging.tuple_codec", "cluster.record_codec"},
    "pickle": {"topology.pickling", "executor.component_loading", "local.*"},
    "cloudpickle": {"topology.pickling", "executor.component_loading", "local.*"},
    "dill": set(),
    "marshal": set(),
    "shelve": set(),
    "click": {"cli.*"},
    "yaml": {"config.*", "cli.*"},
    "psutil": {"supervisor.worker_process", "cli.*", "dev_zookeeper.daemon"},
    "resource": {"open_files"},
    "subprocess": {
        "supervisor.environment_build",
        "supervisor.profiling",
        "supervisor.worker_process",
        "hosts.health",
        "cli.*",
    },
    "time": {"clock", "examples.*"},
    "datetime": {"clock", "messaging.tuple_codec", "executor.groupings", "executor.canonical_hash"},
    "uuid": {"*.daemon", "messaging.tuple_codec", "executor.groupings", "executor.canonical_hash"},
    "asyncio": {"dev_zookeeper.*", "executor.async_lane", "http.*", "local.*", "ui.*"},
    "starlette": {"http.*", "logviewer.app", "ui.*"},
    "uvicorn": {"http.protocol", "http.server", "logviewer.daemon"},
    "h11": {"http.protocol"},
    "jinja2": {"ui.pages.site"},
    "prometheus_client": {"exposition.text", "ui.measures"},
}

# R2. What runs text as code: nowhere.
RUN_TEXT = {"eval", "exec", "__import__"}

# R3. Pure modules: no I/O, clock, thread or unseeded random; they import only pure modules.
PURE = {
    "environment_spec", "errors", "ids", "level_names", "log_lines", "log_names", "log_repeats", "tuples",
    "package_rules",
    "config.addresses", "config.blob_map", "config.conf_origins", "config.near_names",
    "hosts.checks", "hosts.cluster_facts", "hosts.facts",
    "http.problems", "http.request_guard",
    "topology.structure", "topology.output_fields", "topology.validation", "topology.system_topology",
    "topology.parallelism", "topology.failures", "topology.consumer_registration",
    "nimbus.submission", "nimbus.topology_status", "nimbus.cluster_snapshot", "nimbus.heartbeats",
    "nimbus.assignments", "nimbus.cleanup", "nimbus.departures",
    "scheduler.scheduling_state", "scheduler.even", "scheduler.tags",
    "cluster.paths", "cluster.records",
    "thrift.idl",
    "supervisor.assignment_sync", "supervisor.environments", "supervisor.registration", "supervisor.slot",
    "supervisor.blob_versions",
    "worker.connections", "worker.backpressure",
    "executor.groupings", "executor.canonical_hash", "executor.pending", "executor.acker", "executor.error_report",
    "executor.root_table", "executor.tracking", "executor.transfer", "executor.xorshift",
    "executor.inquiry", "executor.latencies", "executor.retries", "executor.shown_values", "executor.stuck",
    "metrics.stats_records", "metrics.windows", "metrics.executor_stats", "metrics.aggregation", "metrics.distribution",
    "metrics.families", "metrics.series", "metrics.component_metrics", "metrics.insight_records",
    "messaging.batch",
    "messaging.columns",
    "messaging.crowd",
    "logviewer.answers", "logviewer.asking", "logviewer.finding", "logviewer.logs", "logviewer.pages",
    "logviewer.retention",
    "diagnosis.cluster", "diagnosis.facts", "diagnosis.nimbus_pages", "diagnosis.topology", "diagnosis.wording",
    "ui.nimbus_answers", "ui.rest.formats", "ui.rest.requests", "ui.rest.shapes", "ui.rest.view",
    "ui.pages.graph", "ui.pages.graph_layout", "ui.pages.history", "ui.pages.topology_settings",
    "ui.pages.figures", "ui.pages.last_known", "ui.pages.links", "ui.pages.log_part", "ui.pages.regions",
    "ui.pages.rounds", "ui.pages.troubles",
    "dev_zookeeper.jute", "dev_zookeeper.protocol", "dev_zookeeper.access_control", "dev_zookeeper.transactions",
    "dev_zookeeper.data_tree", "dev_zookeeper.sessions", "dev_zookeeper.watches", "dev_zookeeper.database",
    "dev_zookeeper.operations", "dev_zookeeper.request_processor",
}  # fmt: skip
PURE_STDLIB = {
    "__future__", "abc", "array", "base64", "bisect", "collections", "contextlib", "dataclasses", "datetime", "decimal",
    "difflib", "enum", "fractions", "functools", "hashlib", "heapq", "hmac", "html", "ipaddress",
    "itertools", "json", "logging", "math", "operator", "random", "re", "reprlib", "string",
    "struct", "sys", "typing", "types",
    "urllib.parse", "uuid", "zlib",
}  # fmt: skip

# R5. Ceilings.
FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 60
ARGUMENTS_MAX = 6
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "base"}


class Module(NamedTuple):
    name: str  # relative to storm: "nimbus.slot"
    path: Path
    tree: ast.Module

    @property
    def package(self) -> str:
        return self.name.split(".")[0]


def modules(root: Path = ROOT) -> Iterator[Module]:
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)
        yield Module(name, path, ast.parse(path.read_text()))


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield "." * node.level
            elif node.module == "storm":
                yield from (f"storm.{alias.name}" for alias in node.names)
            else:
                assert node.module is not None
                yield node.module


def matches(name: str, patterns: set[str]) -> bool:
    return any(
        name == pattern
        or (pattern.endswith("*") and name.startswith(pattern[:-1]))
        or (pattern.startswith("*") and name.endswith(pattern[1:]))
        for pattern in patterns
    )


def broken_imports(module: Module) -> Iterator[str]:
    for target in imported(module.tree):
        if target.startswith("."):
            yield f"{module.name}: imports are absolute, so that they can be read and checked"
        top, _, rest = target.partition(".")
        other = rest.split(".")[0]
        if top == "storm" and other and other != module.package:
            if other in IMPORTED_BY:
                if module.package not in IMPORTED_BY[other]:
                    yield f"{module.name} imports storm.{other}: nothing may but {sorted(IMPORTED_BY[other])}"
            elif module.package not in LEAVES and other not in ALLOWED.get(module.package, set()):
                yield f"{module.name} imports storm.{other}: not in ALLOWED[{module.package!r}]"
        elif top in ONLY_IN and not matches(module.name, ONLY_IN[top]):
            yield f"{module.name} imports {top}: only {sorted(ONLY_IN[top])} may"
        if module.name in PURE:
            if top == "storm" and rest and rest not in PURE and f"{rest}" not in {"config", "config.options"}:
                yield f"{module.name} is pure and imports storm.{rest}, which is not"
            elif top != "storm" and not {top, target} & PURE_STDLIB and not target.startswith("."):
                yield f"{module.name} is pure and imports {top}"


def broken_calls(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Name) and node.id in RUN_TEXT:
            yield f"{module.name}, line {node.lineno}: {node.id} runs as code whatever it is given"


def broken_sizes(module: Module) -> Iterator[str]:
    lines = len(module.path.read_text().splitlines())
    if lines > FILE_LINES_MAX:
        yield f"{module.name}: {lines} lines (max {FILE_LINES_MAX})"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES_MAX:
                yield f"{module.name}.{node.name}: {length} lines (max {FUNCTION_LINES_MAX})"
            names = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
            count = len([name for name in names if name not in {"self", "cls"}])
            if count > ARGUMENTS_MAX:
                yield f"{module.name}.{node.name}: {count} arguments (max {ARGUMENTS_MAX})"


def broken_rules(root: Path = ROOT) -> list[str]:
    found: list[str] = []
    for module in modules(root):
        found += broken_imports(module)
        found += broken_calls(module)
        found += broken_sizes(module)
        if VAGUE_NAMES & set(module.name.split(".")):
            found.append(f"{module.name}: a name that says nothing of Storm")
    return found


def has_code(module: Module) -> bool:
    """Whether any function does something: those of a Protocol have a docstring or `...` only."""
    return any(
        not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for statement in node.body
    )


def test_rules_hold() -> None:
    assert broken_rules() == []


def test_layers_have_no_cycle() -> None:
    seen: set[str] = set()
    for package, below in ALLOWED.items():
        assert below <= seen | {"metrics"}, f"{package} imports a layer above it: {below - seen}"
        seen.add(package)


def test_every_module_has_its_test() -> None:
    """R6: at the mirrored path in tests/, or in integration/ for a shell that needs the real thing."""
    missing = []
    for module in modules():
        if module.path.name in {"__init__.py", "__main__.py"} or not has_code(module):
            continue
        *folders, name = module.name.split(".")
        if module.package == "examples":
            continue
        found = [
            TESTS.joinpath(*folders, f"test_{name}.py"),
            *INTEGRATION.rglob(f"test_{folders[0] if folders else ''}_{name}.py"),
        ]
        if not any(path.exists() for path in found):
            missing.append(module.name)
    assert missing == []


def test_rules_catch_what_they_should(tmp_path: Path) -> None:
    package = tmp_path / "nimbus"
    package.mkdir()
    (package / "utils.py").write_text("import time\nfrom storm.supervisor import slot\nimport kazoo.client\n")
    (package / "assignments.py").write_text("import threading\nfrom . import utils\n")
    (package / "service.py").write_text("from marshal import loads\nimport shelve\n[eval(x) for x in map(exec, y)]\n")
    assert len(broken_rules(tmp_path)) == 10
