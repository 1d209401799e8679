from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from storm.ui.pages import cluster, rounds
from storm.ui.pages.cluster import tags
from storm.ui.pages.figures import number


def row(html: str, key: str) -> list[str]:
    """The cells of a table's row as text."""
    [found] = re.findall(rf'<tr data-key="{re.escape(key)}">(.*?)</tr>', html, re.DOTALL)
    cells = re.findall(r"<t[hd].*?>(.*?)</t[hd]>", found, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]+>", "", cell).split()) for cell in cells]


def test_rates_are_over_the_time_that_workers_have_counted(site: Any, topology_id: str, client: Any) -> None:
    """They tell that they have run for a minute: before, others did, whose counts are gone."""
    site.cluster.clock.secs += 3_600
    cells = row(client.get("/").text, topology_id)
    assert cells[:7] == ["wordcount", "ACTIVE", "storm", "1h 0m", "2", "8", "10"]
    figures = client.get(f"/api/v1/topology/{topology_id}?window=600").json()["topologyStats"][0]
    assert figures["window"] == "600"
    assert cells[7] == number(figures["emitted"] / 60)
    assert cells[8] == number(figures["acked"] / 60)
    assert (cells[9], cells[10]) == (str(figures["failed"]), "2.500")


def test_a_topology_whose_workers_have_told_nothing_has_no_rates(site: Any, client: Any) -> None:
    topology_id = site.cluster.submit()
    assert row(client.get("/").text, topology_id)[7:] == ["–"] * 4


def test_where_nothing_was_acked_no_latency_is_known(site: Any, client: Any) -> None:
    topology_id = site.run_unacked()
    assert row(client.get("/").text, topology_id)[8:] == ["0", "0", "–"]


def test_hosts_with_what_nimbus_tells_of_them(site: Any, topology_id: str, client: Any) -> None:
    assert "Tags" not in client.get("/").text  # nobody has any
    site.cluster.start_supervisor("c", gpu="true", zone="eu")
    site.cluster.core.step()
    site.cluster.clock.secs += 2
    text = client.get("/").text
    assert row(text, "a")[:3] == ["host-a", "Well", "1 of 4"]
    assert row(text, "c")[4] == "gpu zone=eu"
    assert row(text, "nimbus-1:6627")[2] == "Leader"


def test_what_workers_take_stands_beside_what_their_hosts_have(site: Any, topology_id: str, client: Any) -> None:
    assert "Memory, MB" not in client.get("/").text  # no host tells
    site.tell_usage(topology_id)
    text = client.get("/").text
    assert row(text, "a")[4:6] == ["1,234 of 2,000", "88 of 400"]
    assert row(text, "b")[4:6] == ["1,234", "88"]
    assert "<dt>Memory of workers, MB</dt><dd>2,469 <small>of 2,000</small></dd>" in text


def test_a_host_whose_workers_do_not_tell_what_they_take(site: Any, topology_id: str, client: Any) -> None:
    site.tell_usage(topology_id)
    site.cluster.clock.secs += 3
    site.cluster.beat(topology_id)
    assert row(client.get("/").text, "a")[4:6] == ["– of 2,000", "– of 400"]


def test_a_log_of_nimbus_is_linked_only_where_it_can_be_seen(site: Any, client: Any) -> None:
    assert "of Nimbus on" not in client.get("/").text
    told = replace(site.cluster.core.snapshot.supervisors["a"], host="nimbus-1", daemon_logs=("nimbus.log",))
    site.cluster.supervisors["a"].put_supervisor(told)
    site.cluster.core.step()
    site.cluster.clock.secs += 3
    assert 'href="http://nimbus-1:8000/api/v1/daemonlog?file=nimbus.log"' in client.get("/").text


def test_what_is_wrong_stands_first(site: Any, topology_id: str, client: Any) -> None:
    text = client.get("/").text
    trouble = "wordcount: split reported an error 10s ago on host-a:6700: ValueError: bad line 500."
    assert 0 < text.index(trouble) < text.index("<h2>Topologies</h2>")


def test_an_empty_cluster_says_what_it_lacks(client: Any) -> None:
    text = client.get("/").text
    assert "Nothing is wrong in this cluster." in text
    assert "No topology runs." in text


def test_rates_that_do_not_come_in_time_are_left_out(
    site: Any, topology_id: str, client: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(cluster, "RATES_WAIT_SECS", 0)
    text = client.get("/").text
    assert row(text, topology_id)[7:] == ["–"] * 4
    assert "1 topology was not looked at yet" in text
    assert "Nothing is wrong" not in text


def test_of_more_topologies_than_are_looked_at_every_time_the_others_have_their_turns(
    site: Any, client: Any, monkeypatch: Any
) -> None:
    """What was wrong with one of them at its turn has it looked at every time from then on."""
    monkeypatch.setattr(rounds, "STEADY_MAX", 1)
    monkeypatch.setattr(rounds, "TURN_MAX", 1)
    well, others = [site.cluster.submit(f"t-{i}") for i in range(3)], "topologies were not looked at yet"
    ill = site.run_word_count()  # it has reported an error
    texts = []
    for _ in range(5):
        texts.append(client.get("/").text)
        site.cluster.clock.secs += 10
    assert [f"2 {others}" in texts[0], "1 topology was not looked at yet" in texts[1]] == [True, True]
    trouble = [f"split reported an error {10 + 10 * i}s ago" in text for i, text in enumerate(texts)]
    assert trouble == [False, False, True, True, True]
    assert not any("not looked at yet" in text for text in texts[2:])
    assert row(texts[2], ill)[7:] == ["–"] * 4  # it is shown what is looked at every time
    assert row(texts[3], ill)[7] != "–"
    assert all(row(texts[4], each)[7:] == ["–"] * 4 for each in well)


def test_rates_are_asked_for_less_often_than_the_page(site: Any, topology_id: str, client: Any) -> None:
    for _ in range(4):
        client.get("/")
        site.cluster.clock.secs += 2.5
    assert site.calls.count("getClusterInfo") == 4
    assert site.calls.count("getTopologyPageInfo") == 1


def test_tags_in_words() -> None:
    assert tags({"b": "", "a": "true", "c": "x"}) == ["a", "b", "c=x"]
