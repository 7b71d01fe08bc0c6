"""The server from outside, over real sockets: who is let in, what is bounded, and a stream that loses nothing."""

from __future__ import annotations

import base64
import http.client
import json
import os
import socket
import time

import pytest

from flowtell import bus, config
from flowtell import events as e
from flowtell.errors import PortInUse, TokenNeeded
from flowtell.ids import new_id
from flowtell.server.app import bind, run_server, running_server

TOKEN = "s3cret"
QUIET = {"server.port": 0, "plugins.disable": "dashboard,prometheus,lineage,alerts,notifications"}


class Client:
    """Requests with any header, as a stranger makes them."""

    def __init__(self, url: str) -> None:
        self.host, _, port = url.removeprefix("http://").rpartition(":")
        self.port = int(port)

    def ask(self, path, method="GET", body=None, **headers):
        connection = http.client.HTTPConnection(self.host.strip("[]"), self.port, timeout=10)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.read(), dict(answer.getheaders())
        finally:
            connection.close()

    def websocket(self, path, **headers):
        """What a websocket handshake is answered."""
        with socket.create_connection((self.host.strip("[]"), self.port), timeout=10) as raw:
            given = {
                "Host": f"{self.host}:{self.port}",
                "Upgrade": "websocket",
                "Connection": "Upgrade",
                "Sec-WebSocket-Version": "13",
            }
            given |= {"Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(), **headers}
            lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items()), "", ""]
            raw.sendall("\r\n".join(lines).encode())
            return int(raw.recv(1000).split()[1])


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A server with a token."""
    home = str(tmp_path_factory.mktemp("guarded"))
    with running_server(config.load({**QUIET, "home": home, "server.token": TOKEN}, environ={})) as (url, _):
        yield Client(url)


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """A server on loopback, without one."""
    home = str(tmp_path_factory.mktemp("opened"))
    with running_server(config.load({**QUIET, "home": home}, environ={})) as (url, _):
        yield Client(url)


def test_without_token_nothing_but_health(guarded):
    """401 that says what is needed; the two health paths are open, and say nothing."""
    for path in ("/", "/api/runs", "/api/events", "/metrics", "/api/plugins", "/nothing"):
        status, body, headers = guarded.ask(path)
        assert status == 401, path
        assert headers["www-authenticate"] == "Bearer"
        assert b"token" in body
    assert guarded.ask("/healthz")[:2] == (200, b'{"status":"ok"}')
    assert set(json.loads(guarded.ask("/readyz")[1])) == {"status"}


@pytest.mark.parametrize(
    "wrong",
    ["", "Bearer", "Bearer ", "Bearer s3cre", "Bearer s3crets", "Basic s3cret", "Bearer \xff", "s3cret s3cret", "x" * 8000],
)
def test_a_wrong_token_is_none(guarded, wrong):
    """Whatever stands in its place; never an error of ours."""
    assert guarded.ask("/api/runs", Authorization=wrong)[0] == 401


@pytest.mark.parametrize(
    "cookie",
    ["flowtell_token=no", "flowtell_token", "=;;=", 'a:b=[c]; flowtell_token="', "flowtell_token=;flowtell_token=no"],
)
def test_a_strange_cookie_is_none(guarded, cookie):
    """A cookie that nobody can read lets nobody in and breaks nothing."""
    assert guarded.ask("/api/runs", Cookie=cookie)[0] == 401


def test_the_token_lets_in(guarded):
    """As a header, as a cookie, and once in the address to get that cookie."""
    assert guarded.ask("/api/runs", Authorization=f"Bearer {TOKEN}")[0] == 200
    assert guarded.ask("/api/runs", Cookie=f"other=1; flowtell_token={TOKEN}")[0] == 200
    status, _, headers = guarded.ask(f"/api/runs?token={TOKEN}")
    assert status == 303
    assert headers["location"] == "/api/runs"
    cookie = headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert guarded.ask("/api/runs?token=wrong")[0] == 401


def test_a_websocket_needs_it_too(guarded, opened):
    """Refused without, let through to 404 with it; the same for a page of somebody else's."""
    assert guarded.websocket("/live") in (401, 403)
    assert guarded.websocket("/live", Authorization="Bearer wrong") in (401, 403)
    assert opened.websocket("/live", Host="evil.example") in (403, 421)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:4727",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "[::2]:80",
        "0.0.0.0",
        "10.0.0.1:4727",
    ],
)
def test_loopback_answers_to_its_own_name_only(opened, host):
    """A name that somebody made point here is not one (DNS rebinding)."""
    assert opened.ask("/api/runs", Host=host)[0] == 421


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "127.0.0.1:4727", "127.1.2.3", "[::1]:4727"])
def test_loopback_by_any_of_its_names(opened, host):
    assert opened.ask("/api/runs", Host=host)[0] == 200


def test_off_loopback_needs_a_token():
    """Refused before anything listens."""
    for host in ("0.0.0.0", "::", "192.0.2.1"):
        with pytest.raises(TokenNeeded):
            run_server(config.load({**QUIET, "server.host": host}))


