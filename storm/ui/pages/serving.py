"""Pages over HTTP: their addresses, static files, Storm's own addresses, and errors as pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse, RedirectResponse, Response

import storm
from storm.ui.pages.last_known import LastKnown
from storm.ui.pages.links import PAGES_OF_STORM, of_storm
from storm.ui.pages.page import Frame, PageCall
from storm.ui.pages.reader import Reader
from storm.ui.pages.site import CONTENT_SECURITY_POLICY, ERROR_TEMPLATE, STATIC, Site
from storm.ui.pages.table import PAGES
from storm.ui.request_guard import TOKEN_COOKIE
from storm.ui.responses import problem_answer
from storm.ui.rest.calls import PREFIX
from storm.ui.rest.problems import REASONS, Problem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request

    from storm.ui.app import Ui
    from storm.ui.pages.page import Page

    Handler = Callable[[Request], Awaitable[Response]]

FOR_PROGRAMS = (f"{PREFIX}/", "/health", "/live", "/metrics", f"{STATIC}/")  # paths whose errors are JSON
FOR_EVER = "public, max-age=31536000, immutable"
EVENTS = "/events"  # in front of a page's path: the stream of its changes
PAGE = "storm.page"  # the key of a scope that holds the Page


class Pages:
    """All that a browser shows of one Ui."""

    def __init__(self, ui: Ui) -> None:
        self._ui = ui
        self._site = Site()
        self._known = LastKnown()

    def routes(self) -> list[tuple[str, Handler]]:
        return [
            *((page.path, self._handler(page)) for page in PAGES),
            *((path, _to_our_own) for path in PAGES_OF_STORM),
            (f"{STATIC}/{{version}}/{{name}}", self._static),
        ]

    async def render(self, page: Page, path: Mapping[str, str], query: Mapping[str, str], frame: Frame) -> str:
        """HTML. Raises Problem or StormError."""
        view = self._ui.view(query, page.query)
        reader = Reader(self._ui.nimbus, self._known, self._ui.clock)
        context = await page.context(PageCall(reader, view, path, query))
        shown = Frame(
            version=frame.version,
            token=frame.token,
            events=frame.events,
            window=view.window if "window" in page.query else "",
            include_system=view.include_system,
            silent_since=None if reader.as_of is None else self._ui.nimbus.silent_since_wall_secs,
            as_of=reader.as_of,
        )
        return self._site.page(page.template, context, shown)

    def problem(self, request: Request, problem: Problem) -> Response:
        """JSON where programs ask, else a page."""
        path = request.url.path
        if path.startswith(FOR_PROGRAMS) and path != f"{PREFIX}/":
            return problem_answer(problem)
        frame = self._frame(request)
        shown = {
            "status": problem.status,
            "reason": REASONS.get(problem.status, "Error"),
            "sentence": " ".join(problem.sentence.split()),
        }
        return self._answer(self._site.page(ERROR_TEMPLATE, shown, frame), frame, problem.status)

    def _handler(self, page: Page) -> Handler:
        async def handle(request: Request) -> Response:
            request.scope[PAGE] = page
            frame = self._frame(request)
            return self._answer(await self.render(page, request.path_params, request.query_params, frame), frame)

        return handle

    def _frame(self, request: Request) -> Frame:
        token = request.cookies.get(TOKEN_COOKIE, "")
        if not self._ui.tokens.is_ours(token):  # pages that are open in other tabs go on with theirs
            token = self._ui.tokens.made_of(self._ui.random_text())
        return Frame(version=storm.__version__, token=token)

    def _answer(self, html: str, frame: Frame, status: int = 200) -> Response:
        answer = HTMLResponse(html, status)
        answer.headers["content-security-policy"] = CONTENT_SECURITY_POLICY
        answer.set_cookie(TOKEN_COOKIE, frame.token, httponly=True, samesite="strict")
        return answer

    async def _static(self, request: Request) -> Response:
        file = self._site.files.get(request.path_params["name"])
        if file is None:
            raise Problem(404, "There is no such file.")
        answer = Response(file.content, headers={"content-type": file.media_type})
        if request.path_params["version"] == self._site.version:
            answer.headers["cache-control"] = FOR_EVER
        return answer


async def _to_our_own(request: Request) -> Response:
    return RedirectResponse(of_storm(request.url.path, request.query_params))
