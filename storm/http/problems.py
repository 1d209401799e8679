"""What went wrong, as an HTTP answer: a status, and one sentence for people; pure."""

from __future__ import annotations

from typing import Any

from storm.errors import (
    BlobAlreadyExistsError,
    BlobNotFoundError,
    CoordinationError,
    InvalidTopologyError,
    InvalidTransitionError,
    NimbusUnreachableError,
    NotAuthorizedError,
    NotLeaderError,
    NotServedError,
    StormError,
    ThriftConnectionError,
    ThriftProtocolError,
    TopologyAlreadyAliveError,
    TopologyNotAliveError,
)

REASONS = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    409: "Conflict",
    413: "Content Too Large",
    414: "URI Too Long",
    421: "Misdirected Request",
    422: "Unprocessable Content",
    500: "Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
}
# Storm answers 500 to nearly all of these, where the client is wrong too.
STATUS_OF: dict[type[StormError], int] = {
    TopologyNotAliveError: 404,
    BlobNotFoundError: 404,
    InvalidTransitionError: 409,
    TopologyAlreadyAliveError: 409,
    BlobAlreadyExistsError: 409,
    InvalidTopologyError: 400,
    ThriftProtocolError: 400,
    NotAuthorizedError: 401,
    NotServedError: 501,
    NimbusUnreachableError: 503,
    ThriftConnectionError: 503,
    NotLeaderError: 503,
    CoordinationError: 503,
}
SENTENCE_CHARS = 2_000


class Problem(Exception):
    """Raised by whoever answers a request: the status, a sentence, and more keys of the answer where Storm has some."""

    def __init__(self, status: int, sentence: str, /, **more: Any) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.more = more


def problem_of(error: StormError) -> Problem:
    """The answer to what Nimbus, or the way to it, said."""
    status = next((STATUS_OF[cls] for cls in type(error).__mro__ if cls in STATUS_OF), 500)
    return Problem(status, str(error))


def body(problem: Problem) -> dict[str, Any]:
    """Storm's two keys: never more than a sentence, on one line."""
    sentence = " ".join(problem.sentence.split())[:SENTENCE_CHARS]
    error = f"{problem.status} {REASONS.get(problem.status, 'Error')}"
    return {**problem.more, "error": error, "errorMessage": sentence}
