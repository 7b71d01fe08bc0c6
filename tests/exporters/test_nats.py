"""Events into JetStream of a real NATS server, which is killed in the middle."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import time

import pytest

pytest.importorskip("nats", reason="the extra flowtell-exporters[nats] is not installed")

import nats
from nats.js.api import AckPolicy, ConsumerConfig

from flowtell.errors import BadValue
from flowtell.events import FlowRunFinished, UserEvent, decode
from flowtell.ids import new_id
from flowtell.plugin import RetryLater
from flowtell.testing import PluginContract, PluginHarness
from flowtell_exporters import nats as exporter


class Server:
    """A server of our own, with its streams in a folder: killed and started again it has them still."""

    def __init__(self, path, folder):
        self._path, self._folder = path, folder
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.url = f"nats://127.0.0.1:{self.port}"
        self.start()

    def start(self):
        command = [self._path, "-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", str(self._folder)]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 20
        while time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise AssertionError("the NATS server did not start")

    def kill(self):
        self._process.kill()
        self._process.wait(10)

    def messages(self, stream="FLOWTELL"):
        """Subject, id and event of each, as a consumer of its own reads them."""
        return asyncio.run(self._messages(stream))

    async def _messages(self, stream):
        client = await nats.connect(self.url)
        try:
            context = client.jetstream()
            state = (await context.stream_info(stream)).state
            reader = await context.pull_subscribe("", stream=stream, config=ConsumerConfig(ack_policy=AckPolicy.NONE))
            found = []
            while len(found) < state.messages:
                found += await reader.fetch(500, timeout=5)
            return [(one.subject, one.headers["Nats-Msg-Id"], decode(one.data)) for one in found]
        finally:
            await client.close()


@pytest.fixture
def server(tmp_path):
    path = shutil.which("nats-server") or shutil.which("/usr/sbin/nats-server")
    if path is None:
        pytest.skip("no nats-server here; on Debian: apt-get install nats-server")
    made = Server(path, tmp_path / "streams")
    yield made
    made.kill()


@pytest.fixture
def opened(tmp_path, server):
    made = []

    def open_plugin(**settings):
        settings = {"servers": [server.url], "timeout_seconds": 2.0, **settings}
        made.append(PluginHarness(exporter.create, tmp_path, name="nats", settings=settings))
        return made[-1]

    yield open_plugin
    for harness in made:
        harness.close()


def ends(count):
    return [FlowRunFinished(id=new_id(), time=n + 1, run=new_id(), flow="a", environment="prod") for n in range(count)]


def test_each_event_is_a_message_under_its_id(opened, server):
    """The stream is made with its subjects; environment and type are parts of the subject, whatever they contain."""
    made = [
        *ends(1_200),
        UserEvent(type="order.placed", id=new_id(), time=9, environment="a.b *"),
        UserEvent(type="order.placed", id=new_id(), time=9),
    ]
    opened().feed(made)
    found = server.messages()
    assert [key for _, key, _ in found] == [event.id for event in made]
    assert found[0][2].run == made[0].run
    assert [subject for subject, _, _ in found[-3:]] == [
        "flowtell.prod.flow_run.finished", "flowtell.a_b__.order.placed", "flowtell._.order.placed"
    ]  # fmt: skip


def test_a_server_that_is_killed_has_each_event_once_when_it_is_back(opened, server):
    """Before, and in the middle of what was taken: what comes again within two minutes it knows by its id."""
    harness = opened()
    made = ends(1_500)
    harness.feed(made[:500])
    server.kill()
    harness.append(made[500:])
    with pytest.raises(RetryLater, match="did not take 1000 events"):
        harness.deliver()
    server.start()
    harness.deliver()
    harness.runner.plugin.handle(harness.log()[700:900])  # as after a server that died before it wrote its cursor
    assert [key for _, key, _ in server.messages()] == [event.id for event in made]


def test_a_plugin_that_restarts_goes_on(opened, server):
    """Its cursor stands behind what was acknowledged."""
    harness = opened()
    made = ends(20)
    for event in made:
        harness.feed([event])
        harness.restart()
    assert [key for _, key, _ in server.messages()] == [event.id for event in made]


def test_what_cannot_be_is_refused():
    """Off without a server."""
    assert exporter.create({}) is None
    with pytest.raises(BadValue, match="no name of a stream"):
        exporter.create({"servers": ["nats://x"], "stream": "a b"})
    with pytest.raises(BadValue, match="no subject"):
        exporter.create({"servers": ["nats://x"], "subject": "a..b"})


class TestContract(PluginContract):
    """The conformance kit; the stream is compared."""

    name = "nats"

    @pytest.fixture(autouse=True)
    def _serving(self, server):
        self.server, self.made = server, 0

    @property
    def settings(self):
        """A stream of its own for each harness, so that each is compared with what it sent."""
        self.made += 1
        self.stream = f"S{self.made}"
        return {"servers": [self.server.url], "stream": self.stream, "subject": f"s{self.made}", "timeout_seconds": 2.0}

    def factory(self):
        return exporter.create

    def observe(self, harness):
        stream = harness.runner.plugin._settings.stream
        return sorted(key for _, key, _ in self.server.messages(stream))
