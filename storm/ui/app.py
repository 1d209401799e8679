"""The UI as an ASGI application: its routes, and thin handlers between HTTP and the REST API's table."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

import storm
from storm.config.addresses import joined
from storm.errors import StormError
from storm.http.guard import ROUTE, Guard, read_body
from storm.http.problems import REASONS, Problem, problem_of
from storm.http.request_guard import HARMLESS, check_site
from storm.http.responses import DUMP_TYPES, Json, dump_headers
from storm.ui import measures as prometheus
from storm.ui.pages.history import History
from storm.ui.pages.log_reader import LogReader
from storm.ui.pages.samples_reader import SamplesReader
from storm.ui.pages.serving import Pages
from storm.ui.pages.streams import Streams
from storm.ui.rest import openapi, requests
from storm.ui.rest.calls import PREFIX, Call
from storm.ui.rest.endpoints import ENDPOINTS
from storm.ui.rest.formats import LogLinks
from storm.ui.rest.view import View
from storm.ui.rest.worker_calls import WorkerCalls, found_worker
from storm.ui.supervisor_link import SupervisorLink

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from storm.clock import Clock
    from storm.http.request_guard import Tokens
    from storm.ui.measures import Measures
    from storm.ui.nimbus_link import NimbusLink
    from storm.ui.options import UiOptions
    from storm.ui.rest.calls import Endpoint

    Handler = Callable[[Request], Awaitable[Response]]
    ErrorHandler = Callable[[Request, Any], Awaitable[Response]]

log = logging.getLogger(__name__)

DUMPS_MAX = 20  # read at a time: who reads slowly takes no more of the places of all who wait for answers
DUMP = "/topology/{id}/worker/{host_port}/dump/{name}"  # what a worker was asked for, and its supervisor has kept


@dataclass(frozen=True, slots=True)
class Ui:
    """What handlers work with. `random_text` makes text that nobody can guess, of letters, digits, `-` and `_`."""

    options: UiOptions
    nimbus: NimbusLink
    clock: Clock
    measures: Measures
    tokens: Tokens
    random_text: Callable[[], str]
    streams: Streams = field(default_factory=Streams)
    history: History = field(default_factory=History)  # of the last hour; empty where nobody looks
    supervisors: SupervisorLink = field(default_factory=SupervisorLink)

    def view(self, query: Mapping[str, str], names: tuple[str, ...]) -> View:
        """`names`: what of the query counts. Raises Problem."""
        options = self.options
        return View(
            wall_secs=self.clock.wall_secs(),
            window=requests.window(query if "window" in names else {}),
            include_system=requests.include_system(query if "sys" in names else {}),
            links=LogLinks(options.logviewer_port),
            version=storm.__version__,
            seeds=options.nimbus_seeds,
            nimbus_port=options.nimbus_port,
        )


def build_app(ui: Ui) -> ASGIApp:
    """Everything that the UI's port serves."""
    samples = SamplesReader(ui.supervisors, ui.clock)
    logs = LogReader(ui.supervisors, ui.clock)
    pages = Pages(ui, samples, logs)
    readable: list[tuple[str, Handler]] = [
        *pages.routes(),
        (f"{PREFIX}/openapi.json", _api_document),
        (DUMP, _dump(ui)),
        ("/health", _health(ui)),
        ("/live", _live),
        ("/metrics", _metrics(ui)),
    ]
    routes = [_route(path, "GET", handler) for path, handler in readable]
    routes += [_route(one.route, one.method, _handler(ui, samples, logs, one)) for one in ENDPOINTS]
    app = Starlette(
        routes=routes,
        exception_handlers={
            Problem: _answer_error(pages),
            StormError: _answer_error(pages),
            HTTPException: _answer_http_error(pages),
            Exception: _answer_bug(pages),
        },
    )
    app.router.redirect_slashes = False
    return Guard(app, ui.options.names, ui.tokens, ui.clock, ui.measures.request)


def _route(path: str, method: str, handler: Handler) -> Route:
    async def measured(request: Request) -> Response:
        request.scope[ROUTE] = path
        return await handler(request)

    return Route(path, measured, methods=[method])


