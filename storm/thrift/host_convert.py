"""HostReport structs of storm.thrift and our own, both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storm.hosts.facts import DiskSpace, HostReport, Resolution
from storm.thrift.interface import storm_thrift

if TYPE_CHECKING:
    from storm.thrift.interface import Struct


def host_report_to_thrift(report: HostReport) -> Struct:
    """A HostReport struct."""
    t = storm_thrift()
    return t.HostReport(
        host=report.host,
        time_millis=report.time_millis,
        python=report.python,
        versions=dict(report.versions),
        hot_path=report.hot_path,
        disks=[
            t.DiskSpace(path=d.path, free_bytes=d.free_bytes, total_bytes=d.total_bytes, why_not=d.why_not)
            for d in report.disks
        ],
        open_files_max=report.open_files_max,
        resolutions={
            name: t.NameResolution(
                addresses=list(found.addresses), names=list(found.names), is_back_late=found.is_back_late
            )
            for name, found in report.resolutions.items()
        },
        illness=report.illness,
    )


def host_report_from_thrift(struct: Struct) -> HostReport:
    """What a HostReport struct tells."""
    return HostReport(
        host=struct.host,
        time_millis=struct.time_millis,
        python=struct.python,
        versions=dict(struct.versions),
        hot_path=struct.hot_path,
        disks=tuple(DiskSpace(d.path, d.free_bytes, d.total_bytes, d.why_not) for d in struct.disks),
        open_files_max=struct.open_files_max,
        resolutions={
            name: Resolution(tuple(found.addresses), tuple(found.names), bool(found.is_back_late))
            for name, found in struct.resolutions.items()
        },
        illness=struct.illness or "",
    )
