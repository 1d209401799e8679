"""The log viewer's pages for people, as HTML; pure. All that comes from logs or requests is escaped."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, urlencode

from storm.logviewer.answers import API, log_url, match_url, shown
from storm.logviewer.asking import PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    from storm.http.problems import Problem
    from storm.logviewer.asking import PageWanted
    from storm.logviewer.finding import FoundIn
    from storm.logviewer.logs import LogFile, Part, Worker

    When: TypeAlias = Callable[[float], str]  # seconds since the epoch, for people

LISTED_MAX = 2_000  # rows of a list; a topology's own list has fewer
TRAIL = '<nav aria-label="Where this is"><ul><li><a href="/">All logs of this host</a></li></ul></nav>'


class ShownLog(NamedTuple):
    """A log that a page is about. `file` as Storm names it; `siblings` are the files of the same worker or host."""

    file: str
    is_daemon: bool
    siblings: Sequence[str] = ()

    def url(self, **more: object) -> str:
        return log_url(self.file, is_daemon=self.is_daemon, **more)


def log_page(log: ShownLog, part: Part, wanted: PageWanted, static: str) -> str:
    """Part of a log, with the ways to the others. `static`: the path of the static files."""
    lines = shown(part.data)
    if wanted.grep:
        lines = "".join(line for line in lines.splitlines(keepends=True) if wanted.grep in line)
    size = "of a packed log" if part.size is None else f"of {part.size:,}"
    last = "yes" if part.is_last else "no"
    file, path = escape(log.file), f"{API}/{'daemonlog' if log.is_daemon else 'log'}"
    follows = part.is_last and part.size is not None and not wanted.grep
    follow = (
        '<button type="button" id="follow" aria-pressed="false" hidden>Follow</button>'
        '<span id="follow-state" class="quiet" role="status"></span>'
        if follows
        else ""
    )
    parts = _parts(log, part, wanted)
    body = f"""{_trail(log)}
<h1>{file}</h1>
{_search_form(log)}
<form action="{path}" method="get">
<input type="hidden" name="file" value="{file}">
<input type="hidden" name="start" value="{part.start}"><input type="hidden" name="length" value="{wanted.length}">
<label for="grep">Only lines with</label>
<input type="search" id="grep" name="grep" value="{escape(wanted.grep)}"><button>Filter this part</button>
</form>
{_items("Parts of the log", parts)}
<p class="quiet">Bytes {part.start:,} to {part.end:,} {size}. {follow}</p>
<pre id="log" tabindex="0" role="region" aria-label="Part of {file}"
data-file="{file}" data-path="{path}" data-end="{part.end}" data-last="{last}" data-head="{part.head}">
{escape(lines)}</pre>
{_items("Parts of the log, below it", parts)}
{_siblings(log)}"""
    return _page(log.file, body, static)


def list_page(
    logs: Sequence[LogFile],
    daemons: Sequence[tuple[str, int, float]],
    dumps: Sequence[LogFile],
    when: When,
    static: str,
) -> str:
    """The logs of this host, or of a topology or worker where `logs` are only these; so are `dumps`."""
    workers = {file.worker for file in logs}
    topologies = sorted({worker.topology_id for worker in workers})
    searches = "".join(_deep_search_form(topology_id) for topology_id in topologies[:1] if len(topologies) == 1)
    rows = [
        (_worker_log_link(file), str(file.worker.port), file.size, file.changed_secs, file.path, False)
        for file in logs[:LISTED_MAX]
    ]
    tables = _files_table("Logs of workers", rows, when) if rows else '<p class="quiet">No worker has logged here.</p>'
    if len(logs) > LISTED_MAX:
        tables += f'<p class="trouble">The first {LISTED_MAX:,} of {len(logs):,} files; ask for one topology.</p>'
    if dumps:
        tables += _dumps_table(dumps[:LISTED_MAX], when)
    if daemons:
        own = [(_link(log_url(name, is_daemon=True), name), "", size, at, name, True) for name, size, at in daemons]
        tables += _files_table("Logs of daemons", own, when)
    heading = topologies[0] if len(topologies) == 1 else "Logs of this host"
    if len(workers) == 1:
        heading += f", port {logs[0].worker.port}"
    return _page(heading, f"{TRAIL}\n<h1>{escape(heading)}</h1>\n{searches}\n{tables}", static)


def dumps_page(worker: Worker, dumps: Sequence[LogFile], when: When, static: str) -> str:
    """What a worker was asked for: flame graphs, stacks, heaps."""
    heading = f"Dumps of port {worker.port}, {worker.topology_id}"
    query = urlencode({"topoId": worker.topology_id, "port": worker.port})
    trail = _items("Where this is", [_link("/", "All logs of this host"), _link(f"/?{query}", f"port {worker.port}")])
    none = '<p class="quiet">This worker was asked for nothing yet, or it was removed with old logs.</p>'
    table = _dumps_table(dumps[:LISTED_MAX], when) if dumps else none
    return _page(heading, f"{trail}\n<h1>{escape(heading)}</h1>\n{table}", static)


def found_page(text: str, found: Sequence[tuple[ShownLog, FoundIn]], note: str, more: str, static: str) -> str:
    """What a search found. `note`: what a person should know of it; `more`: where the rest is, empty: nowhere."""
    count = sum(len(one.matches) for _, one in found)
    sections = "\n".join(_found_in(log, one) for log, one in found)
    if not count:
        sections += '\n<p class="quiet">No line has this text, exactly so.</p>'
    told = f'<p class="note">{escape(note)}</p>' if note else ""
    onward = f"<p>{_link(more, 'Go on with the search')}</p>" if more else ""
    heading = f"{count} found: {text}"
    return _page(heading, f"{TRAIL}\n<h1>{escape(heading)}</h1>\n{told}\n{sections}\n{onward}", static)


def problem_page(problem: Problem, static: str) -> str:
    sentence = escape(" ".join(problem.sentence.split())[:2_000])
    return _page("Not shown", f'{TRAIL}\n<h1>Not shown</h1>\n<p class="trouble">{sentence}</p>', static)


def _found_in(log: ShownLog, found: FoundIn) -> str:
    items = "\n".join(
        f"<li>{_link(match_url(match, log.file, is_daemon=log.is_daemon), f'byte {match.offset:,}')}"
        f"<pre>{escape(shown(match.before))}<mark>{escape(shown(match.text))}</mark>{escape(shown(match.after))}"
        "</pre></li>"
        for match in found.matches
    )
    heading = f"<h2>{_link(log.url(), log.file)}</h2>"
    return f'<section>{heading}<ul class="matches">{items}</ul></section>'


def _parts(log: ShownLog, part: Part, wanted: PageWanted) -> list[str]:
    """Links to the others, and to the file."""
    length = wanted.length
    more: dict[str, object] = {"length": length, **({"grep": wanted.grep} if wanted.grep else {})}
    to = {
        "First": None if part.start == 0 else log.url(start=0, **more),
        "Previous": None if part.start == 0 else log.url(start=max(0, part.start - length), **more),
        "Next": None if part.is_last else log.url(start=part.end, **more),
        "Last": None if part.size is None else log.url(**more),
    }
    found = [f'<span class="quiet">{name}</span>' if url is None else _link(url, name) for name, url in to.items()]
    return [*found, _download(log.file, is_daemon=log.is_daemon)]


def _trail(log: ShownLog) -> str:
    items = [_link("/", "All logs of this host")]
    if not log.is_daemon:
        topology_id, port, _ = log.file.split("/")
        items.append(_link(f"/?{urlencode({'topoId': topology_id})}", topology_id))
        items.append(_link(f"/?{urlencode({'topoId': topology_id, 'port': port})}", f"port {port}"))
    return _items("Where this is", items)


def _items(label: str, items: Sequence[str]) -> str:
    return f'<nav aria-label="{label}"><ul>{"".join(f"<li>{item}</li>" for item in items)}</ul></nav>'


def _siblings(log: ShownLog) -> str:
    if len(log.siblings) < 2:
        return ""
    items = "".join(
        f"<li>{_link(log_url(file, is_daemon=log.is_daemon), file.rpartition('/')[2])}</li>" for file in log.siblings
    )
    return f'<nav aria-label="Files beside it"><h2>Files beside it</h2><ul>{items}</ul></nav>'


def _search_form(log: ShownLog) -> str:
    daemon = '<input type="hidden" name="is-daemon" value="yes">' if log.is_daemon else ""
    return f"""<form action="/find" method="get" role="search">
