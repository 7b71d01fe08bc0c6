"""Servers that are not there, refuse, answer nonsense or too slowly: a clear message, no event lost, up again by itself."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2
import pytest
from websockets.sync.server import serve

from flowtell.errors import BadValue, SourceUnavailable, UnknownKey
from flowtell.testing import SourceHarness
from flowtell_sources.prefect.api import PrefectApi
from flowtell_sources.prefect.bridge import create
from flowtell_sources.prefect.documents import FlowRun, read_documents
from flowtell_sources.prefect.pace import Pace
from flowtell_sources.prefect.settings import Settings, read_settings
from flowtell_sources.prefect.socket import EventSocket

EVENT = {"id": "01a20fdf-24ae-7215-814d-f88233c7f488", "event": "acme.scored", "occurred": "2026-11-24T12:00:00Z"}


def api_over(handle, **settings):
    """The API client over answers of the test's own, and the pauses that it made."""
    pauses = []
    made = PrefectApi(
        Settings(api_url="http://there/api", **settings),
        clock=lambda: 0,
        wait=pauses.append,
        paced=False,
        transport=httpx2.MockTransport(handle),
    )
    made.pauses = pauses
    return made


# --- one request --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (httpx2.Response(401), "401: the key or auth string is not accepted"),
        (httpx2.Response(403), "403: the key or auth string is not accepted"),
        (httpx2.Response(404, text="nothing"), "answers 404: nothing"),
        (httpx2.Response(200, text="<html>"), "is '/api' missing"),
        (httpx2.Response(200, json={"not": "a version"}), "is '/api' missing"),
        (httpx2.Response(302, headers={"location": "http://evil/"}), "answers 302"),
    ],
    ids=["401", "403", "404", "html", "other json", "redirect"],
)
def test_an_answer_of_another_kind_is_told_in_words(answer, words):
    """A redirect is not followed: the key would go with it."""
    api = api_over(lambda request: answer)
    with pytest.raises(SourceUnavailable, match=words):
        api.version()


def test_a_page_that_is_no_list():
    api = api_over(lambda request: httpx2.Response(200, json={"detail": "no"}))
    with pytest.raises(SourceUnavailable, match="something other than a list"):
        api.filter("flow_runs", {})


def test_documents_of_another_shape_are_left_out():
    """The rest of the page counts."""
    page = [None, 3, {"id": 7}, {"id": "a", "state": "running"}, {"id": "good"}]
    api = api_over(lambda request: httpx2.Response(200, json=page))
    assert [run.id for run in read_documents(api.filter("flow_runs", {}), FlowRun)] == ["good"]


def test_429_and_503_are_waited_for():
    """As long as the server says, else longer each time; then the answer counts."""
    answers = iter([httpx2.Response(429, headers={"retry-after": "7"}), httpx2.Response(503), httpx2.Response(200, json=[])])
    api = api_over(lambda request: next(answers))
    assert api.filter("flow_runs", {}) == []
    assert api.pauses == [7.0, 2.0]


def test_a_server_that_stays_busy_is_left_alone():
    """After some tries the source goes down, for as long as it was asked to."""
    api = api_over(lambda request: httpx2.Response(429, headers={"retry-after": "40"}))
    with pytest.raises(SourceUnavailable) as failed:
        api.filter("flow_runs", {})
    assert failed.value.retry_after == 40.0
    assert api.pace.requests == 4


def test_pages_end_where_the_server_says():
    """Asked for until one is not full."""
    asked = []

    def handle(request):
        body = json.loads(request.content)
        asked.append(body["offset"])
        return httpx2.Response(200, json=[{"id": str(number)} for number in range(body["offset"], 5)][: body["limit"]])

    assert sum(len(page) for page in api_over(handle, page_size=2).pages("flow_runs", {})) == 5
    assert asked == [0, 2, 4]


UUID = "7d9ecc88-6237-4362-963b-ccdb954551f8"