def test_a_port_in_use():
    """Named, with what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(PortInUse, match="--port"):
        bind("127.0.0.1", taken.getsockname()[1])


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=-1",
        "limit=x",
        "limit=99999",
        "limit=1e3",
        "after=x",
        "after=99999999999999999999",
        "after=%00",
        "after=%D9%A1",
    ],
)
def test_a_parameter_that_cannot_be_used_is_400(opened, query):
    """Every one is bounded and checked."""
    status, body, _ = opened.ask(f"/api/events?{query}")
    assert status == 400, body
    assert json.loads(body)["error"]


def test_what_is_not_there_is_json_404(opened):
    """Also below the API, where a page must not answer."""
    for path in (
        "/api/nothing",
        "/metrics/nothing",
        "/nothing",
        "/api/runs/zzz",
        "/api/runs/%00",
        "/api/runs/" + "a" * 5000,
    ):
        status, body, _ = opened.ask(path)
        assert status == 404, path
        assert json.loads(body)["error"]
    assert opened.ask("/api/runs", method="POST")[0] in (404, 405)


# --- the stream ---------------------------------------------------------------------------------------------------


class Stream:
    """A server-sent event stream, read line by line."""

    def __init__(self, client, path="/api/events", **headers):
        self._connection = http.client.HTTPConnection(client.host, client.port, timeout=10)
        self._connection.request(
            "GET", path, headers={"Accept": "text/event-stream", **{k.replace("_", "-"): v for k, v in headers.items()}}
        )
        self._answer = self._connection.getresponse()
        assert self._answer.status == 200

    def take(self, count):
        """The next events, each with its id."""
        got = []
        while len(got) < count:
            line = self._answer.readline()
            if line.startswith(b"id:"):
                number = int(line[3:])
            elif line.startswith(b"data:"):
                got.append((number, json.loads(line[5:])))
        return got

    def close(self):
        self._connection.close()


@pytest.fixture
def served(home):
    with running_server(config.load(QUIET)) as (url, service):
        yield Client(url), service


def say(count, start=0):
    for number in range(start, start + count):
        bus.emit(e.LogRecorded(id=new_id(), time=time.time_ns() // 1000, message=str(number)))


def test_a_stream_goes_on_where_it_was_cut(served):
    """By Last-Event-ID: every event once, in order, whatever happens between."""
    client, _ = served
    say(50)
    stream = Stream(client)
    got = stream.take(20)
    stream.close()
    say(30, 50)
    for _ in range(3):
        stream = Stream(client, Last_Event_ID=str(got[-1][0]))
        got += stream.take(10)
        stream.close()
    stream = Stream(client, f"/api/events?after={got[-1][0]}")
    say(20, 80)
    got += stream.take(50)
    stream.close()
    assert [int(event["message"]) for _, event in got] == list(range(100))
    assert [seq for seq, _ in got] == list(range(1, 101))
    assert all(event["seq"] == seq for seq, event in got)


def test_a_stream_that_waits_gets_each_event_as_it_comes(served):
    """One by one, of all types or of one: none is stepped over."""
    client, _ = served
    streams = [Stream(client), Stream(client, "/api/events?type=log.recorded")]
    for number in range(12):
        say(1, number)
        for stream in streams:
            assert [event["message"] for _, event in stream.take(1)] == [str(number)]
        bus.emit(e.MeasureRecorded(id=new_id(), time=1, name="between", value=1.5))
        assert [event["name"] for _, event in streams[0].take(1)] == ["between"]
    for stream in streams:
        stream.close()


def test_a_stream_of_one_type_misses_none_between_others(served):
    """Among many of another type, and reads no further than it must."""
    client, service = served
    stream = Stream(client, "/api/events?type=measure.recorded")
    for number in range(5):
        say(300)
        bus.emit(e.MeasureRecorded(id=new_id(), time=1, name="rows", value=number))
    assert [event.get("value", 0.0) for _, event in stream.take(5)] == [0.0, 1.0, 2.0, 3.0, 4.0]
    stream.close()
    until = time.monotonic() + 5
    while service.store.window.head < 1505 and time.monotonic() < until:
        time.sleep(0.05)
    stream = Stream(client, "/api/events?type=measure.recorded")
    assert [event.get("value", 0.0) for _, event in stream.take(5)] == [0.0, 1.0, 2.0, 3.0, 4.0]
    calls = []
    read = service.store.log.read_lines
    service.store.log.read_lines = lambda *args: calls.append(args) or read(*args)
    time.sleep(1.0)
    assert len(calls) <= 2, "a stream at its end looks through the log again and again"
    stream.close()


def test_a_page_says_where_to_go_on(served):
    """`next` is the cursor of the following page; the last page is empty."""
    client, service = served
    say(25)
    until = time.monotonic() + 5
    while service.store.window.head < 25 and time.monotonic() < until:
        time.sleep(0.05)
    seen, after = [], 0
    while page := json.loads(client.ask(f"/api/events?limit=10&after={after}")[1])["events"]:
        seen += [event["message"] for event in page]
        after = page[-1]["seq"]
    assert seen == [str(number) for number in range(25)]


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost.evil.example", "http://[", "http://10.0.0.1:4727"]
)
def test_a_strangers_page_may_not_use_a_loopback_server(opened, origin):
    """Any page may open a websocket or post a form to localhost; its origin tells it from our own pages."""
    assert opened.ask("/api/runs", Origin=origin)[0] == 403
    assert opened.websocket("/live", Origin=origin) == 403


@pytest.mark.parametrize("origin", ["http://127.0.0.1:4727", "http://localhost:3000", "http://[::1]:4727"])
def test_a_page_of_this_machine_may(opened, origin):
    assert opened.ask("/api/runs", Origin=origin)[0] == 200
