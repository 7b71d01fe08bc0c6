"""The webhook against a real HTTP server that answers well, badly, slowly or not at all."""

from __future__ import annotations

import http.server
import json
import socket
import threading
import time
from datetime import UTC, datetime
from email.utils import format_datetime

import msgspec
import pytest

from flowtell import events as e
from flowtell.rules import failed
from flowtell.testing import PluginHarness
from flowtell_alerts._backoff import MAX_RETRY_AFTER
from flowtell_alerts.channels import ChannelError
from flowtell_alerts.channels._exchange import seconds_of
from flowtell_alerts.channels.webhook import Webhook
from flowtell_alerts.message import message_of
from flowtell_alerts.outbox import letters
from flowtell_alerts.sender import create

SECRET = "s3cret-token"

OPENED = e.IncidentOpened(
    id="0" * 32,
    time=1_767_225_600_000_000,
    run="a" * 32,
    flow="nightly",
    environment="production",
    incident="1" * 32,
    key="failed-1234",
    rule=e.RuleData(kind="failed", arguments={"consecutive": 1}, severity="error", runbook="https://wiki/nightly"),
    subject=e.Subject(kind="flow", name="nightly"),
    runs=("a" * 32,),
    severity="error",
    owners=("data",),
    since=1_767_225_590_000_000,
    reason="the last run failed (KeyError)",
)


class Receiver:
    """An HTTP server on a free port; `answers` are given one by one, then 204 for ever."""

    def __init__(self):
        self.requests = []
        self.answers = []
        self.hang = threading.Event()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler_of(self))
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}/{SECRET}?x=1"

    def close(self):
        self.hang.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def handler_of(receiver):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.requests.append((self.path, dict(self.headers), body))
            answer = receiver.answers.pop(0) if receiver.answers else (204, {})
            if callable(answer):
                answer(self)
                return
            self.send_response(answer[0])
            for name, value in answer[1].items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_):
            pass

    return Handler


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.close()


def send(receiver, timeout=5.0):
    Webhook(receiver.url, timeout).send(message_of(OPENED, "https://flowtell.example"))


def error_of(receiver, timeout=5.0) -> ChannelError:
    with pytest.raises(ChannelError) as raised:
        send(receiver, timeout)
    assert SECRET not in str(raised.value) + repr(raised.value)
    return raised.value


def test_the_message_as_it_arrives(receiver):
    """One POST of JSON in the documented shape, with the event's id as idempotency key."""
    send(receiver)
    ((path, headers, body),) = receiver.requests
    assert path == f"/{SECRET}?x=1"
    assert headers["Content-Type"] == "application/json"
    assert headers["Idempotency-Key"] == "0" * 32
    assert json.loads(body) == {
        "id": "0" * 32,
        "kind": "opened",
        "incident": {
            "id": "1" * 32,
            "key": "failed-1234",
            "rule": {"kind": "failed", "arguments": {"consecutive": 1}},
            "severity": "error",
            "subject": {"kind": "flow", "name": "nightly"},
            "environment": "production",
            "runs": ["a" * 32],
            "since": 1_767_225_590_000_000,
            "reason": "the last run failed (KeyError)",
            "owners": ["data"],
            "runbook": "https://wiki/nightly",
        },
        "url": f"https://flowtell.example/runs/{'a' * 32}",
    }


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_2xx_is_success(receiver, status):
    """Whichever it is."""
    receiver.answers = [(status, {})]
    send(receiver)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(receiver, status):
    """The error says so, and what the answer was."""
    receiver.answers = [(status, {"Retry-After": "7"})]
    error = error_of(receiver)
    assert not error.permanent
    assert error.retry_after == 7
    assert f"127.0.0.1 answered {status}" in str(error)


@pytest.mark.parametrize("status", [300, 301, 302, 307, 400, 401, 403, 404, 410, 413, 422])
def test_what_will_not_pass_is_permanent(receiver, status):
    """Redirects too: what holds a secret is not followed to an address that somebody else names."""
    receiver.answers = [(status, {"Location": f"http://127.0.0.1:{receiver.server.server_port}/elsewhere"})]
    assert error_of(receiver).permanent
    assert len(receiver.requests) == 1


