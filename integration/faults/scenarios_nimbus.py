"""Scenarios of several Nimbuses: one leads, and another takes over."""

from __future__ import annotations

import math
import os
import signal
import time
from typing import TYPE_CHECKING

from checkers import Bar
from fault_site import ASK_SECS, Plan
from faults import busyness
from log_lines import Logs, monotonic_offset
from nemesis_run import audit
from recovery import CEILING
from scenario import Context, Outcome, Scenario
from scenarios_process import RATE, finish

from storm.cluster import paths

if TYPE_CHECKING:
    from daemons import StormDaemon
    from fault_site import FaultSite

ROUNDS = 3
TAKE_OVER_SECS = 3.0  # beyond the session timeout; up to two of it until the server's next tick
TWO = Plan(nimbuses=2, settings={"topology.min.replication.count": 2})


def leader_paused(context: Context) -> Outcome:
    """SIGSTOP the leader for longer than its session: another leads; when it goes on, it changes nothing."""
    with context.site(TWO) as site:
        load = context.load(site, 6_000, RATE)
        before = {worker.pid for worker in load.processes()}
        times = []
        for _ in range(ROUNDS):
            old = _leader(context, site)
            term = _term(site)
            versions = site.assignment_version(load.topology_id)
            began = time.monotonic()
            old.send(signal.SIGSTOP)
            times += _take_over(context, site, old, began)
            time.sleep(1.0)
            during = _term(site)
            old.send(signal.SIGCONT)
            time.sleep(3.0)
            context.check(site.leader() is not old, f"{old.name} leads again as soon as it goes on")
            context.check(during > term, "the new leader did not raise the term")
            context.check(_term(site) == during, f"{old.name} took a term after it had lost it")
            now = site.assignment_version(load.topology_id)
            context.check(now == versions, f"the assignment went from version {versions} to {now}")
        context.check({worker.pid for worker in load.processes()} == before, "workers were restarted", "C-ALIVE")
        return finish(context, site, load, "leader-paused", ROUNDS, recovered=times, bar=_bar(context))


def leader_killed(context: Context) -> Outcome:
    """kill -9 the leader: another leads, has the code of what runs, and takes submissions."""
    with context.site(TWO) as site:
        load = context.load(site, 6_000, RATE)
        before = {worker.pid for worker in load.processes()}
        times = []
        for number in range(ROUNDS):
            old = _leader(context, site)
            began = time.monotonic()
            old.end(signal.SIGKILL)
            times += _take_over(context, site, old, began)
            site.restart(old)
            time.sleep(2.0)
            small = context.load(site, 100, RATE, topology__workers=1)
            audit(context, small)
            left = small.kill()
            context.check(not left, f"of the topology submitted to leader {number + 2} there is still {left}", "C-LEAK")
        context.check({worker.pid for worker in load.processes()} == before, "workers were restarted", "C-ALIVE")
        return finish(context, site, load, "leader-killed", ROUNDS, recovered=times, bar=_bar(context))


def all_gone(context: Context) -> Outcome:
    """kill -9 every Nimbus for longer than anybody waits for anybody, and start them again: nobody notices."""
    away_secs, judged_secs = _away_secs(context), _patience_secs(context)
    with context.site(TWO) as site:
        load = context.load(site, int(ROUNDS * (away_secs + judged_secs + TAKE_OVER_SECS) * RATE), RATE)
        before = {worker.pid for worker in load.processes()}
        version = site.assignment_version(load.topology_id)
        times = []
        for _ in range(ROUNDS):
            _end_all(site)
            time.sleep(away_secs)
            times += _all_back(context, site)
            time.sleep(judged_secs)
            now = site.assignment_version(load.topology_id)
            context.check(now == version, f"the assignment went from version {version} to {now}")
        context.check({worker.pid for worker in load.processes()} == before, "workers were restarted", "C-ALIVE")
        fails = load.read().fails
        context.check(not fails, f"{len(fails)} numbers failed")
        return finish(context, site, load, "nimbuses-gone", ROUNDS, recovered=times, bar=_bar(context))


