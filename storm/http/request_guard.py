"""Which requests are served at all: by their Host, their origin and their token; pure.

A page of another site that a person's browser shows can send requests here. So a name in Host that is not ours is one
that somebody made point here (DNS rebinding); and what changes something comes from a page of ours, which carries a
token, or from a program, which sends neither Origin nor Sec-Fetch-Site.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from storm.config.addresses import is_address, is_loopback
from storm.http.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Set

HARMLESS = frozenset({"GET", "HEAD", "OPTIONS"})
TOKEN_COOKIE, TOKEN_HEADER = "storm-token", "x-storm-token"
PATH_BYTES_MAX = 8 << 10
BODY_BYTES_MAX = 1 << 20


def check_host(host: str | None, names: Set[str]) -> None:
    """Raises Problem 403 unless Host is an address, which no other site can have, `localhost`, or one of `names`."""
    name = host_name(host or "")
    if not name or not (is_address(name) or is_loopback(name) or name in names):
        raise Problem(403, f"This server does not go by the name {name[:100]!r}; ui.allowed.hosts may list it.")


def host_name(host: str) -> str:
    """Without port and brackets, in small letters."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower().rstrip(".")


def token_cookie(host: str) -> str:
    """The name of the cookie with the page's token, by the port in Host: cookies know none, and two UIs on a host must
    not take each other's away.
    """
    _, _, port = host.rpartition(":")
    return f"{TOKEN_COOKIE}-{port}" if port.isdecimal() else TOKEN_COOKIE


def cookie_token(cookies: Mapping[str, str], host: str) -> str:
    """Empty where there is none. A script that makes up its own cookie need not know of ports."""
    return cookies.get(token_cookie(host)) or cookies.get(TOKEN_COOKIE, "")


def check_origin(method: str, headers: Mapping[str, str], held_token: str, is_ours: Callable[[str], bool]) -> None:
    """Raises Problem 403 for a change that another site's page may have sent. Names of `headers` are in small letters.

    `held_token`: what the cookie of the token holds. `is_ours` tells whether this process made a token.
    """
    if method in HARMLESS:
        return
    origin, fetched = headers.get("origin"), headers.get("sec-fetch-site")
    if origin is None and fetched is None:
        return
    if fetched is not None and fetched != "same-origin":
        raise Problem(403, f"A page of another site may not change anything here (Sec-Fetch-Site: {fetched[:40]}).")
    if origin is not None and not _is_same(origin, headers.get("host", "")):
        raise Problem(403, f"A page of {origin[:100]} may not change anything here.")
    token = headers.get(TOKEN_HEADER, "")
    if not hmac.compare_digest(token.encode(), held_token.encode()) or not is_ours(token):
        raise Problem(403, "The page's token is missing or too old: load the page again.")


def check_site(headers: Mapping[str, str], what: str) -> None:
    """Raises Problem 403 where a page of another site asks by itself for what costs much: `what`, for people.

    A link that a person follows may lead here from anywhere. Browsers tell it of addresses that they trust only: https,
    and this machine.
    """
    site = headers.get("sec-fetch-site", "none")
    is_followed = headers.get("sec-fetch-user") == "?1" and headers.get("sec-fetch-dest") == "document"
    if site not in {"same-origin", "none"} and not is_followed:
        raise Problem(403, f"A page of another site may not {what} here (Sec-Fetch-Site: {site[:40]}).")


def check_size(path: bytes, headers: Mapping[str, str]) -> None:
    """Raises Problem 414 for a path, 413 for a body that is too long, where its length is told."""
    if len(path) > PATH_BYTES_MAX:
        raise Problem(414, f"A path may have {PATH_BYTES_MAX} bytes.")
    length = headers.get("content-length", "0")
    if not length.isdecimal() or len(length) > 18 or int(length) > BODY_BYTES_MAX:
        raise too_large()


def too_large() -> Problem:
    return Problem(413, f"A body may have {BODY_BYTES_MAX:,} bytes.")


def check_extras(query: Mapping[str, str], headers: Mapping[str, str]) -> None:
    """Raises Problem for what Storm's API has and this one never will. Names of `headers` are in small letters."""
    if "callback" in query:
        raise Problem(400, "JSONP is not served: it would let every page on the web read what is here.")
    if "doAsUser" in query or "doasuser" in headers:
        raise Problem(401, "Nobody may act for another user here (doAsUser).")


class Tokens:
    """Tokens that only who knows the secret can make: a cookie that another program on this host set is none."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def made_of(self, nonce: str) -> str:
        """`nonce` is random and has no dot."""
        return f"{nonce}.{self._signature(nonce)}"

    def is_ours(self, token: str) -> bool:
        nonce, _, signature = token.partition(".")
        return bool(nonce) and hmac.compare_digest(signature.encode(), self._signature(nonce).encode())

    def _signature(self, nonce: str) -> str:
        return hmac.new(self._secret, nonce.encode(), hashlib.sha256).hexdigest()


def _is_same(origin: str, host: str) -> bool:
    """By host and port: where a proxy in front speaks TLS, the scheme differs."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and parts.netloc.lower() == host.lower() != ""
