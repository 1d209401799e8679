"""The log viewer as an ASGI application: Storm's paths, below `/api/v1` and without, and pages for people."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

import storm
from storm.exposition.daemon_pages import DaemonPages
from storm.http.guard import Guard
from storm.http.problems import REASONS, Problem
from storm.http.request_guard import check_site
from storm.http.responses import Json, dump_headers, problem_answer
from storm.logviewer import asking, log_files, measures, pages
from storm.logviewer.answers import API, file_answer, files_answer
from storm.logviewer.logs import LogName, is_packed
from storm.logviewer.reading import Budget, begins_as, head_of, read_part, size_of
from storm.logviewer.searching import Wanted, search, search_files
from storm.metrics.families import LOGVIEWER
from storm.supervisor.worker_logs import is_dump

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
    from typing import BinaryIO

    from starlette.requests import Request
    from starlette.types import ASGIApp

    from storm.clock import Clock
    from storm.exposition.server import Answer
    from storm.http.request_guard import Tokens
    from storm.logviewer.finding import FoundIn, FoundInFile, FoundInFiles
    from storm.logviewer.logs import LogFile, Part, Worker
    from storm.logviewer.options import LogviewerOptions
    from storm.logviewer.pages import When

    Handler = Callable[[Request], Awaitable[Response]]

log = logging.getLogger(__name__)

PREFIXES = (API, "")  # Storm has its paths at both
DOWNLOAD_BYTES = 128 << 10  # at a time: a client that takes nothing keeps them in memory
SEARCHES_MAX = 2  # at the same time: each may keep a core busy, beside workers
STATIC = f"/static/{storm.__version__}"
STATIC_TYPES = {"logviewer.css": "text/css", "logviewer.js": "text/javascript"}
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
KEPT = "public, max-age=31536000, immutable"  # another release has another path


@dataclass(slots=True)
class Logviewer:
    """What handlers work with; used by one event loop. `when` shows a time for people."""

    options: LogviewerOptions
    clock: Clock
    when: When
    searches: int = 0
    measures: measures.Measures = field(default_factory=measures.Measures)

    def daemon_pages(self) -> DaemonPages:
        """What is shown of the log viewer itself."""
        return DaemonPages(
            LOGVIEWER,
            lambda: self.measures.series(self.searches),
            lambda: measures.problem(self.options.log_dir),
            {"daemon": "logviewer", "stormVersion": storm.__version__},
        )

    @contextmanager
    def searching(self) -> Iterator[Budget]:
        """A search's budget. Raises Problem 503 where enough are under way."""
        if self.searches >= SEARCHES_MAX:
            raise Problem(503, f"{self.searches} searches are under way on this host: ask again in a moment.")
        self.searches += 1
        try:
            yield Budget(self.clock)
        finally:
            self.searches -= 1

    def open(self, file: str, *, is_daemon: bool) -> BinaryIO:
        """Raises Problem."""
        if is_daemon:
            return log_files.open_daemon_log(self.options.log_dir, file)
        return log_files.open_worker_log(self.options.artifacts_dir, log_files.log_name(file))

    def logs(self, query: Mapping[str, str]) -> list[LogFile]:
        """Those that `topoId` and `port` ask for, a worker's present one first. Raises Problem."""
        shown_ones = [file for file in self._found(query) if not is_dump(file.name)]
        return sorted(shown_ones, key=lambda file: (file.worker, len(file.name), file.name))

    def _found(self, query: Mapping[str, str]) -> list[LogFile]:
        topology_id, port = query.get("topoId"), query.get("port")
        found = log_files.found_logs(
            self.options.artifacts_dir,
            log_files.checked_id(topology_id) if topology_id else None,
            log_files.checked_port(port) if port else None,
        )
        return [file for file in found if log_files.FILE_NAME.fullmatch(file.name)]

    def siblings(self, file: str, *, is_daemon: bool) -> list[str]:
        """The files beside it, as Storm names them."""
        if is_daemon:
            return [name for name, _, _ in log_files.daemon_logs(self.options.log_dir)]
        topology_id, port, _ = file.split("/")
        return [one.path for one in self.logs({"topoId": topology_id, "port": port})]

    def part(self, file: str, wanted: asking.PageWanted, *, is_daemon: bool) -> Part:
        """Raises Problem."""
        with self.open(file, is_daemon=is_daemon) as opened:

            def read(start: int | None) -> Part:
                return read_part(
                    opened, Budget(self.clock), is_packed=is_packed(file), start=start, length=wanted.length
                )

            part = read(wanted.start)
            if wanted.head and not begins_as(opened, wanted.head):  # looked at after the read: it may happen meanwhile
                part = read(0)
            return part._replace(head=head_of(opened))

    def dumps(self, worker: Worker | None, query: Mapping[str, str]) -> list[LogFile]:
        """What workers were asked for and is kept, the newest first: of one, or of those that `query` asks for."""
        if worker is not None:
            query = {"topoId": worker.topology_id, "port": str(worker.port)}
        return log_files.newest_first([file for file in self._found(query) if is_dump(file.name)])

    def found(self, file: str, wanted: Wanted, budget: Budget, *, is_daemon: bool) -> FoundIn:
        """Raises Problem."""
        with self.open(file, is_daemon=is_daemon) as opened:
            return search(opened, wanted, budget, is_packed=is_packed(file))

    def found_in_worker(
        self, files: Sequence[LogFile], wanted: Wanted, file_offset: int, budget: Budget
    ) -> FoundInFiles:
        names = [LogName(file.worker, file.name) for file in files]
        return search_files(self.options.artifacts_dir, names, wanted, file_offset, budget)


