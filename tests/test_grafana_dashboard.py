"""conf/grafana/storm.json asks for what daemons show, by the labels that it has."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from storm.metrics.families import LOGVIEWER, NIMBUS, PROCESS, SUPERVISOR, shown_names
from storm.ui.measures import Measures

FILE = Path(__file__).parents[1] / "conf" / "grafana" / "storm.json"
OF_PROMETHEUS = {"instance", "job", "le"}
FUNCTIONS = {"sum", "max", "count", "by", "rate", "increase", "histogram_quantile", "label_values"}


def expressions() -> list[tuple[str, str]]:
    """(query, legend) of each target."""
    dashboard = json.loads(FILE.read_text())
    found = [(each["query"], "") for each in dashboard["templating"]["list"] if each["type"] == "query"]
    panels: list[dict[str, Any]] = dashboard["panels"]
    return found + [(target["expr"], target["legendFormat"]) for each in panels for target in each.get("targets", [])]


def words(query: str) -> tuple[set[str], set[str]]:
    """(names of metrics, names of labels) in a query."""
    labels = set(re.findall(r"(\w+)=~?\"", query))
    for group in re.findall(r"by \(([^)]*)\)", query):
        labels |= {each.strip() for each in group.split(",")}
    rest = re.sub(r"\{[^}]*\}|by \([^)]*\)|\[[^]]*\]", " ", query)
    if rest.startswith("label_values"):
        labels |= set(re.findall(r", (\w+)\)", rest))
        rest = rest.partition(",")[0]
    return set(re.findall(r"[a-z_][a-z_0-9]*", rest)) - FUNCTIONS, labels


def of_the_ui() -> tuple[set[str], dict[str, set[str]]]:
    """(families, {name of a series: its labels}), of one that was asked once."""
    measures = Measures()
    measures.request("GET", "/", 200, 0.1)
    measures.read("getClusterInfo", is_kept=False)
    measures.asked("getClusterInfo", 0.1, None)
    text = measures.text().decode()
    families = {one for one in re.findall(r"^# TYPE (storm_\w+)", text, re.MULTILINE) if not one.endswith("_created")}
    labels: dict[str, set[str]] = {}
    for name, found in re.findall(r"^(storm_\w+?)(?:\{(.*)\})? \S+$", text, re.MULTILINE):
        labels.setdefault(name, set()).update(re.findall(r'(\w+)="', found))
    return families, labels


def test_every_metric_in_the_dashboard_is_one_that_a_daemon_shows() -> None:
    known = shown_names(NIMBUS) | shown_names(SUPERVISOR) | shown_names(LOGVIEWER) | set(PROCESS) | set(of_the_ui()[1])
    asked = [name for query, _ in expressions() for name in words(query)[0]]
    assert len(set(asked)) > 30
    assert sorted(set(asked) - known) == []


def test_every_label_is_one_that_its_metric_has() -> None:
    families = {**NIMBUS, **SUPERVISOR, **LOGVIEWER}
    labels_of = of_the_ui()[1]
    labels_of |= {name: set(families[each].labels) for each in families for name in shown_names({each: families[each]})}
    wrong = []
    for query, legend in expressions():
        names, labels = words(query)
        has = set.union(*(labels_of.get(name, set()) for name in names)) | OF_PROMETHEUS
        wrong += [(query, label) for label in labels | set(re.findall(r"\{\{(\w+)\}\}", legend)) if label not in has]
    assert wrong == []


def test_components_of_the_same_name_in_two_topologies_are_told_apart() -> None:
    for query, legend in expressions():
        groups = [{each.strip() for each in group.split(",")} for group in re.findall(r"by \(([^)]*)\)", query)]
        assert all("topology" in group for group in groups if "component" in group), query
        assert "{{component}}" not in legend or "{{topology}}" in legend, legend


def test_panels_have_ids_of_their_own_and_none_lies_on_another() -> None:
    panels = json.loads(FILE.read_text())["panels"]
    assert len({each["id"] for each in panels}) == len(panels)
    cells = [
        (x, y)
        for at in (each["gridPos"] for each in panels)
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


def test_every_daemon_has_panels() -> None:
    asked = {name for query, _ in expressions() for name in words(query)[0]}
    for daemon in ("nimbus", "supervisor", "worker", "ui", "logviewer"):
        assert any(name.startswith(f"storm_{daemon}_") for name in asked), daemon


def test_the_check_sees_names_and_labels() -> None:
    query = 'sum by (component, le) (rate(storm_x_total{topology=~"$topology"}[$__rate_interval])) / storm_y'
    assert words(query) == ({"storm_x_total", "storm_y"}, {"component", "le", "topology"})


def test_every_row_of_the_documentation_names_a_family_and_none_is_left_out() -> None:
    text = (FILE.parents[2] / "docs" / "metrics.md").read_text()
    named = set(re.findall(r"`(storm_\w+)`", text))
    assert named == {*NIMBUS, *SUPERVISOR, *LOGVIEWER, *of_the_ui()[0]}