<input type="hidden" name="file" value="{escape(log.file)}"><input type="hidden" name="num-matches" value="50">{daemon}
<label for="text">Find in this file</label>
<input type="search" id="text" name="search-string" required maxlength="1024"><button>Find</button>
</form>"""


def _deep_search_form(topology_id: str) -> str:
    return f"""<form action="/find" method="get" role="search">
<input type="hidden" name="topoId" value="{escape(topology_id)}"><input type="hidden" name="num-matches" value="50">
<label for="text">Find in the logs of its workers here</label>
<input type="search" id="text" name="search-string" required maxlength="1024">
<label><input type="checkbox" name="search-archived" value="yes" checked> also in older files</label>
<button>Find</button>
</form>"""


def _files_table(caption: str, rows: Sequence[tuple[str, str, int, float, str, bool]], when: When) -> str:
    """A row: link, the worker's port, bytes, when it was changed, file, is it a daemon's? Daemons have no port."""
    ports = '<th scope="col" class="number">Port</th>' if any(row[1] for row in rows) else ""
    cell = '<td class="number">{}</td>'
    body = "\n".join(
        f"<tr><td>{link}</td>{cell.format(port) if ports else ''}{cell.format(f'{size:,}')}"
        f'<td class="when">{escape(when(changed))}</td>'
        f"<td>{_download(file, is_daemon=is_daemon)}</td></tr>"
        for link, port, size, changed, file, is_daemon in rows
    )
    return f"""<div class="table"><table><caption>{caption}</caption>
<thead><tr><th scope="col">File</th>{ports}
<th scope="col" class="number">Bytes</th><th scope="col">Changed</th><th scope="col">File as it is</th></tr></thead>
<tbody>
{body}
</tbody></table></div>"""


def _dumps_table(dumps: Sequence[LogFile], when: When) -> str:
    rows = [
        (_link(f"{API}/dumps/{quote(file.worker.topology_id)}/{file.worker.port}/{file.name}", file.name),
         str(file.worker.port), file.size, file.changed_secs, file.path, False)
        for file in dumps
    ]  # fmt: skip
    return _files_table("What workers were asked for", rows, when)


def _download(file: str, *, is_daemon: bool) -> str:
    kind = "daemondownload" if is_daemon else "download"
    return _link(f"{API}/{kind}?{urlencode({'file': file})}", "Download")


def _worker_log_link(file: LogFile) -> str:
    return _link(log_url(file.path, is_daemon=False, length=PAGE_BYTES), file.path)


def _link(url: str, text: str) -> str:
    return f'<a href="{escape(url)}">{escape(text)}</a>'


def _page(title: str, body: str, static: str) -> str:
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} - Storm logs</title>
<link rel="stylesheet" href="{static}/logviewer.css">
<script src="{static}/logviewer.js" defer></script>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""