def build_app(viewer: Logviewer, tokens: Tokens) -> ASGIApp:
    """Everything that the log viewer's port serves."""
    storms_json: list[tuple[str, Handler]] = [
        ("/listLogs", _list_logs(viewer)),
        ("/searchLogs", _list_logs(viewer)),
        ("/search", _search(viewer)),
        ("/deepSearch/{topology_id}", _deep_search(viewer)),
        ("/download", _download(viewer, is_daemon=False)),
        ("/daemondownload", _download(viewer, is_daemon=True)),
        ("/dumps/{topology_id}/{host_port}/{name}", _dump(viewer)),
    ]
    storms_pages: list[tuple[str, Handler]] = [
        ("/dumps/{topology_id}/{host_port}", _dumps_page(viewer)),
        ("/log", _log_page(viewer, is_daemon=False)),
        ("/daemonlog", _log_page(viewer, is_daemon=True)),
    ]
    json_paths: list[tuple[str, Handler]] = [
        *((prefix + path, handler) for prefix in PREFIXES for path, handler in storms_json),
        *((path, _own_page(answer)) for path, answer in viewer.daemon_pages().pages().items()),
        ("/static/{version}/{name}", _static),
    ]
    page_paths: list[tuple[str, Handler]] = [
        ("/", _list_page(viewer)),
        ("/find", _find_page(viewer)),
        *((prefix + path, handler) for prefix in PREFIXES for path, handler in storms_pages),
    ]
    routes = [Route(path, handler, methods=["GET"]) for path, handler in json_paths]
    routes += [Route(path, _as_page(handler), methods=["GET"]) for path, handler in page_paths]
    app = Starlette(
        routes=routes,
        exception_handlers={Problem: _answer_problem, HTTPException: _answer_http_error, Exception: _answer_bug},
    )
    app.router.redirect_slashes = False
    return Guard(app, viewer.options.names, tokens, viewer.clock, viewer.measures.request)


def _list_logs(viewer: Logviewer) -> Handler:
    async def list_logs(request: Request) -> Response:
        return Json([file.path for file in await run_in_threadpool(viewer.logs, request.query_params)])

    return list_logs


def _search(viewer: Logviewer) -> Handler:
    async def search_one(request: Request) -> Response:
        check_site(request.headers, "search")
        query = request.query_params
        found = await _found_in_file(viewer, query)
        text, is_daemon = asking.search_text(query), asking.is_yes(query, "is-daemon")
        return Json(file_answer(found, text, query["file"], _root(request), is_daemon=is_daemon))

    return search_one


async def _found_in_file(viewer: Logviewer, query: Mapping[str, str]) -> FoundIn:
    file, is_daemon = asking.needed(query, "file"), asking.is_yes(query, "is-daemon")
    wanted = Wanted(
        asking.search_text(query),
        asking.matches_wanted(query, asking.MATCHES),
        asking.offset(query, "start-byte-offset"),
    )
    with viewer.searching() as budget:
        return await run_in_threadpool(viewer.found, file, wanted, budget, is_daemon=is_daemon)


