"""Limits that a server keeps for processes elsewhere: over HTTP, and whoever dies, hangs or restarts."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flowtell.limits import remote
from flowtell.limits.book import Request
from flowtell.limits.desk import LocalDesk
from flowtell.store.tokens import create_token

FLOWTELL = Path(sys.executable).with_name("flowtell")


def call(keeper, method, path, body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", keeper.port, timeout=10)
    try:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, None if body is None else json.dumps(body), given)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_processes_elsewhere_and_on_the_servers_machine_share_a_limit(keeper, elsewhere, until):
    one, other = elsewhere(keeper.url), elsewhere(keeper.url)
    beside = LocalDesk(str(keeper.home), {})
    request = Request(ticket="beside", owner=beside.owner, run="run beside", limits={"db": 2})
    assert one.ask("a", "db", limit=2).granted
    assert beside.ask([request])[0].granted
    answer = other.ask("b", "db", limit=2)
    assert (answer.granted, answer.on[0].runs) == (False, ("run a", "run beside"))
    one.desk.leave(["a"])
    until(lambda: other.ask("b", "db", limit=2).granted)
    beside.close()


def test_what_is_stated_at_the_server_is_known_elsewhere_and_goes_before_what_code_says(keeper, elsewhere):
    assert call(keeper, "POST", "/api/limits", {"name": "db", "limit": 1})[0] == 200
    one = elsewhere(keeper.url)
    assert one.desk.limits() == {"db": 1}
    assert one.ask("a", "db", limit=5).granted
    assert not one.ask("b", "db", limit=5).granted
    assert call(keeper, "POST", "/api/limits", {"name": "db", "limit": 2})[1]["changed"]
    assert one.ask("b", "db", limit=5).granted


def test_one_process_cannot_give_back_what_is_anothers(keeper, elsewhere):
    one, other = elsewhere(keeper.url), elsewhere(keeper.url)
    one.ask("a", "db", limit=1)
    other.desk.leave(["a"])
    time.sleep(0.3)
    assert not other.ask("b", "db", limit=1).granted


def test_use_is_told_by_the_server(keeper, elsewhere, until):
    one = elsewhere(keeper.url)
    one.ask("a", "db", limit=2)
    one.desk.leave(["a"])
    log = keeper.service.store.log
    events = until(lambda: len(found := log.read(0, 100, ["capacity.observed"])) >= 2 and found)
    assert [(event.kind, event.name, event.limit, event.used) for event in events] == [
        ("limit", "db", 2, 1),
        ("limit", "db", 2, 0),
    ]
    assert events[0].holders[0].run == "run a"


def test_limits_can_be_looked_at(keeper, elsewhere):
    one, other = elsewhere(keeper.url), elsewhere(keeper.url)
    one.ask("a", "db", limit=1)
    other.ask("b", "db", limit=1)
    (state,) = call(keeper, "GET", "/api/limits")[1]["limits"]
    facts = (state["name"], state["limit"], state["used"], state["waiting"], state["stated"])
    assert facts == ("db", 1, 1, 1, "code")
    assert state["holders"][0]["run"] == "run a"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/limits", {"name": "db", "limit": -1}),
        ("/api/limits", {"name": "", "limit": 1}),
        ("/api/limits", {"limit": 1}),
        ("/api/limits/ask?writer=x", {"requests": []}),
        ("/api/limits/ask?writer=" + "0" * 32, {"requests": [{"ticket": "a", "owner": "", "limits": {"db": -1}}]}),
        ("/api/limits/ask?writer=" + "0" * 32, {"requests": [{"ticket": "a", "owner": "", "limits": {"": 1}}]}),
        ("/api/limits/ask?writer=" + "0" * 32, {"requests": [{"ticket": "a", "owner": ""}] * 1001}),
        ("/api/limits/ask?writer=" + "0" * 32, {"left": ["a"] * 1001}),
        ("/api/limits/ask?writer=" + "0" * 32, []),
    ],
)
def test_what_no_limit_can_be_is_refused(keeper, path, body):
    status, answer = call(keeper, "POST", path, body)
    assert status == 400
    assert answer["error"]


def test_a_token_to_bring_events_in_may_ask_and_not_state(serve, tmp_path):
    with serve(**{"server.token": "s3cret"}) as keeper:
        _, made = create_token(keeper.service.store, "pods", ("ingest",), now=time.time_ns() // 1000)
        keeper.service.tokens.refresh()
        bearer = {"Authorization": f"Bearer {made}"}
        asking = {"requests": [{"ticket": "a", "owner": "", "limits": {"db": 1}}]}
        assert call(keeper, "POST", f"/api/limits/ask?writer={'0' * 32}", asking)[0] == 401
        assert call(keeper, "POST", f"/api/limits/ask?writer={'0' * 32}", asking, **bearer)[0] == 200
        assert call(keeper, "POST", "/api/limits", {"name": "db", "limit": 1}, **bearer)[0] == 403
        assert call(keeper, "GET", "/api/limits", **bearer)[0] == 403


def test_the_command_states_limits_at_a_server_elsewhere(keeper, tmp_path, monkeypatch):
    monkeypatch.setenv("FLOWTELL_URL", keeper.url)

    def flowtell(*words):
        return subprocess.run([FLOWTELL, "limits", *words], capture_output=True, text=True, timeout=60, check=False)

    assert flowtell("set", "tag:db", "3").returncode == 0
    assert keeper.service.limits.limits() == {"tag:db": 3}
    assert flowtell("list").stdout.split("\t")[:2] == ["tag:db", "3"]
    assert flowtell("clear", "tag:db").returncode == 0
    assert flowtell("clear", "tag:db").stderr.startswith("Error FT2451")
    assert flowtell("set", "tag:db", "-1").returncode == 1


# --- who dies, hangs, restarts --------------------------------------------------------------------------------------


def test_a_run_elsewhere_that_computes_for_long_keeps_its_place_and_a_killed_one_loses_it(serve, far_worker, until):
    """Life is the stream that its process holds open: nothing has to be renewed; two heartbeats after a death it is free."""
    with serve(**{"shipping.heartbeat_seconds": 1.0}) as keeper:
        holder = far_worker(keeper.url, 60)
        assert holder.stdout.readline().startswith("in ")
        waiting = far_worker(keeper.url, 0)
        until(lambda: keeper.states()["flow:far"].waiting == 1, what="it waits")
        time.sleep(3.5)  # three heartbeats
        assert keeper.states()["flow:far"].used == 1
        holder.kill()
        began = time.monotonic()
        assert waiting.stdout.readline().startswith("in ")
        assert time.monotonic() - began < 2 * 1.0 + 3.0  # two heartbeats, and a machine that is busy
        assert waiting.wait(20) == 0
        until(lambda: "flow:far" not in keeper.states(), what="it is given back")


def test_a_server_that_restarts_forgets_no_holder(serve, far_worker, until):
    with serve(**{"shipping.heartbeat_seconds": 1.0}) as keeper:
        port = keeper.port
        holder = far_worker(keeper.url, 8)
        first = holder.stdout.readline()
    with serve(**{"shipping.heartbeat_seconds": 1.0, "server.port": port}) as keeper:
        second = far_worker(keeper.url, 0)
        until(lambda: keeper.states()["flow:far"].waiting == 1, what="it waits")
        assert [held.run for held in keeper.states()["flow:far"].holders] == [first.split()[1]]
        assert holder.stdout.readline() == "out\n"
        assert second.stdout.readline().startswith("in ")


def test_while_the_server_is_silent_runs_wait_and_then_count_by_machine(serve, elsewhere, warned, monkeypatch):
    monkeypatch.setattr(remote, "PATIENCE", 0.3)
    with socket.socket() as taken:  # a port where nobody answers
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    one = elsewhere(f"http://127.0.0.1:{port}")
    assert not one.ask("a", "db", limit=1).granted
    assert not warned
    time.sleep(0.4)
    assert one.ask("a", "db", limit=1).granted
    assert not one.ask("b", "db", limit=1).granted
    assert [error.code for error in warned[:1]] == ["FT2453"]
    with serve(**{"server.port": port}) as keeper:
        assert one.ask("c", "db", limit=1).granted
        assert keeper.states()["db"].used == 1
        one.desk.leave(["a"])
        assert one.near.look() == [] or all(not page.used for _, page, _ in one.near.look())


def test_a_run_that_ends_while_the_server_is_away_gives_its_place_back_when_it_is_there_again(serve, elsewhere, until):
    with serve() as keeper:
        port = keeper.port
        one = elsewhere(keeper.url)
        assert one.ask("a", "db", limit=1).granted
    began = time.monotonic()
    one.desk.leave(["a"])
    assert time.monotonic() - began < 1.0
    with serve(**{"server.port": port}) as keeper:
        until(lambda: "db" not in keeper.states(), what="it is free")
        assert elsewhere(keeper.url).ask("b", "db", limit=1).granted


def test_a_process_that_knows_no_server_starts_without_waiting_for_it(elsewhere):
    began = time.monotonic()
    assert elsewhere("http://127.0.0.1:1").desk.limits() == {}
    assert time.monotonic() - began < 2.0


@pytest.mark.postgres
@pytest.mark.slow
def test_a_server_that_takes_over_hears_who_holds_what_before_it_lets_anybody_in(serve, new_database, far_worker, until):
    """It has a home of its own, and so a book that knows nothing."""
    shared = {"store": new_database(), "shipping.heartbeat_seconds": 1.0}
    with serve("first", **shared) as keeper:
        port = keeper.port
        holder = far_worker(keeper.url, 12)
        first = holder.stdout.readline()
    with serve("second", **shared, **{"server.port": port}) as keeper:
        second = far_worker(keeper.url, 0)
        until(lambda: (state := keeper.states().get("flow:far")) and state.used, what="the holder says so")
        until(lambda: keeper.states()["flow:far"].waiting == 1, what="the other waits")
        assert [held.run for held in keeper.states()["flow:far"].holders] == [first.split()[1]]
        assert holder.stdout.readline() == "out\n"
        assert second.stdout.readline().startswith("in ")
