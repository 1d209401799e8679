"""The table of the REST API: every path below `/api/v1`, and what answers it."""

from __future__ import annotations

from storm.ui.rest.actions import CHANGING
from storm.ui.rest.reading import READING

ENDPOINTS = (*READING, *CHANGING)
