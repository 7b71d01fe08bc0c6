"""The receiver behind the real server: OpenLineage's own client, packed and broken bodies, a server that is full."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import time
import zlib
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.transport.http import HttpConfig, HttpTransport
from openlineage.client.uuid import generate_new_uuid
from tests.lineage.openlineage import scenarios as s
from tests.lineage.openlineage.taking import graph_hash, written

from flowtell import config
from flowtell.server.app import running_server
from flowtell_lineage.openlineage.receiving.receiver import Receiver
from flowtell_lineage.openlineage.receiving.routes import BODY_BYTES, PREFIXES, Routes
from flowtell_lineage.reading import whole_graph

PATH = PREFIXES[0]
OTHERS = "dashboard,prometheus,alerts,notifications,incidents"


class Asking:
    def __init__(self, url, service):
        self.url, self.service = url, service
        self._host = url.removeprefix("http://")

    def post(self, body, path=PATH, **headers):
        """Status, decoded answer, headers."""
        if not isinstance(body, bytes):
            body = msgspec.json.encode(body)
        connection = http.client.HTTPConnection(self._host, timeout=60)
        try:
            connection.request("POST", path, body, {"Content-Type": "application/json", **headers})
            answer = connection.getresponse()
            text = answer.read()
            return (
                answer.status,
                json.loads(text) if text else None,
                {name.lower(): value for name, value in answer.getheaders()},
            )
        finally:
            connection.close()

    def graph(self):
        return whole_graph(self.service.store.read)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    home = str(tmp_path_factory.mktemp("openlineage"))
    settings = {"home": home, "server.port": 0, "plugins.disable": OTHERS}
    with running_server(config.load(settings, environ={})) as (url, service):
        yield Asking(url, service)


def eventually(true, seconds=60):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_openlineages_own_client_needs_the_address_alone(server, compression):
    """What it sends is in the graph a moment later, packed or not."""
    transport = HttpTransport(HttpConfig.from_dict({"url": server.url, "type": "http", "compression": compression}))
    client = OpenLineageClient(transport=transport)
    run, job, target = Run(runId=str(generate_new_uuid())), Job(namespace="client", name="load"), f"out {compression}"
    for state in (RunState.START, RunState.COMPLETE):
        client.emit(
            RunEvent(
                eventType=state,
                eventTime=datetime.now(UTC).isoformat(),
                run=run,
                job=job,
                producer=s.PRODUCER,
                inputs=[InputDataset(namespace="client", name="in")],
                outputs=[OutputDataset(namespace="client", name=target)],
            )
        )
    wanted = ("dataset://client/in", f"dataset://client/{target}")
    eventually(lambda: wanted in {(edge.upstream, edge.downstream) for edge in server.graph().edges})


@pytest.mark.parametrize("prefix", PREFIXES)
def test_an_event_is_answered_as_marquez_does(server, prefix):
    assert server.post(s.airflow()[0], path=prefix)[:2] == (201, None)


def test_a_batch_says_which_of_it_were_none(server):
    status, answer, _ = server.post([s.airflow()[0], {"eventTime": "x"}, 7], path=f"{PATH}/batch")
    assert (status, answer["status"]) == (200, "partial_success")
    assert answer["summary"] == {"received": 3, "successful": 1, "failed": 2, "retriable": 0, "non_retriable": 2}
    assert [failed["index"] for failed in answer["failed_events"]] == [1, 2]
    assert answer["failed_events"][0]["reason"].startswith("$.eventTime")


def test_one_by_one_and_packed_batches_come_to_one_graph(home, tmp_path):
    """By two servers, the second of which gets each event twice."""
    hashes = set()
    for name, send in (("single", _one_by_one), ("batch", _packed_twice)):
        place = home / name
        settings = {"home": str(place), "server.port": 0, "plugins.disable": OTHERS}
        with running_server(config.load(settings, environ={})) as (url, service):
            send(Asking(url, service))
            hashes.add(graph_hash(tmp_path / name, written(place)))
    assert len(hashes) == 1


def _one_by_one(server):
    assert {server.post(event)[0] for event in s.everything()} == {201}


def _packed_twice(server):
    body = gzip.compress(msgspec.json.encode(s.everything()))
    for _ in range(2):
        status, answer, _ = server.post(body, path=f"{PATH}/batch", **{"Content-Encoding": "gzip"})
        assert (status, answer["status"]) == (200, "success")


def test_the_letter_that_postgresql_has_not_is_left_out(server):
    """It would stop the log of whoever keeps it there."""
    assert server.post(s.run_event("COMPLETE", 1, s.DAG, ("n", "a\0b"), outputs=[s.dataset("n\0", "x\0y")]))[0] == 201
    eventually(lambda: "dataset://n/xy" in {asset.asset for asset in server.graph().assets})
    assert server.post(s.run_event("COMPLETE", 1, s.DAG, ("n", "\0")))[0] == 400


# --- what is none -----------------------------------------------------------------------------------------------------


def test_malformed_says_where(server):
    event = s.airflow()[0]
    status, answer, _ = server.post({**event, "job": {"namespace": "n", "name": 7}})
    assert (status, answer["path"], answer["code"]) == (400, "$.job.name", "FT2520")
    assert server.post([event], path=PATH)[0] == 400
    assert server.post(event, path=f"{PATH}/batch")[0] == 400
    assert server.post(b"")[0] == 400


def test_what_would_cost_too_much_is_refused(server):
    """Bombs, depth, bodies beyond the bound, encodings of one's own: a clear status each."""
    bomb = gzip.compress(b" " * (BODY_BYTES + 1))
    assert server.post(bomb, **{"Content-Encoding": "gzip"})[0] == 413
    assert server.post(b"[" * 100_000)[0] == 400
    assert server.post(b'{"a":' * 500 + b"1" + b"}" * 500)[0] == 400
    assert server.post(b"x", **{"Content-Encoding": "gzip"})[0] == 400
    assert server.post(zlib.compress(b"{}"), **{"Content-Encoding": "br"})[0] == 415