def _handler(ui: Ui, samples: SamplesReader, logs: LogReader, endpoint: Endpoint) -> Handler:
    async def handle(request: Request) -> Response:
        if endpoint.does:
            check_site(request.headers, endpoint.does)
        view = ui.view(request.query_params, endpoint.query)
        body = b"" if request.method in HARMLESS else await read_body(request)
        path, query = request.path_params, request.query_params
        return Json(await endpoint.answer(Call(ui.nimbus, ui.supervisors, samples, logs, view, path, query, body)))

    async def handle_and_tell(request: Request) -> Response:
        """One line in the log for every change that somebody asked for."""
        outcome = "failed"
        try:
            answer = await handle(request)
            outcome = "done"
            ui.streams.hurry()
        except (Problem, StormError) as error:
            outcome = f"refused, {' '.join(str(error).split())}"
            raise
        finally:
            who = request.client.host if request.client else "unknown"
            log.info("%s %r from %s: %s", request.method, request.url.path, who, outcome)
        return answer

    return handle if endpoint.method in HARMLESS else handle_and_tell


async def _api_document(request: Request) -> Response:
    return Json(openapi.document(ENDPOINTS, storm.__version__))


def _dump(ui: Ui) -> Handler:
    reading = 0

    def ended() -> None:
        nonlocal reading
        reading -= 1

    async def dump(request: Request) -> Response:
        """From the worker's supervisor: a browser that reaches this port may not reach that of the log viewer."""
        nonlocal reading
        topology_id, host_port, name = (request.path_params[one] for one in ("id", "host_port", "name"))
        if name.rpartition(".")[2] not in DUMP_TYPES:
            raise Problem(404, "There is no such file.")
        if reading >= DUMPS_MAX:
            raise Problem(503, f"{DUMPS_MAX} such files are being read: ask again in a moment.")
        reading += 1  # before anything is waited for: many may come at once
        try:
            worker = await found_worker(ui.nimbus, topology_id, host_port)
            size, parts = await WorkerCalls(ui.nimbus, ui.supervisors, topology_id, worker).dump(name)
        except BaseException:
            ended()
            raise
        return _Dump(parts, {**dump_headers(name), "content-length": str(size)}, ended)

    return dump


class _Dump(StreamingResponse):
    """`ended` is called when it is over, however. Where its supervisor fails meanwhile it stays incomplete, and the
    server closes the connection.
    """

    def __init__(self, parts: AsyncIterator[bytes], headers: Mapping[str, str], ended: Callable[[], None]) -> None:
        super().__init__(parts, headers=headers)
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._ended()

    async def stream_response(self, send: Send) -> None:
        try:
            await super().stream_response(send)
        except (Problem, StormError) as error:
            log.warning("A dump of a worker could be given only in part: %s", " ".join(str(error).split()))


def _health(ui: Ui) -> Handler:
    async def health(request: Request) -> Response:
        """Whether the UI can do its work: 503 while Nimbus does not answer."""
        try:
            leader = await ui.nimbus.read("getLeader")
        except StormError as error:
            raise Problem(503, str(error), status="failing") from None
        return Json({"status": "ok", "nimbus": joined(leader.host, leader.port), "stormVersion": storm.__version__})

    return health


async def _live(request: Request) -> Response:
    """That this process answers: one that does not is to be started again, which helps nothing where Nimbus is gone."""
    return Json({"status": "ok"})


def _metrics(ui: Ui) -> Handler:
    async def metrics(request: Request) -> Response:
        ui.measures.streams(ui.streams.count)
        return Response(ui.measures.text(), headers={"content-type": prometheus.CONTENT_TYPE})

    return metrics


def _answer_error(pages: Pages) -> ErrorHandler:
    async def answer_error(request: Request, error: Any) -> Response:
        return pages.problem(request, problem_of(error) if isinstance(error, StormError) else error)

    return answer_error


def _answer_http_error(pages: Pages) -> ErrorHandler:
    async def answer_http_error(request: Request, error: Any) -> Response:
        """The router's: no such path, or not by this method."""
        allowed = (error.headers or {}).get("Allow")
        sentence = REASONS.get(error.status_code, str(error.detail))
        if error.status_code == 404:
            sentence = f"There is nothing at this path; {PREFIX}/ lists what there is."
        elif error.status_code == 405:
            sentence = f"This path is asked for by {allowed or 'another method'}, not by {request.method[:20]}."
        answer = pages.problem(request, Problem(error.status_code, sentence))
        if allowed:
            answer.headers["allow"] = allowed
        return answer

    return answer_http_error


def _answer_bug(pages: Pages) -> ErrorHandler:
    async def answer_bug(request: Request, error: Any) -> Response:
        """Starlette raises it again after the answer, and the server writes it to the log with its traceback."""
        return pages.problem(request, Problem(500, "The UI failed at this; its log says at what. Please report it."))

    return answer_bug
