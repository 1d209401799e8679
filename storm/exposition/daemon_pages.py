"""What every daemon shows: /metrics for Prometheus, /health for alarms, /live for whoever starts it again."""

from __future__ import annotations

import logging
from functools import cached_property
from typing import TYPE_CHECKING, Any

from storm.config.addresses import joined
from storm.errors import StormError
from storm.exposition.server import Answer, ExpositionServer, json_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from storm.clock import Clock
    from storm.exposition.place import Place
    from storm.exposition.text import Exposition
    from storm.metrics.families import Family
    from storm.metrics.series import Series

log = logging.getLogger(__name__)


class DaemonPages:
    """The pages of one daemon, without a socket: `pages()` may be served by any server.

    `problem` is what keeps the daemon from its work, as a sentence; empty: nothing.
    """

    def __init__(
        self,
        families: Mapping[str, Family],
        read: Callable[[], Iterable[Series]],
        problem: Callable[[], str],
        facts: Mapping[str, Any],
    ) -> None:
        """`facts` are told by /health."""
        self._families = families
        self._read = read
        self._problem = problem
        self._facts = dict(facts)

    def pages(self) -> dict[str, Callable[[], Answer]]:
        """{path: makes its answer}."""
        return {"/metrics": self.metrics, "/health": self.health, "/live": self.live}

    def metrics(self) -> Answer:
        from storm.exposition.text import CONTENT_TYPE

        return Answer(200, CONTENT_TYPE, self._exposition.text())

    @cached_property
    def _exposition(self) -> Exposition:
        """Made at the first scrape: prometheus_client brings HTTP servers and clients, which no start needs."""
        from storm.exposition.text import Exposition

        return Exposition(self._families, self._read)

    def health(self) -> Answer:
        problem = self._problem()
        if problem:
            return json_answer(503, {"status": "failing", **self._facts, "errorMessage": problem})
        return json_answer(200, {"status": "ok", **self._facts})

    def live(self) -> Answer:
        return json_answer(200, {"status": "ok"})


def serve(place: Place, pages: DaemonPages, clock: Clock) -> ExpositionServer | None:
    """A started server; None where it is switched off, or cannot listen: the daemon's own work goes before."""
    if place.port is None:
        return None
    try:
        server = ExpositionServer(place.host, place.port, pages.pages(), clock, place.names)
    except StormError as error:
        log.warning("/health and /metrics are not served: %s; %s names another port, null none", error, place.key)
        return None
    server.start()
    log.info("http://%s/ shows /health and /metrics", joined(place.host, server.port))
    return server