def killed_without_nimbus(context: Context) -> Outcome:
    """kill -9 a worker while there is no Nimbus: its supervisor starts it again; the next leader changes nothing."""
    with context.site(TWO) as site:
        load = context.load(site, int((_away_secs(context) + 2 * _patience_secs(context)) * RATE), RATE)
        version = site.assignment_version(load.topology_id)
        killed, *others = load.processes()
        _end_all(site)
        began = time.monotonic()
        os.kill(killed.pid, signal.SIGKILL)

        def writes_again() -> bool:
            here = [each for each in load.processes() if (each.host, each.port) == (killed.host, killed.port)]
            return any(load.has_written(each) for each in here if each.pid != killed.pid)

        took = context.must(writes_again, "its successor writes", 5 * CEILING)
        load.wait_progress(1_000)
        time.sleep(max(0.0, began + _away_secs(context) - time.monotonic()))
        _all_back(context, site)
        time.sleep(_patience_secs(context))
        now = site.assignment_version(load.topology_id)
        context.check(now == version, f"the assignment went from version {version} to {now}")
        gone = set(others) - set(load.processes())
        context.check(not gone, f"workers were restarted that nothing had hit: {gone}", "C-ALIVE")
        return finish(context, site, load, "worker-killed-without-nimbus", recovered=took, restarts=1, rounds=1)


def _end_all(site: FaultSite) -> None:
    for nimbus in site.nimbuses:
        nimbus.end(signal.SIGKILL)


def _all_back(context: Context, site: FaultSite) -> list[float]:
    """After how many seconds one leads, if one does."""
    for nimbus in site.nimbuses:
        nimbus.start()
    took = context.must(lambda: site.leader() is not None, "a Nimbus leads", _limit(context))
    return [] if took is None else [took]


def _patience_secs(context: Context) -> float:
    """After so long a Nimbus has given up what it does not hear of."""
    return context.timers.session_secs + context.timers.executor_secs + TAKE_OVER_SECS


def _away_secs(context: Context) -> float:
    return 1.5 * _patience_secs(context)


def _leader(context: Context, site: FaultSite) -> StormDaemon:
    context.must(lambda: site.leader() is not None, "a Nimbus leads", 30)
    found = site.leader()
    assert found is not None, "no Nimbus leads"
    return found


def _take_over(context: Context, site: FaultSite, old: StormDaemon, began: float) -> list[float]:
    """After how many seconds another Nimbus said in its log that it leads, if one did. It is asked for longer: of one
    that stands still each question costs ASK_SECS.
    """
    limit = _limit(context)
    others = [nimbus for nimbus in site.nimbuses if nimbus is not old]

    def said() -> list[float]:
        logs = Logs(monotonic_offset())
        return [at for nimbus in others if (at := logs.first(nimbus.log, "leads now", began)) is not None]

    # It leads a moment before it says so.
    context.must(lambda: site.leader() in others and said(), "another Nimbus leads", limit + 2 * ASK_SECS)
    took = min(said(), default=math.inf) - began
    context.check(took <= limit, f"another Nimbus led after {took:.1f} s, at most {limit:.1f} s it may take")
    return [took] if took < math.inf else []


def _limit(context: Context) -> float:
    """The bar, which has room for a session that ends at the server's next tick. A busy machine makes longer what comes
    after the session, and nothing else.
    """
    return context.timers.session_secs + TAKE_OVER_SECS * busyness()


def _bar(context: Context) -> Bar:
    return Bar(context.timers.session_secs + TAKE_OVER_SECS)


def _term(site: FaultSite) -> int:
    site.state  # noqa: B018 - it connects
    assert site._storage is not None
    found = site._storage.get(paths.LEADER_INFO)
    return -1 if found is None else found.version


NIMBUS_SCENARIOS = [
    Scenario(
        "leader-paused", "H2", "SIGSTOP the leading Nimbus past its session, then SIGCONT", leader_paused,
        needs=frozenset({"replication"}),
    ),
    Scenario(
        "leader-killed", "P7", "kill -9 the leader of two Nimbuses", leader_killed, needs=frozenset({"replication"})
    ),
    Scenario(
        "nimbuses-gone", "P7", "kill -9 every Nimbus for longer than all timeouts; back", all_gone,
        needs=frozenset({"replication"}),
    ),
    Scenario(
        "worker-killed-without-nimbus", "P7 P1", "kill -9 a worker while every Nimbus is gone", killed_without_nimbus,
        needs=frozenset({"replication"}),
    ),
]  # fmt: skip
