"""The buttons and dialogs of actions, which the pages of topologies place."""

from __future__ import annotations

import json
import re

import pytest
from page_rules import broken_rules

from storm.ui.pages.page import Frame
from storm.ui.pages.site import environment

NAME = "<b>&\"'"
PAGE = """{% from "actions.html" import topology_buttons, topology_dialogs %}
{{ topology_buttons(status, frame, present) }}{{ topology_dialogs("a b-1-2", name, 30, present.executors) }}"""
PRESENT = {"numWorkers": 2, "executors": {"split": 4, NAME: 1}}


def made(status: str, frame: Frame | None = None) -> str:
    template = environment().from_string(PAGE)
    return template.render(status=status, name=NAME, frame=frame or Frame("0.1.0"), present=PRESENT)


@pytest.mark.parametrize(
    ("status", "buttons"),
    [
        ("ACTIVE", {"deactivate", "rebalance", "log-level", "debug", "kill"}),
        ("INACTIVE", {"activate", "rebalance", "log-level", "debug", "kill"}),
        ("REBALANCING", {"log-level", "debug", "kill"}),
        ("KILLED", set()),
    ],
)
def test_buttons_are_those_that_the_status_allows(status: str, buttons: set[str]) -> None:
    html = made(status)
    assert set(re.findall(r'data-opens="([\w-]+)"', html)) == buttons
    assert broken_rules(html) == []
    assert NAME not in html


def test_forms_are_sent_to_the_paths_of_the_api() -> None:
    assert set(re.findall(r'data-post="([^"]+)"', made("ACTIVE"))) == {
        "/topology/a%20b-1-2/activate",
        "/topology/a%20b-1-2/deactivate",
        "/topology/a%20b-1-2/kill/{wait}",
        "/topology/a%20b-1-2/rebalance/{wait}",
        "/topology/a%20b-1-2/logconfig",
        "/topology/a%20b-1-2/debug/{action}/{percent}",
    }


def test_what_dialogs_are_filled_from_stands_with_their_buttons() -> None:
    """The buttons' region lives, the dialogs' does not."""
    told = made("ACTIVE").split("data-present='")[1].split("'")[0]
    assert json.loads(told) == PRESENT
    assert "value" not in made("ACTIVE").split('name="workers"')[1].split(">")[0]


@pytest.mark.parametrize(("workers", "profiled"), [(["h:1"], []), (["h:1", "[::1]:2"], ["h:1"]), ([], [])])
def test_what_can_be_asked_of_workers_has_a_dialog_each(workers: list[str], profiled: list[str]) -> None:
    page = """{% from "actions.html" import worker_buttons, worker_dialogs %}
{{ worker_buttons(frame, workers, profiled) }}
{{ worker_dialogs(name, "/topology/t", "/topology/t") }}"""
    html = environment().from_string(page).render(name=NAME, frame=Frame("0.1.0"), workers=workers, profiled=profiled)
    assert broken_rules(html) == []
    opened, dialogs = (set(re.findall(rf'{name}="([\w-]+)"', html)) for name in ("data-opens", "<dialog id"))
    assert dialogs == {"flame-graph", "stop-profile", "stacks", "heap", "restart"}
    assert opened == dialogs - ({"stop-profile"} if not profiled else set())
    assert set(re.findall(r'data-post="([^"]+)"', html)) == {
        f"/topology/t/profiling/{action}/{{worker}}" for action in ("stop", "dumpjstack", "dumpheap", "restartworker")
    }
    assert html.count('<select name="worker" data-of="workers" required>') == 4
    assert html.count('<select name="worker" data-of="profiled" required>') == 1
    assert html.count("disabled") == (0 if workers else 4)
    assert NAME not in html


def test_while_nimbus_is_silent_no_button_can_be_pressed() -> None:
    html = made("ACTIVE", Frame("0.1.0", silent_since=1, as_of=1))
    assert html.count(" hidden disabled>") == html.count("data-opens") == 5
    assert "disabled" not in made("ACTIVE")
