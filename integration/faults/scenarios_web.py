"""Scenarios of the daemons that answer browsers: a topology does not notice that they die."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import httpx
from daemons import StormDaemon
from fault_site import Plan
from scenario import Context, Outcome, Scenario
from scenarios_process import RATE, finish

if TYPE_CHECKING:
    from fault_site import FaultSite
    from load import Load

UI_PORT, LOGVIEWER_PORT = 8080, 8000
ROUNDS = 3


def ui_killed(context: Context) -> Outcome:
    """kill -9 `storm ui` while a topology runs; started again, it shows it."""
    with context.site(Plan(hosts=1)) as site:
        like = site.nimbuses[0]
        port = site.network.port(like.place, UI_PORT)
        settings = {**like.settings, "ui.host": like.place.address, "ui.port": port}
        ui = StormDaemon("ui", "ui", like.place, site.directory / "ui", settings)
        load = context.load(site, 1_500, RATE, topology__workers=1)
        return _killed(context, site, load, ui, "/api/v1/topology/summary", "ui-killed")


def logviewer_killed(context: Context) -> Outcome:
    """kill -9 `storm logviewer` beside a supervisor whose workers run; started again, it shows their logs."""
    with context.site(Plan(hosts=1)) as site:
        like = site.supervisors["a"]
        port = site.network.port(like.place, LOGVIEWER_PORT)
        settings = {**like.settings, "logviewer.port": port}
        viewer = StormDaemon("logviewer", "logviewer", like.place, site.directory / "logviewer", settings)
        viewer.set("storm.local.dir", str(like.local_dir))
        load = context.load(site, 1_500, RATE, topology__workers=1)
        path = f"/api/v1/listLogs?topoId={load.topology_id}"
        return _killed(context, site, load, viewer, path, "logviewer-killed")


def _killed(context: Context, site: FaultSite, load: Load, daemon: StormDaemon, path: str, name: str) -> Outcome:
    """`path`: where it answers with something that names the topology."""
    before = {worker.pid for worker in load.processes()}
    times = []

    def shows_it() -> bool:
        answer = httpx.get(f"http://{daemon.place.address}:{daemon.port}{path}", timeout=5.0)
        return answer.status_code == 200 and load.topology_id in answer.text

    try:
        for number in range(ROUNDS + 1):
            daemon.start()
            took = context.must(shows_it, f"{daemon.name} shows the topology", 30)
            times += [took] if number and took is not None else []
            daemon.end(signal.SIGKILL)
            load.wait_progress(50)
    finally:
        daemon.end(signal.SIGKILL)
    context.check({worker.pid for worker in load.processes()} == before, "workers were restarted", "C-ALIVE")
    context.check("Traceback" not in daemon.log.read_text(errors="replace"), f"a traceback in {daemon.log}", "C-LOG")
    return finish(context, site, load, name, ROUNDS, recovered=times)


WEB_SCENARIOS = [
    Scenario("ui-killed", "P10", "kill -9 `storm ui` while a topology runs", ui_killed),
    Scenario("logviewer-killed", "P10", "kill -9 `storm logviewer` while workers run", logviewer_killed),
]
