from __future__ import annotations

from storm.ui.pages.page import Frame


def test_a_frame_of_now_is_not_silent() -> None:
    assert Frame("0.1.0").is_silent is False
    assert Frame("0.1.0", silent_since=0).is_silent is True
