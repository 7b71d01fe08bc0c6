"""Events posted to a real socket as CloudEvents."""

from __future__ import annotations

import json
import threading
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

pytest.importorskip("urllib3", reason="the extra flowtell-exporters[webhook] is not installed")

from flowtell.errors import BadValue
from flowtell.events import AssetMaterialized, FlowRunFinished, FlowRunStarted, LogRecorded, UserEvent, decode
from flowtell.ids import new_id
from flowtell.plugin import RetryLater
from flowtell.testing import PluginContract, PluginHarness
from flowtell_exporters import webhook


class Hook:
    """Takes batches; `statuses` are its next answers, then 200."""

    def __init__(self):
        self.events, self.statuses, self.headers, self.limit = [], [], [], 0
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                hook.headers.append({name.lower(): value for name, value in self.headers.items()})
                status = hook.statuses.pop(0) if hook.statuses else 200
                if hook.limit and len(body) > hook.limit:
                    status = 413
                if status == 200:
                    hook.events += body
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/events"

    @property
    def ids(self):
        return [event["id"] for event in self.events]

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def hook():
    made = Hook()
    yield made
    made.close()


@pytest.fixture
def opened(tmp_path, hook):
    made = []

    def open_plugin(**settings):
        made.append(PluginHarness(webhook.create, tmp_path, name="webhook", settings={"url": hook.url, **settings}))
        return made[-1]

    yield open_plugin
    for harness in made:
        harness.close()


def ends(count):
    return [FlowRunFinished(id=new_id(), time=1_700_000_000_000_000 + n, run=new_id(), flow="a") for n in range(count)]


def test_an_event_as_a_cloud_event(opened, hook):
    """The required attributes, and as data the event as the log has it, which is decoded to the same."""
    run = new_id()
    harness = opened(headers={"authorization": "Bearer x"})
    fields = {"time": 1_700_000_000_123_456, "run": run, "flow": "a", "environment": "pro d", "source": "exec"}
    harness.feed([FlowRunStarted(id=new_id(), **fields)])
    [told] = hook.events
    [logged] = harness.log()
    assert told.keys() == {"specversion", "id", "source", "type", "time", "datacontenttype", "sequence", "data", "subject"}
    assert (told["specversion"], told["id"], told["type"]) == ("1.0", logged.id, "flowtell.flow_run.started")
    assert told["source"] == "/flowtell/pro%20d/exec"
    assert told["subject"] == run
    assert told["sequence"] == "00000000000000000001"
    assert datetime.fromisoformat(told["time"]).timestamp() == pytest.approx(1_700_000_000.123456)
    assert decode(json.dumps(told["data"])) == logged
    assert hook.headers[0]["content-type"].startswith("application/cloudevents-batch+json")
    assert hook.headers[0]["authorization"] == "Bearer x"


def test_what_it_is_about_and_own_names(opened, hook):
    """An asset where there is no run, nothing where there is neither; a name of one's own is a type as well."""
    opened().feed(
        [
            AssetMaterialized(id=new_id(), time=1, asset="s3://a/b"),
            LogRecorded(id=new_id(), time=1, message="x"),
            UserEvent(type="order.placed", id=new_id(), time=1, resource={"id": "o1"}),
        ]
    )
    assert [(one["type"], one.get("subject")) for one in hook.events] == [
        ("flowtell.asset.materialized", "s3://a/b"),
        ("flowtell.log.recorded", None),
        ("flowtell.order.placed", None),
    ]


def test_only_the_types_that_are_asked_for(opened, hook):
    """In batches of the size that was asked for."""
    harness = opened(types=["flow_run.finished"], batch=2)
    harness.feed([LogRecorded(id=new_id(), time=1, message="x"), *ends(5)])
    assert len(hook.events) == 5
    assert len(hook.headers) == 3


def test_one_that_is_down_gets_each_event_once_it_is_back(opened, hook):
    """The parts of a batch that were taken are not sent again; nothing is lost and the order holds."""
    harness = opened(batch=2)
    made = ends(7)
    harness.append(made)
    hook.statuses = [200, 503]
    with pytest.raises(RetryLater, match="HTTP 503") as raised:
        harness.deliver()
    assert raised.value.seconds == 1.0
    hook.statuses = [500]
    with pytest.raises(RetryLater) as raised:
        harness.deliver()
    assert raised.value.seconds == 2.0
    harness.deliver()
    assert hook.ids == [event.id for event in made]


def test_what_is_refused_is_counted_and_holds_nothing_up(opened, hook):
    """400 is for ever; the next batch goes."""
    harness = opened(batch=2)
    hook.statuses = [400]
    harness.feed(ends(4))
    assert len(hook.events) == 2
    assert harness.runner.status().dropped == 2


def test_a_receiver_that_takes_less_at_once(opened, hook):
    """413 has a batch sent in parts."""
    hook.limit = 3
    made = ends(10)
    opened().feed(made)
    assert hook.ids == [event.id for event in made]


def test_what_cannot_be_is_refused_with_what_to_do():
    """Off without an address."""
    assert webhook.create({}) is None
    with pytest.raises(BadValue, match="is no http"):
        webhook.create({"url": "ftp://x"})
    with pytest.raises(BadValue, match="no event is named"):
        webhook.create({"url": "http://x", "types": ["flow.finished"]})
    assert webhook.create({"url": "http://x", "types": ["*"]}) is not None


class TestContract(PluginContract):
    """The conformance kit; what the receiver has is compared by id."""

    name = "webhook"

    @pytest.fixture(autouse=True)
    def _receiving(self, hook):
        self.hook = hook

    @property
    def settings(self):
        return {"url": self.hook.url}

    def factory(self):
        return webhook.create

    def observe(self, harness):
        return sorted({json.dumps({**one, "sequence": ""}, sort_keys=True) for one in self.hook.events})
