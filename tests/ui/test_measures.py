from __future__ import annotations

from storm.errors import TopologyNotAliveError
from storm.ui.measures import Measures


def test_what_was_measured_is_told_in_prometheus_form() -> None:
    measures = Measures()
    measures.request("GET", "/api/v1/topology/{id}", 200, 0.02)
    measures.request("BREW", "none", 405, 0.001)
    measures.read("getLeader", is_kept=True)
    measures.asked("getLeader", 0.004, None)
    measures.asked("getLeader", 0.004, TopologyNotAliveError("gone"))
    measures.nimbus_is_up(True)
    text = measures.text().decode()
    for line in (
        'storm_ui_requests_total{method="GET",route="/api/v1/topology/{id}",status="200"} 1.0',
        'storm_ui_requests_total{method="other",route="none",status="405"} 1.0',
        'storm_ui_request_seconds_bucket{le="0.025",route="/api/v1/topology/{id}"} 1.0',
        'storm_ui_reads_total{method="getLeader",shared="yes"} 1.0',
        'storm_ui_nimbus_calls_total{method="getLeader",outcome="TopologyNotAliveError"} 1.0',
        "storm_ui_nimbus_up 1.0",
    ):
        assert f"\n{line}\n" in text
    assert "process_resident_memory_bytes" in text


def test_two_do_not_share_anything() -> None:
    one, other = Measures(), Measures()
    one.request("GET", "/", 200, 0.1)
    assert "storm_ui_requests_total{" not in other.text().decode()
