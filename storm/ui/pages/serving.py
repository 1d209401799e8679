"""Pages over HTTP: their addresses, static files, Storm's own addresses, and errors as pages."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from starlette.responses import HTMLResponse, RedirectResponse, Response

import storm
from storm.errors import StormError
from storm.http.guard import EVENTS
from storm.http.problems import REASONS, Problem
from storm.http.request_guard import check_site, cookie_token, token_cookie
from storm.http.responses import problem_answer
from storm.ui.pages.last_known import LastKnown
from storm.ui.pages.links import PAGES_OF_STORM, of_storm
from storm.ui.pages.page import Frame, PageCall
from storm.ui.pages.reader import Reader
from storm.ui.pages.regions import regions
from storm.ui.pages.rounds import Rounds
from storm.ui.pages.site import CONTENT_SECURITY_POLICY, ERROR_TEMPLATE, NOTICE, STATIC, site
from storm.ui.pages.table import PAGES
from storm.ui.rest.calls import PREFIX

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request

    from storm.ui.app import Ui
    from storm.ui.pages.log_reader import LogReader
    from storm.ui.pages.page import Page
    from storm.ui.pages.samples_reader import SamplesReader

    Handler = Callable[[Request], Awaitable[Response]]

log = logging.getLogger(__name__)

FOR_PROGRAMS = {"/health", "/live", "/metrics"}  # their errors are JSON, as those of the API
SAME_ORIGIN = "same-origin"
FOR_EVER = "public, max-age=31536000, immutable"
PAGE = "storm.page"  # the key of a scope that holds the Page


class Pages:
    """All that a browser shows of one Ui."""

    def __init__(self, ui: Ui, samples: SamplesReader, logs: LogReader) -> None:
        self._ui = ui
        self._site = site()
        self._known = LastKnown()
        self._rounds = Rounds()
        self._samples = samples
        self._logs = logs

    def routes(self) -> list[tuple[str, Handler]]:
        return [
            *((page.path, self._shown(page)) for page in PAGES),
            *((EVENTS + page.path, self._watched(page)) for page in PAGES if page.lives),
            *((path, _to_our_own) for path in PAGES_OF_STORM),
            (f"{STATIC}/{{version}}/{{name}}", self._static),
        ]

    def problem(self, request: Request, problem: Problem) -> Response:
        """JSON where programs ask, else a page."""
        if _is_for_programs(request.scope["path"]):
            return problem_answer(problem)
        frame = self._frame(request, events=_events(request) if problem.status == 503 else "")
        shown = {
            "status": problem.status,
            "reason": REASONS.get(problem.status, "Error"),
            "sentence": " ".join(problem.sentence.split()),
        }
        return self._answer(request, self._site.page(ERROR_TEMPLATE, shown, frame), frame, problem.status)

    def _shown(self, page: Page) -> Handler:
        async def show(request: Request) -> Response:
            request.scope[PAGE] = page
            if page.does:
                check_site(request.headers, page.does)
            frame = self._frame(request, events=_events(request))
            html = await self._render(page, request.path_params, _query(page, request), frame)
            return self._answer(request, html, frame)

        return show

    def _watched(self, page: Page) -> Handler:
        async def watch(request: Request) -> Response:
            if request.headers.get("sec-fetch-site", SAME_ORIGIN) not in {SAME_ORIGIN, "none"}:
                raise Problem(403, "A page of another site may not watch anything here.")  # it would take the places
            self._ui.streams.check()
            path, query = request.path_params, _query(page, request)
            self._ui.view(query, page.query)  # what makes no sense is refused here

            async def render() -> dict[str, str]:
                return await self._regions(page, path, query)

            return self._ui.streams.stream((page.path, *sorted(path.items()), *sorted(query.items())), render)

        return watch

    async def _render(self, page: Page, path: Mapping[str, str], query: Mapping[str, str], frame: Frame) -> str:
        """HTML. Raises Problem or StormError."""
        view = self._ui.view(query, page.query)
        reader = Reader(self._ui.nimbus, self._known, self._ui.clock)
        call = PageCall(reader, view, path, query, self._ui.history, self._samples, self._logs, self._rounds)
        context = await page.context(call)
        shown = replace(
            frame,
            window=view.window,
            include_system=view.include_system,
            silent_since=None if reader.as_of is None else self._ui.nimbus.silent_since_wall_secs,
            as_of=reader.as_of,
        )
        return self._site.page(page.template, context, shown)

    async def _regions(self, page: Page, path: Mapping[str, str], query: Mapping[str, str]) -> dict[str, str]:
        """Of a page that somebody watches. Where it cannot be rendered, its notice says why, and the rest stays."""
        frame = Frame(version=storm.__version__)
        try:
            return regions(await self._render(page, path, query, frame))
        except Problem as problem:
            sentence = problem.sentence
        except StormError as error:
            sentence = str(error)
        except Exception:
            log.exception("The page %s cannot be rendered", page.path)
            sentence = "The UI failed at this page; its log says at what. Please report it."
        return {NOTICE: self._site.notice(replace(frame, problem=" ".join(sentence.split())))}

    def _frame(self, request: Request, events: str) -> Frame:
        token = cookie_token(request.cookies, _host(request))
        if not self._ui.tokens.is_ours(token):  # pages that are open in other tabs go on with theirs
            token = self._ui.tokens.made_of(self._ui.random_text())
        return Frame(version=storm.__version__, path=request.scope["path"], token=token, events=events)

    def _answer(self, request: Request, html: str, frame: Frame, status: int = 200) -> Response:
        answer = HTMLResponse(html.encode(errors="replace"), status)  # users' text may hold half a character
        answer.headers["content-security-policy"] = CONTENT_SECURITY_POLICY
        answer.set_cookie(token_cookie(_host(request)), frame.token, httponly=True, samesite="strict")
        return answer

    async def _static(self, request: Request) -> Response:
        file = self._site.files.get(request.path_params["name"])
        if file is None:
            raise Problem(404, "There is no such file.")
        answer = Response(file.content, headers={"content-type": file.media_type})
        if request.path_params["version"] == self._site.version:
            answer.headers["cache-control"] = FOR_EVER
        return answer


def _is_for_programs(path: str) -> bool:
    return path in FOR_PROGRAMS or (path != f"{PREFIX}/" and path.startswith(("/api", EVENTS, STATIC)))


def _host(request: Request) -> str:
    return request.headers.get("host", "")


def _query(page: Page, request: Request) -> dict[str, str]:
    return {name: request.query_params[name] for name in page.query if name in request.query_params}


def _events(request: Request) -> str:
    """Where the changes of the page are that is asked for; empty: it has none, or there is no such page."""
    page = request.scope.get(PAGE)
    if page is None or not page.lives:
        return ""
    query = urlencode(_query(page, request))
    return EVENTS + quote(request.scope["path"]) + (f"?{query}" if query else "")


async def _to_our_own(request: Request) -> Response:
    return RedirectResponse(of_storm(request.url.path, request.query_params))
