"""Floods, slow senders, bombs and nonsense, against a real server: each has its answer, and the server lives."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from contextlib import contextmanager

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from tests.core.server.strangers import QUIET, Stranger, drained

from flowtell import config
from flowtell.bodies import NESTING, decode_json, read_body
from flowtell.errors import BodyRefused
from flowtell.server import exchange, wire
from flowtell.server.app import running_server
from flowtell.server.limits import BODY_BYTES, HEADER_BYTES, HEADERS, QUERY_BYTES, URL_BYTES

INGEST_BYTES = 3 << 20
HOST = b"Host: localhost\r\n"


async def take(request):
    """What a route that brings events in does with its body."""
    try:
        whole = await read_body(request, INGEST_BYTES)
        if "json" in request.headers.get("content-type", ""):
            decode_json(whole, object)
    except BodyRefused as error:
        return JSONResponse({"error": str(error), "code": error.code}, status_code=error.status)
    return JSONResponse({"bytes": len(whole)})


async def read_json(request):
    """What a careless route does."""
    return JSONResponse({"got": len(json.dumps(await request.json()))})


async def ignore(request):
    return JSONResponse({"ignored": True})


async def echo(websocket):
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(str(len(text)))


APP = Starlette(
    routes=[
        Route("/api/journal/take", take, methods=["POST"]),
        Route("/api/journal/ignore", ignore, methods=["POST"]),
        Route("/api/extra/json", read_json, methods=["POST"]),
        WebSocketRoute("/api/extra/echo", echo),
    ]
)


@contextmanager
def serving(home, **settings):
    given = {**QUIET, "home": str(home), "server.max_body_bytes": INGEST_BYTES, **settings}
    with running_server(config.load(given, environ={})) as (url, service):
        for path in ("/api/journal", "/api/extra"):
            service.mounts.set("test", path, _unmounted)
        yield Stranger(url), service


async def _unmounted(scope, receive, send):
    await APP({**scope, "root_path": ""} if scope["type"] != "lifespan" else scope, receive, send)


@pytest.fixture(scope="module", params=["httptools", "h11"])
def server(request, tmp_path_factory):
    """By uvicorn's fast parser, and by the one that a bare installation has."""
    pytest.importorskip(request.param, reason=f"{request.param} is not installed")
    with pytest.MonkeyPatch.context() as patched:
        from uvicorn.protocols.http import auto, h11_impl

        if request.param == "h11":
            patched.setattr(auto, "AutoHTTPProtocol", h11_impl.H11Protocol)
        with serving(tmp_path_factory.mktemp("limits")) as (stranger, _):
            yield stranger


@pytest.fixture(autouse=True)
def lives(server):
    yield
    assert server.lives()


# --- heads --------------------------------------------------------------------------------------------------------


def test_an_address_is_bounded(server):
    """414 beyond it, for path and query; at the bound it is looked at."""
    assert server.ask("/" + "a" * URL_BYTES).status == 414
    assert server.ask("/" + "a" * (URL_BYTES - 1)).status == 404
    assert server.ask("/api/runs?" + "a" * (QUERY_BYTES + 1)).status == 414
    assert server.ask("/healthz?" + "a" * (QUERY_BYTES + 1)).status == 414


