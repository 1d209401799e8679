from __future__ import annotations

from storm.ui.pages.page import Frame
from storm.ui.pages.site import STATIC, Site

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


def test_the_notice_tells_what_is_wrong_with_the_page() -> None:
    site = Site()
    assert site.notice(FRAME).strip() == ""
    assert "has not answered since" in site.notice(Frame("0.1.0", silent_since=1_000, as_of=900))
    assert "no such <b>" not in site.notice(Frame("0.1.0", problem="no such <b>"))