def _deep_search(viewer: Logviewer) -> Handler:
    async def deep_search(request: Request) -> Response:
        """Of one worker as an object, of all as a list of them, as in Storm."""
        check_site(request.headers, "search")
        query, root = request.query_params, _root(request)
        text = asking.search_text(query)
        of_workers = await _found_in_workers(viewer, request.path_params["topology_id"], query)
        answers = [files_answer(found, text, root) for found in of_workers]
        is_one = query.get("port", "*") not in {"*", ""} and len(answers) == 1
        return Json(answers[0] if is_one else answers)

    return deep_search


async def _found_in_workers(viewer: Logviewer, topology_id: str, query: Mapping[str, str]) -> list[FoundInFiles]:
    """Of each worker of the topology here, or of the one on `port`."""
    port = "" if query.get("port") == "*" else query.get("port", "")
    wanted = Wanted(asking.search_text(query), asking.matches_wanted(query, asking.DEEP_MATCHES))
    is_archived, file_offset = asking.is_yes(query, "search-archived"), 0
    if port:  # each worker has its own offsets
        file_offset = asking.offset(query, "start-file-offset") if is_archived else 0
        wanted = wanted._replace(start=asking.offset(query, "start-byte-offset"))
    log_files.checked_id(topology_id)

    def of_all(budget: Budget) -> list[FoundInFiles]:
        by_worker: dict[Worker, list[LogFile]] = {}
        for file in viewer.logs({"topoId": topology_id, "port": port}):
            by_worker.setdefault(file.worker, []).append(file)
        found = []
        for files in by_worker.values():
            newest = log_files.newest_first(files)[: None if is_archived else 1]
            found.append(viewer.found_in_worker(newest, wanted, file_offset, budget))
        return found

    with viewer.searching() as budget:
        return await run_in_threadpool(of_all, budget)


def _download(viewer: Logviewer, *, is_daemon: bool) -> Handler:
    async def download(request: Request) -> Response:
        file = asking.needed(request.query_params, "file")
        opened = await run_in_threadpool(viewer.open, file, is_daemon=is_daemon)
        headers = {
            "content-disposition": f"attachment; filename*=UTF-8''{quote(file.replace('/', '-'), safe='')}",
            "content-type": "application/octet-stream",
        }
        return _file(request, opened, headers)

    return download


def _dump(viewer: Logviewer) -> Handler:
    async def dump(request: Request) -> Response:
        """To be looked at; `download` gives it to be kept."""
        name = request.path_params["name"]
        worker = _worker_of(request)
        if not is_dump(name):
            raise Problem(404, "There is no such dump; the list of a worker's is at /dumps/TOPOLOGY-ID/HOST:PORT.")
        opened = await run_in_threadpool(viewer.open, LogName(worker, name).path, is_daemon=False)
        return _file(request, opened, dump_headers(name))

    return dump


def _dumps_page(viewer: Logviewer) -> Handler:
    async def dumps_page(request: Request) -> Response:
        """Of one worker; a list of names where JSON is asked for."""
        worker = _worker_of(request)
        found = await run_in_threadpool(viewer.dumps, worker, {})
        accepted = request.headers.get("accept", "")
        if "application/json" in accepted and "text/html" not in accepted:
            return Json([file.name for file in found])
        return _html(pages.dumps_page(worker, found, viewer.when, STATIC))

    return dumps_page


def _worker_of(request: Request) -> Worker:
    """By its topology and its port, for all workers here are of this host. Raises Problem."""
    port = request.path_params["host_port"].rpartition(":")[2]
    return log_files.worker_of(request.path_params["topology_id"], port)


def _file(request: Request, opened: BinaryIO, headers: dict[str, str]) -> Response:
    if request.method == "HEAD":
        opened.close()
        return Response(headers=headers)
    return StreamingResponse(_content(opened), headers=headers)


def _content(opened: BinaryIO) -> Iterator[bytes]:
    """As much as there is now: a log that grows would never end. One that is emptied meanwhile is shorter."""
    with opened:
        left = size_of(opened)
        while left > 0 and (data := opened.read(min(left, DOWNLOAD_BYTES))):
            left -= len(data)
            yield data