def test_headers_are_bounded(server):
    """431 by number and by size, and on a connection that never ends them."""
    assert server.ask("/api/runs", headers={f"x-{n}": "1" for n in range(HEADERS + 1)}).status == 431
    assert server.ask("/api/runs", headers={f"x-{n}": "1" for n in range(HEADERS // 2)}).status == 200
    assert server.ask("/api/runs", X="a" * HEADER_BYTES).status == 431
    assert server.ask("/healthz", X="a" * HEADER_BYTES).status == 431
    flood = b"GET / HTTP/1.1\r\n" + HOST + b"".join(b"x-%d: %s\r\n" % (n, b"a" * 1000) for n in range(3000))
    assert server.status(flood) in (400, 431, 0)
    assert server.status(b"GET / HTTP/1.1\r\n" + HOST + b"x: " + b"a" * 3_000_000) in (400, 431, 0)


@pytest.mark.parametrize("name", ["Host", "Authorization", "Origin", "Content-Length", "Content-Type"])
def test_a_header_that_decides_is_given_once(server, name):
    """Two may mean that a proxy went by the other one."""
    twice = f"{name}: 1\r\n{name}: 2\r\n".encode()
    host = b"" if name == "Host" else HOST
    assert server.status(b"GET /api/runs HTTP/1.1\r\n" + host + twice + b"Connection: close\r\n\r\n") == 400


def test_a_body_has_one_length(server):
    """Two are how a request is smuggled past a proxy."""
    for length in (b"Content-Length: 5\r\nTransfer-Encoding: chunked", b"Transfer-Encoding: chunked\r\nContent-Length: 3"):
        smuggled = b"0\r\n\r\nGET /api/runs HTTP/1.1\r\nHost: localhost\r\n\r\n"
        assert server.status(b"POST /api/journal/take HTTP/1.1\r\n" + HOST + length + b"\r\n\r\n" + smuggled) in (0, 400)


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x00" * 100,
        b"\r\n" * 100 + b"x",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://evil.example/api/runs HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"CONNECT evil.example:80 HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX\x00Y: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
    ],
)
def test_nonsense_is_no_error_of_ours(server, nonsense):
    """400 or another refusal, or the connection is closed; never 500."""
    assert server.status(nonsense, timeout=1.0) in (0, 200, 400, 403, 404, 405, 414, 421, 431, 501, 505)


def test_a_head_has_its_time(tmp_path, monkeypatch):
    """A connection that says nothing, or a letter at a time, is closed; one that waits between requests is the library's."""
    monkeypatch.setattr(wire, "HEAD_SECONDS", 0.4)
    with serving(tmp_path) as (stranger, _):
        for first, answered in ((b"", b""), (b"GET / HTTP/1.1\r\n", b"HTTP/1.1 408")):
            with stranger.connect(timeout=10) as slow:
                began = time.monotonic()
                slow.sendall(first)
                assert drained(slow)[:12] == answered
                assert 0.3 < time.monotonic() - began < 3
        with stranger.connect(timeout=10) as slow:
            assert slow.send(b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n")
            assert b" 200 " in slow.recv(4000)
            slow.sendall(b"GET /hea")
            assert drained(slow).startswith(b"HTTP/1.1 408")


def test_a_long_connection_does_not_add_up(server):
    """Many requests on one connection, each with a body, are not taken for one long head."""
    with server.connect() as kept:
        for _ in range(60):
            kept.sendall(b"POST /api/journal/take HTTP/1.1\r\n" + HOST + b"Content-Length: 100000\r\n\r\n" + b"x" * 100_000)
            assert b" 200 " in kept.recv(4000)
            kept.sendall(b"GET /healthz HTT")
            time.sleep(0.001)
            kept.sendall(b"P/1.1\r\n" + HOST + b"\r\n")
            assert b" 200 " in kept.recv(4000)


# --- bodies -------------------------------------------------------------------------------------------------------


def chunked(pieces):
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)


def test_a_body_is_bounded_by_its_route(server):
    """What brings events in takes more than the rest; 413 by the length that is told, and by what comes in chunks."""
    assert json.loads(server.ask("/api/journal/take", "POST", b"x" * INGEST_BYTES).body) == {"bytes": INGEST_BYTES}
    assert server.ask("/api/journal/take", "POST", b"x" * (INGEST_BYTES + 1)).status == 413
    assert server.ask("/api/extra/json", "POST", b'"' + b"x" * BODY_BYTES + b'"').status == 413
    assert server.ask("/api/extra/json", "POST", b'"' + b"x" * (BODY_BYTES - 2) + b'"').status == 200
    for path, most in (("take", INGEST_BYTES), ("../extra/json", BODY_BYTES)):
        head = f"POST /api/{'journal/take' if path == 'take' else 'extra/json'} HTTP/1.1\r\n".encode() + HOST
        pieces = chunked([b"x" * 65536] * (most // 65536 + 2))
        assert server.status(head + b"Transfer-Encoding: chunked\r\n\r\n" + pieces + b"0\r\n\r\n") == 413


def test_a_flood_without_end_is_cut_off(server):
    """More than any body, whatever is answered meanwhile: the connection is closed, not read for ever."""
    for path in (b"/api/journal/take", b"/api/journal/ignore", b"/nothing"):
        with server.connect(timeout=20) as flood:
            flood.sendall(b"POST " + path + b" HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n")
            piece, sent = chunked([b"x" * 65536] * 4), 0
            with pytest.raises(OSError):  # noqa: PT012
                while sent < 64 << 20:
                    flood.sendall(piece)
                    sent += len(piece)
            assert sent < 32 << 20


def test_trailers_without_end_are_cut_off(server):
    with server.connect(timeout=20) as flood:
        flood.sendall(b"POST /api/journal/take HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n")
        trailer, sent = b"x-trailer: " + b"a" * 60_000 + b"\r\n", 0
        with pytest.raises(OSError):  # noqa: PT012
            while sent < 64 << 20:
                flood.sendall(trailer)
                sent += len(trailer)
        assert sent < 32 << 20


def test_a_slow_body_has_its_time(tmp_path, monkeypatch):
    """408 for one that drips; one that is steady enough may take longer."""
    monkeypatch.setattr(exchange, "BODY_SECONDS", 0.5)
    monkeypatch.setattr(exchange, "BODY_BYTES_A_SECOND", 10_000)
    monkeypatch.setattr(exchange, "LINGER_SECONDS", 0.2)
    head = b"POST /api/%s HTTP/1.1\r\n" + HOST + b"Content-Length: 100000\r\n\r\n"
    with serving(tmp_path) as (stranger, _):
        for path in (b"journal/take", b"extra/json"):
            with stranger.connect() as slow:
                slow.sendall(head % path + b"xx")
                answer = drained(slow)
                assert answer.startswith(b"HTTP/1.1 408"), answer
                assert b"onnection: close" in answer
        with stranger.connect() as steady:
            steady.sendall(head % b"journal/take")
            for _ in range(10):
                time.sleep(0.1)
                steady.sendall(b"x" * 10_000)
            assert drained(steady).startswith(b"HTTP/1.1 200")


def test_a_body_that_breaks_off_is_no_error_of_ours(server, caplog):
    for ending in (b"Content-Length: 100\r\n\r\nxx", b"Transfer-Encoding: chunked\r\n\r\n5\r\nxx"):
        for path in (b"journal/take", b"extra/json"):
            with server.connect() as gone:
                gone.sendall(b"POST /api/" + path + b" HTTP/1.1\r\n" + HOST + ending)
    time.sleep(0.2)
    assert not [record for record in caplog.records if record.exc_info]


def test_an_early_refusal_reaches_a_client_that_sends_on(server):
    """One that listens only once it has sent all of a body gets its answer, not a reset."""
    for path, status in (("/api/journal/take", 421), ("/api/extra/json", 421)):
        assert server.ask(path, "POST", b"x" * (2 << 20), Host="evil.example").status == status
    assert server.ask("/api/extra/json", "POST", b"x" * (2 << 20)).status == 413


# --- compression --------------------------------------------------------------------------------------------------


def packed(data, encoding):
    if encoding == "gzip":
        return gzip.compress(data)
    return zlib.compress(data) if encoding == "deflate" else zlib.compress(data)[2:-4]


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "bare"])
def test_a_compressed_body_is_unpacked(server, encoding):
    data = b"\n".join(b'{"n":%d}' % n for n in range(30_000))
    header = "gzip" if encoding == "gzip" else "deflate"
    answer = server.ask("/api/journal/take", "POST", packed(data, encoding), Content_Encoding=header)
    assert json.loads(answer.body) == {"bytes": len(data)}


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_bomb_does_not_go_off(server, encoding):
    """A hundred times what may be unpacked, in a body a thousandth of that."""
    bomb = packed(b"\0" * (300 << 20), encoding)
    began = time.monotonic()
    answer = server.ask("/api/journal/take", "POST", bomb, Content_Encoding=encoding)
    assert (answer.status, json.loads(answer.body)["code"]) == (413, "FT1904")
    assert time.monotonic() - began < 5


def test_broken_compression_is_400(server):
    whole = gzip.compress(b"x" * 1000)
    for broken in (b"", b"x", whole[:-9], whole[:-1], whole[:5] + b"\xff" * 20, whole + b"rest", b"\x1f\x8b", whole[10:]):
        if broken:
            answer = server.ask("/api/journal/take", "POST", broken, Content_Encoding="gzip")
            assert (answer.status, json.loads(answer.body)["code"]) == (400, "FT1905"), broken
    for encoding in ("br", "zstd", "gzip, gzip", "x" * 500, "\xff"):
        answer = server.ask("/api/journal/take", "POST", whole, Content_Encoding=encoding)
        assert answer.status == 415, encoding
    many = gzip.compress(b"") * 5000
    assert server.ask("/api/journal/take", "POST", many, Content_Encoding="gzip").status == 400
    assert server.ask("/api/journal/take", "POST", whole * 3, Content_Encoding="gzip").status == 200


# --- JSON ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/journal/take", "/api/extra/json"])
@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":'])
def test_json_is_not_nested_without_end(server, path, opening):
    """400 on every route, also on one whose decoder would recurse; what people send passes."""
    for body in (opening * 100_000, opening * 100_000 + "1" + "]" * 100_000, "[[],[[" * 50_000):
        answer = server.ask(path, "POST", body, Content_Type="application/json")
        assert answer.status == 400, body[:20]
        assert json.loads(answer.body)["code"] == "FT1905"
    fine = json.dumps({"text": "[" * 10_000 + '\\"{' * 100, "rows": [{"a": [1, {}]}] * 1000})
    assert server.ask(path, "POST", fine, Content_Type="application/json").status == 200
    deep = "[" * NESTING + "]" * NESTING
    assert server.ask(path, "POST", deep, Content_Type="application/json").status == 200


# --- rates and connections ----------------------------------------------------------------------------------------


def test_requests_have_a_rate(tmp_path):
    """429 with Retry-After; by token, so that nobody uses up another's, and health is answered all the while."""
    settings = {"server.requests_per_second": 5, "server.ingest_per_second": 1000, "server.token": "s3cret"}
    with serving(tmp_path, **settings) as (stranger, _):
        answers = [stranger.bearing("s3cret", "/api/runs") for _ in range(30)]
        refused = [answer for answer in answers if answer.status == 429]
        assert len(refused) > 10
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
        assert all(stranger.lives() for _ in range(5))
        assert stranger.bearing("s3cret", "/api/journal/take", "POST", b"x").status == 200
        assert stranger.ask("/api/runs").status == 401
        assert 429 in [stranger.ask("/api/runs").status for _ in range(30)]


def test_wrong_tokens_have_a_lower_rate(tmp_path):
    """A password that somebody chose cannot be tried a thousand times; a token that was made is let in meanwhile."""
    from flowtell.store.tokens import create_token

    with serving(tmp_path, **{"server.token": "s3cret"}) as (stranger, service):
        _, token = create_token(service.store, "web", ("read",), now=time.time_ns() // 1000)
        service.tokens.refresh()
        statuses = [stranger.bearing(f"guess-{n}", "/api/runs").status for n in range(40)]
        assert statuses[:10] == [401] * 10
        assert statuses[-5:] == [429] * 5
        assert stranger.bearing("s3cret", "/api/runs").status == 429
        assert stranger.bearing(token, "/api/runs").status == 200


def test_connections_are_bounded(tmp_path):
    """503 for a request beyond the bound, and no connections without end; afterwards all is well."""
    with serving(tmp_path, **{"server.max_connections": 20}) as (stranger, _):
        held = [stranger.connect() for _ in range(25)]
        try:
            until(lambda: stranger.ask("/healthz").status == 503)
            held += [stranger.connect() for _ in range(40)]
            held[-1].settimeout(5)
            assert held[-1].recv(100).startswith(b"HTTP/1.1 503")
        finally:
            for one in held:
                one.close()
        until(stranger.lives)


def until(condition, seconds=10.0):
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, f"not within {seconds} s"
        time.sleep(0.02)


# --- websockets ---------------------------------------------------------------------------------------------------


def test_websocket_messages_are_bounded(tmp_path):
    """In bytes: a longer one closes it (1009); in number: what comes too fast waits."""
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    with serving(tmp_path, **{"server.requests_per_second": 20}) as (stranger, _):
        address = f"ws://{stranger.host}:{stranger.port}/api/extra/echo"
        with connect(address) as talk:
            began = time.monotonic()
            for _ in range(60):
                talk.send("x")
            assert [talk.recv(10) for _ in range(60)] == ["1"] * 60
            assert time.monotonic() - began > 0.5
        time.sleep(0.3)  # the handshakes below have their rate too
        with connect(address, compression=None) as talk:
            talk.send("x" * 1000)
            assert talk.recv(5) == "1000"
            with pytest.raises(ConnectionClosed) as closed:  # noqa: PT012
                talk.send("x" * (2 << 20))
                talk.recv(5)
            assert closed.value.rcvd is None or closed.value.rcvd.code == 1009
        with pytest.raises((ConnectionClosed, OSError)), connect(address) as talk:  # noqa: PT012
            talk.send("\0" * (30 << 20))  # small once it is packed
            talk.recv(5)


def test_a_websocket_ends_when_its_token_is_revoked(tmp_path):
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    from flowtell.store.tokens import create_token, revoke_token

    with serving(tmp_path) as (stranger, service):
        now = time.time_ns() // 1000
        made, token = create_token(service.store, "web", ("read",), now=now)
        service.tokens.refresh()
        address = f"ws://{stranger.host}:{stranger.port}/api/extra/echo"
        with connect(address, additional_headers={"Authorization": f"Bearer {token}"}) as talk:
            talk.send("xx")
            assert talk.recv(5) == "2"
            revoke_token(service.store, made.id, now=now)
            service.tokens.refresh()
            with pytest.raises(ConnectionClosed) as closed:  # noqa: PT012
                talk.send("xx")
                talk.recv(5)
            assert closed.value.rcvd.code == 1008


def test_a_handshake_of_nonsense_is_refused(server):
    for headers in (
        {"Sec-WebSocket-Key": "x"},
        {"Sec-WebSocket-Version": "99"},
        {"Sec-WebSocket-Protocol": "," * 1000},
        {"Origin": "\xff"},
        {f"X-{n}": "1" for n in range(200)},
        {"Sec-WebSocket-Extensions": "permessage-deflate; server_max_window_bits=99"},
    ):
        assert server.handshake("/api/extra/echo", **headers) in (101, 400, 403, 426, 431)
    with server.connect(timeout=2) as wire_:
        wire_.sendall(b"GET /\xff HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        try:
            wire_.recv(100)
        except TimeoutError:
            pass
