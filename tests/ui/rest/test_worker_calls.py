"""What was asked of a worker comes through the UI, too, for browsers that reach no log viewer."""

from __future__ import annotations

from typing import Any

import pytest

from storm.errors import NotAuthorizedError, TopologyNotAliveError

NAME = "profile-20260131T235959123Z.svg"


@pytest.fixture
def place(site: Any, topology_id: str) -> str:
    worker = min(set(site.cluster.assignment(topology_id).executor_slots.values()))
    return f"/topology/{topology_id}/worker/host-{worker.node_id}:{worker.port}/dump"


def test_a_flame_graph_is_shown_in_a_sandbox(site: Any, client: Any, place: str) -> None:
    site.dump = b"<svg>" + b"x" * 25 + b"</svg>"  # in four answers of the supervisor
    answer = client.get(f"{place}/{NAME}")
    assert (answer.status_code, answer.content) == (200, site.dump)
    assert answer.headers["content-type"] == "image/svg+xml"
    policy = answer.headers["content-security-policy"].split("; ")
    assert policy[:2] == ["sandbox allow-scripts", "default-src 'none'"]
    assert not any("allow-same-origin" in part or part.startswith("connect-src") for part in policy)


def test_a_text_is_a_text(site: Any, client: Any, place: str) -> None:
    site.dump = b"<script>"
    answer = client.get(f"{place}/stacks-20260131T235959123Z.txt")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_an_empty_one_ends(site: Any, client: Any, place: str) -> None:
    assert client.get(f"{place}/{NAME}").content == b""


@pytest.mark.parametrize("name", ["..%2f..%2fpasswd", "worker.log", "x.html", "%2e%2e", "%2e%2e%2fx.svg%00"])
def test_names_lead_nowhere_else(site: Any, client: Any, place: str, name: str) -> None:
    site.refusals["readWorkerDump"] = NotAuthorizedError("that is no dump")
    assert client.get(f"{place}/{name}").status_code in {401, 404}


def test_one_that_is_gone_is_not_found(site: Any, client: Any, place: str) -> None:
    site.refusals["readWorkerDump"] = TopologyNotAliveError("no such dump")
    assert client.get(f"{place}/{NAME}").status_code == 404
    assert client.get(f"{place.rpartition('/worker/')[0]}/worker/host-a:1/dump/{NAME}").status_code == 404
