"""The scheduler that `storm.scheduler` names."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from storm.errors import ConfigError
from storm.scheduler import even

if TYPE_CHECKING:
    from storm.scheduler.scheduling_state import Scheduler

SCHEDULERS: dict[str, Scheduler] = {"even": even.schedule}

#: Names that a storm.yaml of Apache Storm may hold for what is the same here.
STORM_NAMES = {
    "org.apache.storm.scheduler.EvenScheduler": "even",
    "org.apache.storm.scheduler.DefaultScheduler": "even",
    "backtype.storm.scheduler.EvenScheduler": "even",
    "backtype.storm.scheduler.DefaultScheduler": "even",
}


def scheduler_named(name: str | None) -> Scheduler:
    """The scheduler of this name; None means `even`. Raises ConfigError."""
    if name is None:
        return even.schedule
    known = STORM_NAMES.get(name, name)
    if known not in SCHEDULERS:
        nearest = difflib.get_close_matches(known, SCHEDULERS, 1)
        hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
        raise ConfigError(f"storm.scheduler: no scheduler is called {name!r}; there is: {', '.join(SCHEDULERS)}.{hint}")
    return SCHEDULERS[known]
