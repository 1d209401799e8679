from __future__ import annotations

import re
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


def test_owners_have_what_their_workers_take(site: Any, client: Any) -> None:
    site.run_word_count("one", "bob")
    assert used(client.get("/owners").text) == []
    site.tell_usage(site.run_word_count("two", "ann"))
    assert used(client.get("/owners").text) == ["2469", "175"]
    text = client.get("/owners/ann").text
    assert "<dt>Memory of workers, MB</dt><dd>2,469</dd>" in text
    assert "<dt>CPU of workers, %</dt><dd>175</dd>" in text
    assert "<dt>CPU of workers, %</dt><dd>–</dd>" in client.get("/owners/bob").text


def used(text: str) -> list[str]:
    """The last two numbers of the row of Ann."""
    row = text.partition('data-key="ann"')[2].partition("</tr>")[0]
    return re.findall(r'data-value="(\d*)"', row)[-2:]


def test_who_owns_nothing_is_not_found(client: Any) -> None:
    assert client.get("/owners/").status_code == 404
    answer = client.get("/owners/nobody")
    assert (answer.status_code, "nobody owns no topology." in answer.text) == (404, True)
    assert "Nobody owns a topology" in client.get("/owners").text