@pytest.mark.parametrize(
    ("first", "pauses"),
    [
        (httpx2.Response(404, json={"detail": "Not Found"}), []),
        (httpx2.Response(503, headers={"retry-after": "7"}), [7.0]),
        (httpx2.Response(200, json=["?"]), []),
    ],
    ids=["404", "503", "nonsense"],
)
def test_one_document_is_asked_for_by_its_id_and_its_absence_by_the_list(first, pauses):
    """A proxy's 404 does not mean that a run is gone there: only a list without it does."""
    asked = []

    def handle(request):
        asked.append((request.method, request.url.path.removeprefix("/api/")))
        return first if request.method == "GET" else httpx2.Response(200, json=[{"id": UUID}])

    api = api_over(handle)
    assert api.by_ids("flow_runs", [UUID]) == [{"id": UUID}]
    assert asked == [("GET", f"flow_runs/{UUID}"), ("POST", "flow_runs/filter")]
    assert api.pauses == pauses


@pytest.mark.parametrize("ids", [["../admin"], [UUID, UUID.replace("7", "8")]], ids=["no id of theirs", "two"])
def test_several_documents_are_asked_for_at_once(ids):
    asked = []
    handle = api_over(lambda request: asked.append(request.url.path) or httpx2.Response(200, json=[]))
    assert handle.by_ids("flow_runs", ids) == []
    assert asked == ["/api/flow_runs/filter"]


def test_the_key_goes_in_the_header_that_prefect_reads():
    seen = []
    for settings in ({"api_key": "k"}, {"auth_string": "admin:pass"}):
        api_over(
            lambda request: seen.append(request.headers["authorization"]) or httpx2.Response(200, json="3"), **settings
        ).version()
    assert seen == ["Bearer k", "Basic YWRtaW46cGFzcw=="]


def csrf_server(tokens):
    """A server that takes POSTs with the token it gave last, and the requests that came."""
    given, seen = [], []

    def handle(request):
        seen.append(request.url.path)
        if request.url.path.endswith("/csrf-token"):
            given.append((request.url.params["client"], next(tokens)))
            return httpx2.Response(200, json={"client": given[-1][0], "token": given[-1][1]})
        shown = request.headers.get("prefect-csrf-client"), request.headers.get("prefect-csrf-token")
        if shown[1] is None:
            return httpx2.Response(403, json={"detail": "Missing CSRF token."})
        if shown != given[-1]:
            return httpx2.Response(403, json={"detail": "Invalid CSRF token or client identifier."})
        return httpx2.Response(200, json=[])

    handle.given, handle.seen = given, seen
    return handle


def test_a_csrf_token_is_asked_for_where_one_is_wanted():
    """Once, and anew when it has run out; the same client each time."""
    server = csrf_server(iter(["one", "two"]))
    api = api_over(server)
    for _ in range(3):
        assert api.filter("flow_runs", {}) == []
    assert [path.rpartition("/api")[2] for path in server.seen].count("/csrf-token") == 1
    server.given.append((server.given[0][0], "the server's own, later one"))
    assert api.filter("flow_runs", {}) == []
    assert [token for _, token in server.given] == ["one", "the server's own, later one", "two"]
    assert len({client for client, _ in server.given}) == 1


def test_a_csrf_token_that_does_not_help_is_told_in_words():
    """Not as a key that is wrong, and not for ever."""
    refuses = api_over(
        lambda request: httpx2.Response(
            200 if request.method == "GET" else 403, json={"token": "t", "detail": "Invalid CSRF token"}
        )
    )
    with pytest.raises(SourceUnavailable, match="does not take the CSRF token"):
        refuses.filter("flow_runs", {})
    gives_none = api_over(
        lambda request: httpx2.Response(200 if request.method == "GET" else 403, json={"detail": "Missing CSRF token."})
    )
    with pytest.raises(SourceUnavailable, match="gives none"):
        gives_none.filter("flow_runs", {})


def test_no_more_requests_in_a_minute_than_said():
    """A burst of a quarter, then evenly; after a slow answer as long a pause."""
    now, slept = [0.0], []

    def sleep(seconds):
        slept.append(seconds)
        now[0] += seconds

    pace = Pace(60, monotonic=lambda: now[0], sleep=sleep)
    for _ in range(75):
        pace.wait()
    assert now[0] == pytest.approx(60.0)
    now[0] += 100
    pace.answered(9.0)
    pace.wait()
    assert slept[-1] == 9.0


# --- the whole source ---------------------------------------------------------------------------------------------


