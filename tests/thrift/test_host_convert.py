from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from storm.hosts.facts import DiskSpace, HostReport, Resolution
from storm.thrift import convert
from storm.thrift.host_convert import host_report_from_thrift, host_report_to_thrift
from storm.thrift.interface import storm_thrift

texts = st.text(max_size=5)
sizes = st.integers(0, 2**63 - 1)
several = st.lists(texts, max_size=3).map(tuple)
reports = st.builds(
    HostReport,
    host=texts,
    time_millis=sizes,
    python=texts,
    versions=st.dictionaries(texts, texts, max_size=3),
    hot_path=texts,
    disks=st.lists(st.builds(DiskSpace, texts, sizes, sizes, texts), max_size=2).map(tuple),
    open_files_max=sizes,
    resolutions=st.dictionaries(texts, st.builds(Resolution, several, several), max_size=3),
    illness=texts,
)


@given(reports)
def test_a_report_arrives_as_it_was_sent(report: HostReport) -> None:
    sent = convert.serialize(host_report_to_thrift(report))
    assert host_report_from_thrift(convert.deserialize(storm_thrift().HostReport, sent)) == report
