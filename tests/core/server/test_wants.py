"""Wants over HTTP: whoever serves elsewhere is told by a real server, and a word that was lost is told again."""

from __future__ import annotations

import time
from contextlib import contextmanager

import pytest

from flowtell import config
from flowtell.engine.serving.far_wants import FarWants
from flowtell.errors import ShippingError
from flowtell.ids import new_id
from flowtell.server.app import running_server
from flowtell.store.tokens import create_token
from flowtell.wanted_runs import WantedRun, Wants, Word

QUIET = {"server.port": 0, "plugins.disable": "dashboard,prometheus,lineage,alerts,notifications,jsonlines,automations"}


@pytest.fixture
def serve(home, tmp_path):
    @contextmanager
    def start(**settings):
        with running_server(
            config.load({**QUIET, "home": str(home), **settings}, environ={}, folder=str(tmp_path))
        ) as found:
            yield found

    return start


@pytest.fixture
def elsewhere(tmp_path):
    """A serving process's side, in a home of its own; it asks when it is told to."""
    made = []

    def make(url, token="", environment=""):
        given = {"home": str(tmp_path / "elsewhere"), "url": url, "token": token, "environment": environment}
        made.append(FarWants(config.load(given, environ={}, folder="/"), lambda: ["load/main"]))
        return made[-1]

    yield make
    for one in made:
        one._sender.close()


def want(home, name="load/main", environment=""):
    now = time.time_ns() // 1000
    wanted = WantedRun(run=new_id(now), time=now, until=now + 60_000_000, parameters={"day": "2026-11-02"}, hops=1)
    Wants(str(home), environment, name).ask(wanted)
    return wanted


def test_what_is_wanted_is_brought_and_the_word_taken_back(serve, elsewhere, home, tmp_path):
    """As it was asked for; of the deployments and the environment that are served alone."""
    here, there = Wants(str(home), "", "load/main"), Wants(str(tmp_path / "elsewhere"), "", "load/main")
    wanted, _, _ = want(home), want(home, "other/main"), want(home, environment="prod")
    with serve() as (url, _):
        far = elsewhere(url)
        far.look()
        assert list(there.asked()) == [wanted]
        there.say(wanted.run, Word(problem="load/main is paused."))
        far.look()
        assert here.word(wanted.run) == Word(problem="load/main is paused.")
        assert (list(here.asked()), list(there.asked()), list(there.words())) == ([], [], [])
        here.forget(wanted.run)
        far.look()
        assert list(there.asked()) == []


def test_a_word_that_the_server_did_not_hear_is_told_again(serve, elsewhere, home, tmp_path):
    """Also by another process after this one was killed; meanwhile the run is not brought twice."""
    there = Wants(str(tmp_path / "elsewhere"), "", "load/main")
    wanted = want(home)
    with serve() as (url, _):
        far = elsewhere(url)
        far.look()
        there.say(wanted.run, Word())
    with pytest.raises(ShippingError):
        far.look()
    assert list(there.words()) == [(wanted.run, Word())]
    with serve() as (url, _):
        far = elsewhere(url)
        there.ask(wanted)  # as if it were brought again
        assert list(there.asked()) == []
        far.look()
        assert Wants(str(home), "", "load/main").word(wanted.run) == Word()


def test_a_word_on_what_is_not_wanted_any_more_leaves_nothing(serve, elsewhere, home, tmp_path):
    there = Wants(str(tmp_path / "elsewhere"), "", "load/main")
    there.ask(want(home))
    (wanted,) = there.asked()
    there.say(wanted.run, Word())
    Wants(str(home), "", "load/main").forget(wanted.run)
    with serve() as (url, _):
        elsewhere(url).look()
    assert list(Wants(str(home), "", "load/main").words()) == []
    assert list(there.words()) == []


def test_who_may_ask(serve, elsewhere):
    """Whoever may bring events in; a name that would be a path is no run."""
    with serve(**{"server.token": "s3cret"}) as (url, service):
        for scope, may in (("ingest", True), ("read", False), ("operate", False)):
            _, token = create_token(service.store, scope, (scope,), now=time.time_ns() // 1000)
            service.tokens.refresh()
            far = elsewhere(url, token)
            if may:
                far.look()
            else:
                with pytest.raises(ShippingError):
                    far.look()
        far = elsewhere(url, "s3cret")
        far._of("load/main").ask(WantedRun(run="..", time=0, until=0))
        far._of("load/main").say("..", Word())
        with pytest.raises(ShippingError):
            far.look()
