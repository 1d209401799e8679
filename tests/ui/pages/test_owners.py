from __future__ import annotations

from typing import Any


def test_owners_and_their_topologies(site: Any, client: Any) -> None:
    for name, owner in (("one", "ann"), ("two", "ann"), ("three", "team/b")):
        site.run_word_count(name, owner)
    text = client.get("/owners").text
    assert 'href="/owners/ann"' in text
    assert 'href="/owners/team%2Fb"' in text
    text = client.get("/owners/ann").text
    assert (">one</a>" in text, ">two</a>" in text, ">three</a>" in text) == (True, True, False)
    assert ">three</a>" in client.get("/owners/team%2Fb").text


def test_who_owns_nothing_is_not_found(client: Any) -> None:
    assert client.get("/owners/").status_code == 404
    answer = client.get("/owners/nobody")
    assert (answer.status_code, "nobody owns no topology." in answer.text) == (404, True)
    assert "Nobody owns a topology" in client.get("/owners").text
