from __future__ import annotations

import json
import re

from storm.ui.rest.calls import PREFIX
from storm.ui.rest.endpoints import ENDPOINTS
from storm.ui.rest.openapi import document


def test_every_path_is_in_the_document_with_its_parameters() -> None:
    found = json.loads(json.dumps(document(ENDPOINTS, "0.1.0")))
    assert found["info"]["version"] == "0.1.0"
    operations = {(method, path): one for path, methods in found["paths"].items() for method, one in methods.items()}
    assert set(operations) == {(one.method.lower(), PREFIX + one.path) for one in ENDPOINTS}
    for (_, path), operation in operations.items():
        names = {one["name"] for one in operation["parameters"] if one["in"] == "path"}
        assert names == set(re.findall(r"\{(\w+)\}", path))
        assert all(one["schema"]["type"] for one in operation["parameters"])
        assert {"200", "400", "403", "503"} <= set(operation["responses"])
    assert len({one["operationId"] for one in operations.values()}) == len(ENDPOINTS)
    assert operations["get", f"{PREFIX}/topology/{{id}}"]["responses"]["404"]["description"] == "Not Found"
    assert operations["post", f"{PREFIX}/topology/{{id}}/logconfig"]["requestBody"]["required"] is True
