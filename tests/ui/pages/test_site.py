from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from storm.ui.pages.page import Frame
from storm.ui.pages.site import STATIC, Site

if TYPE_CHECKING:
    from collections.abc import Iterator

FRAME = Frame("0.1.0", token="a.b")


def test_static_files_have_addresses_that_change_with_them() -> None:
    site = Site()
    assert {"storm.css", "storm.js", "icon.svg"} <= set(site.files)
    assert site.address("storm.css") == f"{STATIC}/{site.version}/storm.css"
    assert len(site.version) == 12
    assert b"http" not in site.files["storm.css"].content  # nothing comes from elsewhere


def test_text_is_escaped_wherever_it_stands() -> None:
    bad = '"><script>alert(1)</script>'
    html = Site().page("problem.html", {"status": 404, "reason": bad, "sentence": bad}, Frame(bad, token=bad))
    assert "<script>alert" not in html
    assert html.count("&lt;script&gt;") == 5


@pytest.fixture
def far_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The zone of this host."""
    with monkeypatch.context() as zone:
        zone.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("far_east")
def test_times_are_in_utc_as_in_logs_and_say_so() -> None:
    notice = Site().notice(Frame("0.1.0", silent_since=1_782_907_205, as_of=1_782_907_200))
    assert "since 2026-07-01 12:00:05 UTC" in notice
    assert "at 2026-07-01 12:00:00 UTC" in notice


def test_the_notice_tells_what_is_wrong_with_the_page() -> None:
    site = Site()
    assert site.notice(FRAME).strip() == ""
    assert "has not answered since" in site.notice(Frame("0.1.0", silent_since=1_000, as_of=900))
    assert "no such <b>" not in site.notice(Frame("0.1.0", problem="no such <b>"))