class Answering:
    """An HTTP server of the test's own, on a real socket."""

    def __init__(self) -> None:
        self.status, self.body = 200, b"<html>"
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(outer.status)
                self.send_header("Content-Length", str(len(outer.body)))
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/api"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def answering() -> Iterator[Answering]:
    server = Answering()
    yield server
    server.close()


def test_down_says_why_and_each_reason_once(tmp_path, answering):
    """A page that is no API, a key that is refused, and a server that is gone."""
    with SourceHarness(create, tmp_path, name="prefect", settings={"api_url": answering.url}) as harness:
        harness.turn()
        harness.turn()
        answering.status = 401
        harness.turn()
        answering.server.server_close()
        harness.turn()
        reasons = [event.error.message for event in harness.said()]
    assert ["is '/api' missing" in reasons[0], "401" in reasons[1], "does not answer" in reasons[2]] == [True] * 3
    assert len(reasons) == 3


@pytest.fixture
def websocket() -> Iterator[tuple[str, list[object]]]:
    """A socket that speaks Prefect's protocol and then sends these frames."""
    frames: list[object] = []

    def handle(connection):
        connection.recv()
        connection.send('{"type": "auth_success"}')
        connection.recv()
        for frame in frames:
            if frame is None:  # dies without a word
                connection.socket.shutdown(2)
                return
            connection.send(frame)
        connection.recv()

    with serve(handle, "127.0.0.1", 0, subprotocols=["prefect"]) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.socket.getsockname()[1]}/api", frames
        server.shutdown()
        thread.join()


def test_frames_that_are_no_event_are_counted(websocket):
    """Those between them come through."""
    url, frames = websocket
    good = json.dumps({"type": "event", "event": EVENT})
    frames += ["", "{", b"\xff\xfe", "[]", '{"event": {"id": 3}}', good, "null", good]
    socket = EventSocket(Settings(api_url=url), 0)
    found = socket.receive(2.0)
    socket.close()
    assert [each.event for each in found] == ["acme.scored"] * 2
    assert socket.malformed == 6


def test_what_came_before_the_answer_to_a_ping_is_in(websocket):
    """Not while any of it is still to be taken, and some seconds less, in which a message may be on its way there."""
    url, frames = websocket
    good = json.dumps({"type": "event", "event": EVENT})
    frames += [good] * 5
    socket = EventSocket(Settings(api_url=url), 0)
    try:
        assert socket.receive(2.0, most=1)
        socket.probe(70_000_000)
        until = time.monotonic() + 10.0
        for left in (2, 1):
            while not socket._probe.answer.is_set() and time.monotonic() < until:
                time.sleep(0.01)
            assert socket.receive(2.0, most=1)
            assert socket.told_until == 0, f"{left} or more wait here"
        assert len(socket.receive(0.5)) == 2
        assert socket.told_until == 65_000_000
    finally:
        socket.close()


def test_a_connection_that_breaks_takes_the_source_down(websocket):
    """And so to a new one, which reads what was missed."""
    url, frames = websocket
    frames.append(None)
    socket = EventSocket(Settings(api_url=url), 0)
    with pytest.raises(SourceUnavailable):
        socket.receive(5.0)
    socket.close()


# --- the table ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "error", "words"),
    [
        ({}, BadValue, "api_url"),
        ({"api_url": "prefect:4200"}, BadValue, "no address"),
        ({"api_url": "http://user:secret@h/api"}, BadValue, "auth_string"),
        ({"api_url": "http://h/api", "page_size": "many"}, BadValue, "page_size"),
        ({"api_url": "http://h/api", "reconcile_seconds": 1}, BadValue, "reconcile_seconds"),
        ({"api_url": "http://h/api", "api_kye": "k"}, UnknownKey, "api_key"),
    ],
    ids=["empty", "no scheme", "secret in it", "no number", "too often", "slip"],
)
def test_a_table_that_cannot_be_used(table, error, words):
    with pytest.raises(error, match=words) as failed:
        read_settings(table)
    assert "secret" not in str(failed.value)


def test_environment_variables_are_texts():
    """And stand for what they say."""
    settings = read_settings({"api_url": "http://h/api", "logs": "true", "history_days": "7", "page_size": "100"})
    assert (settings.logs, settings.history_days, settings.page_size) == (True, 7.0, 100)
