from __future__ import annotations

import json
from typing import Any

import pytest

from storm.errors import ThriftConnectionError
from storm.ui.pages.samples_reader import Told
from storm.ui.rest.samples import Of, Worker, dropped, samples

WORKER = Worker("h", 6700)


def line(time: int, values: str, component: str = "split", stream: str = "default") -> str:
    return json.dumps({"time": time, "component": component, "task": 4, "stream": stream, "values": values})


def test_the_same_as_the_page_as_json(site: Any, client: Any, topology_id: str) -> None:
    first, second = sorted(
        (f"host-{slot.node_id}", slot.port) for slot in site.cluster.assignment(topology_id).slot_executors()
    )
    site.samples = {
        first: f"{line(10, '[1]')}\n{line(20, '[2]', 'words', 'side')}\n".encode(),
        second: ThriftConnectionError("nothing listens there"),
    }
    client.post(f"/api/v1/topology/{topology_id}/component/words/debug/enable/20")
    path = f"/api/v1/topology/{topology_id}/samples"
    found = client.get(f"{path}?component=words&stream=side").json()
    assert found == {
        "debug": True,
        "samplingPct": 20.0,
        "samples": [
            {
                "time": 20,
                "component": "words",
                "stream": "side",
                "task": 4,
                "values": "[2]",
                "host": first[0],
                "port": first[1],
            }
        ],
        "problems": [{"host": second[0], "port": second[1], "text": "nothing listens there"}],
        "workersLeftOut": 0,
        "dropped": 0,
    }
    everything = client.get(path).json()
    assert [one["values"] for one in everything["samples"]] == ["[2]", "[1]"]
    assert everything["debug"] is False
    assert client.get(f"{path}?component=nope").status_code == 404
    assert client.get("/api/v1/topology/nope-1-1/samples").status_code == 404


def test_lines_that_are_no_samples_are_passed_over() -> None:
    lines = ("", "null", "[1]", "{", '{"time": 1}', line(7, "[1]"), '{"time": 1e999}', line(1 << 70, "[2]"))
    found = samples([(WORKER, Told(lines))])
    assert [one.values for one in found] == ["[2]", "[1]"]
    assert found[1]._replace(values="") == (7, "h", 6700, "split", 4, "default", "")


@pytest.mark.parametrize(
    ("of", "takes"),
    [
        (Of("split", "default"), [True, False, False]),
        (Of("split"), [True, True, False]),
        (Of(stream="default"), [True, False, True]),
        (Of("default", "split"), [False, False, False]),
        (Of("ü"), [False, False, False]),
        (Of(), [True, True, True]),
    ],
)
def test_samples_of_a_component_and_of_a_stream(of: Of, takes: list[bool]) -> None:
    lines = [line(1, "[]"), line(1, "[]", stream="side"), line(1, '["split", "side"]', "words")]
    assert [of.takes(each) for each in lines] == takes


def test_samples_that_were_too_many_are_counted() -> None:
    lines = ['{"time": 1, "dropped": 7}', line(1, '["dropped"]'), '{"dropped": "x"}', '["dropped"]', '{"dropped": 5']
    assert dropped([*lines, '{"time": 2, "dropped": 3}', '{"dropped": -1}', '{"dropped": 1e999}']) == 10


def test_names_are_found_however_json_writes_them() -> None:
    name = 'a "quoted" ü\\'
    assert Of(name, name).takes(line(1, "[]", name, name))
    assert not Of("split").takes('{"split"')
