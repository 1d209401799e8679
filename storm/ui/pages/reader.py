"""How a page reads: from Nimbus, and from what that last answered while it is silent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storm.errors import NimbusUnreachableError, StormError
from storm.ui.pages.last_known import Known

if TYPE_CHECKING:
    from storm.clock import Clock
    from storm.ui.nimbus_link import NimbusLink
    from storm.ui.pages.last_known import LastKnown


class Reader:
    """For one rendering of one page."""

    def __init__(self, nimbus: NimbusLink, known: LastKnown, clock: Clock) -> None:
        self._nimbus = nimbus
        self._known = known
        self._clock = clock
        self.as_of: int | None = None  # seconds since 1970, of the oldest answer that stood in for Nimbus

    async def read(self, method: str, *arguments: Any) -> Any:
        """As NimbusLink.read. Raises NimbusUnreachableError only for what was never known, and any other StormError."""
        call = (method, repr(arguments))
        try:
            value = await self._nimbus.read(method, *arguments)
        except NimbusUnreachableError:
            known = self._known.get(call, self._clock.now())
            if known is None:
                raise
            self.as_of = known.at_wall_secs if self.as_of is None else min(self.as_of, known.at_wall_secs)
            return known.value
        except StormError:
            self._known.forget(call)
            raise
        self._known.put(call, Known(value, self._clock.now(), self._clock.wall_secs()))
        return value

    async def read_once(self, method: str, *arguments: Any) -> Any:
        """As NimbusLink.read, of what is not kept for when Nimbus is silent: it would take the place of much else."""
        return await self._nimbus.read(method, *arguments)

    async def read_lately(self, max_age_secs: float, method: str, *arguments: Any) -> Any:
        """As `read`, of what may be that old: for what is dear to ask, and shown beside other things."""
        now = self._clock.now()
        known = self._known.get((method, repr(arguments)), now)
        if known is not None and now - known.at < max_age_secs:
            return known.value
        return await self.read(method, *arguments)
