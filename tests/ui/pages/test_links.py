from __future__ import annotations

import pytest

from storm.ui.pages.links import PAGES_OF_STORM, Links, of_storm

LINK = Links()


def test_every_id_stands_in_an_address_as_one_part_of_it() -> None:
    assert LINK.topology("a b?c#d") == "/topology/a%20b%3Fc%23d"
    assert LINK.component("t", "<script>") == "/topology/t/component/%3Cscript%3E"
    assert LINK.error("t", "a b") == "/topology/t/component/a%20b/error"
    assert LINK.error("t", "a", "1 h 2") == "/topology/t/component/a/error?key=1%20h%202"
    assert LINK.worker("t", "fe80::1", 6700) == "/topology/t/worker/fe80%3A%3A1%3A6700"
    assert LINK.logs("a/b") == "/topology/a%2Fb/logs"
    assert LINK.log_search("a/b") == "/topology/a%2Fb/logs/search"
    assert LINK.log("t", "::1", 6700) == "/topology/t/worker/%3A%3A1%3A6700/log"
    assert LINK.log("t", "h", 1, start=0, text="a&b") == "/topology/t/worker/h%3A1/log?start=0&text=a%26b"
    assert LINK.log("t", "h", 1, "worker.log.1", start=2) == "/topology/t/worker/h%3A1/log?file=worker.log.1&start=2"
    assert LINK.log("t", "h", 1, "worker.log", text="worker.log") == "/topology/t/worker/h%3A1/log?text=worker.log"
    assert LINK.log("t", "h", 1, text="") == "/topology/t/worker/h%3A1/log"
    assert LINK.samples("a/b") == "/topology/a%2Fb/samples"
    assert LINK.samples("t", "a&b") == "/topology/t/samples?component=a%26b"
    assert LINK.samples("t", "a", "b c") == "/topology/t/samples?component=a&stream=b%20c"
    assert LINK.failures("a/b") == "/topology/a%2Fb/failures"
    assert (LINK.supervisor("../x"), LINK.owner("a/b")) == ("/supervisor/..%2Fx", "/owners/a%2Fb")


def test_window_and_system_are_carried_on_to_pages_that_have_them() -> None:
    link = Links("600", include_system=True)
    assert link.topology("t") == "/topology/t?window=600&sys=true"
    assert link.supervisor("s") == "/supervisor/s"
    assert link.at("/topology/t", window=":all-time") == "/topology/t?sys=true"
    assert link.at("/topology/t", include_system=False) == "/topology/t?window=600"
    assert Links(":all-time").at("/x") == "/x"


@pytest.mark.parametrize(
    ("path", "query", "leads_to"),
    [
        ("/index.html", {}, "/"),
        ("/topology.html", {"id": "t-1"}, "/topology/t-1"),
        ("/topology.html", {}, "/"),
        ("/component.html", {"id": "split", "topology_id": "t-1"}, "/topology/t-1/component/split"),
        ("/component.html", {"id": "split"}, "/"),
        ("/supervisor.html", {"id": "s"}, "/supervisor/s"),
        ("/supervisor.html", {"host": "h"}, "/"),
        ("/owner.html", {"id": "//evil.example.org"}, "/owners/%2F%2Fevil.example.org"),
        ("/owner.html", {}, "/owners"),
    ],
)
def test_storms_own_addresses_lead_to_the_same_pages_here(path: str, query: dict[str, str], leads_to: str) -> None:
    assert path in PAGES_OF_STORM
    assert of_storm(path, query) == leads_to
