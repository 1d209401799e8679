from __future__ import annotations

import json

from storm.http.problems import Problem
from storm.http.responses import Json, json_bytes, problem_answer


def test_json_is_compact_utf8() -> None:
    assert json_bytes({"a": [1, "é"]}) == '{"a":[1,"é"]}'.encode()
    assert json_bytes("\ud800") == b'"?"'
    answer = Json({"a": 1}, 202)
    assert (answer.status_code, answer.headers["content-type"], answer.body) == (202, "application/json", b'{"a":1}')


def test_a_problem_has_storms_two_keys() -> None:
    answer = problem_answer(Problem(404, "There is no such thing."))
    assert answer.status_code == 404
    assert json.loads(bytes(answer.body)) == {"error": "404 Not Found", "errorMessage": "There is no such thing."}
