"""Answers as bytes: JSON, and the headers that all answers have."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from storm.http import problems

if TYPE_CHECKING:
    from storm.http.problems import Problem

# What is shown here is nobody else's business, and not of yesterday; no page of another site shows it in a frame.
HEADERS = {
    "cache-control": "no-cache, no-store",
    "content-security-policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


# Of files that were made of a worker, by the ends of their names. A flame graph has scripts and styles in it, which
# may do no more than move its own parts: it is of no origin, and reaches nothing.
DUMP_TYPES = {"svg": "image/svg+xml", "json": "application/json", "txt": "text/plain; charset=utf-8"}
DUMP_POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def dump_headers(name: str) -> dict[str, str]:
    """Of the answer with a dump of this name."""
    return {"content-type": DUMP_TYPES[name.rpartition(".")[2]], "content-security-policy": DUMP_POLICY}


class Json(Response):
    """`Json(content, status)`; Storm's content type."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return json_bytes(content)


def json_bytes(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def problem_answer(problem: Problem) -> Json:
    return Json(problems.body(problem), problem.status)
