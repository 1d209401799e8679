"""`storm ui` on a real cluster: all that it answers has Storm's keys and types, and it outlives Nimbus."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from cluster_site import STORM, environment, run
from storm_rest_contract import StormRestContract

from storm.ui.rest.endpoints import ENDPOINTS

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.timeout(240)

READING = [endpoint for endpoint in ENDPOINTS if endpoint.method == "GET"]


class TestTheRestOfStorm(StormRestContract):
    @pytest.fixture
    def topology_id(self, word_count: str) -> str:
        return word_count

    @pytest.fixture
    def get(self, ui_site: Any) -> Callable[[str], Any]:
        found: Callable[[str], Any] = ui_site.get
        return found

    @pytest.fixture
    def post(self, ui_site: Any) -> Callable[[str, Any], Any]:
        def post(path: str, body: Any) -> Any:
            more = {} if body is None else {"json": body}
            answer = ui_site.client.post(f"/api/v1{path}", **more)
            assert answer.status_code == 200, answer.text
            return answer.json()

        return post

    @pytest.fixture
    def refused(self, ui_site: Any) -> Callable[[str], Any]:
        return lambda path: ui_site.client.get(f"/api/v1{path}").json()


@pytest.mark.parametrize("endpoint", READING, ids=[endpoint.path for endpoint in READING])
@pytest.mark.parametrize("query", ["", "window=600&sys=true"])
def test_every_path_answers(endpoint: Any, query: str, ui_site: Any, word_count: str) -> None:
    path = endpoint.path.format(id=word_count, component="split", owner="nobody")
    if path == "/supervisor":
        query = f"id={ui_site.cluster.node_id('a')}&{query}"
    if "text" in endpoint.query:
        query = f"text=bad line&{query}"
    assert ui_site.get(f"{path}?{query}") is not None


def test_the_page_shows_where_the_workers_run(ui_site: Any, word_count: str) -> None:
    page = ui_site.get(f"/topology/{word_count}")
    assert {worker["port"] for worker in page["workers"]} == set(ui_site.cluster.worker_pids(word_count).values())
    [split] = [bolt for bolt in page["bolts"] if bolt["boltId"] == "split"]
    assert split["lastError"].startswith("ValueError: bad line")
    assert (split["executors"], split["tasks"]) == (2, 4)
    assert page["topologyStats"][3]["acked"] > 0


def test_what_workers_take_of_their_hosts_is_told_with_what_these_have(ui_site: Any, word_count: str) -> None:
    def told() -> dict[int, tuple[float | None, float | None]]:
        workers = ui_site.get(f"/topology/{word_count}/insight")["workers"]
        return {one["port"]: (one["usedMem"], one["usedCpu"]) for one in workers}

    ui_site.cluster.wait(lambda: None not in {cpu for _, cpu in told().values()}, "workers know their share of the CPU")
    resident = {
        port: psutil.Process(pid).memory_info().rss / 2**20
        for pid, port in ui_site.cluster.worker_pids(word_count).items()
    }
    used = told()
    assert {port: memory for port, (memory, _) in used.items()} == pytest.approx(resident, rel=0.5)
    supervisors = ui_site.get("/supervisor/summary")["supervisors"]
    assert sum(one["usedMem"] for one in supervisors) == pytest.approx(sum(resident.values()), rel=0.5)
    machine_mb = psutil.virtual_memory().total / 2**20
    assert all(0 < one["totalMem"] <= machine_mb and one["totalCpu"] > 0 for one in supervisors)


def test_it_is_measured_and_healthy(ui_site: Any, word_count: str) -> None:
    health = ui_site.client.get("/health")
    port = ui_site.cluster.settings["nimbus.thrift.port"]
    assert (health.status_code, health.json()["nimbus"]) == (200, f"127.0.0.1:{port}")
    text = ui_site.client.get("/metrics").text
    assert "storm_ui_nimbus_up 1.0" in text
    assert 'storm_ui_nimbus_calls_total{method="getClusterInfo",outcome="ok"}' in text


def test_a_topology_is_put_to_sleep_rebalanced_and_killed(ui_site: Any) -> None:
    cluster = ui_site.cluster
    topology_id = cluster.submit(ui_site.topology_file, "changed", topology__workers=1, topology__max__spout__pending=5)
    page = f"/topology/{topology_id}"

    def post(path: str, **more: Any) -> Any:
        answer = ui_site.client.post(f"/api/v1{page}/{path}", **more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def status() -> str:
        return str(ui_site.get(page)["status"])

    assert post("deactivate") == {"topologyOperation": "deactivate", "topologyId": topology_id, "status": "success"}
    cluster.wait(lambda: status() == "INACTIVE", "it sleeps")
    post("activate")
    cluster.wait(lambda: status() == "ACTIVE", "it is awake")
    post("rebalance/0", json={"rebalanceOptions": {"executors": {"split": 4}}})
    cluster.wait(lambda: status() == "ACTIVE" and ui_site.get(f"{page}/component/split")["executors"] == 4, "4 of them")
    level = {"namedLoggerLevels": {"ROOT": {"target_level": "DEBUG", "timeout": 30}}}
    assert post("logconfig", json=level)["namedLoggerLevels"]["ROOT"]["target_level"] == "DEBUG"
    assert post("debug/enable/10")["topologyOperation"] == "debug/enable"
    assert ui_site.get(page)["debug"] is True
    post("kill/0")
    cluster.wait(lambda: ui_site.client.get(f"/api/v1{page}").status_code == 404, "it is gone")
    assert "POST" in ui_site.daemon.log.read_text()


def test_it_tells_that_nimbus_is_gone_and_goes_on_when_it_is_back(ui_site: Any, word_count: str) -> None:
    cluster = ui_site.cluster
    cluster.nimbus.stop(signal.SIGKILL)
    try:
        cluster.wait(lambda: ui_site.client.get("/health").status_code == 503, "it knows")
        page = f"/api/v1/topology/{word_count}"
        cluster.wait(lambda: ui_site.client.get(page).status_code == 503, "what Nimbus last said is too old")
        answer = ui_site.client.get(page)
        assert "has not answered since 20" in answer.json()["errorMessage"]
        assert ui_site.client.get("/live").status_code == 200
    finally:
        cluster.start_nimbus()
    cluster.wait(lambda: ui_site.client.get("/health").status_code == 200, "it is back")
    cluster.wait(lambda: ui_site.client.get(page).status_code == 200, "Nimbus has looked around")
    assert ui_site.client.get(page).json()["status"] == "ACTIVE"


def test_a_second_one_on_the_port_is_refused_with_what_to_do(ui_site: Any) -> None:
    done = run([*STORM, "ui", "-c", f"ui.port={ui_site.port}"], environment(ui_site.cluster.conf_dir))
    assert done.returncode == 1
    assert f"127.0.0.1:{ui_site.port} is in use" in done.stderr
    assert "ui.port" in done.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1"])
def test_other_hosts_are_not_let_in_by_accident(ui_site: Any, host: str) -> None:
    done = run([*STORM, "ui", "-c", f"ui.host={host}"], environment(ui_site.cluster.conf_dir))
    assert (done.returncode, "storm.security.insecure" in done.stderr) == (1, True)


def test_an_address_that_the_host_does_not_have_is_refused(ui_site: Any) -> None:
    words = ["ui", "-c", "ui.host=192.0.2.1", "-c", "storm.security.insecure=true"]
    done = run([*STORM, *words], environment(ui_site.cluster.conf_dir))
    assert (done.returncode, "cannot listen on 192.0.2.1:8080" in done.stderr) == (1, True)


def test_a_page_is_live_and_it_ends_in_order_all_the_same(ui_site: Any) -> None:
    with ui_site.client.stream("GET", "/events/") as answer:
        lines = answer.iter_lines()
        assert "event: regions" in lines
        assert ui_site.daemon.stop() == 0
        assert list(lines)[-1] == ""  # to its end, not cut off
    assert "The UI has stopped." in ui_site.daemon.log.read_text()
    ui_site.start()


def test_it_ends_while_a_supervisor_hangs_and_tells_who_waits_for_it(ui_site: Any, word_count: str) -> None:
    cluster, supervisor = ui_site.cluster, ui_site.cluster.supervisors["a"]
    worker = ui_site.get(f"/topology/{word_count}")["workers"][0]
    path = f"/api/v1/topology/{word_count}/profiling/dumpjstack/{worker['host']}:{worker['port']}"
    port = supervisor.settings["supervisor.thrift.port"]

    def asks() -> bool:
        connections = psutil.Process(ui_site.daemon.pid).net_connections("tcp")
        return any(one.raddr and one.raddr.port == port for one in connections)

    with ThreadPoolExecutor(1) as pool:
        os.kill(supervisor.pid, signal.SIGSTOP)
        try:
            asked = pool.submit(ui_site.client.post, path)
            cluster.wait(asks, "it waits for the supervisor")
            assert ui_site.daemon.stop() == 0
            answer = asked.result()
            assert (answer.status_code, "The UI is ending" in answer.text) == (503, True)
        finally:
            os.kill(supervisor.pid, signal.SIGCONT)
    ui_site.start()
