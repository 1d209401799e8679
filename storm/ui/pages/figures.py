"""How pages write figures: numbers with separators, times in two units; pure. All are filters in templates.

Figures come from the dictionaries of the REST API, where latencies and capacities are text.
"""

from __future__ import annotations

import math

from storm.diagnosis.wording import percent as percent_of
from storm.diagnosis.wording import pretty_secs

NOTHING = "–"  # what is not known
UNITS_SHOWN = 2
HOUR_SECS, DAY_SECS = 3_600, 86_400


def number(value: float | str | None) -> str:
    """`1,234,567`; what is not whole has one decimal below 1,000, and two below 10."""
    if value is None or value == "" or not math.isfinite(float(value)):
        return NOTHING
    found = float(value)
    if found == int(found):
        return f"{int(found):,}"
    return f"{found:.2f}" if abs(found) < 10 else f"{found:.1f}" if abs(found) < 1_000 else f"{found:,.0f}"


def latency(value: float | str | None, timed: int = 1) -> str:
    """Of milliseconds, without the unit: `0.042`, `12.3`, `4,321`. The mean of so many; of none it is not known."""
    if not timed or value is None or value == "" or not math.isfinite(float(value)):
        return NOTHING
    found = float(value)
    if found == 0:
        return "0"
    return f"{found:.3f}" if found < 10 else f"{found:.1f}" if found < 1_000 else f"{found:,.0f}"


def duration(secs: float | None) -> str:
    """The two largest units: `3d 4h`, `12m 5s`, `8s`."""
    if secs is None:
        return NOTHING
    return " ".join(pretty_secs(int(secs)).split()[:UNITS_SHOWN])


def coarse(secs: float | None) -> int | None:
    """As exact as `duration` shows it, to sort by: what looks the same is the same, and need not be sent again."""
    if secs is None:
        return None
    found = int(secs)
    return found - found % (1 if found < HOUR_SECS else 60 if found < DAY_SECS else HOUR_SECS)


def percent(value: float | str | None) -> str:
    """Of a share, 1 is 100 %: `42 %`, below 10 % with a decimal."""
    return NOTHING if value is None or value == "" else percent_of(float(value))