def _list_page(viewer: Logviewer) -> Handler:
    async def list_page(request: Request) -> Response:
        query = request.query_params
        logs = await run_in_threadpool(viewer.logs, query)
        is_whole = not query.get("topoId") and not query.get("port")
        daemons = await run_in_threadpool(log_files.daemon_logs, viewer.options.log_dir) if is_whole else []
        dumps = await run_in_threadpool(viewer.dumps, None, query)
        return _html(pages.list_page(logs, daemons, dumps, viewer.when, STATIC))

    return list_page


def _log_page(viewer: Logviewer, *, is_daemon: bool) -> Handler:
    async def log_page(request: Request) -> Response:
        """As text where that is asked for, with where it is in the log."""
        query = request.query_params
        file, wanted = asking.needed(query, "file"), asking.page_wanted(query)
        part = await run_in_threadpool(viewer.part, file, wanted, is_daemon=is_daemon)
        accepted = request.headers.get("accept", "")
        if "text/plain" in accepted and "text/html" not in accepted:
            size = "" if part.size is None else str(part.size)
            where = {"x-log-start": str(part.start), "x-log-size": size, "x-log-head": part.head}
            return PlainTextResponse(part.data, headers=where)
        siblings = await run_in_threadpool(viewer.siblings, file, is_daemon=is_daemon)
        return _html(pages.log_page(pages.ShownLog(file, is_daemon, siblings), part, wanted, STATIC))

    return log_page


def _find_page(viewer: Logviewer) -> Handler:
    async def find_page(request: Request) -> Response:
        """In one file, or in the logs of a topology's workers."""
        check_site(request.headers, "search")
        query = request.query_params
        text = asking.search_text(query)
        if query.get("file"):
            is_daemon = asking.is_yes(query, "is-daemon")
            one = await _found_in_file(viewer, query)
            sections = [(pages.ShownLog(query["file"], is_daemon), one)]
            onward = {**query, "start-byte-offset": one.next_offset}
            more = "" if one.next_offset is None else f"/find?{urlencode(onward)}"
            note = "The search ended because it had read for too long." if one.is_cut else ""
            return _html(pages.found_page(text, sections, note, more, STATIC))
        of_workers = await _found_in_workers(viewer, asking.needed(query, "topoId"), query)
        files = [file for worker in of_workers for file in worker.files]
        sections = [(pages.ShownLog(file.name.path, False), file.found) for file in files if file.found.matches]
        return _html(pages.found_page(text, sections, _note(of_workers, files), "", STATIC))

    return find_page


def _note(of_workers: Sequence[FoundInFiles], files: Sequence[FoundInFile]) -> str:
    if any(worker.is_cut for worker in of_workers):
        return "The search ended because it had read for too long: search single files."
    if any(file.found.next_offset is not None for file in files):
        return "There is more than is shown here: search single files."
    return ""


def _own_page(answer: Callable[[], Answer]) -> Handler:
    async def own_page(request: Request) -> Response:
        found = answer()
        return Response(found.body, found.status, {"content-type": found.content_type})

    return own_page


async def _static(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in STATIC_TYPES:
        raise HTTPException(404)
    data = await run_in_threadpool((Path(__file__).parent / "static" / name).read_bytes)
    return Response(data, media_type=STATIC_TYPES[name], headers={"cache-control": KEPT})


def _as_page(handler: Handler) -> Handler:
    async def page(request: Request) -> Response:
        try:
            return await handler(request)
        except Problem as problem:
            if "text/html" not in request.headers.get("accept", ""):
                raise
            return _html(pages.problem_page(problem, STATIC), problem.status)

    return page


def _html(text: str, status: int = 200) -> Response:
    return HTMLResponse(text, status, {"content-security-policy": POLICY})


def _root(request: Request) -> str:
    """This server's address as the client knows it; its Host was looked at before."""
    return f"{request.url.scheme}://{request.headers['host']}"


async def _answer_problem(request: Request, error: Any) -> Response:
    return problem_answer(error)


async def _answer_http_error(request: Request, error: Any) -> Response:
    """The router's: no such path, or not by this method."""
    sentence = "There is nothing at this path; / lists the logs of this host."
    if error.status_code != 404:
        sentence = REASONS.get(error.status_code, str(error.detail))
    return problem_answer(Problem(error.status_code, sentence))


async def _answer_bug(request: Request, error: Any) -> Response:
    """Starlette raises it again after the answer, and the server writes it to the log with its traceback."""
    return problem_answer(Problem(500, "The log viewer failed at this; its log says at what. Please report it."))
