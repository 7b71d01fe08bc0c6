"""Requests made of scraps of real ones: none gets a 500, and the server lives."""

from __future__ import annotations

import logging

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.core.server.strangers import Stranger

from flowtell import config
from flowtell.server.app import running_server

METHODS = [b"GET", b"GET", b"GET", b"POST", b"POST", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"TRACE", b"CONNECT", b"get"]
PATHS = [
    b"/",
    b"/healthz",
    b"/readyz",
    b"/metrics",
    b"/api/runs",
    b"/api/runs/abc/logs",
    b"/api/events",
    b"/api/plugins",
    b"/api/flows",
    b"/api/v1/lineage",
    b"/runs/abc",
    b"/_dash-layout",
    b"/_dash-dependencies",
    b"/_dash-update-component",
    b"/_dash-ws-callback",
    b"/_dash-component-suites/dash/x.js",
    b"/assets/style.css",
    b"/assets/../x",
    b"/_favicon.ico",
    b"/_reload-hash",
    b"*",
    b"http://localhost/api/runs",
]
MORE = [b"", b"", b"", b"", b"/", b"//", b"/..", b"/%2e%2e", b"/%00", b"/%ff", b"/%", b";x", b"\\", b"/a" * 50, b"\xc3\xa9"]
QUERIES = [
    b"",
    b"?",
    b"?limit=x",
    b"?after=-1&limit=9999999999999999999",
    b"?state=%00",
    b"?token=x",
    b"?text=%25%27%22&since=1",
    b"?until=999999999999999999",
    b"?type=" + b"a," * 200,
    b"?&&&==&=",
    b"?environment=%f0%9f%92%a9&flow=%",
]
HEADERS = [
    b"Authorization: Bearer x",
    b"Cookie: flowtell_token=x; ;=;",
    b"Accept: text/event-streamx",
    b"Accept: application/openmetrics-text;q=x,*/*;q=9",
    b"Accept-Encoding: gzip;q=nan, *",
    b"Content-Type: application/json",
    b"Content-Type: multipart/form-data; boundary=",
    b"Content-Type: multipart/form-data",
    b"Content-Encoding: gzip",
    b"Transfer-Encoding: chunked",
    b"Range: bytes=9-1,-5,x",
    b"If-Modified-Since: \xff",
    b"If-None-Match: " + b"x" * 500,
    b"Last-Event-ID: -1",
    b"Expect: 100-continue",
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eHh4eHh4eHh4eHh4eHh4eA==",
    b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings",
    b"X-HTTP-Method-Override: DELETE",
]
REFUSED = [
    b"Host: evil.example",
    b"Host: [::1",
    b"Host:",
    b"Origin: null",
    b"Origin: http://[",
    b"Authorization: \xff\xfe",
    b"Content-Length: 2",
    b"Content-Length: -2",
    b"Transfer-Encoding: identity",
    b"X-Forwarded-For: 1",
    b" folded: x",
    b"no colon",
]
BODIES = [
    b"",
    b"{}",
    b"[]",
    b"null",
    b"\x00\xff",
    b'{"output":"a.b","outputs":{"id":"a","property":"b"},"inputs":[]}',
    b'{"output":"..page.children..","outputs":[],"inputs":[{"id":"place","property":"pathname","value":"/"}]}',
    b'{"output":"page.children","outputs":{},"inputs":[{"id":"place","property":"pathname","value":{"a":[1]}}]}',
    b"[" * 5000,
    b"2\r\n{}\r\n0\r\n\r\n",
    b"\x1f\x8b\x08" + b"x" * 30,
]


@st.composite
def requests(draw):
    method, path, more = draw(st.sampled_from(METHODS)), draw(st.sampled_from(PATHS)), draw(st.sampled_from(MORE))
    headers = draw(st.lists(st.sampled_from(HEADERS), max_size=4, unique=True))
    headers += draw(st.lists(st.sampled_from(REFUSED), max_size=1)) if draw(st.integers(0, 5)) == 0 else []
    body = draw(st.sampled_from(BODIES))
    length = [b"Content-Length: %d" % len(body)] if draw(st.integers(0, 3)) else []
    host = [b"Host: localhost"] if draw(st.integers(0, 9)) else []
    lines = [b"%s %s HTTP/1.1" % (method, path + more + draw(st.sampled_from(QUERIES))), *host, *headers, *length]
    whole = b"\r\n".join([*lines, b"Connection: close", b"", body])
    at = draw(st.integers(0, len(whole))) if draw(st.integers(0, 9)) == 0 else -1
    return whole if at < 0 else whole[:at] + draw(st.binary(max_size=4)) + whole[at + 1 :]


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    given_ = {"server.port": 0, "home": str(tmp_path_factory.mktemp("fuzz")), "server.requests_per_second": 0}
    with running_server(config.load(given_, environ={})) as (url, _):
        yield Stranger(url)


@pytest.mark.slow
def test_no_request_gets_a_500(stranger, rounds, caplog):
    """With every plugin on; nor does one end in a traceback, and at the end all is well."""
    caplog.set_level(logging.WARNING)
    statuses = {}

    @settings(max_examples=rounds(full=3000, ci=300), deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(requests())
    def ask(request):
        status = stranger.status(request, timeout=0.5)
        statuses[status] = statuses.get(status, 0) + 1
        assert status < 500 or status in (501, 505), request
        assert not [record.getMessage() for record in caplog.records if record.exc_info], request

    ask()
    assert stranger.lives()
    assert len(statuses) > 5, statuses
    print(dict(sorted(statuses.items())))


MESSAGES = [
    "",
    "{}",
    "[]",
    "null",
    "\x00",
    "[" * 50_000,
    '{"type":"callback_request"}',
    '{"type":"callback_request","rendererId":"a","requestId":"b","payload":{"output":"x.y","inputs":[]}}',
    '{"type":"get_props_response","requestId":1}',
    '{"type":"heartbeat"}',
    b"\xff\xfe",
    b"{}",
]


@pytest.mark.slow
def test_no_websocket_message_breaks_the_pages(stranger, rounds, caplog):
    """Whatever comes over the pages' websocket, whole or as raw bytes after the handshake, the server lives."""
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    address = f"ws://{stranger.host}:{stranger.port}/_dash-ws-callback"
    origin = f"http://{stranger.host}:{stranger.port}"

    @settings(max_examples=rounds(full=150, ci=30), deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(
        st.lists(
            st.sampled_from(MESSAGES) | st.text(st.characters(codec="utf-8"), max_size=20) | st.binary(max_size=20),
            max_size=5,
        ),
        st.binary(max_size=40),
    )
    def talk(messages, rest):
        try:
            with connect(address, origin=origin, close_timeout=0.2) as wire:
                for message in messages:
                    wire.send(message)
                wire.socket.sendall(rest)
        except (ConnectionClosed, OSError, UnicodeError):
            pass

    talk()
    assert stranger.lives()
    assert not [record.getMessage() for record in caplog.records if record.exc_info]
