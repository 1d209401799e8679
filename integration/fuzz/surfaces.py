"""The table of surfaces. A port that is added later (DRPC) adds its row here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon_surfaces import ThriftNimbus, ThriftSupervisor, ZooKeeper
from http_surface import Http
from package_surface import BlobArchives, Packages
from records_surface import Records
from zeromq_surface import ZeroMq

if TYPE_CHECKING:
    from surface import Surface

SURFACES: dict[str, type[Surface]] = {
    surface.name: surface
    for surface in (ThriftNimbus, ThriftSupervisor, ZooKeeper, ZeroMq, Packages, BlobArchives, Records, Http)
}
