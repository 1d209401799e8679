"""conf/grafana/storm.json asks for what daemons show, by the labels that it has."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from storm.metrics.families import LOGVIEWER, NIMBUS, PROCESS, SUPERVISOR, shown_names

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


def test_every_metric_in_the_dashboard_is_one_that_a_daemon_shows() -> None:
    known = shown_names(NIMBUS) | shown_names(SUPERVISOR) | set(PROCESS)
    asked = [name for query, _ in expressions() for name in words(query)[0]]
    assert len(set(asked)) > 30
    assert sorted(set(asked) - known) == []


def test_every_label_is_one_that_its_metric_has() -> None:
    families = {**NIMBUS, **SUPERVISOR}
    labels_of = {name: set(families[each].labels) for each in families for name in shown_names({each: families[each]})}
    wrong = []
    for query, legend in expressions():
        names, labels = words(query)
        has = set.union(*(labels_of.get(name, set()) for name in names)) | OF_PROMETHEUS
        wrong += [(query, label) for label in labels | set(re.findall(r"\{\{(\w+)\}\}", legend)) if label not in has]
    assert wrong == []


def test_the_check_sees_names_and_labels() -> None:
    query = 'sum by (component, le) (rate(storm_x_total{topology=~"$topology"}[$__rate_interval])) / storm_y'
    assert words(query) == ({"storm_x_total", "storm_y"}, {"component", "le", "topology"})


def test_every_row_of_the_documentation_names_a_family_and_none_is_left_out() -> None:
    text = (FILE.parents[2] / "docs" / "metrics.md").read_text()
    named = set(re.findall(r"`(storm_(?!ui_)\w+)`", text))
    assert named == {*NIMBUS, *SUPERVISOR, *LOGVIEWER}
