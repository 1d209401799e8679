from __future__ import annotations

import pytest

from storm.http.problems import Problem
from storm.http.request_guard import (
    BODY_BYTES_MAX,
    PATH_BYTES_MAX,
    TOKEN_HEADER,
    Tokens,
    check_extras,
    check_host,
    check_origin,
    check_site,
    check_size,
    cookie_token,
    host_name,
    token_cookie,
)

NAMES = frozenset({"ui.example.org"})
TOKENS = Tokens(b"secret")
TOKEN = TOKENS.made_of("nonce")
PAGE = {
    "host": "ui.example.org:8080",
    "origin": "http://ui.example.org:8080",
    "sec-fetch-site": "same-origin",
    TOKEN_HEADER: TOKEN,
}


@pytest.mark.parametrize(
    "host",
    ["localhost:8080", "LOCALHOST", "127.0.0.1", "127.9.9.9:1", "[::1]:8080", "10.0.0.5:8080", "[fe80::1]",
     "ui.example.org", "UI.example.org.:8080"],
)  # fmt: skip
def test_addresses_and_own_names_may_stand_in_host(host: str) -> None:
    check_host(host, NAMES)


@pytest.mark.parametrize(
    "host", [None, "", ":8080", "evil.example.org", "localhost.evil.org", "127.0.0.1.evil.org", "ui", "[::1", "a b"]
)
def test_other_names_may_not(host: str | None) -> None:
    if host == "[::1":
        check_host(host, NAMES)  # an address after all
        return
    with pytest.raises(Problem, match=r"ui\.allowed\.hosts") as refused:
        check_host(host, NAMES)
    assert refused.value.status == 403


def test_a_host_has_a_name_without_port() -> None:
    assert [host_name(host) for host in ("A.b:80", "[2001:db8::1]:80", "x")] == ["a.b", "2001:db8::1", "x"]


def allowed(method: str, headers: dict[str, str], cookie: str = TOKEN) -> bool:
    try:
        check_origin(method, headers, cookie, TOKENS.is_ours)
    except Problem as problem:
        return problem.status != 403
    return True


def test_programs_and_own_pages_may_change_something() -> None:
    assert allowed("POST", {"host": "ui.example.org:8080"}, "")
    assert allowed("POST", PAGE)
    assert allowed("POST", {**PAGE, "origin": "https://UI.example.org:8080"})
    assert allowed("GET", {"origin": "http://evil.example.org", "sec-fetch-site": "cross-site"}, "")


@pytest.mark.parametrize(
    "changed",
    [
        {"origin": "http://evil.example.org"},
        {"origin": "http://ui.example.org"},
        {"origin": "null"},
        {"origin": "ftp://ui.example.org:8080"},
        {"origin": "http://[ui"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {TOKEN_HEADER: ""},
        {TOKEN_HEADER: "nonce.0000"},
        {TOKEN_HEADER: Tokens(b"another secret").made_of("nonce")},
    ],
)
def test_a_page_of_another_site_may_not(changed: dict[str, str]) -> None:
    headers = {**PAGE, **changed}
    assert not allowed("POST", headers, headers[TOKEN_HEADER] if TOKEN_HEADER in changed else TOKEN)


@pytest.mark.parametrize("site", ["cross-site", "same-site", "x"])
def test_what_costs_much_is_not_for_pages_of_other_sites(site: str) -> None:
    for more in ({}, {"sec-fetch-user": "?1", "sec-fetch-dest": "iframe"}, {"sec-fetch-dest": "document"}):
        with pytest.raises(Problem, match=rf"may not search here \(Sec-Fetch-Site: {site}\)") as refused:
            check_site({"sec-fetch-site": site, **more}, "search")
        assert refused.value.status == 403
    check_site({"sec-fetch-site": site, "sec-fetch-user": "?1", "sec-fetch-dest": "document"}, "search")


def test_own_pages_people_and_programs_may_have_it() -> None:
    for headers in ({}, {"sec-fetch-site": "none"}, {"sec-fetch-site": "same-origin"}):
        check_site(headers, "search")


def test_the_token_must_be_that_of_the_cookie() -> None:
    assert not allowed("POST", PAGE, "")
    assert not allowed("POST", PAGE, TOKENS.made_of("another nonce"))


@pytest.mark.parametrize(
    ("host", "name"),
    [("h:8081", "storm-token-8081"), ("[::1]:80", "storm-token-80"), ("h", "storm-token"), ("[::1]", "storm-token"),
     ("", "storm-token"), ("h:8;x=1", "storm-token")],
)  # fmt: skip
def test_a_cookie_is_called_by_the_port(host: str, name: str) -> None:
    assert token_cookie(host) == name


def test_the_cookie_of_the_port_counts_before_one_without() -> None:
    held = {"storm-token": "plain", "storm-token-8081": "own", "storm-token-8082": "another"}
    assert [cookie_token(held, host) for host in ("h:8081", "h:8083", "h")] == ["own", "plain", "plain"]
    assert cookie_token({}, "h:8081") == ""


def test_an_origin_without_a_host_is_foreign() -> None:
    assert not allowed("POST", {**PAGE, "origin": "http://", "host": ""})


def test_tokens_are_known_by_their_signature() -> None:
    assert TOKENS.is_ours(TOKEN)
    assert not any(TOKENS.is_ours(text) for text in ("", ".", TOKEN[:-1], f"x{TOKEN}", "nonce", "é.é"))


@pytest.mark.parametrize("length", [str(BODY_BYTES_MAX + 1), "-1", "1e3", "9" * 30, "²"])
def test_a_body_that_is_too_long_is_refused_before_it_comes(length: str) -> None:
    with pytest.raises(Problem) as refused:
        check_size(b"/", {"content-length": length})
    assert refused.value.status == 413


def test_a_path_has_a_limit() -> None:
    check_size(b"/" * PATH_BYTES_MAX, {"content-length": str(BODY_BYTES_MAX)})
    with pytest.raises(Problem) as refused:
        check_size(b"/" * (PATH_BYTES_MAX + 1), {})
    assert refused.value.status == 414


@pytest.mark.parametrize(("name", "status"), [("callback", 400), ("doAsUser", 401)])
def test_jsonp_and_impersonation_are_refused(name: str, status: int) -> None:
    check_extras({"window": "600"}, {"host": "own"})
    with pytest.raises(Problem) as refused:
        check_extras({name: "x"}, {})
    assert refused.value.status == status


def test_impersonation_by_a_header_is_refused() -> None:
    with pytest.raises(Problem) as refused:
        check_extras({}, {"doasuser": "x"})
    assert refused.value.status == 401