def test_a_refused_connection_is_tried_again():
    """Nobody listens there now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/{SECRET}"
        with pytest.raises(ChannelError, match="refused the connection") as raised:
            Webhook(url).send(message_of(OPENED))
    assert not raised.value.permanent


def test_a_host_that_does_not_exist_is_tried_again():
    """Name servers fail too."""
    with pytest.raises(ChannelError, match="cannot be reached") as raised:
        Webhook("http://nowhere.invalid/").send(message_of(OPENED))
    assert not raised.value.permanent


def test_silence_ends_in_time(receiver):
    """No answer within the time-out."""
    receiver.answers = [lambda _: receiver.hang.wait(20)]
    began = time.monotonic()
    assert not error_of(receiver, timeout=0.3).permanent
    assert time.monotonic() - began < 2


def test_a_drip_ends_in_time(receiver):
    """A byte now and then, for ever: the whole exchange has a bound, not each byte."""

    def drip(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not receiver.hang.wait(0.05):
            try:
                handler.wfile.write(b"x")
            except OSError:
                return

    receiver.answers = [drip]
    began = time.monotonic()
    assert not error_of(receiver, timeout=0.4).permanent
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 ", b"220 smtp.example ESMTP\r\n", b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200, b"\0" * 99_999]
)
def test_an_answer_that_is_none(receiver, answer):
    """Cut short, another protocol, or endless headers: tried again."""
    receiver.answers = [lambda handler: handler.wfile.write(answer)]
    assert not error_of(receiver, timeout=1.0).permanent


def test_an_endless_body_is_not_read(receiver):
    """The status is all that counts."""

    def flood(handler):
        handler.send_response(200)
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b"x" * 65_536)
        except OSError:
            pass

    receiver.answers = [flood]
    began = time.monotonic()
    send(receiver)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("", 0), ("12", 12), (" 12 ", 12), ("99999999999", MAX_RETRY_AFTER), ("-5", 0), ("soon", 0), ("1e3", 0), ("²", 0)],
)
def test_retry_after_in_seconds(value, seconds):
    """Nonsense counts as nothing, and a wish for hours as five minutes."""
    assert seconds_of(value, 0.0) == seconds


def test_retry_after_as_a_date():
    """RFC 9110, 10.2.3."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    later = format_datetime(datetime(2026, 1, 1, 0, 1, tzinfo=UTC), usegmt=True)
    assert seconds_of(later, now.timestamp()) == 60
    assert seconds_of(later, now.timestamp() + 3600) == 0


def test_from_incident_to_receiver(world, receiver):
    """500, then 429 with a wish, then taken: one success under one key, and the terminal was not held up."""
    receiver.answers = [(500, {}), (429, {"Retry-After": "30"}), (200, {})]
    plugin = {}
    world.adds("notifications", lambda _: plugin.setdefault("made", create({"webhook": receiver.url, "terminal": False})))
    world.declares(failed())
    world.ends("a", "failed", error=e.Failure(type="KeyError", message=SECRET, traceback=SECRET))
    for _ in range(60):
        world.passes()
    assert len(receiver.requests) == 3
    assert len({headers["Idempotency-Key"] for _, headers, _ in receiver.requests}) == 1
    assert len(world.events("notification.sent")) == 1
    assert [failure.error.message for failure in world.events("notification.failed")] == [
        "127.0.0.1 answered 500",
        "127.0.0.1 answered 429",
    ]
    assert SECRET.encode() not in b"".join(e.encode(event) for event in world.events("notification.failed"))
    assert SECRET.encode() not in b"".join(body for _, _, body in receiver.requests)


def test_a_sender_in_a_process_of_its_own(receiver, tmp_path):
    """Its message arrives, what it sent is in the log and in its table, and a restart sends nothing twice."""
    settings = {"webhook": receiver.url, "terminal": False}
    with PluginHarness(create, tmp_path, name="notifications", settings=settings, isolated=True) as harness:
        harness.runner.live = True
        harness.append([msgspec.structs.replace(OPENED, time=harness.clock(), since=harness.clock())])
        harness.deliver()
        until_sent(harness)
        assert len(receiver.requests) == 1
        assert [event.incident for event in harness.log("notification.sent")] == [OPENED.incident]
        harness.restart()
        harness.tick(1.0)
        harness.tick(1.0)
        assert len(receiver.requests) == 1
        assert [row.state for row in harness.read(letters.select())] == ["told"]


def until_sent(harness):
    """Ticks until the log says so: the channel's thread is in another process."""
    until = time.monotonic() + 20
    while not harness.log("notification.sent"):
        assert time.monotonic() < until
        harness.tick(0.01)
        time.sleep(0.01)
