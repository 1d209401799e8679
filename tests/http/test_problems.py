from __future__ import annotations

import pytest

from storm.errors import (
    BlobNotFoundError,
    CoordinationError,
    InvalidTopologyError,
    InvalidTransitionError,
    NimbusUnreachableError,
    NoPermissionError,
    NotAuthorizedError,
    NotLeaderError,
    NotServedError,
    StormError,
    ThriftTimeoutError,
    TopologyAlreadyAliveError,
    TopologyNotAliveError,
)
from storm.http.problems import SENTENCE_CHARS, Problem, body, problem_of


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (TopologyNotAliveError("x"), 404),
        (BlobNotFoundError("x"), 404),
        (InvalidTransitionError("x"), 409),
        (TopologyAlreadyAliveError("x"), 409),
        (InvalidTopologyError("x"), 400),
        (NotAuthorizedError("x"), 401),
        (NotServedError("x"), 501),
        (NimbusUnreachableError("x"), 503),
        (NotLeaderError("x"), 503),
        (ThriftTimeoutError("x", sent=True), 503),
        (CoordinationError("x"), 503),
        (NoPermissionError("x"), 503),
        (StormError("x"), 500),
    ],
)
def test_each_error_has_its_status(error: StormError, status: int) -> None:
    problem = problem_of(error)
    assert (problem.status, problem.sentence) == (status, "x")


def test_a_body_is_one_line_and_not_endless() -> None:
    assert body(Problem(501, "first\n  second", status="disabled")) == {
        "status": "disabled",
        "error": "501 Not Implemented",
        "errorMessage": "first second",
    }
    assert len(body(Problem(500, "x" * 9_999))["errorMessage"]) == SENTENCE_CHARS
    assert body(Problem(418, "x"))["error"] == "418 Error"
