from __future__ import annotations

from storm.diagnosis.facts import Severity, Trouble
from storm.ui.pages.links import Links
from storm.ui.pages.troubles import SHOWN_MAX, of_component, of_worker, on_the_cluster, rows

SPLIT = Trouble(Severity.WARNING, "what", "advice", "split", concerns=("words",), is_of_failures=True, topology="t-1")
DEAD = Trouble(Severity.CRITICAL, "dead", "advice", worker="h:6700", topology="t-1")


def test_a_trouble_leads_to_what_it_is_of() -> None:
    split, dead = rows([SPLIT, DEAD], Links("600"))
    assert (split["level"], split["text"], split["advice"]) == ("warn", "what", "advice")
    assert split["links"] == [
        ("/topology/t-1/failures", "failed tuples"),
        ("/topology/t-1/component/split?window=600", "split"),
    ]
    assert (dead["level"], dead["links"]) == (
        "bad",
        [("/topology/t-1/worker/h%3A6700?window=600", "worker h:6700")],
    )


def test_it_does_not_lead_to_where_it_stands() -> None:
    [row] = rows([SPLIT], Links(), here="split")
    assert row["links"] == [("/topology/t-1/failures", "failed tuples")]


def test_components_and_workers_have_theirs() -> None:
    assert of_component([SPLIT, DEAD], "words") == of_component([SPLIT, DEAD], "split") == [SPLIT]
    assert of_worker([SPLIT, DEAD], "h:6700") == [DEAD]


def test_on_the_clusters_page_each_leads_somewhere() -> None:
    host = Trouble(Severity.NOTE, "drained", supervisor="a")
    topology = Trouble(Severity.WARNING, "t: it is deactivated", topology="t-1")
    first, second = on_the_cluster([host, topology], Links())
    assert (first["level"], first["links"]) == ("info", [("/supervisor/a", "the host")])
    assert second["links"] == [("/topology/t-1", "its page")]


def test_of_very_many_the_first_are_shown_and_how_many_more_there_are() -> None:
    found = on_the_cluster([DEAD] * (SHOWN_MAX + 6), Links())
    assert len(found) == SHOWN_MAX + 1
    assert (found[-1]["text"], found[-1]["links"]) == ("And 6 more like these.", [])
