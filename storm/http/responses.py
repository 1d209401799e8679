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


class Json(Response):
    """`Json(content, status)`; Storm's content type."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return json_bytes(content)


def json_bytes(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def problem_answer(problem: Problem) -> Json:
    return Json(problems.body(problem), problem.status)