def test_an_event_of_ten_megabytes_is_taken(server):
    wide = s.dataset(
        "a", "wide", schema=s.schema(*(f"column_{n:06d}" for n in range(20_000))), note=s.facet(text="é" * 5_000_000)
    )
    body = msgspec.json.encode(s.run_event("COMPLETE", 1, "wide", ("n", "wide"), outputs=[wide]))
    assert len(body) > 10_000_000
    assert server.post(body)[0] == 201


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
EVENTS = s.everything()


def _places(value, path=()):
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from _places(child, (*path, key))


def _with(value, path, new):
    if not path:
        return new
    changed = dict(value) if isinstance(value, dict) else list(value)
    changed[path[0]] = _with(value[path[0]], path[1:], new)
    return changed


@given(st.data())
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_nothing_that_is_sent_breaks_it(server, data):
    """Anything in any place of a good event: taken, or refused with a reason. Never 500."""
    event = data.draw(st.sampled_from(EVENTS))
    for _ in range(data.draw(st.integers(1, 3))):
        event = _with(event, data.draw(st.sampled_from(sorted(_places(event), key=repr))), data.draw(ANY))
    status, answer, _ = server.post(event)
    assert status == 201 or (status == 400 and answer["error"].startswith("$"))


# --- under load -------------------------------------------------------------------------------------------------------


def _asked(app, event):
    """What an ASGI application answers to one event."""
    import httpx2

    async def ask():
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://t") as client:
            return await client.post(PATH, content=msgspec.json.encode(event))

    return asyncio.run(ask())


def test_who_comes_while_it_is_full_is_told_to_come_again(home):
    """With 503, which the clients take for "later"; never with 429."""
    receiver = Receiver(str(home))
    try:
        full = _asked(Routes(receiver, at_once=0), s.airflow()[0])
        assert (full.status_code, full.headers["retry-after"]) == (503, "1")
        assert _asked(Routes(receiver), s.airflow()[0]).status_code == 201
    finally:
        receiver.close()


def test_what_cannot_be_written_is_not_taken(home):
    (home / "journals").write_text("no folder")
    receiver = Receiver(str(home))
    assert _asked(Routes(receiver), s.airflow()[0]).status_code == 503
    receiver.close()


def test_a_client_beyond_its_rate_hears_503(tmp_path):
    limits = {"server.ingest_per_second": 0.01}
    settings = {"home": str(tmp_path), "server.port": 0, "plugins.disable": OTHERS, **limits}
    with running_server(config.load(settings, environ={})) as (url, service):
        answers = [Asking(url, service).post(s.airflow()[0]) for _ in range(4)]
    assert {answer[0] for answer in answers} == {201, 503}
    assert answers[-1][2]["retry-after"]
