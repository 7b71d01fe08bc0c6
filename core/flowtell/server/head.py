"""The head of a request, read once: the headers that decide who may do what, bounded and unambiguous."""

from __future__ import annotations

from typing import Final, NamedTuple

from starlette.types import Scope

from flowtell.server.limits import HEADER_BYTES, HEADERS, QUERY_BYTES, URL_BYTES
from flowtell.server.refusal import Refusal

_ONCE: Final = frozenset(
    {b"host", b"authorization", b"origin", b"content-length", b"content-type", b"content-encoding", b"transfer-encoding"}
)
"""Headers of which two mean trouble: a proxy in front may have gone by the other one."""
_FORWARDED: Final = frozenset({b"forwarded", b"x-forwarded-for", b"x-forwarded-host"})


class Head(NamedTuple):
    """Text as latin-1, which takes every byte; absent is empty, but for `origin`."""

    websocket: bool
    method: str
    path: str
    query: bytes
    client: str
    host: str = ""
    origin: str | None = None
    authorization: str = ""
    cookie: str = ""
    content_length: int = 0
    content_type: str = ""
    has_body: bool = False
    forwarded: bool = False


def read_head(scope: Scope) -> Head | Refusal:
    """The head of an HTTP or websocket request, or why it cannot be taken."""
    headers = scope["headers"]
    raw_path, query = scope.get("raw_path") or b"", scope.get("query_string", b"")
    if len(raw_path) > URL_BYTES or len(query) > QUERY_BYTES:
        return Refusal(414, f"an address has at most {URL_BYTES} bytes, and a query {QUERY_BYTES}")
    if len(headers) > HEADERS or sum(len(name) + len(value) for name, value in headers) > HEADER_BYTES:
        return Refusal(431, f"at most {HEADERS} headers, of {HEADER_BYTES} bytes together")
    given: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in given and name in _ONCE:
            return Refusal(400, f"the header {name.decode('ascii')} is given twice")
        given[name] = b"; ".join((given[name], value)) if name == b"cookie" and name in given else value
    return _head(scope, query, given)


def _head(scope: Scope, query: bytes, given: dict[bytes, bytes]) -> Head | Refusal:
    length = given.get(b"content-length", b"0")
    if not length.isdigit() or len(length) > 18:
        return Refusal(400, "Content-Length is no number of bytes")
    if b"content-length" in given and b"transfer-encoding" in given:  # RFC 9112, section 6.1: smuggling
        return Refusal(400, "a body has one length: Content-Length or Transfer-Encoding")
    client = scope.get("client")
    origin = given.get(b"origin")
    return Head(
        websocket=scope["type"] == "websocket",
        method=scope.get("method", "GET"),
        path=scope["path"],
        query=query,
        client=client[0] if client else "",
        host=given.get(b"host", b"").decode("latin-1"),
        origin=None if origin is None else origin.decode("latin-1"),
        authorization=given.get(b"authorization", b"").decode("latin-1"),
        cookie=given.get(b"cookie", b"").decode("latin-1"),
        content_length=int(length),
        content_type=given.get(b"content-type", b"").decode("latin-1").lower(),
        has_body=length.strip(b"0") != b"" or b"transfer-encoding" in given,
        forwarded=not _FORWARDED.isdisjoint(given),
    )
