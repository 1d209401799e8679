"""What searches found, as JSON with Storm's keys; pure.

Not in Storm, and only where a search ended because it had read for too long: `isCut`, with `message`. `nextByteOffset`,
and `fileOffset` of a deep search, say where to go on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from storm.logviewer.asking import PAGE_BYTES

if TYPE_CHECKING:
    from storm.logviewer.finding import FoundIn, FoundInFiles, Match

API = "/api/v1"
CUT = "The search ended because it had read for too long; go on at nextByteOffset, in file fileOffset of a deep search."


def file_answer(found: FoundIn, text: str, file: str, root: str, *, is_daemon: bool) -> dict[str, Any]:
    """Of one file; `root` is this server's address, such as `http://host:8000`."""
    answer: dict[str, Any] = {
        "isDaemon": "yes" if is_daemon else "no",
        "searchString": text,
        "startByteOffset": found.start,
        "matches": [_match(match, f"{root}{match_url(match, file, is_daemon=is_daemon)}") for match in found.matches],
    }
    if found.next_offset is not None:
        answer["nextByteOffset"] = found.next_offset
    if found.is_cut:
        answer.update(isCut=True, message=CUT)
    return answer


def files_answer(found: FoundInFiles, text: str, root: str) -> dict[str, Any]:
    """Of the logs of one worker."""
    answer: dict[str, Any] = {
        "fileOffset": found.file_offset,
        "searchString": text,
        "matches": [
            {
                **file_answer(one.found, text, one.name.path, root, is_daemon=False),
                "fileName": one.name.path,
                "port": str(one.name.worker.port),
            }
            for one in found.files
        ],
    }
    if found.is_cut:
        answer.update(isCut=True, message=CUT)
    return answer


def match_url(match: Match, file: str, *, is_daemon: bool) -> str:
    """The path of the log's page that has the match in its middle."""
    start = max(0, match.offset + len(match.text) // 2 - PAGE_BYTES // 2)
    return log_url(file, is_daemon=is_daemon, start=start, length=PAGE_BYTES)


def log_url(file: str, *, is_daemon: bool, **more: object) -> str:
    """The path of a log's page; `more` of its query."""
    return f"{API}/{'daemonlog' if is_daemon else 'log'}?{urlencode({'file': file, **more})}"


def shown(data: bytes) -> str:
    """Logs hold what anybody printed."""
    return data.decode("utf-8", "replace")


def _match(match: Match, url: str) -> dict[str, Any]:
    return {
        "byteOffset": match.offset,
        "beforeString": shown(match.before),
        "afterString": shown(match.after),
        "matchString": shown(match.text),
        "logviewerURL": url,
    }
