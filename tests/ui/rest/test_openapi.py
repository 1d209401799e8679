from __future__ import annotations

import json
import re
from typing import Any

import openapi_spec_validator

from storm.http.request_guard import BODY_BYTES_MAX, PATH_BYTES_MAX
from storm.ui.rest.calls import PREFIX
from storm.ui.rest.endpoints import ENDPOINTS
from storm.ui.rest.openapi import document

REFUSALS: dict[int, dict[str, Any]] = {  # status: what is asked with
    400: {"params": {"callback": "f"}},
    401: {"params": {"doAsUser": "x"}},
    403: {"headers": {"host": "evil.example.org"}},
    413: {"headers": {"content-length": str(BODY_BYTES_MAX + 1)}},
}


def test_the_document_is_openapi() -> None:
    openapi_spec_validator.validate(document(ENDPOINTS, "0.1.0"))


def test_what_is_refused_of_every_path_is_in_the_document(client: Any) -> None:
    paths = document(ENDPOINTS, "0.1.0")["paths"]
    for endpoint in ENDPOINTS:
        listed = paths[PREFIX + endpoint.path][endpoint.method.lower()]["responses"].keys()
        path = PREFIX + re.sub(r"\{\w+\}", "1", endpoint.path)
        answers = {status: client.request(endpoint.method, path, **asked) for status, asked in REFUSALS.items()}
        if "{" in endpoint.path:
            too_long = PREFIX + re.sub(r"\{\w+\}", "x" * PATH_BYTES_MAX, endpoint.path)
            answers[414] = client.request(endpoint.method, too_long)
        assert {status: answer.status_code for status, answer in answers.items()} == {one: one for one in answers}
        assert listed >= {str(status) for status in answers}, path
        assert ("414" in listed) == (414 in answers)
        assert ("408" in listed) == (endpoint.method == "POST"), "only of these a body is read"


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
    required = {
        one["name"] for operation in operations.values() for one in operation["parameters"]
        if one["in"] == "query" and one.get("required")
    }  # fmt: skip
    assert required == {"text"}
    assert operations["post", f"{PREFIX}/topology/{{id}}/logconfig"]["requestBody"]["required"] is True
