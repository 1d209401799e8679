from __future__ import annotations

from storm.ui.rest.endpoints import ENDPOINTS


def test_the_router_takes_slashes_in_an_owners_name_and_nowhere_else() -> None:
    routes = {one.path: one.route for one in ENDPOINTS}
    assert routes["/owner-resources/{owner}"] == "/api/v1/owner-resources/{owner:path}"
    assert routes["/topology/{id}/component/{component}"] == "/api/v1/topology/{id}/component/{component}"
    assert sum(":path" in route for route in routes.values()) == 1
