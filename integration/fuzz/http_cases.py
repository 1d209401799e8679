"""Requests for the HTTP ports: sound ones of every kind, and those that are known to have harmed servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = b"Host: localhost"
TOPOLOGY = "/topology/THE-TOPOLOGY"
SOUND = [
    "/",
    TOPOLOGY,
    f"{TOPOLOGY}/component/split",
    f"{TOPOLOGY}/logs",
    f"{TOPOLOGY}/failures",
    f"{TOPOLOGY}/samples?component=split&stream=default",
    "/owners",
    "/settings",
    "/api/v1/",
    "/api/v1/cluster/summary",
    "/api/v1/cluster/configuration",
    "/api/v1/nimbus/summary",
    "/api/v1/supervisor/summary",
    "/api/v1/topology/summary",
    f"/api/v1{TOPOLOGY}?window=600&sys=true",
    f"/api/v1{TOPOLOGY}/component/words?window=:all-time",
    f"/api/v1{TOPOLOGY}/visualization",
    "/api/v1/openapi.json",
    "/live",
    "/health",
    "/metrics",
    "/api/v1/listLogs?topoId=THE-TOPOLOGY&port=THE-PORT",
    "/api/v1/log?file=THE-TOPOLOGY/THE-PORT/worker.log&start=0&length=1000",
    "/api/v1/search?file=THE-TOPOLOGY/THE-PORT/worker.log&search-string=worker&num-matches=10",
    "/api/v1/deepSearch/THE-TOPOLOGY?search-string=worker&num-matches=10&port=*",
    "/api/v1/download?file=THE-TOPOLOGY/THE-PORT/worker.log",
]
HOSTILE_PATHS = {
    "path-up": "/api/v1/download?file=../../../../etc/passwd",
    "path-up-encoded": "/api/v1/download?file=%2e%2e%2f%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "path-up-in-the-port": "/api/v1/log?file=THE-TOPOLOGY/../../../etc/passwd",
    "path-absolute": "/api/v1/download?file=/etc/passwd",
    "path-of-static": "/static/../../../../etc/passwd",
    "path-null": "/topology/a%00b",
    "path-bad-utf8": "/topology/%ff%fe%c0%af",
    "path-script": "/topology/<script>alert(1)</script>",
    "path-script-encoded": "/topology/%3Cscript%3Ealert(1)%3C%2Fscript%3E/component/%22%3E%3Cimg%20src=x%3E",
    "path-line-feed": "/topology/a%0d%0aSet-Cookie:%20x=y",
    "path-long": "/" + "a" * 70_000,
    "path-slashes": "/" * 8_000,
    "path-dots": "/.." * 2_000,
    "query-of-100000-parts": "/api/v1/topology/summary?" + "a=b&" * 15_000,
    "query-window-huge": f"/api/v1{TOPOLOGY}?window=" + "9" * 5_000,
    "query-window-negative": f"/api/v1{TOPOLOGY}?window=-1",
    "query-length-huge": "/api/v1/log?file=THE-TOPOLOGY/THE-PORT/worker.log&length=99999999999999999999",
    "query-start-negative": "/api/v1/log?file=THE-TOPOLOGY/THE-PORT/worker.log&start=-5",
    "query-slow-expression": "/api/v1/search?file=THE-TOPOLOGY/THE-PORT/worker.log&search-string=" + "(a*)*" * 20 + "b",
    "query-callback": "/api/v1/cluster/summary?callback=alert",
    "query-as-another": "/api/v1/cluster/summary?doAsUser=root",
    "target-of-another-host": "http://example.com/",
    "target-star": "*",
}


def request(target: str, *headers: bytes, method: bytes = b"GET", body: bytes = b"", version: bytes = b"1.1") -> bytes:
    head = [b"%s %s HTTP/%s" % (method, target.encode("latin-1"), version), HOST, *headers]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def post(target: str, body: bytes, *headers: bytes) -> bytes:
    length = b"Content-Length: %d" % len(body)
    return request(target, b"Content-Type: application/json", length, *headers, method=b"POST", body=body)


def known() -> Iterator[tuple[str, bytes]]:
    for number, path in enumerate(SOUND):
        yield f"sound-{number:02}", request(path)
    yield "sound-all-on-one-connection", b"".join(request(path) for path in SOUND)
    yield "sound-events", request(f"/events{TOPOLOGY}", b"Accept: text/event-stream")
    for name, path in HOSTILE_PATHS.items():
        yield name, request(path)
    yield from heads()
    yield from bodies()


def heads() -> Iterator[tuple[str, bytes]]:
    get = b"GET /live HTTP/1.1\r\n"
    yield "head-without-host", get + b"\r\n"
    yield "head-of-two-hosts", get + HOST + b"\r\nHost: example.com\r\n\r\n"
    yield "head-of-another-host", get + b"Host: rebound.example.com\r\n\r\n"
    yield "head-host-bad", get + b"Host: [::1\r\n\r\n"
    yield "head-without-end", get + b"X: y\r\n" * 100_000
    yield "head-of-10000-headers", get + HOST + b"\r\n" + b"X: y\r\n" * 8_000 + b"\r\n"
    yield "head-of-one-long-header", get + HOST + b"\r\nX: " + b"y" * 200_000 + b"\r\n\r\n"
    yield "head-folded", get + HOST + b"\r\nX: a\r\n b\r\n\tc\r\n\r\n"
    yield "head-bare-line-feeds", b"GET /live HTTP/1.1\nHost: localhost\n\n"
    yield "head-null", get + HOST + b"\r\nX\0: \0\r\n\r\n"
    yield "head-colon-missing", get + HOST + b"\r\nnonsense\r\n\r\n"
    yield "head-bytes", get + HOST + b"\r\nCookie: " + bytes(range(128, 256)) * 20 + b"\r\n\r\n"
    yield "head-cookie-of-60-kilobytes", get + HOST + b"\r\nCookie: " + b"a=b; " * 12_000 + b"\r\n\r\n"
    yield "head-expect", request("/live", b"Expect: 100-continue", b"Content-Length: 5")
    yield "head-expect-nonsense", request("/live", b"Expect: miracles")
    yield "head-range", request("/api/v1/download?file=THE-TOPOLOGY/THE-PORT/worker.log", b"Range: bytes=0-0," * 100)
    yield "head-if-none-match", request("/", b'If-None-Match: "' + b"a" * 5_000 + b'"')
    yield "head-upgrade", request("/live", b"Connection: Upgrade", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__")
    yield "head-websocket", request("/events/", b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Key: x")
    for version in (b"0.9", b"1.0", b"2.0", b"9.9", b"x"):
        yield f"version-{version.decode()}", request("/live", version=version)
    for method in (b"HEAD", b"OPTIONS", b"TRACE", b"CONNECT", b"PUT", b"DELETE", b"get", b"X" * 5_000, b""):
        yield f"method-{method[:8].decode() or 'none'}", request("/live", method=method)
    yield "http-2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(64)
    yield "pipelined-1000", request("/live") * 1000
    yield "pipelined-summaries", request("/api/v1/cluster/summary") * 50
    yield "line-feeds", b"\r\n" * 5_000
    yield "garbage", bytes(range(256)) * 40
    yield "nothing", b""
    yield "tls-hello", b"\x16\x03\x01\x00\x85\x01\x00\x00\x81\x03\x03" + bytes(64)
    yield "thrift-call", b"\0\0\0\x1f\x80\x01\0\x01\0\0\0\x0egetClusterInfo\0\0\0\x01\0"


def bodies() -> Iterator[tuple[str, bytes]]:
    nobody = "/api/v1/topology/nobody-1-1"
    yield "post-activate", post(f"/api/v1{TOPOLOGY}/activate", b"")
    yield (
        "post-log-level",
        post(
            f"/api/v1{TOPOLOGY}/logconfig",
            b'{"namedLoggerLevels": {"words": {"target_level": "DEBUG", "reset_level": "INFO", "timeout": 5}}}',
        ),
    )
    yield "post-kill-of-nobody", post(f"{nobody}/kill/0", b"")
    yield "post-of-another-origin", post(f"{nobody}/kill/0", b"", b"Origin: http://example.com")
    yield "post-of-another-site", post(f"{nobody}/kill/0", b"", b"Sec-Fetch-Site: cross-site")
    yield "post-bad-token", post(f"{nobody}/kill/0", b"", b"Origin: http://localhost", b"X-Storm-Token: a.b")
    for name, body in {
        "none": b"",
        "text": b"this is no JSON",
        "half": b'{"a": ',
        "deep": b"[" * 100_000 + b"]" * 100_000,
        "big-number": b'{"a": ' + b"9" * 100_000 + b"}",
        "bad-utf8": b'{"a": "\xff\xfe"}',
        "surrogate": b'{"namedLoggerLevels": {"\\ud800": {"target_level": "DEBUG"}}}',
        "nan": b'{"a": NaN, "b": Infinity}',
        "list": b"[1, 2, 3]",
        "same-keys": b"{" + b'"a": 2, ' * 20_000 + b'"a": 3}',
        "wrong-types": b'{"namedLoggerLevels": {"words": {"target_level": 5, "timeout": "soon"}}}',
        "megabytes": b"x" * (3 << 20),
    }.items():
        yield f"json-{name}", post(f"{nobody}/logconfig", body)
    chunked = (b"Transfer-Encoding: chunked",)
    yield "chunked", request(f"{nobody}/activate", *chunked, method=b"POST", body=b"3\r\nabc\r\n0\r\n\r\n")
    yield "chunk-of-2-gigabytes", request(f"{nobody}/activate", *chunked, method=b"POST", body=b"7fffffff\r\nabc")
    yield "chunk-length-no-number", request(f"{nobody}/activate", *chunked, method=b"POST", body=b"zz\r\nabc\r\n")
    yield "chunk-length-of-20-digits", request(f"{nobody}/activate", *chunked, method=b"POST", body=b"f" * 20 + b"\r\n")
    yield "chunks-of-a-byte", request(f"{nobody}/activate", *chunked, method=b"POST", body=b"1\r\nx\r\n" * 20_000)
    yield (
        "chunked-and-a-length",
        request(
            f"{nobody}/activate", *chunked, b"Content-Length: 3", method=b"POST", body=b"0\r\n\r\n" + request("/live")
        ),
    )
    for length in (b"-1", b"0x10", b"99999999999999999999999", b"3, 4", b"1e3", b""):
        yield (
            f"length-{length.decode().replace(', ', '-') or 'none'}",
            request(f"{nobody}/activate", b"Content-Length: " + length),
        )
    yield "body-half-sent", request(f"{nobody}/logconfig", b"Content-Length: 1000", method=b"POST", body=b"{")
    yield "body-packed", post(f"{nobody}/logconfig", b"\x1f\x8b\x08" + bytes(200), b"Content-Encoding: gzip")
    yield "body-of-a-get", request("/live", b"Content-Length: 5", body=b"hello")
